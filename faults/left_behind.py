"""
Left behind: everybody is upgraded but one, which keeps its release and runs on.

Seen in: a testnet's outage of 2024-02-21, where a member that had missed an upgrade followed the
others and was refused by them, unnoticed. In the field it heals when somebody upgrades it. Refuses:
a member that does not run, or that has the release already; a group of nobody else.

The others go at once; one after the other they are so many upgrades of a plan's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.fault import Testimony, target
from chaoskit.processevidence import goes_on, reports_version
from faults.upgrade import Upgrade

_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """All others go to release `to`, newer or older; `node` misses it."""

    NEEDS: ClassVar = ("two releases",)
    PROOF: ClassVar = (
        "the images of the others and the versions that all report; its process runs on, by /proc"
    )

    node: str = target()
    to: str = ""

    def apply(self, cluster: Cluster) -> Testimony:
        """Upgrade the others; witnessed by their images, by its process, and by all versions."""
        cluster.require_running(self.node)
        others = tuple(name for name in cluster.nodes if name != self.node)
        upgrade = Upgrade(others, to=self.to)
        node = cluster.node(self.node)
        kept = node.configuration.release
        try:
            misses = cluster.system.release(self.to) != kept
        except LookupError as error:
            raise NotApplicable(str(error)) from None
        if not misses:
            raise NotApplicable(f"{self.node} runs {kept.label} already: it would miss nothing")
        stays = goes_on(node)
        done = upgrade.apply(cluster)
        keeps = reports_version(cluster, self.node, version=kept.version)
        return replace(
            done,
            probes=[*done.probes, stays],
            while_running=[*done.while_running, keeps],
            within_s=_WITHIN_S,
        )
