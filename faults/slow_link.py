"""
Slow links: bytes arrive late, unevenly late, or at a trickle.

Seen in: cross-region replication, saturated uplinks, a middlebox under load. In the field they heal
when the load goes. Refuses: loss and reordering, which need netem in the kernel (`chaoskit doctor`
says whether it is there). Jitter is drawn by the plan: a plan expands it into timed steps of
`delay_s`, because Toxiproxy's own random draws cannot be seeded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.fault import Witness, target
from chaoskit.linkevidence import answers_late, packets_met
from chaoskit.mesh import delayed, limited

_WITHIN_S = 5.0
# Toxiproxy lets pieces of 0.1 s through: whoever asks for more than one waits that long at least.
_PIECE_S = 0.1
_PIECES = 4
_RATE_LIMIT_KB_PER_S = 20  # from here on a TLS hello is one piece


@dataclass(frozen=True, slots=True)
class SlowLink:
    """Every byte between `one` and `other`, both ways, is `delay_s` seconds late."""

    NEEDS: ClassVar = ("engine", "packet counters", "a linked port")
    PROOF: ClassVar = "our question is late by the delay; packets that entered the slow streams"

    one: str = target()
    other: str = target()
    delay_s: float = 0.2

    def __post_init__(self) -> None:
        if self.delay_s <= 0:
            raise ValueError(f"a delay of {self.delay_s} s is none")

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Delay both streams of both links between the two."""
        links = cluster.mesh.between([self.one], [self.other])
        shapes = {link.name: delayed(self.delay_s) for link in links}
        meter = packets_met(cluster, shapes)
        with cluster.mesh.shaped(shapes):
            yield Witness(
                # a question and its answer are each late once
                probes=[answers_late(cluster, link, at_least_s=self.delay_s) for link in links],
                meters=[meter],
                within_s=_WITHIN_S,
            )


@dataclass(frozen=True, slots=True)
class NarrowLink:
    """At most `rate_kb_per_s` kilobytes a second pass between `one` and `other`, each way."""

    NEEDS: ClassVar = ("engine", "packet counters", "a linked port")
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

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Limit both streams of both links between the two."""
        links = cluster.mesh.between([self.one], [self.other])
        shapes = {link.name: limited(self.rate_kb_per_s) for link in links}
        meter = packets_met(cluster, shapes)
        padding_bytes = int(_PIECES * _PIECE_S * 1000 * self.rate_kb_per_s)
        with cluster.mesh.shaped(shapes):
            yield Witness(
                probes=[
                    answers_late(
                        cluster, link, at_least_s=0.9 * _PIECE_S, padding_bytes=padding_bytes
                    )
                    for link in links
                ],
                meters=[meter],
                within_s=_WITHIN_S,
            )
