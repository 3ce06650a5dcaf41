"""
Is a node's disk fit for it to be owed progress?

Owns: a write and sync of ours on its storage, their limit, and the watch over them. Refuses: nodes
without faulty storage: their disk is the host's, and slow for everybody or nobody.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from chaoskit.errors import WaitTimedOut
from chaoskit.fitness import FitnessWatch, Reading
from chaoskit.history import Recorder
from chaoskit.storage import FaultyMount
from chaoskit.storage_control import StorageFailed

SYNC_LIMIT_S = 1.0


def disk_watch(mounts: Mapping[str, FaultyMount], recorder: Recorder) -> FitnessWatch:
    """A watch, not begun, over the storage of nodes, by name."""
    probes = {node: functools.partial(probe, mounted) for node, mounted in mounts.items()}
    return FitnessWatch("disk", probes, recorder, "see the storage of that node")


def probe(mounted: FaultyMount) -> Reading:
    """Write and sync once; over its limit too when it has no space or refuses."""
    try:
        took_s = mounted.probe_sync_s(timeout_s=SYNC_LIMIT_S)
        full = mounted.probe_space(timeout_s=SYNC_LIMIT_S)
    except WaitTimedOut:
        took_s, full = SYNC_LIMIT_S, False
    except StorageFailed:
        took_s, full = SYNC_LIMIT_S, True
    return Reading(full or took_s >= SYNC_LIMIT_S, took_s, SYNC_LIMIT_S, {"full": full})
