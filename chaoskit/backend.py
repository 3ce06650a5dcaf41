"""
What runs nodes: the form that the docker and the process backend share.

Owns: `Backend`, and the data that passes through it. A backend lays out addresses, makes the
network with its two proxies, and runs one process per node; `cluster` and `node` drive it. Refuses:
knowing of systems, faults and histories.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from chaoskit import wallclock
from chaoskit.companion import Companion
from chaoskit.engine import Completed
from chaoskit.packets import Traffic

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LinkPlace:
    """Where a directed link listens and how its proxy dials the target."""

    source: str
    target: str
    address: str
    upstream_host: str


@dataclass(frozen=True, slots=True)
class Layout:
    """
    All addresses of a cluster, fixed before anything is created.

    Attributes
    ----------
    links: one per ordered pair of nodes.
    watch: the address at which the harness reaches a node, through the second proxy.
    watch_upstream: how the second proxy dials a node.
    nodes: a node's own address.
    hosts: for each node, what the name of each peer means to it.
    bind: the address each node listens on.
    proxies: source addresses under which peers and the harness appear to a node.
    data, config: a node's folders as the node sees them.
    proxy_loopback: an address in the network of the proxy between the nodes that is this cluster's
        alone, for an echo of ours.

    """

    links: tuple[LinkPlace, ...]
    watch: Mapping[str, str]
    watch_upstream: Mapping[str, str]
    nodes: Mapping[str, str]
    hosts: Mapping[str, Mapping[str, str]]
    bind: Mapping[str, str]
    proxies: tuple[str, ...]
    data: Mapping[str, str]
    config: Mapping[str, str]
    proxy_loopback: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """
    One node's process: what to run, from which image, with which folders of the host.

    `clock` is a folder of chaoskit.wallclock, which the process shall load; None: it does not.
    `beside`: what stands beside the node, if anything, whose log lies beside `log`, the node's.
    """

    node: str
    argv: Sequence[str]
    image: str
    data: Path
    config: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    clock: Path | None = None
    beside: Companion | None = None
    log: Path = Path("log")

    def environment_at(self, clock: str) -> Mapping[str, str]:
        """Its environment, where it sees the clock's folder, if it has one, as `clock`."""
        return {**self.environment, **(wallclock.environment(clock) if self.clock else {})}


class Backend(Protocol):
    """
    Runs the processes of one cluster.

    `mesh_api` and `watch_api` are where the two Toxiproxy servers answer ("host", port). `owner` is
    the uid and gid that own a node's files and under which it runs.
    """

    name: str
    layout: Layout
    owner: tuple[int, int]

    @property
    def counts_packets(self) -> bool:
        """Whether the kernel counts packets on the links; asking `traffic` costs a process."""
        ...

    @property
    def mesh_api(self) -> tuple[str, int]:
        """Where the proxy between the nodes is controlled."""
        ...

    @property
    def watch_api(self) -> tuple[str, int]:
        """Where the harness's own proxy is controlled."""
        ...

    def prepare(self) -> None:
        """Make the network; from now on `layout` does not change."""
        ...

    def start_proxies(self) -> None:
        """Start both proxies; every node starts in the gate of the dead."""
        ...

    def create(self, spec: ProcessSpec) -> None:
        """Create (not start) a node, or create it anew when it exists and does not run."""
        ...

    def output(self, node: str) -> Generator[bytes, None, None]:
        """The output of the next start of a created node, until it exits or this is closed."""
        ...

    def start(self, node: str) -> int:
        """Start it, open the gate to it; answers the pid, on this host, to watch for its exit."""
        ...

    def stop(self, node: str, *, timeout_s: float) -> None:
        """SIGTERM, SIGKILL after `timeout_s`; closes the gate."""
        ...

    def kill(self, node: str) -> None:
        """SIGKILL; closes the gate."""
        ...

    def bury(self, node: str) -> None:
        """Close the gate to a node that has exited."""
        ...

    def pause(self, node: str) -> None:
        """Freeze it."""
        ...

    def unpause(self, node: str) -> None:
        """Thaw it; one that is not paused is fine."""
        ...

    def is_paused(self, node: str) -> bool:
        """Whether it is frozen, by the kernel's word."""
        ...

    def exit_code(self, node: str) -> int | None:
        """The code of its last exit (128 + signal for a signal); None while it runs."""
        ...

    def image_id(self, node: str) -> str:
        """What it runs: the image's digest, or the program's."""
        ...

    def inspect(self, node: str) -> Mapping[str, Any]:
        """All that is known of how a started node runs, JSON values."""
        ...

    def pid(self, node: str) -> int:
        """The pid on this host of the node's own process. Raises ChaosError when it is down."""
        ...

    def execute(self, node: str, argv: Sequence[str]) -> Completed:
        """Run a command beside a running node, in its world."""
        ...

    def inside(self, node: str, call: Callable[[], T], *, timeout_s: float) -> T:
        """Run `call` in the node's network. Raises ChaosError when the node is down."""
        ...

    def inside_proxy(self, call: Callable[[], T], *, timeout_s: float) -> T:
        """Run `call` in the network of the proxy between the nodes."""
        ...

    def traffic(self) -> Mapping[str, Traffic] | None:
        """The kernel's counters by link name; None where nothing counts."""
        ...

    def went_round(self) -> int | None:
        """Packets that tried to go round the proxy; None where nothing counts."""
        ...

    def close(self) -> None:
        """Remove whatever it made."""
        ...
