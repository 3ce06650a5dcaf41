"""
What each call on a faulty mount passes through: it is counted, perhaps held for a while, perhaps
refused.

Owns: the rules in force and the counters, both under one lock. Refuses: nothing by itself; whether
a call would take space is the file system's to say. Rules: a delay is at least as long as asked,
unless it is healed meanwhile: putting rules in force that no longer slow an operation lets its
sleepers go at once, so that no trace of a fault outlives its heal. A change from one delay to
another counts for new calls.
"""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass
from typing import NoReturn

from chaoskit.storage_control import Operation, OperationCount, StorageCounters, StorageRules


@dataclass(slots=True)
class _Tally:
    """The one mutable record here; only touched under the gate's lock."""

    calls: int = 0
    delayed: int = 0
    refused: int = 0
    sleeping: int = 0


class Gate:
    """Thread-safe; one a mount."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rules = StorageRules()
        self._tallies: dict[int, dict[Operation, _Tally]] = {}

    def enter(self, caller: int, operation: Operation) -> None:
        """Count a call, and hold it as long as the rules say."""
        with self._changed:
            tally = self._tally(caller, operation)
            tally.calls += 1
            delay_s = self._rules.delays.get(operation)
            if delay_s is None:
                return
            tally.delayed += 1
            tally.sleeping += 1
            try:
                self._changed.wait_for(lambda: operation not in self._rules.delays, timeout=delay_s)
            finally:
                tally.sleeping -= 1

    def refuse(self, caller: int, operation: Operation) -> NoReturn:
        """Count a call as refused and raise OSError ENOSPC."""
        with self._changed:
            self._tally(caller, operation).refused += 1
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @property
    def full(self) -> bool:
        """Whether calls that need space must be refused."""
        return self._rules.full

    def set_rules(self, rules: StorageRules) -> None:
        """
        Put `rules` in force for every call that enters from now on, and let go whom they no longer
        hold.
        """
        with self._changed:
            self._rules = rules
            self._changed.notify_all()

    def snapshot(self) -> tuple[StorageRules, StorageCounters]:
        """The rules in force and the counters, taken at one moment."""
        with self._changed:
            counters = {
                caller: {
                    operation: OperationCount(
                        tally.calls, tally.delayed, tally.refused, tally.sleeping
                    )
                    for operation, tally in tallies.items()
                }
                for caller, tallies in self._tallies.items()
            }
            return self._rules, StorageCounters(counters)

    def _tally(self, caller: int, operation: Operation) -> _Tally:
        return self._tallies.setdefault(caller, {}).setdefault(operation, _Tally())
