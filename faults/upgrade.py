"""
Upgrade: a node is stopped and started with another release on the same data.

Seen in: every release night. There is no way back by itself: going back is an upgrade to the older
release, tried and witnessed like any other. Refuses: a release that the system does not list, and
an "upgrade" between two images that are the same.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.fault import Testimony, target
from chaoskit.processevidence import reports_version, started_from

_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Upgrade:
    """
    `node` goes to release `to`, newer or older; one that is down is started with it.

    Several nodes go at once: each is stopped and started beside the others.
    """

    NEEDS: ClassVar = ("two releases",)
    PROOF: ClassVar = "the image it was started from, and the version the node itself reports"

    node: str | tuple[str, ...] = target()
    to: str = ""

    def apply(self, cluster: Cluster) -> Testimony:
        """Stop, change the image, start; witnessed by the image and the version it says."""
        try:
            release = cluster.system.release(self.to)
        except LookupError as error:
            raise NotApplicable(str(error)) from None
        names = (self.node,) if isinstance(self.node, str) else self.node
        nodes = [cluster.node(name) for name in names]
        if not nodes:
            raise NotApplicable("nobody is to be upgraded")
        image = cluster.image(release)
        wanted = cluster.image_id(image)
        for node in nodes:
            if wanted == node.image_id and node.configuration.release.label != release.label:
                raise NotApplicable(
                    f"{node.configuration.release.label} and {release.label} are the same image "
                    f"({wanted[:19]}): there is nothing to upgrade"
                )
        with ThreadPoolExecutor(len(nodes), thread_name_prefix="upgrade") as pool:
            for done in [pool.submit(node.upgrade, release, image=image) for node in nodes]:
                done.result()
        return Testimony(
            probes=[started_from(node, image_id=wanted) for node in nodes],
            within_s=_WITHIN_S,
            while_running=[
                reports_version(cluster, name, version=release.version) for name in names
            ],
        )
