"""
How long the host's own disk takes to sync, under everybody's storage.

Owns: a file of one block beside the nodes' folders, written and synced again and again, and the
longest that this took. Refuses: the storage of a node (`health`), which a fault may slow on
purpose: this file lies outside every faulty mount, so that what slows it is the machine.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from chaoskit import clock

NAME = "sync"
_BLOCK_BYTES = 4096


class HostDisk:
    """The disk under `folder`; `sync` and `worst_s` may be called by two threads."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._path.write_bytes(bytes(_BLOCK_BYTES))
        self._lock = threading.Lock()
        self._begun_s: float | None = None
        self._longest_s = 0.0

    def sync(self) -> None:
        """Write the block and wait until it is on the disk. Raises OSError."""
        with self._lock:
            self._begun_s = clock.monotonic()
        file = os.open(self._path, os.O_WRONLY)
        try:
            # the same block each time: it needs no space, so that a full disk is not a slow one
            os.pwrite(file, os.urandom(_BLOCK_BYTES), 0)
            os.fdatasync(file)
        finally:
            os.close(file)
            with self._lock:
                self._longest_s = max(self._longest_s, clock.monotonic() - self._begun_s)
                self._begun_s = None

    def worst_s(self) -> float:
        """
        The longest sync since this was asked last, in seconds.

        One that is under way counts as far as it is: a disk that hangs is seen while it hangs.
        """
        with self._lock:
            worst_s, self._longest_s = self._longest_s, 0.0
            under_way_s = 0.0 if self._begun_s is None else clock.monotonic() - self._begun_s
        return max(worst_s, under_way_s)
