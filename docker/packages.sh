#!/bin/bash
# Makes sure that the host has the programs that set-up and faults use, from Debian's packages.
#
# Usage: docker/packages.sh        idempotent; asks apt only for what is missing
#
# On Debian as root it installs them. Anywhere else it names what is missing and what that costs, and ends well: what can do without
# goes on, and what cannot says so itself.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/steps.sh"
# Administrators' programs are there even where a person's PATH leaves them out.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

mkdir -p "$CHAOSKIT_CACHE/locks"
exec 9>"$CHAOSKIT_CACHE/locks/packages"
flock 9

missing=()
costs=()
# needs PROGRAM PACKAGE COSTS
needs() {
    command -v "$1" >/dev/null 2>&1 || {
        missing+=("$2")
        costs+=("$2: $3")
    }
}
engine_version >/dev/null || {
    needs dockerd docker.io "no containers"
    needs docker docker.io "no containers"
}
needs iptables iptables "no container traffic and no rule against ways round the proxy"
needs nft nftables "no counters and cuts of links"
needs ip iproute2 "no addresses for links"
needs nsenter util-linux "no reach into a container's network"
needs fusermount3 fuse3 "no slow_storage, no full_disk"
needs cc gcc "no wrong_clock"
needs cc libc6-dev "no wrong_clock"
needs mmdebstrap mmdebstrap "base image only where a registry answers"
needs python3 python3 "nothing runs"
if [ ! -x "$here/../.venv/bin/python" ] && ! python3 -c 'import ensurepip' 2>/dev/null; then
    missing+=(python3-venv)
    costs+=("python3-venv: no virtual environment")
fi

if [ ${#missing[@]} = 0 ]; then
    say packages "all there ($(step_seconds) s)"
    exit 0
fi
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
lacking() {
    say packages "$1; missing:"
    printf '%s\n' "${costs[@]}" | sort -u | while read -r line; do say "" "$line"; done
    exit 0
}
command -v apt-get >/dev/null || lacking "not a Debian host, so nothing is installed"
[ "$(id -u)" = 0 ] || lacking "only root may install packages"
consent packages "install from Debian: ${missing[*]}" || lacking "nothing installed"

export DEBIAN_FRONTEND=noninteractive
log=$CHAOSKIT_CACHE/packages.log
{
    apt-get -o DPkg::Lock::Timeout=120 update
    # Where docker.io comes without its command line (Debian 13 on), that is a package of its own.
    case " ${missing[*]} " in *" docker.io "*)
        ! command -v docker >/dev/null && apt-cache show docker-cli >/dev/null 2>&1 && missing+=(docker-cli) ;;
    esac
    apt-get -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends "${missing[@]}"
} >"$log" 2>&1 9>&- || {  # the lock is not left to a service that a package starts
    tail -n 5 "$log" >&2
    fail packages "apt-get failed (log $log)"
}
printf '%s\n' "${missing[@]}" >>"$CHAOSKIT_CACHE/packages-installed"
say packages "installed ${missing[*]} ($(step_seconds) s)"
