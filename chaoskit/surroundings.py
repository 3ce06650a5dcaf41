"""
What is around the nodes of a running cluster, watched while they run: machine, disks, clocks.

Owns: which watches a cluster has, begun and ended together. Refuses: what they measure and what
counts as too much (`machine`, `health`, `clockreading`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Protocol

from chaoskit import waiting
from chaoskit.backend import Backend
from chaoskit.clockreading import clock_watch
from chaoskit.health import disk_watch
from chaoskit.history import Recorder
from chaoskit.hostdisk import HostDisk
from chaoskit.machine import MachineWatch, ProxyEcho
from chaoskit.node import Node
from chaoskit.system import Clock, Endpoint
from chaoskit.toxiproxy import ToxiproxyClient


class Watch(Protocol):
    """Something that watches in threads of its own, a `MachineWatch` or a `FitnessWatch`."""

    def raise_failure(self) -> None:
        """Raise ChaosError from what ended a thread before its time, if anything did."""
        ...


@contextmanager
def watched(
    nodes: Mapping[str, Node],
    endpoints: Mapping[str, Endpoint],
    recorder: Recorder,
    *,
    backend: Backend,
    proxy: ToxiproxyClient,
    disk: HostDisk,
    clock: Clock | None,
) -> Iterator[tuple[Watch, ...]]:
    """
    Watch the machine, its disk, the proxy's lag and the nodes' disks; their clocks where `clock` is
    not None.
    """
    mounts = {name: node.storage for name, node in nodes.items() if node.has_storage}
    pids = partial(waiting.processes, backend, nodes)
    with ExitStack() as stack:
        disks = stack.enter_context(disk_watch(mounts, recorder))
        clocks = stack.enter_context(clock_watch(clock, endpoints, recorder))
        machine = MachineWatch(recorder, ProxyEcho(backend, proxy), disk, pids)
        yield stack.enter_context(machine), disks, clocks
