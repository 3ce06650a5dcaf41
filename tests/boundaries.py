"""
Ending a process at a chosen step of its journal: the child's side of the residue tests.

`install` counts the boundaries that a program passes (before and after each line of a journal, its
appearing and its going), says each on stdout, and at the chosen one kills the reaper first, the
process, or its whole group, by SIGKILL. The product has no such option: its methods are wrapped
here. At `ALL_IS_UP` a reaper that is to live stands still, until whoever killed has looked.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaoskit import proc
from chaoskit.journal import Journal
from chaoskit.ownership import Entry

NEVER = -1
ALL_IS_UP = "all is up"
HOWS = ("process", "group", "reaper first")


class Boundaries:
    """Counts boundaries from 0; dies at number `at` in the way `how`."""

    def __init__(self, at: int, how: str) -> None:
        assert how in HOWS
        self._at, self._how = at, how
        self._count = 0
        self._lock = threading.Lock()

    def reach(self, name: str) -> None:
        """The program is at this boundary now."""
        with self._lock:
            sys.stdout.write(f"boundary {self._count} {name}\n")
            sys.stdout.flush()
            if self._count == self._at:
                self._die(name)
            self._count += 1

    def _die(self, name: str) -> None:
        for child in proc.children(os.getpid()):
            if "chaoskit.reaper" not in proc.command_line(child):
                continue
            if self._how == "reaper first":
                _kill_and_wait(child)
            elif name == ALL_IS_UP:
                os.kill(child, signal.SIGSTOP)
        if self._how == "group":
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def _kill_and_wait(pid: int) -> None:
    descriptor = os.pidfd_open(pid)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    select.select([descriptor], [], [])


def install(at: int, how: str) -> Boundaries:
    """
    From now on every journal of this process counts; `at` NEVER lets it live.

    Answers the counter, for boundaries that are no line of a journal.
    """
    boundaries = Boundaries(at, how)
    write, finish, link = Journal._write, Journal.finish, Path.hardlink_to

    def write_counted(self: Journal, line: Mapping[str, Any]) -> None:
        what = f"{line['op']} {line.get('kind', '')} {line.get('identity', '')}".strip()
        boundaries.reach(f"before {what}")
        write(self, line)
        boundaries.reach(f"after {what}")

    def finish_counted(self: Journal) -> tuple[Entry, ...]:
        boundaries.reach("before the journal goes")
        left = finish(self)
        boundaries.reach("after the journal went")
        return left

    def link_counted(self: Path, target: Path) -> None:
        boundaries.reach("before the journal appears")
        link(self, target)
        boundaries.reach("after the journal appeared")

    Journal._write = write_counted  # type: ignore[method-assign]
    Journal.finish = finish_counted  # type: ignore[method-assign]
    Path.hardlink_to = link_counted  # type: ignore[method-assign,assignment]
    return boundaries
