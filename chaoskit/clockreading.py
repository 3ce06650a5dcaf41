"""
How far off the wall clock of a node is, by what the node tells of it.

Owns: one question and its bounds (`Offset`), and whether a node's clock is fit for it to be owed
progress. Refuses: more precision than an answer has: the Date of an HTTP answer is whole seconds,
and it took its time to come.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from chaoskit import clock
from chaoskit.fitness import FitnessWatch, Reading
from chaoskit.history import Recorder
from chaoskit.system import Clock, Endpoint, Unobserved

ASK_TIMEOUT_S = 1.0
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


def clock_watch(
    asked: Clock | None, endpoints: Mapping[str, Endpoint], recorder: Recorder
) -> FitnessWatch:
    """A watch, not begun, over the clocks of nodes, by name; over none where `asked` is None."""
    probes = {
        node: functools.partial(probe, asked, endpoint)
        for node, endpoint in endpoints.items()
        if asked is not None
    }
    return FitnessWatch("clock", probes, recorder, "see how its system tells the time")


def probe(asked: Clock, endpoint: Endpoint) -> Reading | None:
    """By how much a clock is off at least; None when the node did not answer."""
    try:
        found = offset(asked, endpoint)
    except Unobserved:
        return None
    return Reading(abs(found.surely_s) > asked.limit_s, found.surely_s, asked.limit_s)
