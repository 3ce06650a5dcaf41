"""
Full disk: no write on a node's data finds space, and statfs agrees.

Seen in: logs that were never rotated, a backup written beside the data. In the field somebody makes
space and starts what has exited. Refuses: a cluster that was started without faulty storage.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.fault import Witness, target
from chaoskit.processevidence import is_full, refused_calls
from chaoskit.storage_control import StorageRules

_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class FullDisk:
    """`node` finds no space; the heal makes some and starts it if it has exited."""

    NEEDS: ClassVar = ("faulty storage",)
    PROOF: ClassVar = "a write of ours finds no space; writes of the node that were refused"

    MAY_EXIT: ClassVar = True  # a node that finds no space may end: better than to go on

    node: str = target()

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Refuse what needs space on the node's storage."""
        storage = cluster.storage(self.node)
        node = cluster.node(self.node)
        witness = Witness(probes=[is_full(node)], meters=[refused_calls(node)], within_s=_WITHIN_S)
        storage.set_rules(StorageRules(full=True))
        try:
            yield witness
        finally:
            storage.set_rules(StorageRules())
            if node.state == "exited":
                node.start()
