"""
Slow links: bytes arrive late, unevenly late, or at a trickle.

Seen in: cross-region replication, saturated uplinks, a middlebox under load. In the field they heal
when the load goes. Refuses: loss and reordering, which need netem in the kernel (`chaoskit doctor`
says whether it is there). Jitter is drawn by the plan: `jittered` expands it into timed steps of
one delay each, because a fault never draws and Toxiproxy's own draws cannot be seeded.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.fault import Witness, target
from chaoskit.linkevidence import answers_late, packets_met
from chaoskit.mesh import delayed, limited
from chaoskit.plan import Step
from chaoskit.tampering import tampered

_WITHIN_S = 10.0
# Toxiproxy lets pieces of 0.1 s through: whoever asks for more than one waits that long at least.
_PIECE_S = 0.1
_PIECES = 4
_RATE_LIMIT_KB_PER_S = 20  # from here on a TLS hello is one piece


@dataclass(frozen=True, slots=True)
class SlowLink:
    """Every byte between `one` and `other`, both ways, is `delay_s` seconds late."""

    NEEDS: ClassVar = ("packet counters", "a linked port")
    PROOF: ClassVar = "our question is late by the delay; packets that entered the slow streams"

    one: str = target()
    other: str = target()
    delay_s: float = 0.2

    def __post_init__(self) -> None:
        if self.delay_s <= 0:
            raise ValueError(f"a delay of {self.delay_s} s is none")

    def inject(self, cluster: Cluster) -> AbstractContextManager[Witness]:
        """Delay both streams of both links between the two."""
        return tampered(
            cluster,
            (self.one, self.other),
            delayed(self.delay_s),
            # a question and its answer are each late once
            probe=lambda link: answers_late(cluster, link, at_least_s=self.delay_s),
            meter=lambda _, shapes: packets_met(cluster, shapes),
            within_s=_WITHIN_S,
        )


@dataclass(frozen=True, slots=True)
class NarrowLink:
    """At most `rate_kb_per_s` kilobytes a second pass between `one` and `other`, each way."""

    NEEDS: ClassVar = ("packet counters", "a linked port")
    PROOF: ClassVar = (
        "our question takes as long as the rate says; packets that entered the streams"
    )

    one: str = target()
    other: str = target()
    rate_kb_per_s: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.rate_kb_per_s <= _RATE_LIMIT_KB_PER_S:
            raise ValueError(
                f"rate_kb_per_s is 1 to {_RATE_LIMIT_KB_PER_S}, where it can be shown, "
                f"not {self.rate_kb_per_s}"
            )

    def inject(self, cluster: Cluster) -> AbstractContextManager[Witness]:
        """Limit both streams of both links between the two."""
        padding_bytes = int(_PIECES * _PIECE_S * 1000 * self.rate_kb_per_s)
        return tampered(
            cluster,
            (self.one, self.other),
            limited(self.rate_kb_per_s),
            probe=lambda link: answers_late(
                cluster, link, at_least_s=0.9 * _PIECE_S, padding_bytes=padding_bytes
            ),
            meter=lambda _, shapes: packets_met(cluster, shapes),
            within_s=_WITHIN_S,
        )


def jittered(
    one: str,
    other: str,
    *,
    delay_s: float,
    jitter_s: float,
    each_s: float,
    times: int,
    random: Random,
) -> tuple[Step, ...]:
    """
    A link whose delay varies: `times` steps of `each_s` seconds, each with a delay of its own.

    The delays, seconds, are drawn evenly from `delay_s` plus or minus `jitter_s` and stand in the
    steps, so that a saved plan has them. Raises ValueError when one could be no delay at all, or
    there is no step.
    """
    if not 0 < jitter_s < delay_s or times < 1:
        raise ValueError(f"{times} steps of {delay_s} s plus or minus {jitter_s} s are no jitter")
    delays_s = [
        round(random.uniform(delay_s - jitter_s, delay_s + jitter_s), 3) for _ in range(times)
    ]
    return tuple(
        Step(
            round(number * each_s, 3),
            SlowLink.__name__,
            {"one": one, "other": other, "delay_s": drawn_s},
            duration_s=each_s,
        )
        for number, drawn_s in enumerate(delays_s)
    )
