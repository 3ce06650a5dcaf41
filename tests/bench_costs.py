"""
What the harness costs: a hop through a link, and its own processor time beside idle nodes.

Owns: an echo of 64 bytes, asked from the host directly and from a node's network through a link;
processor time of this process and of the two proxies while nothing is done.
"""

from __future__ import annotations

import os
import socket
import statistics
import threading
import time
from dataclasses import dataclass

from chaoskit import clock
from chaoskit.cluster import Cluster
from chaoskit.session import Session
from chaoskit.setting import Setting
from chaoskit.system import System
from chaoskit.toxiproxy import ProxySpec

_PORT = 17999
_TIMEOUT_S = 5.0
_MESSAGE = b"x" * 64
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Hop:
    """Medians of an echo of 64 bytes, in seconds."""

    direct_s: float
    linked_s: float


@dataclass(frozen=True, slots=True)
class Idle:
    """Shares of one core: this process, and both proxies together."""

    harness: float
    proxies: float


def _echo(listener: socket.socket) -> None:
    """Serve connections, one after the other, until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := connection.recv(4096):
                connection.sendall(data)


def _listen() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", _PORT))
    listener.listen()
    return listener


def _median_s(connection: socket.socket, times: int) -> float:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found = []
    for _ in range(times):
        since_s = clock.monotonic()
        connection.sendall(_MESSAGE)
        waiting = len(_MESSAGE)
        while waiting:
            waiting -= len(connection.recv(waiting))
        found.append(clock.monotonic() - since_s)
    return statistics.median(found)


def hop(session: Session, system: System, release: str, *, times: int) -> Hop:
    """An echo at a node, from the host and through the link from another node."""
    with session.cluster(system, Setting(release)) as cluster:
        source, target = system.nodes[:2]
        backend = cluster.backend
        layout = backend.layout
        (place,) = [one for one in layout.links if (one.source, one.target) == (source, target)]
        listener = backend.inside(target, _listen, timeout_s=_TIMEOUT_S)
        threading.Thread(target=_echo, args=(listener,), daemon=True).start()
        cluster.mesh.client.populate(
            [
                ProxySpec(
                    name="bench",
                    listen=f"{place.address}:{_PORT}",
                    upstream=f"{place.upstream_host}:{_PORT}",
                )
            ]
        )

        def dial() -> socket.socket:
            return socket.create_connection((place.address, _PORT), _TIMEOUT_S)

        with socket.create_connection((layout.nodes[target], _PORT), _TIMEOUT_S) as direct:
            direct_s = _median_s(direct, times)
        with backend.inside(source, dial, timeout_s=_TIMEOUT_S) as linked:
            linked_s = _median_s(linked, times)
        listener.close()
        return Hop(direct_s, linked_s)


def _proxy_seconds(cluster: Cluster) -> float:
    """Processor time of both proxies so far."""
    total = 0
    engine_pids = [
        entry
        for entry in os.listdir("/proc")  # noqa: PTH208
        if entry.isdigit() and _is_a_proxy_of(cluster, entry)
    ]
    for pid in engine_pids:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            fields = stat.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS_PER_S


def _is_a_proxy_of(cluster: Cluster, pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
            said = file.read().split(b"\0")
    except OSError:
        return False
    hosts = {cluster.backend.mesh_api[0].encode(), cluster.backend.watch_api[0].encode()}
    return b"toxiproxy-server" in said[0] and bool(hosts & set(said))


def idle(session: Session, system: System, release: str, *, for_s: float) -> Idle:
    """Processor time of harness and proxies while a cluster of `system` does nothing."""
    with session.cluster(system, Setting(release)) as cluster:
        cluster.hold(2.0)
        spent_s, proxies_s, since_s = (
            time.process_time(),
            _proxy_seconds(cluster),
            clock.monotonic(),
        )
        cluster.hold(for_s)
        took_s = clock.monotonic() - since_s
        return Idle(
            (time.process_time() - spent_s) / took_s,
            (_proxy_seconds(cluster) - proxies_s) / took_s,
        )
