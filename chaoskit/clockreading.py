"""
How far off the wall clock of a node is, by what the node tells of it.

Owns: one question and its bounds (`Offset`), and whether a node's clock is fit for it to be owed
progress, twice a second, into the history as `limit` events (`ClockWatch`). Refuses: more precision
than an answer has: the Date of an HTTP answer is whole seconds, and it took its time to come.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from chaoskit import clock
from chaoskit.history import Recorder
from chaoskit.system import Clock, Endpoint, Unobserved
from chaoskit.watching import Watchers

ASK_TIMEOUT_S = 1.0
_INTERVAL_S = 0.5
_COARSE_S = 0.01  # a tick of the kernel: seconds are often read from a coarse clock


@dataclass(frozen=True, slots=True)
class Offset:
    """A clock is ahead of ours by `least_s` to `most_s` seconds; behind where they are negative."""

    least_s: float
    most_s: float

    def allows(self, ahead_s: float) -> bool:
        """Whether it may be ahead by exactly this."""
        return self.least_s <= ahead_s <= self.most_s

    @property
    def surely_s(self) -> float:
        """By how much it is off at least; 0 when it may be right."""
        return max(self.least_s, 0.0) if self.least_s > 0 else min(self.most_s, 0.0)

    def __str__(self) -> str:
        return f"{self.least_s:+.2f} to {self.most_s:+.2f} s off"


def offset(asked: Clock, endpoint: Endpoint) -> Offset:
    """Ask a node for the time. Raises Unobserved."""
    before_s = clock.utc_now().timestamp()
    told = asked.ask(endpoint, ASK_TIMEOUT_S)
    after_s = clock.utc_now().timestamp()
    return Offset(told.from_s - after_s - _COARSE_S, told.until_s - before_s + _COARSE_S)


@dataclass(slots=True)
class ClockWatch:
    """
    Asks each node of `endpoints` (by name) for the length of the block; records every change.

    Nobody is asked where `asked` is None. A node that does not answer stays what it was.
    """

    asked: Clock | None
    endpoints: Mapping[str, Endpoint]
    recorder: Recorder
    _over: dict[str, bool] = field(default_factory=dict)
    _watchers: Watchers = field(default_factory=lambda: Watchers(end_timeout_s=2 * ASK_TIMEOUT_S))

    def __enter__(self) -> Self:
        if self.asked is not None:
            for node in self.endpoints:
                watch = functools.partial(self._watch, node, self.asked)
                self._watchers.begin(f"clock-{node}", watch)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watchers.end()

    def raise_failure(self) -> None:
        """Raise ChaosError from what ended a probe's thread, if one ended."""
        self._watchers.raise_failure("see how its system tells the time")

    def _watch(self, node: str, asked: Clock) -> None:
        while not self._watchers.told_to_stop(within_s=_INTERVAL_S):
            self._probe(node, asked)

    def _probe(self, node: str, asked: Clock) -> None:
        try:
            found = offset(asked, self.endpoints[node])
        except Unobserved:
            return
        over = abs(found.surely_s) > asked.limit_s
        if self._over.get(node, False) != over:
            self._over[node] = over
            self.recorder.record(
                node,
                "limit",
                {
                    "probe": "clock",
                    "over": over,
                    "value_s": round(found.surely_s, 4),
                    "limit_s": asked.limit_s,
                },
            )
