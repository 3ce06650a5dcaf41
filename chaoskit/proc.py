"""
What the kernel says of a process on this host: alive, frozen, its group, its arguments, its birth.

Owns: readings of /proc and of the process's control group. Refuses: changing anything.
"""

from __future__ import annotations

from pathlib import Path

_STATE_FIELD = 0  # counted after the command's closing parenthesis
_START_FIELD = 19


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    fields = _stat(pid)
    return bool(fields) and fields[_STATE_FIELD] not in {"Z", "X"}


def start_time(pid: int) -> int | None:
    """Clock ticks after boot at which the process began; with its pid it names it for good."""
    fields = _stat(pid)
    return int(fields[_START_FIELD]) if fields else None


def stopped(pid: int) -> bool:
    """Whether a signal (SIGSTOP) has stopped the process."""
    fields = _stat(pid)
    return bool(fields) and fields[_STATE_FIELD] == "T"


def frozen(pid: int) -> bool:
    """Whether the process's control group is frozen (cgroup v1 freezer, or v2)."""
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return False
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers == "freezer":
            state = Path(f"/sys/fs/cgroup/freezer{path}/freezer.state")
            return state.exists() and state.read_text().strip() == "FROZEN"
        events = Path(f"/sys/fs/cgroup{path}/cgroup.events")
        if not controllers and events.exists():
            return "frozen 1" in events.read_text().splitlines()
    return False


def in_group(pid: int, name: str) -> bool:
    """Whether a control group of the process has `name` in its path; not when it is gone."""
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return False
    return any(name in line.split(":", 2)[2] for line in groups)


def group_of(pid: int) -> tuple[int, ...]:
    """
    The processes of the control group that this one is in, itself included; empty when it is gone.

    Of a process in a container they are the container's, what was run beside it among them.
    """
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return ()
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers in {"freezer", ""}:
            root = "/sys/fs/cgroup/freezer" if controllers else "/sys/fs/cgroup"
            try:
                return tuple(
                    int(one) for one in Path(f"{root}{path}/cgroup.procs").read_text().split()
                )
            except OSError:
                continue
    return ()


def sees(pid: int, path: str) -> bytes:
    """What a process finds in the file at an absolute path of its own. Raises OSError."""
    return Path(f"/proc/{pid}/root{path}").read_bytes()


def command_line(pid: int) -> tuple[str, ...]:
    """The argv of a process; empty when it is gone, or still becomes its program (execve(2))."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ()
    if not raw:
        return ()
    return tuple(part.decode(errors="replace") for part in raw.rstrip(b"\0").split(b"\0"))


def children(pid: int) -> tuple[int, ...]:
    """The direct children of a process; empty when it is gone."""
    try:
        raw = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return ()
    return tuple(int(child) for child in raw.split())
