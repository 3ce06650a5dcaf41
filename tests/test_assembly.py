"""Which proxies a cluster gets, on a real server, and where the harness reaches its nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit.assembly import endpoints, wired
from chaoskit.history import Recorder
from chaoskit.loopback import process_layout
from chaoskit.system import Port
from chaoskit.toxiproxy import ToxiproxyClient
from tests.fakes import FakeBackend, toxiproxy
from tests.stand_in import NODES, still


class TwoServers(FakeBackend):
    """With its two servers apart, so that each can be asked what it has."""

    def __init__(self, folder: Path, mesh: tuple[str, int], watch: tuple[str, int]) -> None:
        super().__init__(folder, NODES)
        self.mesh, self.watch = mesh, watch

    @property
    def mesh_api(self) -> tuple[str, int]:
        return self.mesh

    @property
    def watch_api(self) -> tuple[str, int]:
        return self.watch


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[TwoServers]:
    with toxiproxy() as mesh, toxiproxy() as watch:
        yield TwoServers(tmp_path, mesh, watch)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "history.jsonl")
    yield made
    made.close()


def ways(place: tuple[str, int]) -> dict[str, str]:
    """Where each proxy of a server leads, by where it listens."""
    with ToxiproxyClient(*place, timeout_s=5.0) as client:
        return {one.listen: one.upstream for one in client.proxies().values()}


def test_every_pair_gets_a_link_for_linked_ports_and_every_node_a_way_for_all(
    backend: TwoServers, recorder: Recorder
) -> None:
    place = backend.layout
    with wired(still(), backend, recorder) as mesh:
        assert set(mesh.links) == {(a, b) for a in NODES for b in NODES if a != b}
        for link in place.links:
            assert mesh.link(link.source, link.target).address == link.address
        assert ways(backend.mesh_api) == {
            f"{link.address}:7001": f"{place.nodes[link.target]}:7001" for link in place.links
        }
        assert ways(backend.watch_api) == {
            f"{place.watch[node]}:{port}": f"{place.nodes[node]}:{port}"
            for node in NODES
            for port in (7001, 7002)
        }
        links = recorder.history().of("link")
        assert [one.value["shape"] for one in links] == ["open"] * 6


def test_a_system_without_linked_ports_has_no_links(
    backend: TwoServers, recorder: Recorder
) -> None:
    system = still(ports=(Port("client", 7002),))
    with wired(system, backend, recorder) as mesh:
        assert mesh.links == {}
    assert ways(backend.mesh_api) == {}
    assert len(ways(backend.watch_api)) == 3


def test_the_harness_dials_its_own_links_alone(tmp_path: Path) -> None:
    place = FakeBackend(tmp_path, NODES).layout
    found = endpoints(still(), place)
    assert {node: one.address for node, one in found.items()} == dict(place.watch)
    assert found["a"].url("client", "/x") == f"http://{place.watch['a']}:7002/x"


def test_what_a_node_says_of_an_address_can_be_told_of_a_peer(tmp_path: Path) -> None:
    place = process_layout("127.9.9", NODES, tmp_path)
    found = endpoints(still(), place)
    for link in place.links:
        assert found[link.source].peers[link.address] == link.target
