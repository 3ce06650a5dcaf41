"""
Broken connections: reset, half-open, or slow to close.

Seen in: firewalls that forget or reset idle flows, NAT tables that overflow, peers whose close
never arrives. In the field a reset heals at the next dial, a half-open connection only when
somebody notices. Refuses: nothing beyond links that do not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.fault import Witness, target
from chaoskit.linkevidence import (
    closes_late,
    is_reset,
    never_answered,
    packets_met,
    packets_of,
)
from chaoskit.mesh import closed_late, reset, stalled

_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class ResetConnections:
    """What `one` and `other` dial between them is reset: open connections and new ones."""

    NEEDS: ClassVar = ("packet counters", "a linked port")
    PROOF: ClassVar = "our dial is reset; resets sent to peers that dialled"

    one: str = target()
    other: str = target()

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Reset both streams of both links between the two."""
        links = cluster.mesh.between([self.one], [self.other])
        shapes = {link.name: reset() for link in links}
        meter = packets_of(cluster, links, "resets sent to who dialled", "refused")
        with cluster.mesh.shaped(shapes):
            yield Witness(
                probes=[is_reset(cluster, link) for link in links],
                meters=[meter],
                within_s=_WITHIN_S,
            )


@dataclass(frozen=True, slots=True)
class HalfOpenConnections:
    """Connections between `one` and `other` stay open and carry nothing; healing delivers all."""

    NEEDS: ClassVar = ("packet counters or peers that tell of failures", "a linked port")
    PROOF: ClassVar = "our dial is accepted and never answered; packets that entered and stayed"

    one: str = target()
    other: str = target()

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Stall both streams of both links between the two."""
        links = cluster.mesh.between([self.one], [self.other])
        shapes = {link.name: stalled() for link in links}
        meter = packets_met(cluster, shapes)
        with cluster.mesh.shaped(shapes):
            yield Witness(
                probes=[never_answered(cluster, link) for link in links],
                meters=[meter],
                within_s=_WITHIN_S,
            )


@dataclass(frozen=True, slots=True)
class SlowClose:
    """A close on one side of a connection reaches the other side `delay_s` seconds later."""

    NEEDS: ClassVar = ("packet counters", "a linked port")
    PROOF: ClassVar = "a close reaches us late; connections that peers opened"

    one: str = target()
    other: str = target()
    delay_s: float = 2.0

    def __post_init__(self) -> None:
        if self.delay_s <= 0:
            raise ValueError(f"a delay of {self.delay_s} s is none")

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Hold back the close on both streams of both links between the two."""
        links = cluster.mesh.between([self.one], [self.other])
        shapes = {link.name: closed_late(self.delay_s) for link in links}
        meter = packets_of(cluster, links, "connections opened", "opened")
        with cluster.mesh.shaped(shapes):
            yield Witness(
                probes=[closes_late(cluster, link, at_least_s=self.delay_s) for link in links],
                meters=[meter],
                within_s=4 * self.delay_s + _WITHIN_S,
            )
