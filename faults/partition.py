"""
Partitions: nodes that cannot reach each other, in whole, one way, or all but through a third.

Seen in: every outage report; the one-way kind in faulty switch ports and half-open NAT entries, the
bridge kind between data centres that both reach a third. In the field they end when the network
does. Refuses: systems without links between nodes.

How: a split, an isolation and a bridge refuse every dial on the links between the sides and end
what is open (`style="refused"`), or let the bytes vanish (`style="dropped"`). One way lets the
bytes of one direction vanish, whoever dialled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.fault import Witness, target
from chaoskit.linkevidence import cannot_pass, packets_met
from chaoskit.mesh import Link, Shape, dropped, refused

Style = Literal["refused", "dropped"]
_WITHIN_S = 10.0


def _known(style: str) -> None:
    """A plan's file may say anything. Raises ValueError for what is no style."""
    if style not in get_args(Style):
        raise ValueError(f"style {style!r} is none of {', '.join(get_args(Style))}")


def _shape(style: Style) -> Shape:
    return refused() if style == "refused" else dropped()


@contextmanager
def _cut(cluster: Cluster, shapes: Mapping[str, Shape], links: Sequence[Link]) -> Iterator[Witness]:
    if not links:
        raise NotApplicable("a partition needs two sides with a link between them")
    untouched = [link for link in links if not cluster.mesh.tampered_with(link.name)]
    if not untouched:
        raise NotApplicable("other faults lie on each of its links: it could not be told from them")
    with cluster.mesh.shaped(shapes):
        yield Witness(
            probes=[cannot_pass(cluster, link, shapes[link.name]) for link in untouched],
            meters=[packets_met(cluster, shapes)],
            within_s=_WITHIN_S,
        )


@dataclass(frozen=True, slots=True)
class Split:
    """No node of `side` can reach a node outside it, nor the other way."""

    NEEDS: ClassVar = ("packet counters or peers that tell of failures", "a linked port")
    PROOF: ClassVar = "a dial of ours on each cut link fails; packets refused or dropped there"

    side: tuple[str, ...] = target()
    style: Style = "refused"

    def __post_init__(self) -> None:
        _known(self.style)

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Cut every link between the two sides, both ways."""
        others = [name for name in cluster.nodes if name not in self.side]
        links = cluster.mesh.between(self.side, others)
        shape = _shape(self.style)
        with _cut(cluster, {link.name: shape for link in links}, links) as witness:
            yield witness


@dataclass(frozen=True, slots=True)
class Isolate:
    """One node can reach nobody and nobody it."""

    NEEDS: ClassVar = ("packet counters or peers that tell of failures", "a linked port")
    PROOF: ClassVar = "a dial of ours on each cut link fails; packets refused or dropped there"

    node: str = target()
    style: Style = "refused"

    def __post_init__(self) -> None:
        _known(self.style)

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Cut every link of the node, both ways."""
        with Split((self.node,), self.style).inject(cluster) as witness:
            yield witness


@dataclass(frozen=True, slots=True)
class Bridge:
    """`one` and `other` cannot reach each other; everybody else reaches both."""

    NEEDS: ClassVar = ("packet counters or peers that tell of failures", "a linked port")
    PROOF: ClassVar = "a dial of ours on each cut link fails; packets refused or dropped there"

    one: str = target()
    other: str = target()
    style: Style = "refused"

    def __post_init__(self) -> None:
        _known(self.style)

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Cut the two links between them."""
        links = cluster.mesh.between([self.one], [self.other])
        shape = _shape(self.style)
        with _cut(cluster, {link.name: shape for link in links}, links) as witness:
            yield witness


@dataclass(frozen=True, slots=True)
class OneWay:
    """No byte flows from `source` to any of `deaf`; the other direction is whole."""

    NEEDS: ClassVar = ("packet counters or peers that tell of failures", "a linked port")
    PROOF: ClassVar = "a dial of ours on each cut link fails; packets refused or dropped there"

    source: str = target()
    deaf: tuple[str, ...] = target()

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Drop upstream bytes on source>deaf and downstream bytes on deaf>source."""
        shapes: dict[str, Shape] = {}
        for name in self.deaf:
            shapes |= cluster.mesh.one_way(self.source, name)
        links = cluster.mesh.between([self.source], self.deaf)
        with _cut(cluster, shapes, links) as witness:
            yield witness
