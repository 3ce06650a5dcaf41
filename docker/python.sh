#!/bin/bash
# Makes sure that .venv holds exactly what requirements-dev.lock names, and chaoskit itself, editable.
#
# Usage: docker/python.sh          idempotent; nothing is asked of a registry when the stamp in .venv fits
#
# Refuses a Python older than 3.11. Prefers 3.11 and 3.12 (the beacon node's signature library has no wheels beyond). CHAOSKIT_PYTHON names another.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
. "$here/steps.sh"
cd "$root"

mkdir -p "$CHAOSKIT_CACHE/locks"
exec 9>"$CHAOSKIT_CACHE/locks/python-$(pwd | sha256sum | cut -c1-8)"
flock 9

version_of() {
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null
}

# find_python: prints the interpreter to make .venv with.
find_python() {
    local wanted candidate version seen=
    for wanted in '3\.1[12]\.' '3\.(1[3-9]|[2-9][0-9])\.' '.'; do
        for candidate in ${CHAOSKIT_PYTHON:-python3 python3.12 python3.11 python3.14 python3.13}; do
            version=$(version_of "$candidate") || continue
            if [ "$wanted" = . ]; then
                seen+=" $candidate is $version"
            elif [[ $version =~ ^$wanted ]]; then
                echo "$candidate"
                return
            fi
        done
    done
    fail python "no Python 3.11 or newer:${seen:- none on PATH}; install one, or name it in CHAOSKIT_PYTHON"
}

stamp_of() {
    { version_of .venv/bin/python && cat requirements-dev.lock pyproject.toml && pwd; } | sha256sum | cut -c1-16
}

if [ -x .venv/bin/python ] && [ "$(cat .venv/chaoskit.stamp 2>/dev/null)" = "$(stamp_of)" ]; then
    say python ".venv is there, $(version_of .venv/bin/python) ($(step_seconds) s)"
    exit 0
fi
if [ -z "$(version_of .venv/bin/python)" ]; then
    python=$(find_python)
    "$python" -m venv --clear .venv >&2 || fail python "$python cannot make a virtual environment (on Debian: package python3-venv)"
fi
rm -f .venv/chaoskit.stamp
# Wheels alone: nothing is built, so nothing runs from a package while it is installed, and no build tool is fetched.
install() {
    .venv/bin/python -m pip --disable-pip-version-check install --quiet "$@" >"$CHAOSKIT_CACHE/python.log" 2>&1 || {
        tail -n 5 "$CHAOSKIT_CACHE/python.log" >&2
        fail python "pip failed (its last words are above, the rest in $CHAOSKIT_CACHE/python.log)"
    }
}
install --require-hashes --only-binary :all: --requirement requirements-dev.lock
install --no-deps --no-index --no-build-isolation --editable .
stamp_of >.venv/chaoskit.stamp
say python ".venv made, $(version_of .venv/bin/python), $(grep -c '==' requirements-dev.lock) packages by hash ($(step_seconds) s)"
