"""
How a thing is known to be of a run: its name, its labels, the marks in its environment.

Owns: the kinds of things that can be left behind, what each is called, and the check that an entry
names nothing else. Refuses: a thing without a sign of its run. Everything that removes anything
relies on these signs, so that what chaoskit did not create stays as it is.

| thing | is of run R when |
| --- | --- |
| container, network, volume | its label chaoskit.run is R, its name chaoskit-R or chaoskit-R-... |
| process | its pid and start time were journalled, or its environment holds CHAOSKIT_RUN=R |
| mount | its file system is chaoskit's own and it lies in a folder named as above |
| host rule | iptables deletes it by a match on the comment chaoskit:R |
| folder | it is named as above and was absent when it was announced |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from chaoskit.identity import Identity

RUN_LABEL = "chaoskit.run"
OWNER_LABEL = "chaoskit.owner"
KEEPER_LABEL = "chaoskit.keeper"
JOURNAL_LABEL = "chaoskit.journal"
ROLE_LABEL = "chaoskit.role"
RUN_VARIABLE = "CHAOSKIT_RUN"
OWNER_VARIABLE = "CHAOSKIT_OWNER"
KEEPER_VARIABLE = "CHAOSKIT_KEEPER"
JOURNAL_VARIABLE = "CHAOSKIT_JOURNAL"

_RUN_SHAPE = re.compile(r"[a-z0-9][a-zA-Z0-9-]{1,62}")


class Kind(StrEnum):
    """What can be left behind."""

    CONTAINER = "container"
    NETWORK = "network"
    VOLUME = "volume"
    PROCESS = "process"
    MOUNT = "mount"
    HOST_RULE = "host_rule"
    FOLDER = "folder"


ENGINE_KINDS = frozenset({Kind.CONTAINER, Kind.NETWORK, Kind.VOLUME})


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One thing that may exist.

    Attributes
    ----------
    identity: container, network, volume: its name; mount, folder: its absolute path; process,
        rule: a name for people, one per run.
    undo: for a rule, the argument list that deletes it.
    processes: for a process, who was started under this name.

    """

    kind: Kind
    identity: str
    undo: tuple[str, ...] = ()
    processes: tuple[Identity, ...] = ()


def check_run(run: str) -> str:
    """Answer `run` when it can name a run in labels, names and files; else raise ValueError."""
    if not _RUN_SHAPE.fullmatch(run):
        raise ValueError(f"{run!r} names no run: 2 to 63 letters, digits and dashes")
    return run


def names(run: str, name: str) -> bool:
    """Whether a container, network, volume or folder called `name` can be of this run."""
    mine = f"chaoskit-{run}"
    return name == mine or name.startswith(f"{mine}-")


def mark(run: str) -> str:
    """What stands in the environment of every process of a run, as `NAME=VALUE`."""
    return f"{RUN_VARIABLE}={run}"


def rule_comment(run: str) -> str:
    """The comment that every host rule of a run carries, as one argument of its own."""
    return f"chaoskit:{run}"


def check_entry(entry: Entry, run: str) -> None:
    """
    Whatever is removed by an entry must say by itself whose it is.

    Raises ValueError when it does not.
    """
    name, path = entry.identity, Path(entry.identity)
    inside = path.is_absolute() and ".." not in path.parts
    match entry.kind:
        case Kind.CONTAINER | Kind.NETWORK | Kind.VOLUME:
            ours = names(run, name)
        case Kind.FOLDER:
            ours = inside and names(run, path.name)
        case Kind.MOUNT:
            ours = inside and any(names(run, part) for part in path.parts)
        case Kind.HOST_RULE:
            ours = (
                entry.undo[:1] in (("iptables",), ("ip6tables",))
                and "-D" in entry.undo
                and rule_comment(run) in entry.undo
            )
        case Kind.PROCESS:
            ours = True  # known by its mark and its start time
    if not ours:
        raise ValueError(
            f"{entry.kind} {name} does not say that it is of run {run}: a name begins with "
            f"chaoskit-{run}, a mount lies in such a folder, a host rule is undone by iptables -D "
            f"matching the comment {rule_comment(run)}"
        )
