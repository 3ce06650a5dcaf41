#!/bin/bash
# Makes sure that one image is there, and prints its reference as the last line on stdout; progress goes to stderr.
#
# Usage: docker/image.sh base                 chaoskit/base:local    Debian with Python
#        docker/image.sh etcd RELEASE         chaoskit/etcd:RELEASE  3.4.23 and 3.5.16 as Debian ships them, any other from etcd's Go modules
#        docker/image.sh nats 2.9.10          chaoskit/nats:2.9.10   as Debian ships it
#        docker/image.sh nginx 1.22.1         chaoskit/nginx:1.22.1  likewise
#        docker/image.sh beacon v2.1.4        chaoskit/beacon:v2.1.4  nodes/beacon of this repository, standing in for that release (nodes/beacon/profiles.py):
#                                             a layer over chaoskit/beacon:program, which is made first; v2.1.4-insecure: for its build with the tag conn_insecure
#        docker/image.sh toys 1               chaoskit/toys:1        nodes/toys of this repository; 2 is the same program under another label
#
# An image is built when it is absent or when its recipe changed (label chaoskit.recipe), and is kept only if the program in it reports the
# release that it is labelled with. No registry is needed on a Debian host as root: packages come from the host's own apt sources. Anywhere else they
# come out of $CHAOSKIT_DEBIAN_IMAGE (default `debian`), tags SUITE-slim. Exit codes: 0 it is there; 1 it could not be made; 3 no engine answers.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
. "$here/steps.sh"

readonly BASE_REFERENCE=chaoskit/base:local
readonly DEBIAN_IMAGE=${CHAOSKIT_DEBIAN_IMAGE:-debian}
readonly GO_MINIMUM=1.26

name=${1:-}
release=${2:-local}

# ---- where programs come from

host_is_debian() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null &&
        [ "$(. /etc/os-release && echo "$ID")" = debian ]
}

# host_mirror: the address of Debian's main archive as this host's own apt sources name it.
host_mirror() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$(. /etc/os-release && echo "$VERSION_CODENAME")" '$2 == suite && $3 == "main" { print $1; exit }'
}

# debian_file SUITE PACKAGE PATH OUT: the file PATH of PACKAGE as SUITE ships it, its signature checked by apt.
debian_file() {
    local suite=$1 package=$2 path=$3 out=$4 folder=$scratch/apt mirror
    mkdir -p "$folder"/{lists/partial,archives/partial,sources}
    if host_is_debian; then
        mirror=$(host_mirror)
        [ -n "$mirror" ] || fail "$step" "this host's apt sources name no Debian archive"
        : >"$folder/status"
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
            "$mirror" "$suite" >"$folder/sources/suite.sources"
        local apt=(apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$folder/sources"
            -o Dir::State::lists="$folder/lists" -o Dir::State::status="$folder/status" -o Dir::Cache="$folder"
            -o Acquire::Languages=none -o APT::Sandbox::User=root)
        "${apt[@]}" update >&2
        (cd "$folder" && "${apt[@]}" download "$package" >&2)
        dpkg-deb --fsys-tarfile "$folder/$package"_*.deb >"$folder/package.tar"
    else
        docker run --rm "$DEBIAN_IMAGE:$suite-slim" sh -ec \
            'apt-get -qq update >&2; cd /tmp; apt-get -qq download "$1" >&2; dpkg-deb --fsys-tarfile "$1"_*.deb' sh "$package" >"$folder/package.tar"
    fi
    tar -xOf "$folder/package.tar" "./$path" >"$out"
    chmod 755 "$out"
}

# go_etcd RELEASE OUT: a static etcd from etcd's own Go modules, their sums checked by Go's checksum database.
go_etcd() {
    local go folder=$scratch/source
    go=$("$here/go.sh" "$GO_MINIMUM")
    mkdir -p "$folder"
    cp "$here/etcd/main.go" "$folder/"
    (
        cd "$folder"
        . "$here/go-environment.sh"
        "$go" mod init chaoskit/etcd
        "$go" get "go.etcd.io/etcd/server/v3@v$1"
        "$go" build -trimpath -ldflags '-s -w' -o "$2" .
    ) >"$scratch/go.log" 2>&1 || {
        tail -n 20 "$scratch/go.log" >&2
        fail "$step" "Go could not build etcd $1 (its last words are above)"
    }
}

# ---- recipes: build_NAME makes the image $reference; proof_NAME prints the release that the program in it reports

build_base() {
    if host_is_debian && command -v mmdebstrap >/dev/null; then
        mmdebstrap --variant=essential --include=python3 --quiet \
            --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
            "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$scratch/base.tar" \
            "deb $(host_mirror) $(. /etc/os-release && echo "$VERSION_CODENAME") main" >&2
        docker import --change "LABEL chaoskit.recipe=$recipe" "$scratch/base.tar" "$reference" >/dev/null
    else
        cp "$here/base/Dockerfile" "$scratch/"
        build_from "$scratch" --build-arg "BASE_IMAGE=$DEBIAN_IMAGE:trixie-slim"
    fi
}
proof_base() {
    in_image python3 -c 'import asyncio, sqlite3, ssl; print("local")'
}

build_etcd() {
    mkdir "$scratch/context"
    case $release in
        3.4.23) debian_file bookworm etcd-server usr/bin/etcd "$scratch/context/etcd" ;;
        3.5.16) debian_file trixie etcd-server usr/bin/etcd "$scratch/context/etcd" ;;
        *) go_etcd "$release" "$scratch/context/etcd" ;;
    esac
    cp "$here/etcd/Dockerfile" "$scratch/context/"
    build_from "$scratch/context" --build-arg "RELEASE=$release"
}
proof_etcd() {
    in_image etcd --version | awk '/^etcd Version:/ { print $3 }'
}

build_nats() {
    [ "$release" = 2.9.10 ] || fail "$step" "only nats 2.9.10 has a recipe; give your own image with --chaos-image nats@$release=REF"
    mkdir "$scratch/context"
    debian_file bookworm nats-server usr/sbin/nats-server "$scratch/context/nats-server"
    cp "$here/nats/Dockerfile" "$scratch/context/"
    build_from "$scratch/context" --build-arg "RELEASE=$release"
}
proof_nats() {
    in_image nats-server --version | awk '{ sub("^v", "", $2); print $2 }'
}

build_nginx() {
    [ "$release" = 1.22.1 ] || fail "$step" "only nginx 1.22.1 has a recipe"
    mkdir "$scratch/context"
    debian_file bookworm nginx usr/sbin/nginx "$scratch/context/nginx"
    cp "$here/nginx/Dockerfile" "$scratch/context/"
    build_from "$scratch/context" --build-arg "RELEASE=$release"
}
# The program says its version only: two options that its Debian build must have are asked for with it.
proof_nginx() {
    local said
    said=$(in_image nginx -V 2>&1)
    [[ $said == *--with-http_v2_module* && $said == *--with-http_ssl_module* ]] || return 1
    sed -n 's|^nginx version: nginx/\([0-9.]*\).*|\1|p' <<<"$said"
}

build_toys() {
    mkdir -p "$scratch/context/nodes"
    cp -r "$root/nodes/__init__.py" "$root/nodes/toys" "$scratch/context/nodes/"
    find "$scratch/context" -name __pycache__ -prune -exec rm -rf {} +
    chmod -R a+rX "$scratch/context"
    cp "$here/toys/Dockerfile" "$scratch/context/"
    build_from "$scratch/context" --build-arg "RELEASE=$release"
}
proof_toys() {
    in_image python3 -m nodes.toys --help >/dev/null && echo "$release"
}

# The signature library has wheels for Python 3.11 and 3.12; Debian bookworm has 3.11.
build_beacon() {
    mkdir -p "$scratch/context"
    if [ "$release" = program ]; then
        build_beacon_program
    else
        "$here/image.sh" beacon program >/dev/null
        cp "$here/beacon/release/Dockerfile" "$scratch/context/"
        build_from "$scratch/context" --build-arg "RELEASE=$release" --build-arg "STANDS_IN_FOR=${release%-insecure}"
    fi
}
build_beacon_program() {
    local base=$BASE_REFERENCE python version
    version=$(base_python "$base")
    if ! [[ $version =~ ^3\.1[12]$ ]]; then
        base=chaoskit/base:bookworm
        bookworm_base "$base"
        version=$(base_python "$base")
    fi
    python=$root/.venv/bin/python
    [ -x "$python" ] || fail "$step" "no .venv to fetch its packages with; \`make python\` makes one"
    mkdir -p "$scratch/context/nodes"
    local platforms=() glibc
    for glibc in 2014 _2_17 _2_28 _2_34; do platforms+=(--platform "manylinux${glibc}_$(uname -m)"); done
    "$python" -m pip --disable-pip-version-check install --quiet --no-compile --require-hashes --no-deps --only-binary :all: \
        --implementation cp --python-version "$version" "${platforms[@]}" \
        --target "$scratch/context/site" --requirement "$here/beacon/requirements.lock" >"$scratch/pip.log" 2>&1 || {
        tail -n 5 "$scratch/pip.log" >&2
        fail "$step" "pip could not fetch what the node needs for Python $version (its last words are above)"
    }
    # The one library that the wheels take from the host and the base image does not have.
    mkdir "$scratch/context/lib"
    debian_file bookworm libstdc++6 "usr/lib/$(uname -m)-linux-gnu/libstdc++.so.6.0.30" "$scratch/context/lib/libstdc++.so.6"
    cp -r "$root/nodes/__init__.py" "$root/nodes/bls.py" "$root/nodes/beacon" "$scratch/context/nodes/"
    find "$scratch/context/nodes" -name __pycache__ -prune -exec rm -rf {} +
    cp "$here/beacon/Dockerfile" "$here/beacon/drand" "$scratch/context/"
    chmod -R a+rX "$scratch/context"
    build_from "$scratch/context" --build-arg "BASE_IMAGE=$base"
}
# bookworm_base REFERENCE: as the base image, of that suite.
bookworm_base() {
    if host_is_debian && command -v mmdebstrap >/dev/null; then
        mmdebstrap --variant=essential --include=python3 --quiet bookworm "$scratch/bookworm.tar" "deb $(host_mirror) bookworm main" >&2
        docker import "$scratch/bookworm.tar" "$1" >/dev/null
    else
        docker build --quiet --tag "$1" --build-arg "BASE_IMAGE=$DEBIAN_IMAGE:bookworm-slim" "$here/base" >/dev/null
    fi
}
base_python() {
    docker run --rm --network none "$1" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}
# Every image of ours stands for a build with that tag, which a suite may take back; the one that is named so is left as it is.
proof_beacon() {
    local build=
    [[ $release != *-insecure ]] || build=-insecure
    in_image python3 -c 'import os, subprocess, sys
from nodes.beacon.profiles import PROFILES
release = os.environ.get("DRAND_AS_RELEASE", "v2.1.4")
said = subprocess.run(["drand", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
known = said == PROFILES[release].surface.version and os.environ["DRAND_CONN_INSECURE"] == "true"
print(os.environ.get("DRAND_AS_RELEASE", "program") + sys.argv[1] if known else said)' "$build"
}

# ---- how an image is built and believed

build_from() {
    local context=$1
    shift
    # The engine's own builder, whichever it is: no network in a build, so nothing of the host's network set-up is needed there.
    docker build --quiet --tag "$reference" --label "chaoskit.recipe=$recipe" "$@" "$context" >/dev/null 2>"$scratch/build.log" || {
        tail -n 20 "$scratch/build.log" >&2
        fail "$step" "docker build failed (its last words are above)"
    }
}

in_image() {
    docker run --rm --network none --read-only --cap-drop ALL --user 12345:12345 "$reference" "$@"
}

# recipe_of NAME RELEASE: changes when anything that goes into the image does; the text of the functions is part of it.
recipe_of() {
    {
        [ "$1" = base ] || recipe_of base local
        echo "$1 $2"
        declare -f "build_$1" build_from debian_file go_etcd
        find "$here/$1" -type f -print0 | sort -z | xargs -0 cat
        [ "$1" != beacon ] || declare -f build_beacon_program bookworm_base base_python
        [ "$1" != beacon ] || find "$root/nodes/beacon" "$root/nodes/bls.py" "$root/nodes/__init__.py" -name '*.py' -print0 | sort -z | xargs -0 sha256sum | sed "s|$root||"
        [ "$1" != toys ] || find "$root/nodes/toys" "$root/nodes/__init__.py" -name '*.py' -print0 | sort -z | xargs -0 sha256sum | sed "s|$root||"
    } | sha256sum | cut -c1-16
}

case $name in
    base) [ "$release" = local ] || fail image "$name has no releases" ;;
    beacon) [[ $release =~ ^(program|v[0-9]+\.[0-9]+\.[0-9]+(-testnet)?(-insecure)?)$ ]] || fail image "usage: docker/image.sh beacon RELEASE, as in v2.1.4; got '$release'" ;;
    toys) [[ $release =~ ^[12]$ ]] || fail image "usage: docker/image.sh toys 1|2; got '$release'" ;;
    etcd | nats | nginx) [[ $release =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail image "usage: docker/image.sh $name RELEASE, as in 3.5.16; got '$release'" ;;
    *) fail image "usage: docker/image.sh base|toys, or beacon|etcd|nats|nginx RELEASE; got '$name'" ;;
esac
[ "$release" = local ] && step=$name || step="$name $release"
reference=chaoskit/$name:$release
recipe=$(recipe_of "$name" "$release")

# present REFERENCE RECIPE
present() {
    [ "$(docker image inspect --format '{{index .Config.Labels "chaoskit.recipe"}}' "$1" 2>/dev/null)" = "$2" ]
}

if present "$reference" "$recipe"; then
    say "$step" "image $reference is there ($(step_seconds) s)"
    echo "$reference"
    exit 0
fi
engine_version >/dev/null || {
    say "$step" "no image without an engine; docker/engine.sh starts one"
    exit 3
}

# Two that want the same image build it once.
mkdir -p "$CHAOSKIT_CACHE/locks"
exec 9>"$CHAOSKIT_CACHE/locks/image-$name-$release"
flock 9
if ! present "$reference" "$recipe"; then
    [ "$name" = base ] || present "$BASE_REFERENCE" "$(recipe_of base local)" || "$here/image.sh" base >/dev/null
    step_begins
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/chaoskit-image.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    "build_$name"
    reported=$("proof_$name") || reported="nothing: it does not run"
    [ "$reported" = "$release" ] || {
        docker rmi "$reference" >/dev/null 2>&1 || true
        fail "$step" "the program in the image reports '$reported' in place of $release; image taken away"
    }
    say "$step" "image $reference built ($(step_seconds) s)"
else
    say "$step" "image $reference is there ($(step_seconds) s)"
fi
echo "$reference"
