"""
From nothing to a cluster that serves: chaoskit's against raw, parallel engine calls, in turns.

Owns: the raw peer: the same containers (images, arguments, files, user, limits) on a plain network
of the engine's, dialling each other directly, by addresses known beforehand or by the engine's own
names; the quicker of the two is the peer. Its certificates and folders are made before its time
begins. Ours begins with nothing.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import docker.types

from chaoskit import clock
from chaoskit.addressing import address_plan, free_subnets
from chaoskit.backend_docker import NODE_OWNER
from chaoskit.certificates import Authority, Credential
from chaoskit.engine import ContainerSpec, Engine, Mount
from chaoskit.session import Session
from chaoskit.setting import Setting
from chaoskit.system import (
    Endpoint,
    Operation,
    OutcomeUnknown,
    Placement,
    Rejected,
    System,
    Unobserved,
)

_TIMEOUT_S = 60.0
_POLL_S = 0.01
_ANSWER_TIMEOUT_S = 0.5
_LABEL = "chaoskit.bench"
Ready = Callable[[Endpoint], bool]


def accepts_a_put(system: System) -> Ready:
    """Whether a node acknowledges a put now."""
    traffic = system.traffic
    assert traffic is not None

    def ready(endpoint: Endpoint) -> bool:
        client = traffic.connect(endpoint, _ANSWER_TIMEOUT_S)
        try:
            client.invoke(Operation("put", {"key": endpoint.node, "value": "1"}))
        except (Rejected, OutcomeUnknown):
            return False
        finally:
            client.close()
        return True

    return ready


def says_ready(system: System) -> Ready:
    """Whether a node says by itself that it is ready."""

    def ready(endpoint: Endpoint) -> bool:
        with suppress(Unobserved):
            return system.observe(endpoint, _ANSWER_TIMEOUT_S).ready
        return False

    return ready


def _await_all(endpoints: Mapping[str, Endpoint], ready: Ready) -> None:
    """Ask every node, side by side, until each has said yes once."""

    def one(endpoint: Endpoint) -> None:
        clock.wait_until(
            lambda: ready(endpoint), what=endpoint.node, timeout_s=_TIMEOUT_S, poll_s=_POLL_S
        )

    with ThreadPoolExecutor(len(endpoints)) as pool:
        list(pool.map(one, endpoints.values()))


def ours_s(session: Session, system: System, release: str, ready: Ready) -> float:
    """Seconds until every node of a cluster of chaoskit's is ready, mesh and observers too."""
    begun_s = clock.monotonic()
    with session.cluster(system, Setting(release)) as cluster:
        _await_all({node: cluster.endpoint(node) for node in cluster.nodes}, ready)
        return clock.monotonic() - begun_s


class Raw:
    """The raw peer of one system: its containers by engine calls alone; made by `raw`."""

    def __init__(self, system: System, release: str, *, folder: Path, by_name: bool) -> None:
        self.system = system
        self.release = system.release(release)
        self.folder = folder
        self.by_name = by_name
        self.engine = Engine()
        self.api = docker.from_env()
        subnet = free_subnets(self.engine.subnets(), within="10.232.0.0/16")[0]
        self.plan = address_plan(system.nodes, subnet)
        self.name = f"chaoskit-bench-{os.getpid()}"
        self.containers: list[str] = []
        self._furnish()

    def _furnish(self) -> None:
        secure = any(port.secure for port in self.system.ports)
        self.authority = Authority() if secure else None
        self.credentials: dict[str, Credential] = {}
        for node in self.system.nodes:
            data, config = self.folder / node / "data", self.folder / node / "config"
            data.mkdir(parents=True)
            config.mkdir()
            os.chown(data, *NODE_OWNER)
            if self.authority:
                self.credentials[node] = self.authority.issue(
                    [node, "localhost"], [self.plan.nodes[node], "127.0.0.1"]
                )
            for file in self.system.files(self._placement(node)):
                self._leave(config, file.path, file.content)
        placements = [self._placement(node) for node in self.system.nodes]
        for node, files in self.system.initial_data(placements).items():
            for given in files:
                self._leave(self.folder / node / "data", given.path, given.content)

    def _leave(self, folder: Path, path: str, content: bytes) -> None:
        """Write a file for the node to own, with the folders above it."""
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        for made in (file, *file.parents):
            if made == folder:
                break
            os.chown(made, *NODE_OWNER)

    def _placement(self, node: str) -> Placement:
        return Placement(
            name=node,
            peers=self.system.nodes,
            release=self.release.label,
            settings=dict(self.system.settings),
            hosts={name: name for name in self.system.nodes},
            bind="0.0.0.0",
            ports={port.name: port.number for port in self.system.ports},
            data="/data",
            config="/config",
            credential=self.credentials.get(node),
            authority_pem=self.authority.certificate_pem if self.authority else b"",
        )

    def start(self) -> None:
        """The network, then all containers created and started side by side."""
        pool = docker.types.IPAMPool(subnet=self.plan.subnet)
        self.api.networks.create(
            self.name,
            internal=True,
            labels={_LABEL: "1"},
            ipam=docker.types.IPAMConfig(pool_configs=[pool]),
        )
        with ThreadPoolExecutor(len(self.system.nodes)) as side_by_side:
            list(side_by_side.map(self._run, self.system.nodes))

    def _run(self, node: str) -> None:
        placement = self._placement(node)
        container = self.engine.create_container(
            ContainerSpec(
                name=node if self.by_name else f"{self.name}-{node}",
                image=self.release.image,
                command=self.system.command(placement),
                network=self.name,
                address=self.plan.nodes[node],
                hostname=node,
                labels={_LABEL: "1"},
                hosts={} if self.by_name else dict(self.plan.nodes),
                environment=self.system.environment(placement),
                mounts=(
                    Mount(self.folder / node / "data", "/data"),
                    Mount(self.folder / node / "config", "/config", read_only=True),
                ),
                user=f"{NODE_OWNER[0]}:{NODE_OWNER[1]}",
            )
        )
        self.containers.append(container)
        self.engine.start(container)

    def endpoints(self) -> dict[str, Endpoint]:
        """The containers themselves."""
        ports = {port.name: port.number for port in self.system.ports}
        return {node: Endpoint(node, self.plan.nodes[node], ports) for node in self.system.nodes}

    def close(self) -> None:
        """Remove all of it."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.engine.remove_container, self.containers))
        for network in self.api.networks.list(names=[self.name]):
            network.remove()
        self.engine.close()
        self.api.close()


@contextmanager
def raw(system: System, release: str, *, by_name: bool) -> Iterator[Raw]:
    """A raw peer, its files made, nothing of it started."""
    folder = Path(tempfile.mkdtemp(prefix="chaoskit-bench-"))
    try:
        peer = Raw(system, release, folder=folder, by_name=by_name)
        try:
            yield peer
        finally:
            peer.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def raw_s(system: System, release: str, ready: Ready, *, by_name: bool) -> float:
    """Seconds until every raw container is ready."""
    with raw(system, release, by_name=by_name) as peer:
        begun_s = clock.monotonic()
        peer.start()
        _await_all(peer.endpoints(), ready)
        return clock.monotonic() - begun_s


def compared(
    session: Session, system: System, release: str, ready: Ready, *, rounds: int
) -> tuple[list[float], list[float], str]:
    """
    Times of ours, of the quicker raw peer, and that peer's kind; one of each in every round.

    `rounds` rounds in turns, so that both meet the same machine.
    """
    own: list[float] = []
    peers: dict[str, list[float]] = {"addresses": [], "names": []}
    for _ in range(rounds):
        own.append(ours_s(session, system, release, ready))
        for kind, times in peers.items():
            times.append(raw_s(system, release, ready, by_name=kind == "names"))
    best = min(peers, key=lambda kind: statistics.median(peers[kind]))
    return own, peers[best], best
