"""
What nodes themselves say went wrong with their peers.

Owns: asking each node in turn for its failures by peer (`System.failures`), and a sum over links
that never goes back. Refuses: guessing for a node that does not answer: what it said last counts.
This is how a fault is felt where no kernel counts packets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.mesh import Link
from chaoskit.system import Unobserved

_ASK_TIMEOUT_S = 0.5


@dataclass(slots=True)
class PeerCounts:
    """
    Failures that the sources of `links` told about their targets.

    Raises NotApplicable when the system's nodes do not tell, saying what is missing.
    """

    cluster: Cluster
    links: Sequence[Link]
    _told: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.cluster.system.failures is None:
            raise NotApplicable(
                f"the {self.cluster.backend.name} backend counts no packets, and the nodes of "
                f"{self.cluster.system.name} do not tell their failures by peer (System.failures)"
            )

    def read(self) -> int:
        """The sum over all links; a node that was started anew counts again once it is past it."""
        for source in dict.fromkeys(link.source for link in self.links):
            said = self._ask(source)
            for link in self.links:
                if link.source == source:
                    before = self._told.get(link.name, 0)
                    self._told[link.name] = max(before, said.get(link.target, 0))
        return sum(self._told.values())

    def _ask(self, node: str) -> Mapping[str, int]:
        ask = self.cluster.system.failures
        assert ask is not None
        try:
            return ask(self.cluster.endpoint(node), _ASK_TIMEOUT_S)
        except Unobserved:
            return {}
