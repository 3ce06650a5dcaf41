"""
Broken connections: reset, half-open, or slow to close.

Seen in: firewalls that forget or reset idle flows, NAT tables that overflow, peers whose close
never arrives. In the field a reset heals at the next dial, a half-open connection only when
somebody notices. Refuses: nothing beyond links that do not exist.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
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
from chaoskit.tampering import tampered

_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class ResetConnections:
    """What `one` and `other` dial between them is reset: open connections and new ones."""

    NEEDS: ClassVar = ("packet counters", "a linked port")
    PROOF: ClassVar = "our dial is reset; resets sent to peers that dialled"

    one: str = target()
    other: str = target()

    def inject(self, cluster: Cluster) -> AbstractContextManager[Witness]:
        """Reset both streams of both links between the two."""
        return tampered(
            cluster,
            (self.one, self.other),
            reset(),
            probe=lambda link: is_reset(cluster, link),
            meter=lambda links, _: packets_of(
                cluster, links, "resets sent to who dialled", "refused"
            ),
            within_s=_WITHIN_S,
        )


@dataclass(frozen=True, slots=True)
class HalfOpenConnections:
    """Connections between `one` and `other` stay open and carry nothing; healing delivers all."""

    NEEDS: ClassVar = ("packet counters or peers that tell of failures", "a linked port")
    PROOF: ClassVar = "our dial is accepted and never answered; packets that entered and stayed"

    one: str = target()
    other: str = target()

    def inject(self, cluster: Cluster) -> AbstractContextManager[Witness]:
        """Stall both streams of both links between the two."""
        return tampered(
            cluster,
            (self.one, self.other),
            stalled(),
            probe=lambda link: never_answered(cluster, link),
            meter=lambda _, shapes: packets_met(cluster, shapes),
            within_s=_WITHIN_S,
        )


@dataclass(frozen=True, slots=True)
class SlowClose:
    """A close on one side of a connection reaches the other side `delay_s` seconds later."""

    NEEDS: ClassVar = ("packet counters", "a linked port")
    PROOF: ClassVar = "a close reaches us late; connections that peers opened"
    MET_AT_AN_END: ClassVar = True  # of a connection: who keeps theirs meets it at a restart

    one: str = target()
    other: str = target()
    delay_s: float = 2.0

    def __post_init__(self) -> None:
        if self.delay_s <= 0:
            raise ValueError(f"a delay of {self.delay_s} s is none")

    def inject(self, cluster: Cluster) -> AbstractContextManager[Witness]:
        """Hold back the close on both streams of both links between the two."""
        return tampered(
            cluster,
            (self.one, self.other),
            closed_late(self.delay_s),
            probe=lambda link: closes_late(cluster, link, at_least_s=self.delay_s),
            meter=lambda links, _: packets_of(cluster, links, "connections opened", "opened"),
            within_s=4 * self.delay_s + _WITHIN_S,
        )
