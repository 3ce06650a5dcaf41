"""
Pause: a process stands still and its sockets stay open.

Seen in: a stalled hypervisor, a stop-the-world collection, a debugger attached in anger. In the
field it goes on as if nothing had been. Refuses: a node that does not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.fault import Witness, target
from chaoskit.linkevidence import failures_of
from chaoskit.processevidence import is_frozen

_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Pause:
    """`node` is frozen for the length of the block."""

    NEEDS: ClassVar = ("packet counters or peers that tell of failures", "a linked port")
    PROOF: ClassVar = "the kernel says frozen; packets sent to it that it does not read"

    node: str = target()

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Freeze and thaw; felt are packets of peers that reach it and are not read."""
        cluster.require_running(self.node)
        node = cluster.node(self.node)
        links = cluster.mesh.to(self.node)
        back = cluster.mesh.of(self.node)
        meters = [
            failures_of(cluster, links, "packets sent to it", "sent"),
            failures_of(cluster, back, "packets answered to it", "answered"),
        ]
        with node.paused():
            yield Witness(probes=[is_frozen(node)], meters=meters, within_s=_WITHIN_S)
