"""
Rounds and their times.

Owns: which round it is at a time, and when a round begins. Refuses: rounds and times beyond 64
bits, periods that are no whole seconds.

Rules: round 1 begins at genesis, each later one a period after the one before; round 0 is the
genesis seed and has no time of its own. Times are whole seconds of the Unix clock, as on the wire
and in the chain's hash; a clock's fraction of a second is cut off before it is compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nodes.beacon.errors import RoundOutOfRange

ROUNDS_AT_MOST = 2**63 - 2**36
"""Times stay this far below the end of 64 bits, so that whoever adds to one does not overflow."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a chain's rounds are: `genesis_s` of round 1, then one each `period_s`."""

    genesis_s: int
    period_s: int

    def __post_init__(self) -> None:
        if self.period_s < 1:
            raise ValueError(f"a period is at least one second, not {self.period_s}")
        if not 0 <= self.genesis_s < ROUNDS_AT_MOST:
            raise ValueError(f"a genesis time of {self.genesis_s} is none")

    def time_of(self, round_number: int) -> int:
        """When the round begins, in seconds; raises RoundOutOfRange where no clock reaches."""
        if round_number == 0:
            return self.genesis_s
        time_s = self.genesis_s + (round_number - 1) * self.period_s
        if round_number < 0 or time_s > ROUNDS_AT_MOST:
            raise RoundOutOfRange(f"round {round_number} has no time that a clock could show")
        return time_s

    def next_round(self, now_s: float) -> int:
        """The first round that begins after now; 1 before genesis."""
        if now_s < self.genesis_s:
            return 1
        return (math.floor(now_s) - self.genesis_s) // self.period_s + 2

    def next_time(self, now_s: float) -> int:
        """When that round begins."""
        return self.time_of(self.next_round(now_s))

    def current_round(self, now_s: float) -> int:
        """The round whose time it is; before genesis, as drand says, already 1."""
        return max(1, self.next_round(now_s) - 1)
