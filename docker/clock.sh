#!/bin/bash
# Makes sure that the wall clock that can be set from outside is at $CHAOSKIT_CACHE/lib/wall_clock.so, and prints that path.
#
# Usage: docker/clock.sh
#
# It is compiled with the host's cc from docker/clock/wall_clock.c, and kept only when a process that loads it tells an hour that
# was set from outside. Exit codes: 0 it is there; 1 it does not work here; 3 this host has no C compiler.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/steps.sh"

readonly SOURCE=$here/clock/wall_clock.c
readonly TARGET=$CHAOSKIT_CACHE/lib/wall_clock.so
readonly OLD_ENOUGH=2.17 # no function of the C library newer than this: it is loaded in images older than this host

mkdir -p "$CHAOSKIT_CACHE"/{lib,locks}
exec 9>"$CHAOSKIT_CACHE/locks/clock"
flock 9

recipe=$(sha256sum "$SOURCE" "$here/clock.sh" | sha256sum | cut -c1-16)
if [ -f "$TARGET" ] && [ "$(cat "$TARGET.recipe" 2>/dev/null)" = "$recipe" ]; then
    say clock "$TARGET is there ($(step_seconds) s)"
    echo "$TARGET"
    exit 0
fi
compiler=$(command -v cc || command -v gcc || command -v clang) || {
    say clock "no C compiler (cc): no wrong_clock; install one (Debian: gcc, libc6-dev) and run this again"
    exit 3
}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/chaoskit-clock.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
"$compiler" -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -o "$scratch/wall_clock.so" "$SOURCE" 2>"$scratch/cc.log" || {
    tail -n 5 "$scratch/cc.log" >&2
    fail clock "$compiler could not compile $SOURCE (its last words are above)"
}

newest=$(LC_ALL=C grep -a -o 'GLIBC_[0-9.]*' "$scratch/wall_clock.so" | sed 's/GLIBC_//' | sort -V | tail -n 1)
[ "$(printf '%s\n' "$newest" "$OLD_ENOUGH" | sort -V | tail -n 1)" = "$OLD_ENOUGH" ] ||
    fail clock "it needs a C library of $newest: it would not load in images older than this host"

# An hour ahead, little-endian: 3600e9 ns.
{
    printf '\0\0\0\0\0\0\0\0\0\240\270\060\106\003\0\0'
    head -c 4080 /dev/zero
} >"$scratch/control"
true_s=$(date +%s)
told_s=$(WALL_CLOCK=$scratch/control LD_PRELOAD=$scratch/wall_clock.so date +%s)
off_s=$((told_s - true_s - 3600))
[ "$off_s" -ge 0 ] && [ "$off_s" -le 5 ] ||
    fail clock "a process that loads it tells $((told_s - true_s)) s from now in place of 3600"

install -m 644 "$scratch/wall_clock.so" "$TARGET.new"
mv -f "$TARGET.new" "$TARGET"
echo "$recipe" >"$TARGET.recipe"
say clock "$TARGET built with $(basename "$compiler") ($(step_seconds) s)"
echo "$TARGET"
