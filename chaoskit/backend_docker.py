"""
The docker backend: each node a container on a network of its cluster's own.

Owns: the network, the two proxies on it with their address ranges, counters and gates, and the node
containers. Nodes run without any privilege: non-root, no capabilities, read-only root, data
and configuration as folders of the host. Refuses: anything it did not create; every object is
journalled before it is made and carries the run's labels.
"""

from __future__ import annotations

import functools
import hashlib
import os
import select
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from chaoskit import hostrules, identity, proc
from chaoskit.addressing import PREFIX_BITS, AddressPlan, address_plan, free_subnets
from chaoskit.backend import Layout, LinkPlace, ProcessSpec
from chaoskit.clock import pause
from chaoskit.companions_docker import Companions
from chaoskit.engine import Completed, ContainerSpec, Engine, Mount
from chaoskit.errors import ChaosError, EngineFailed
from chaoskit.journal import Journal
from chaoskit.namespace import Namespace
from chaoskit.networks import Network
from chaoskit.ownership import Kind, rule_comment
from chaoskit.packets import Counters, Leg, Traffic
from chaoskit.proxy_server import API_PORT, Berth, ProxyServer

T = TypeVar("T")

NODE_OWNER = (10001, 10001)
_DATA, _CONFIG, _CLOCK = "/data", "/config", "/clock"
_EXIT_TIMEOUT_S = 10.0
_FREEZE_TRIES, _FREEZE_AGAIN_S = 20, 0.1
_SUBNET_TRIES = 8
_WORKERS = 8


def _layout(plan: AddressPlan, nodes: Sequence[str]) -> Layout:
    return Layout(
        links=tuple(
            LinkPlace(link.source, link.target, link.address, link.upstream) for link in plan.links
        ),
        watch=plan.watch,
        watch_upstream={node: f"192.0.2.{i}" for i, node in enumerate(nodes, start=1)},
        nodes=plan.nodes,
        hosts={node: {name: name for name in plan.nodes} for node in nodes},
        bind=dict.fromkeys(nodes, "0.0.0.0"),  # noqa: S104  # inside the cluster's own network
        proxies=(plan.proxy, plan.watcher),
        data=dict.fromkeys(nodes, _DATA),
        config=dict.fromkeys(nodes, _CONFIG),
    )


def freeze(engine: Engine, container: str) -> None:
    """Freeze it. On a busy machine the engine soon gives up, and thaws: it is asked again."""
    for left in reversed(range(_FREEZE_TRIES)):
        try:
            engine.pause(container)
            break
        except EngineFailed:
            if not left or not engine.state(container).running:
                raise
        pause(_FREEZE_AGAIN_S)


class DockerBackend:
    """One cluster's containers; see `backend.Backend` for what the methods promise."""

    name = "docker"
    owner = NODE_OWNER
    counts_packets = True

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        *,
        cluster: str,
        nodes: Sequence[str],
        scratch: Path,
        subnets: str,
    ) -> None:
        """Lay out `nodes` in a free subnet of the range `subnets` (CIDR); creates nothing."""
        self._engine = engine
        self._journal = journal
        self._prefix = journal.name(cluster)
        self._bridge = "ck" + hashlib.sha256(self._prefix.encode()).hexdigest()[:10]
        self._nodes = tuple(nodes)
        self._scratch = scratch
        self._containers: dict[str, str] = {}
        self._beside = Companions(engine, journal, self._prefix, scratch, NODE_OWNER)
        self._images: dict[str, str] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._pids: dict[str, int] = {}
        self._lock = threading.Lock()
        self._network: Network | None = None
        self._rules: tuple[tuple[str, ...], ...] = ()
        self._candidates = free_subnets(engine.subnets(), within=subnets)
        self._take(self._first_candidate())

    def _first_candidate(self) -> str:
        """The free subnet to try first: spread by name, so that two starts rarely race for one."""
        if not self._candidates:
            raise ChaosError(
                "no free subnet is left for a cluster: `chaoskit sweep` removes what dead runs left"
            )
        spread = int(hashlib.sha256(self._prefix.encode()).hexdigest(), 16) % len(self._candidates)
        self._candidates = self._candidates[spread:] + self._candidates[:spread]
        return self._candidates[0]

    def _take(self, subnet: str) -> None:
        self._plan = address_plan(self._nodes, subnet)
        self.layout = _layout(self._plan, self._nodes)
        links = [
            Leg(link.name, link.address, link.upstream, self._plan.nodes[link.target])
            for link in self._plan.links
        ]
        watch = [
            Leg(node, self._plan.watch[node], upstream, self._plan.nodes[node])
            for node, upstream in self.layout.watch_upstream.items()
        ]
        plan = self._plan
        self._mesh = self._server("mesh", plan.proxy, plan.link_range, links)
        self._watch = self._server("watch", plan.watcher, plan.watch_range, watch)

    def _server(self, role: str, address: str, link_range: str, legs: Sequence[Leg]) -> ProxyServer:
        device = f"{self._bridge}{role[0]}"
        berth = Berth(address, PREFIX_BITS, link_range, self._bridge, device)
        return ProxyServer(f"{self._prefix}-{role}", berth, legs, owner=NODE_OWNER)

    @property
    def mesh_api(self) -> tuple[str, int]:
        """Where the proxy between the nodes is controlled."""
        return self._plan.proxy, API_PORT

    @property
    def watch_api(self) -> tuple[str, int]:
        """Where the harness's own proxy is controlled."""
        return self._plan.watcher, API_PORT

    # -- making --------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the network; from now on `layout` does not change."""
        self._make_network()
        # a name that /etc/hosts does not have fails at once instead of waiting for a forwarder
        (self._scratch / "resolv.conf").write_text("nameserver 127.0.0.1\n")

    def _let_proxies_through(self) -> None:
        """The host's rules: between containers nothing passes, but to and from the proxies."""
        self._rules = hostrules.rules(
            self._bridge,
            [*self.layout.proxies, self._plan.link_range, self._plan.watch_range],
            comment=rule_comment(self._journal.run),
        )
        for rule in self._rules:
            self._journal.will_create(Kind.HOST_RULE, " ".join(rule), undo=hostrules.undo(rule))
        hostrules.add(self._rules)

    def start_proxies(self) -> None:
        """Start both proxies; every node starts in the gate of the dead."""
        with ThreadPoolExecutor(3, thread_name_prefix="proxies") as pool:
            for done in [
                pool.submit(self._let_proxies_through),
                *(pool.submit(self._start_proxy, one) for one in (self._mesh, self._watch)),
            ]:
                done.result()

    def _start_proxy(self, proxy: ProxyServer) -> None:
        proxy.start(self._journal, log=self._scratch / f"{proxy.name}.log")

    def _make_network(self) -> None:
        name = self._prefix
        self._journal.will_create(Kind.NETWORK, name)
        for attempt, subnet in enumerate(self._candidates[:_SUBNET_TRIES], start=1):
            try:
                made = self._engine.create_network(
                    name, subnet=subnet, bridge=self._bridge, labels=self._journal.labels("network")
                )
            except EngineFailed:
                if attempt == min(_SUBNET_TRIES, len(self._candidates)):
                    raise
            else:
                self._network = Network(self._engine, made, name=name)
                self._take(subnet)
                return

    def create(self, spec: ProcessSpec) -> None:
        """Create (not start) a node, or create it anew when it exists and does not run."""
        name = f"{self._prefix}-{spec.node}"
        if spec.node in self._containers:
            self._engine.remove_container(self._containers[spec.node])
        else:
            self._journal.will_create(Kind.CONTAINER, name)
        self._containers[spec.node] = self._engine.create_container(
            ContainerSpec(
                name=name,
                image=spec.image,
                command=spec.argv,
                network=self._prefix,
                address=self._plan.nodes[spec.node],
                hostname=spec.node,
                labels=self._journal.labels("node"),
                hosts=self._plan.hosts(spec.node),
                environment=spec.environment_at(_CLOCK),
                mounts=(
                    Mount(spec.data, _DATA),
                    Mount(spec.config, _CONFIG, read_only=True),
                    *([Mount(spec.clock, _CLOCK, read_only=True)] if spec.clock else []),
                    Mount(self._scratch / "resolv.conf", "/etc/resolv.conf", read_only=True),
                ),
                user=f"{NODE_OWNER[0]}:{NODE_OWNER[1]}",
            )
        )
        self._beside.create(spec, self._containers[spec.node])

    def output(self, node: str) -> Generator[bytes, None, None]:
        """The output of the next start of a created node, until it exits."""
        return self._engine.attach(self._containers[node])

    # -- running -------------------------------------------------------------------------------

    def start(self, node: str) -> int:
        """Start it and open the gate to it; answers the pid of its init."""
        assert self._network is not None, "prepare() was called"
        self._network.start(self._containers[node])
        self._beside.start(node)
        self._at_both(lambda counters: counters.revive([self._plan.nodes[node]]))
        state = self._engine.state(self._containers[node])
        with self._lock:
            self._images[node] = state.image
            self._pids[node] = state.pid
            if not state.pid:
                return 0  # it has exited already; whoever watches it asks for the code
            with suppress(ChaosError):
                self._namespaces[node] = Namespace(state.pid)
        return state.pid

    def stop(self, node: str, *, timeout_s: float) -> None:
        """SIGTERM, SIGKILL after `timeout_s`; closes the gate as soon as it is dead."""
        self._beside.end(node)
        stop = functools.partial(self._engine.stop, timeout_s=timeout_s)
        self._end(node, stop, timeout_s + _EXIT_TIMEOUT_S)

    def kill(self, node: str) -> None:
        """
        SIGKILL, and the gate; returns once it is dead, which the engine learns some 100 ms later.

        The signal is ours, to exactly that process, when its control group says that it is the
        container's init (an engine elsewhere has other pids). Else the engine's: it thaws as well.
        """
        self._beside.end(node)
        container, pid = self._containers[node], self._pids.get(node, 0)
        init = identity.of(pid) if pid and proc.in_group(pid, container) else None
        if init is None or proc.frozen(pid) or not identity.kill(init, timeout_s=_EXIT_TIMEOUT_S):
            self._end(node, self._engine.kill, _EXIT_TIMEOUT_S)
        else:
            self.bury(node)

    def _end(self, node: str, call: Callable[[str], None], timeout_s: float) -> None:
        """The engine returns long after the death: watch the process, so the gate closes then."""
        with ThreadPoolExecutor(1, thread_name_prefix=f"end-{node}") as pool:
            ending = pool.submit(call, self._containers[node])
            pid = self._pids.get(node, 0)
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid) if pid else -1
                if descriptor >= 0:
                    try:
                        select.select([descriptor], [], [], timeout_s)
                    finally:
                        os.close(descriptor)
            self.bury(node)
            ending.result()

    def bury(self, node: str) -> None:
        """Close the gate to a node that has exited."""
        self._at_both(lambda counters: counters.bury([self._plan.nodes[node]]))
        with self._lock:
            namespace = self._namespaces.pop(node, None)
            self._pids.pop(node, None)
        if namespace is not None:
            namespace.close()

    def _at_both(self, change: Callable[[Counters], None]) -> None:
        """A change to both gates, side by side."""
        with ThreadPoolExecutor(1, thread_name_prefix="gate") as pool:
            other = pool.submit(change, self._watch.counters)
            change(self._mesh.counters)
            other.result()

    def pause(self, node: str) -> None:
        """Freeze it."""
        freeze(self._engine, self._containers[node])

    def unpause(self, node: str) -> None:
        """Thaw it; one that is not paused is fine (the engine thaws what it signals)."""
        if self._engine.state(self._containers[node]).paused:
            self._engine.unpause(self._containers[node])

    def is_paused(self, node: str) -> bool:
        """Whether the kernel says that its control group is frozen."""
        pid = self._pids.get(node, 0)
        return bool(pid) and proc.frozen(pid)

    def exit_code(self, node: str) -> int | None:
        """The code of its last exit; None while it runs."""
        state = self._engine.state(self._containers[node])
        return None if state.running else state.exit_code

    def image_id(self, node: str) -> str:
        """The digest of the image it runs."""
        return self._images.get(node, "")

    def inspect(self, node: str) -> Mapping[str, Any]:
        """The engine's document on the node's container."""
        return self._engine.inspect(self._containers[node])

    def pid(self, node: str) -> int:
        """The pid on this host of the node's own process: the child of the container's init."""
        init = self._pids.get(node, 0)
        found = proc.children(init) if init else ()
        if not found:
            raise ChaosError(f"{node} does not run")
        return found[0]

    def execute(self, node: str, argv: Sequence[str]) -> Completed:
        """Run a command in the node's container."""
        return self._engine.execute(self._containers[node], argv)

    def inside(self, node: str, call: Callable[[], T], *, timeout_s: float) -> T:
        """Run `call` in the node's network. Raises ChaosError when the node is down."""
        with self._lock:
            namespace = self._namespaces.get(node)
        if namespace is None:
            raise ChaosError(f"{node} does not run: it has no network to look from")
        return namespace.run(call, timeout_s=timeout_s)

    def inside_proxy(self, call: Callable[[], T], *, timeout_s: float) -> T:
        """Run `call` in the network of the proxy between the nodes."""
        return self._mesh.namespace.run(call, timeout_s=timeout_s)

    # -- counting ------------------------------------------------------------------------------

    def traffic(self) -> Mapping[str, Traffic]:
        """The kernel's counters by link name."""
        return self._mesh.counters.read()

    def went_round(self) -> int:
        """Packets that tried to go round the proxy."""
        return hostrules.went_round(self._bridge)

    # -- ending --------------------------------------------------------------------------------

    def close(self) -> None:
        """The proxies, the containers side by side, then the network and the host's rules."""
        for namespace in self._namespaces.values():
            namespace.close()
        for proxy in (self._mesh, self._watch):
            proxy.stop(self._journal)
        self._beside.close()
        names = [f"{self._prefix}-{node}" for node in self._nodes]
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="remove") as pool:
            for done in [pool.submit(self._remove, name) for name in names]:
                done.result()
        if self._network is not None and self._network.remove(timeout_s=_EXIT_TIMEOUT_S):
            self._journal.removed(Kind.NETWORK, self._prefix)
        for rule in hostrules.remove(self._rules):  # the others stay, for the reaper to find
            self._journal.removed(Kind.HOST_RULE, " ".join(rule))

    def _remove(self, name: str) -> None:
        self._engine.remove_container(name)
        self._journal.removed(Kind.CONTAINER, name)
