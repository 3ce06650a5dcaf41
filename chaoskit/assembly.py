"""
Wiring a cluster: its links and the harness's own, out of a system and a layout.

Owns: which proxies there are, on both servers, and where the harness reaches a node. Refuses:
changing anything once the proxies are there (`mesh`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chaoskit.backend import Backend, Layout
from chaoskit.history import Recorder
from chaoskit.mesh import Mesh, link_between
from chaoskit.system import Endpoint, System
from chaoskit.toxiproxy import ProxySpec, ToxiproxyClient

# Toxiproxy 2.12 lets go of what a toxic held back after 5 s for each piece whose receiver is gone.
_PROXY_TIMEOUT_S = 30.0
_HARNESS = "chaoskit"


def endpoints(system: System, layout: Layout) -> dict[str, Endpoint]:
    """Where the harness reaches each node: through its own links, on every port."""
    ports = {port.name: port.number for port in system.ports}
    return {
        node: Endpoint(
            node, address, ports, {host: peer for peer, host in layout.hosts[node].items()}
        )
        for node, address in layout.watch.items()
    }


def _own_proxies(system: System, layout: Layout) -> list[ProxySpec]:
    """The harness's links to every port of every node."""
    ports = {port.name: port.number for port in system.ports}
    return [
        spec
        for node, address in layout.watch.items()
        for spec in link_between(
            _HARNESS,
            node,
            address=address,
            upstream_host=layout.watch_upstream[node],
            ports=ports,
        ).specs()
    ]


@contextmanager
def wired(system: System, backend: Backend, recorder: Recorder) -> Iterator[Mesh]:
    """
    The mesh of a cluster, with a link for each ordered pair of nodes and every linked port.

    The harness's own links are made as well. The client of the mesh's server lives for the block.
    """
    linked = {port.name: port.number for port in system.linked_ports}
    links = {
        (place.source, place.target): link_between(
            place.source,
            place.target,
            address=place.address,
            upstream_host=place.upstream_host,
            ports=linked,
        )
        for place in backend.layout.links
        if linked
    }
    with ToxiproxyClient(*backend.watch_api, timeout_s=_PROXY_TIMEOUT_S) as watcher:
        watcher.populate(_own_proxies(system, backend.layout))
    with ToxiproxyClient(*backend.mesh_api, timeout_s=_PROXY_TIMEOUT_S) as client:
        mesh = Mesh(client, links, recorder)
        mesh.populate()
        yield mesh
