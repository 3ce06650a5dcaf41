"""
Upgrade: a node is stopped and started with another release on the same data.

Seen in: every release night. There is no way back by itself: going back is an upgrade to the older
release, tried and witnessed like any other. Refuses: a release that the system does not list, and
an "upgrade" between two images that are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.fault import Testimony, target
from chaoskit.processevidence import reports_version, started_from

_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Upgrade:
    """`node` goes to release `to`, newer or older; one that is down is started with it."""

    NEEDS: ClassVar = ("two releases",)
    PROOF: ClassVar = "the image it was started from, and the version the node itself reports"

    node: str = target()
    to: str = ""

    def apply(self, cluster: Cluster) -> Testimony:
        """Stop, change the image, start; witnessed by the image and the version it says."""
        try:
            release = cluster.system.release(self.to)
        except LookupError as error:
            raise NotApplicable(str(error)) from None
        node = cluster.node(self.node)
        image = cluster.image(release)
        before = node.image_id
        wanted = cluster.image_id(image)
        if wanted == before and node.configuration.release.label != release.label:
            raise NotApplicable(
                f"{node.configuration.release.label} and {release.label} are the same image "
                f"({wanted[:19]}): there is nothing to upgrade"
            )
        node.upgrade(release, image=image)
        return Testimony(
            probes=[started_from(node, image_id=wanted)],
            within_s=_WITHIN_S,
            while_running=[reports_version(cluster, self.node, version=release.version)],
        )
