"""
A member that changes hands: another program goes on with its keys, share and group.

Owns: the change, and the system whose releases are told by program too. Refuses: keeping the
rounds: each program has a database of its own, so they are thrown away and fetched from the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.fault import Testimony, target
from chaoskit.processevidence import reports_version, started_from
from chaoskit.system import Release, System
from suites.beacon.dealing import FOLDER, REAL
from suites.beacon.system import SYSTEM

_WITHIN_S = 20.0
_DATABASES = (f"{FOLDER}/multibeacon/*/db/*", f"{FOLDER}/*.db*")


def told_apart(labels: Sequence[str]) -> System:
    """The group, with a real program beside ours for each of these releases, LABEL-real."""
    known = {one.label: one for one in SYSTEM.releases}
    real = tuple(Release(label + REAL, version=known[label].version) for label in labels)
    return replace(SYSTEM, releases=(*SYSTEM.releases, *real))


@dataclass(frozen=True, slots=True)
class TakeOver:
    """`node` is stopped, its rounds are thrown away, and release `to` is started on the rest."""

    NEEDS: ClassVar = ("two releases",)
    PROOF: ClassVar = "the image it was started from, and the version the node itself reports"

    node: str = target()
    to: str = ""

    def apply(self, cluster: Cluster) -> Testimony:
        """Stop, clear, change the image, start; witnessed by the image and the version."""
        release = cluster.system.release(self.to)
        image = cluster.image(release)
        wanted = cluster.image_id(image)
        node = cluster.node(self.node)
        node.stop()
        for pattern in _DATABASES:
            for path in node.folders.data.glob(pattern):
                path.unlink()
        node.incarnation += 1
        node.configure(replace(node.configuration, release=release), image=image)
        node.start()
        return Testimony(
            probes=[started_from(node, image_id=wanted)],
            within_s=_WITHIN_S,
            while_running=[reports_version(cluster, self.node, version=release.version)],
        )
