#!/bin/bash
# Makes sure that a container engine answers: the one that is there, else dockerd started here.
#
# Usage: docker/engine.sh          use or start; idempotent
#        docker/engine.sh stop     stop the engine that this script started, and no other
#
# The engine that it starts outlives this shell (its own session), logs to $CHAOSKIT_CACHE/engine/dockerd.log and is noted in
# $CHAOSKIT_CACHE/engine/pid, by which doctor tells who started it. A pid file left by a killed engine, of dockerd or of its
# containerd, is taken away only when the process that it names is not that program. Exit codes: 0 an engine answers;
# 3 none does and none may be started here (the process backend still works).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/steps.sh"

readonly ENGINE_FOLDER=$CHAOSKIT_CACHE/engine
readonly ENGINE_LOG=$ENGINE_FOLDER/dockerd.log
readonly ENGINE_PID=$ENGINE_FOLDER/pid
readonly START_LIMIT_S=60

without_engine() {
    say engine "$1"
    say engine "without one: no containers, so no etcd suite, demo, rehearsal or matrix; unit tests and the process backend still work"
    exit 3
}

# runs PID PROGRAM: is PID alive and is it PROGRAM? A dead process that nobody has collected (in a container without an init) is not alive.
runs() {
    [ -n "$1" ] && [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

drop_stale_pid_file() {
    local file=$1 program=$2 pid
    [ -e "$file" ] || return 0
    pid=$(tr -cd '0-9' <"$file")
    if ! runs "$pid" "$program"; then
        say engine "took away the stale $file (process ${pid:-none} is not $program)"
        rm -f "$file"
    fi
}

started_here() {
    [ -s "$ENGINE_PID" ] && runs "$(cat "$ENGINE_PID")" dockerd
}

stop_engine() {
    started_here || {
        say engine "no engine that this script started is running; nothing stopped"
        exit 0
    }
    local pid limit=$((SECONDS + START_LIMIT_S))
    pid=$(cat "$ENGINE_PID")
    kill "$pid"
    while runs "$pid" dockerd; do
        [ $SECONDS -lt $limit ] || fail engine "dockerd ($pid) did not stop within $START_LIMIT_S s; see $ENGINE_LOG"
        sleep 0.1
    done
    rm -f "$ENGINE_PID"
    say engine "stopped dockerd ($pid) ($(step_seconds) s)"
    exit 0
}

await_engine() {
    local limit=$((SECONDS + START_LIMIT_S)) pid=${1:-}
    until engine_version >/dev/null; do
        if [ -n "$pid" ] && ! runs "$pid" dockerd && ! runs "$pid" sh; then
            say engine "dockerd ended at once; the last lines of $ENGINE_LOG:"
            tail -n 5 "$ENGINE_LOG" >&2
            without_engine "it could not be started"
        fi
        [ $SECONDS -lt $limit ] || without_engine "no answer within $START_LIMIT_S s; see $ENGINE_LOG"
        sleep 0.1
    done
}

start_engine() {
    mkdir -p "$ENGINE_FOLDER"
    if [ -d /run/systemd/system ] && systemctl cat docker.service >/dev/null 2>&1; then
        systemctl start docker
        await_engine
        say engine "Docker $(engine_version), started as the system's service ($(step_seconds) s)"
        return
    fi
    drop_stale_pid_file /var/run/docker.pid dockerd
    drop_stale_pid_file /var/run/docker/containerd/containerd.pid containerd
    # A dockerd that is still starting, or hangs, is waited for: a second one beside it would harm both.
    local pid
    pid=$(cat /var/run/docker.pid 2>/dev/null || true)
    if ! runs "$pid" dockerd; then
        # The lock is not left to what outlives us.
        setsid -f sh -c 'echo $$ >"$1"; exec dockerd >>"$2" 2>&1' sh "$ENGINE_PID" "$ENGINE_LOG" </dev/null 9>&-
        local limit=$((SECONDS + 5))
        until [ -s "$ENGINE_PID" ] || [ $SECONDS -ge $limit ]; do sleep 0.05; done
        pid=$(cat "$ENGINE_PID")
    fi
    await_engine "$pid"
    say engine "Docker $(engine_version), started (dockerd $pid, log $ENGINE_LOG) ($(step_seconds) s)"
}

[ "${1:-}" = stop ] && stop_engine

mkdir -p "$CHAOSKIT_CACHE/locks"
exec 9>"$CHAOSKIT_CACHE/locks/engine"
flock 9

if version=$(engine_version); then
    say engine "Docker $version answers ($(step_seconds) s)"
    exit 0
fi
[ -n "${DOCKER_HOST:-}" ] && without_engine "the engine named by DOCKER_HOST does not answer, and another is not put in its place"
[ "$(id -u)" = 0 ] || without_engine "no engine answers, and only root may start one"
command -v dockerd >/dev/null 2>&1 || {
    "$here/packages.sh" || true
    command -v dockerd >/dev/null 2>&1 || without_engine "no engine answers and dockerd is not installed"
    if version=$(engine_version); then
        say engine "Docker $version answers ($(step_seconds) s)"
        exit 0
    fi
}
consent engine "start dockerd" || without_engine "no engine answers"
rm -f "$ENGINE_PID"
start_engine
