"""
Slow storage: each operation of one kind on a node's data takes longer.

Seen in: a shared disk under a backup, a dying SSD, a cloud volume out of credits. In the field it
heals when the neighbour is done. Refuses: a cluster that was started without faulty storage.

The passthrough delays each call by exactly `delay_s`. A database that has nothing to write does not
sync at all, so this fault is felt under load only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.fault import Witness, target
from chaoskit.processevidence import delayed_calls, syncs_slowly
from chaoskit.storage_control import Operation, StorageRules

_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class SlowStorage:
    """Each fsync of `node` takes `delay_s` seconds longer."""

    NEEDS: ClassVar = ("faulty storage",)
    PROOF: ClassVar = "a sync of ours is late by the delay; syncs of the node that had to wait"

    node: str = target()
    delay_s: float = 0.2

    def __post_init__(self) -> None:
        if self.delay_s <= 0:
            raise ValueError(f"a delay of {self.delay_s} s is none")

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Delay syncs on the node's storage."""
        storage = cluster.storage(self.node)
        node = cluster.node(self.node)
        witness = Witness(
            probes=[syncs_slowly(node, at_least_s=self.delay_s)],
            meters=[delayed_calls(node, Operation.FSYNC)],
            within_s=self.delay_s + _WITHIN_S,
        )
        storage.set_rules(StorageRules(delays={Operation.FSYNC: self.delay_s}))
        try:
            yield witness
        finally:
            storage.set_rules(StorageRules())
