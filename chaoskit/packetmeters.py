"""
The kernel's packet counters of a cluster's links, without what we put there ourselves.

Owns: reading the counters, and taking our own probes out of them while a fault is in force: what
one fault's probes leave on a link must not be felt as another fault. Refuses: clusters whose
backend counts nothing (NotApplicable), so that a fault is refused before its first change.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

from chaoskit.backend import Backend
from chaoskit.errors import NotApplicable
from chaoskit.packets import Traffic


class PacketMeters:
    """The counters of one cluster; `open_faults` says how many faults are in force."""

    def __init__(self, backend: Backend) -> None:
        self.open_faults = 0
        self._backend = backend
        self._own: dict[str, Traffic] = {}
        self._looking = threading.Lock()
        self._adding = threading.Lock()

    def read(self) -> Mapping[str, Traffic]:
        """
        The counters by link name, without what is known to be our own.

        Raises NotApplicable where the backend cannot count.
        """
        with self._looking:
            counted = self._counted()
            return {name: found - self._own.get(name, Traffic()) for name, found in counted.items()}

    def _counted(self) -> Mapping[str, Traffic]:
        counted = self._backend.traffic()
        if counted is None:
            raise NotApplicable(f"the {self._backend.name} backend has no counters of the kernel")
        return counted

    @contextmanager
    def discounting(self, *, always: bool = False) -> Iterator[None]:
        """
        Take what is counted during the block for our own, as far as faults are in force.

        Packets of the system that fall into the block are discounted with ours: that can only lose
        evidence, never make it up.

        `always`: for a thread that looks while others read: they wait for the end of its block, and
        it is discounted also when a fault comes into force meanwhile.
        """
        if not (self.open_faults or always) or not self._backend.counts_packets:
            yield
            return
        with self._looking if always else nullcontext():
            before = self._counted()
            try:
                yield
            finally:
                counted = self._counted()
                with self._adding:
                    for name, after in counted.items():
                        self._own[name] = self._own.get(name, Traffic()) + (after - before[name])
