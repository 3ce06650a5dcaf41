"""
The node's own alarm: how many members it could not reach lately, held against its threshold.

Owns: counting the members that did not take a partial, and when that is said. Refuses: to say it
anywhere but in the log, as drand.

Rules: once an interval (drand's minute) the members that failed in it are counted, and forgotten.
From `limit` on that is an error, from half of it (rounded down) a warning. The rule's limit was the
threshold until v2.0.5-testnet, where it comes to be reached when it is too late: a group is lost
once n - threshold + 1 members are. With one spare member the later rule warns of nothing each time.
"""

from __future__ import annotations

from enum import Enum

from nodes.beacon.eventlog import Log


class AlarmRule(Enum):
    """How many members have to fail in an interval, by the releases that have the rule."""

    AT_THRESHOLD = "v1.5.5-testnet to v1.5.11, v2.0.0-testnet to v2.0.5-testnet: the threshold"
    AT_MARGIN = "v2.0.6-testnet and later: as many as may be lost, n - threshold"

    def limit(self, size: int, threshold: int) -> int:
        """How many failing members of a group are an error."""
        return threshold if self is AlarmRule.AT_THRESHOLD else size - threshold


class Alarm:
    """One network's; `look` is called often, `failed` for each partial that did not arrive."""

    def __init__(self, limit: int, interval_s: float, log: Log) -> None:
        self._limit = limit
        self._interval_s = interval_s
        self._log = log.of("alarm")
        self._failing: set[str] = set()
        self._began_s: float | None = None

    def failed(self, address: str) -> None:
        """A member did not take our partial."""
        self._failing.add(address)

    def look(self, now_s: float) -> None:
        """Say what is to be said when an interval is over; the first look begins one."""
        if self._began_s is not None:
            # It began in the future where the clock was set back since: over, however long it was.
            if self._began_s <= now_s < self._began_s + self._interval_s:
                return
            self._say()
        self._began_s = now_s
        self._failing.clear()

    def _say(self) -> None:
        failing = sorted(self._failing)
        said = {
            "threshold": self._limit,
            "failures": len(failing),
            "nodes": ",".join(failing),
        }
        if len(failing) >= self._limit:
            self._log.error("failed connections crossed threshold in the last minute", **said)
        elif len(failing) >= self._limit // 2:
            self._log.warn("failed connections crossed half threshold in the last minute", **said)
