"""
Kill: a process ends without a word, and is started again on the same data.

Seen in: the out-of-memory killer, a power cut of one machine, an operator's kill -9. In the field a
supervisor starts it again. Refuses: a node that does not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.fault import Witness, target
from chaoskit.linkevidence import failures_of
from chaoskit.processevidence import is_gone

_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL to `node`; the heal starts it again."""

    NEEDS: ClassVar = ("packet counters or peers that tell of failures", "a linked port")
    PROOF: ClassVar = "the process is gone from /proc; resets to peers that dial it"

    node: str = target()

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Kill, and start again; peers feel it when their dials to it are reset."""
        cluster.require_running(self.node)
        node = cluster.node(self.node)
        meter = failures_of(cluster, cluster.mesh.to(self.node), "resets to its peers", "refused")
        probe = is_gone(node)
        with node.down():
            yield Witness(probes=[probe], meters=[meter], within_s=_WITHIN_S)
