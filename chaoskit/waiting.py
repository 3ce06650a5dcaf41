"""
How long the experiment's own tasks waited for a core.

Owns: the scheduler's account of each task of the harness and of the nodes, and the share of the
time they wanted a core in which they had none. Refuses: what others waited: a task of low priority
that somebody left running waits all the time, and costs the experiment nothing. Source: the
kernel's Documentation/scheduler/sched-stats.rst, /proc/PID/task/TID/schedstat.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaoskit.backend import Backend
from chaoskit.errors import ChaosError


@dataclass(frozen=True, slots=True)
class Account:
    """Nanoseconds since a task began in which it ran, and in which it was ready and waited."""

    ran_ns: int
    waited_ns: int


Accounts = Mapping[tuple[int, int], Account]
"""By the ids of process and task."""


def processes(backend: Backend, nodes: Collection[str]) -> list[int]:
    """The harness and those nodes that run on this host."""
    found = [os.getpid()]
    for node in nodes:
        with suppress(ChaosError):  # it is down, or on another host
            found.append(backend.pid(node))
    return found


def accounts(pids: Collection[int]) -> Accounts:
    """Of every task of these processes; those that ended meanwhile are left out."""
    found = {}
    for pid in pids:
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    ran_ns, waited_ns, _ = (task / "schedstat").read_text().split()
                    found[pid, int(task.name)] = Account(int(ran_ns), int(waited_ns))
    return found


def share(before: Accounts, now: Accounts) -> float | None:
    """
    Of the time in which tasks wanted a core, the share in which they waited for one: 0 to 1.

    A half means that what they did took twice as long as on a machine of their own. None where the
    kernel keeps no accounts.
    """
    if not any(one.ran_ns for one in now.values()):
        return None
    none = Account(0, 0)
    ran_ns = sum(one.ran_ns - before.get(task, none).ran_ns for task, one in now.items())
    waited_ns = sum(one.waited_ns - before.get(task, none).waited_ns for task, one in now.items())
    return waited_ns / (ran_ns + waited_ns) if ran_ns + waited_ns else 0.0
