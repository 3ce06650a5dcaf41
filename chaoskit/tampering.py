"""
What faults on a pair of nodes share: one shape on both links between the two.

Owns: putting one shape on both links and taking it off again, with a probe for each link and a
meter over both. Refuses: evidence of its own; a fault brings its probe and its meter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.fault import Witness
from chaoskit.mesh import Link, Shape
from chaoskit.sighting import Meter, Probe


@contextmanager
def tampered(
    cluster: Cluster,
    pair: tuple[str, str],
    shape: Shape,
    *,
    probe: Callable[[Link], Probe],
    meter: Callable[[Sequence[Link], Mapping[str, Shape]], Meter],
    within_s: float,
) -> Iterator[Witness]:
    """
    Put `shape` on both links between a pair of nodes for the length of the block.

    `meter` is made before anything is changed, so that it may raise NotApplicable, of the links and
    of their shapes by name; `within_s` bounds the onset, and the time until it is gone. Raises
    NotApplicable where another fault lies on one of the links.
    """
    one, other = pair
    links = cluster.mesh.between([one], [other])
    for link in links:
        if cluster.mesh.tampered_with(link.name):
            raise NotApplicable(
                f"another fault lies on {link.name}: this could not be told from it"
            )
    shapes = {link.name: shape for link in links}
    met = meter(links, shapes)
    with cluster.mesh.shaped(shapes):
        yield Witness(probes=[probe(link) for link in links], meters=[met], within_s=within_s)
