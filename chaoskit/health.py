"""
Is a node's disk fit to be owed progress? Probes of ours, into the history as `limit` events.

Owns: a write and sync of ours on each node's storage twice a second, and its limit. A node whose
disk is over it is not healthy, so that liveness is not owed on its account. Refuses: nodes without
faulty storage: their disk is the host's, and slow for everybody or nobody.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from chaoskit.errors import WaitTimedOut
from chaoskit.history import Recorder
from chaoskit.storage import FaultyMount
from chaoskit.storage_control import StorageFailed
from chaoskit.watching import Watchers

SYNC_LIMIT_S = 1.0
_INTERVAL_S = 0.5


@dataclass(slots=True)
class DiskWatch:
    """Probes each of `mounts` (by node) for the length of the block; records every change."""

    mounts: Mapping[str, FaultyMount]
    recorder: Recorder
    _over: dict[str, bool] = field(default_factory=dict)
    _watchers: Watchers = field(default_factory=lambda: Watchers(end_timeout_s=2 * SYNC_LIMIT_S))

    def __enter__(self) -> Self:
        for node in self.mounts:
            self._watchers.begin(f"disk-{node}", functools.partial(self._watch, node))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watchers.end()

    def raise_failure(self) -> None:
        """Raise ChaosError from what ended a probe's thread, if one ended."""
        self._watchers.raise_failure("see the storage of that node")

    def _watch(self, node: str) -> None:
        while not self._watchers.told_to_stop(within_s=_INTERVAL_S):
            self._probe(node)

    def _probe(self, node: str) -> None:
        mounted = self.mounts[node]
        try:
            took_s = mounted.probe_sync_s(timeout_s=SYNC_LIMIT_S)
            full = mounted.probe_space(timeout_s=SYNC_LIMIT_S)
        except WaitTimedOut:
            took_s, full = SYNC_LIMIT_S, False
        except StorageFailed:
            took_s, full = SYNC_LIMIT_S, True
        over = full or took_s >= SYNC_LIMIT_S
        if self._over.get(node, False) != over:
            self._over[node] = over
            self.recorder.record(
                node,
                "limit",
                {
                    "probe": "disk",
                    "over": over,
                    "full": full,
                    "value_s": round(took_s, 4),
                    "limit_s": SYNC_LIMIT_S,
                },
            )
