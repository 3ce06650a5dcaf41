# How the set-up scripts speak, and what they may do to this host. Sourced, never run.
#
# Owns: one line a step on stderr, with the seconds it took; the folder that set-up keeps its things in; consent.
# Rules: CHAOSKIT_SETUP=never forbids every change to the host; on a terminal a change is asked for first; without
# one it is announced and made. Nothing here touches what the set-up did not create.

CHAOSKIT_CACHE=${CHAOSKIT_CACHE:-${HOME:?HOME must be set}/.cache/chaoskit}
STEP_STARTED=${EPOCHREALTIME/,/.}

# say STEP TEXT...: one line, in columns, at once.
say() {
    local step=$1
    shift
    printf '%-12s %s\n' "$step" "$*" >&2
}

# step_seconds: seconds since this script began (or since step_begins), one decimal.
step_seconds() {
    awk -v from="$STEP_STARTED" -v to="${EPOCHREALTIME/,/.}" 'BEGIN { printf "%.1f", to - from }'
}

step_begins() {
    STEP_STARTED=${EPOCHREALTIME/,/.}
}

# fail STEP TEXT...: says it and ends the script with code 1.
fail() {
    say "$@"
    exit 1
}

# consent STEP WHAT: succeeds when WHAT may be done to this host.
consent() {
    local step=$1 what=$2 answer
    if [ "${CHAOSKIT_SETUP:-}" = never ]; then
        say "$step" "CHAOSKIT_SETUP=never: did not $what"
        return 1
    fi
    # make runs steps side by side, so a question goes to the terminal itself and waits for its turn there.
    if [ "${CHAOSKIT_SETUP:-}" != yes ] && [ -t 2 ] && { : </dev/tty; } 2>/dev/null; then
        mkdir -p "$CHAOSKIT_CACHE/locks"
        exec 8>"$CHAOSKIT_CACHE/locks/consent"
        flock 8
        printf '%-12s %s? [Y/n] ' "$step" "may I $what" >/dev/tty
        read -r answer </dev/tty || answer=n
        exec 8>&-
        case $answer in '' | [yY]*) return 0 ;; esac
        say "$step" "you said no: did not $what"
        return 1
    fi
    say "$step" "going to $what"
}

# engine_version: prints the version of the engine that answers, or fails within five seconds.
engine_version() {
    command -v docker >/dev/null 2>&1 &&
        timeout 5 docker version --format '{{.Server.Version}}' 2>/dev/null | grep .
}
