"""Links and what is done to them, on a real Toxiproxy server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, permutations
from pathlib import Path

import pytest

from chaoskit import connections
from chaoskit.connections import Connections, Outcome, Request
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.history import Event, Recorder
from chaoskit.mesh import (
    Link,
    Mesh,
    Shape,
    closed_late,
    delayed,
    dropped,
    limited,
    link_between,
    refused,
    reset,
    stalled,
)
from chaoskit.toxics import Latency
from chaoskit.toxiproxy import ToxiproxyClient, ToxiproxyFailed
from tests.fakes import own_prefix, toxiproxy

NODES = ("a", "b", "c")
_NUMBERS = count(1)
SHAPES = [
    refused(),
    dropped(),
    dropped(("upstream",)),
    stalled(),
    delayed(0.2),
    limited(64),
    reset(),
    closed_late(1.0),
]
CUTTING = {"refused", "dropped upstream+downstream", "dropped upstream", "stalled", "reset"}


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    with toxiproxy() as place:
        yield place


@pytest.fixture
def mesh(server: tuple[str, int], tmp_path: Path) -> Iterator[Mesh]:
    """A full mesh of three nodes on loopback addresses of its own, of two ports each."""
    pairs = list(permutations(NODES, 2))
    area = own_prefix(f"mesh {next(_NUMBERS)}")  # the server listens at those before still
    links = {
        (a, b): link_between(
            a,
            b,
            address=f"{area}.{number}",
            upstream_host="127.0.0.1",
            ports={"peer": 7001, "gossip": 7003},
        )
        for number, (a, b) in enumerate(pairs, 1)
    }
    recorder = Recorder(tmp_path / "history.jsonl")
    with ToxiproxyClient(*server, timeout_s=5.0) as client:
        made = Mesh(client, links, recorder)
        made.populate()
        yield made
        for link in links.values():  # a link that is pristine is none of the next test's
            for route in link.routes.values():
                client.set_enabled(route.proxy, enabled=True)
                for toxic in client.proxies()[route.proxy].toxics:
                    client.remove_toxic(route.proxy, toxic.name)
                client.set_upstream(route.proxy, route.upstream)
    recorder.close()


def told(mesh: Mesh) -> list[tuple[str, bool, str]]:
    """Each link event as (link, cut, shape)."""

    def one(event: Event) -> tuple[str, bool, str]:
        value = event.value
        return f"{value['source']}>{value['target']}", value["cut"], value["shape"]

    return [one(event) for event in mesh.recorder.history().of("link")]


def names(links: list[Link]) -> set[str]:
    return {link.name for link in links}


def test_every_link_is_made_and_recorded_as_open(mesh: Mesh) -> None:
    assert [(cut, shape) for _, cut, shape in told(mesh)] == [(False, "open, open")] * 6
    assert mesh.pristine()
    assert mesh.cut_links() == frozenset()
    assert set(mesh.client.proxies()) >= {"a>b:peer", "a>b:gossip", "c>a:peer"}


def test_links_are_found_by_their_ends(mesh: Mesh) -> None:
    assert mesh.link("a", "b").name == "a>b"
    assert names(mesh.between(["a"], ["b", "c"])) == {"a>b", "b>a", "a>c", "c>a"}
    assert names(mesh.between(NODES, NODES)) == names(list(mesh.links.values()))
    assert names(mesh.to("a")) == {"b>a", "c>a"}
    assert names(mesh.of("a")) == {"a>b", "a>c"}
    with pytest.raises(NotApplicable, match="no link a>z"):
        mesh.link("a", "z")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.label)
def test_a_shape_lies_on_its_link_alone_and_goes_again(mesh: Mesh, shape: Shape) -> None:
    assert shape.cutting is (shape.label in CUTTING)
    before = len(told(mesh))
    with mesh.shaped({"a>b": shape}):
        states = mesh.client.proxies()
        for link in mesh.links.values():
            for route in link.routes.values():
                changed = not states[route.proxy].enabled or bool(states[route.proxy].toxics)
                assert changed is (link.name == "a>b")
        assert not mesh.pristine()
        assert mesh.cut_links() == ({"a>b"} if shape.cutting else frozenset())
    assert mesh.pristine()
    (during, after) = told(mesh)[before:]
    assert during[:2] == ("a>b", shape.cutting)
    assert after == ("a>b", False, "open, open")


def test_a_body_that_raises_leaves_the_links_open(mesh: Mesh) -> None:
    def body() -> None:
        with mesh.shaped({"a>b": refused(), "b>a": delayed(0.1)}):
            raise KeyError("the test's own")

    with pytest.raises(KeyError):
        body()
    assert mesh.pristine()
    assert mesh.cut_links() == frozenset()


def test_what_was_done_until_one_was_refused_is_undone(mesh: Mesh) -> None:
    toxic = Latency(0.3, "upstream")
    mesh.client.add_toxic("b>a:peer", toxic)  # in the way of the last of the changes
    shapes = {"a>b": delayed(0.1), "c>a": refused(), "b>a": delayed(0.3)}
    with pytest.raises(ToxiproxyFailed), mesh.shaped(shapes):
        pytest.fail("the body was run")
    mesh.client.remove_toxic("b>a:peer", toxic.name)
    assert mesh.pristine()


def test_a_cut_is_one_change_and_one_look_at_all(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[list[str]] = []
    real = connections.Connections._ask

    def counting(self: Connections, requests: Sequence[Request]) -> list[Outcome]:
        batches.append([request.method for request in requests])
        return real(self, requests)

    monkeypatch.setattr(connections.Connections, "_ask", counting)
    with mesh.shaped({link.name: refused() for link in mesh.between(["a"], ["b", "c"])}):
        assert batches == [["PATCH"] * 8, ["GET"]]
        assert mesh.cut_links() == {"a>b", "b>a", "a>c", "c>a"}


def test_shapes_lie_over_each_other(mesh: Mesh) -> None:
    with mesh.shaped({"a>b": delayed(0.1)}):
        with mesh.shaped({"a>b": stalled()}):
            assert mesh.cut_links() == {"a>b"}
        assert mesh.cut_links() == frozenset()
        assert not mesh.pristine()
    assert mesh.pristine()


def shape_of(mesh: Mesh, link: str) -> str:
    return next(shape for name, _, shape in reversed(told(mesh)) if name == link)


@pytest.mark.parametrize("inner", SHAPES, ids=lambda shape: f"inner {shape.label}")
@pytest.mark.parametrize("outer", SHAPES, ids=lambda shape: f"outer {shape.label}")
def test_what_the_outer_block_put_is_there_when_the_inner_ends(
    mesh: Mesh, outer: Shape, inner: Shape
) -> None:
    with mesh.shaped({"a>b": outer}):
        before, said = mesh.client.proxies(), shape_of(mesh, "a>b")
        with mesh.shaped({"a>b": inner, "b>a": inner}):
            assert mesh.cut_links() >= ({"a>b"} if outer.cutting or inner.cutting else set())
        assert mesh.client.proxies() == before
        assert shape_of(mesh, "a>b") == said
        assert mesh.tampered_with("a>b")
        assert not mesh.tampered_with("b>a")
    assert mesh.pristine()
    assert not mesh.tampered_with("a>b")


@pytest.mark.parametrize(
    "later", [refused(), delayed(0.1), delayed(0.2)], ids=lambda one: one.label
)
@pytest.mark.parametrize("first", [refused(), delayed(0.1)], ids=lambda one: one.label)
def test_blocks_may_end_in_any_order(mesh: Mesh, first: Shape, later: Shape) -> None:
    alone = mesh.shaped({"a>b": later})
    with alone:
        as_later_alone = mesh.client.proxies()
    one, other = mesh.shaped({"a>b": first}), mesh.shaped({"a>b": later})
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert mesh.client.proxies() == as_later_alone
    other.__exit__(None, None, None)
    assert mesh.pristine()


def test_a_link_that_is_refused_by_two_bears_what_is_put_on_meanwhile(mesh: Mesh) -> None:
    with mesh.shaped({"a>b": refused()}), mesh.shaped({"a>b": delayed(0.1)}):
        with mesh.shaped({"a>b": refused(), "a>c": refused()}):
            assert mesh.cut_links() == {"a>b", "a>c"}
        assert mesh.cut_links() == {"a>b"}
        state = mesh.client.proxies()["a>b:peer"]
        assert (state.enabled, len(state.toxics)) == (False, 2)
    assert mesh.pristine()


def test_an_inner_block_that_fails_leaves_what_the_outer_put(mesh: Mesh) -> None:
    in_the_way = Latency(0.3, "upstream")
    mesh.client.add_toxic("b>a:peer", in_the_way)
    with mesh.shaped({"a>b": refused(), "c>a": delayed(0.1)}):
        before = mesh.client.proxies()
        shapes = {"a>b": refused(), "c>a": delayed(0.1), "b>a": delayed(0.3)}
        with pytest.raises(ToxiproxyFailed), mesh.shaped(shapes):
            pytest.fail("the body was run")
        assert mesh.client.proxies() == before
    mesh.client.remove_toxic("b>a:peer", in_the_way.name)
    assert mesh.pristine()


def test_blocks_side_by_side_leave_nothing(mesh: Mesh) -> None:
    def often(shape: Shape) -> None:
        for _ in range(15):
            with mesh.shaped({"a>b": shape}):
                pass

    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(often, one) for one in (refused(), refused(), delayed(0.1))]:
            done.result()
    assert mesh.pristine()


def test_a_link_leads_where_the_newest_block_leads_it(mesh: Mesh) -> None:
    def leads() -> str:
        return mesh.client.proxies()["a>b:peer"].upstream

    with mesh.retargeted("a", "b", ports={"peer": "127.0.0.1:9"}):
        with mesh.retargeted("a", "b", ports={"peer": "127.0.0.1:10"}):
            assert leads() == "127.0.0.1:10"
        assert leads() == "127.0.0.1:9"
        assert mesh.tampered_with("a>b")
    assert mesh.pristine()


def test_a_call_waits_until_a_link_is_bare(mesh: Mesh) -> None:
    called: list[str] = []
    with mesh.shaped({"a>b": refused()}):
        with mesh.shaped({"a>b": delayed(0.1), "b>a": delayed(0.1)}):
            mesh.when_bare("a>b", lambda: called.append("a>b"))
            mesh.when_bare("b>a", lambda: called.append("b>a"))
            assert mesh.due() == []
        for call in mesh.due():
            call()
        assert called == ["b>a"]
    for call in [*mesh.due(), *mesh.due()]:
        call()
    assert called == ["b>a", "a>b"]


def test_one_way_is_upstream_there_and_downstream_back(mesh: Mesh) -> None:
    shapes = mesh.one_way("a", "b")
    assert {name: shape.label for name, shape in shapes.items()} == {
        "a>b": "dropped upstream",
        "b>a": "dropped downstream",
    }
    with mesh.shaped(shapes):
        states = mesh.client.proxies()
        assert [toxic.stream for toxic in states["a>b:peer"].toxics] == ["upstream"]
        assert [toxic.stream for toxic in states["b>a:peer"].toxics] == ["downstream"]


def test_a_port_can_be_led_elsewhere(mesh: Mesh) -> None:
    with mesh.retargeted("a", "b", ports={"peer": "127.0.0.1:9"}):
        assert mesh.client.proxies()["a>b:peer"].upstream == "127.0.0.1:9"
        assert mesh.client.proxies()["a>b:gossip"].upstream == "127.0.0.1:7003"
        assert not mesh.pristine()
        assert told(mesh)[-1] == ("a>b", False, "leads to 127.0.0.1:9, open")
    assert mesh.pristine()
    assert told(mesh)[-1] == ("a>b", False, "open, open")


def test_what_somebody_else_did_is_seen_and_recorded_once(mesh: Mesh) -> None:
    mesh.client.set_enabled("c>b:gossip", enabled=False)
    before = len(told(mesh))
    mesh.survey()
    mesh.survey()
    assert told(mesh)[before:] == [("c>b", True, "open, refused")]
    assert not mesh.pristine()


def test_a_proxy_that_is_lost_is_no_open_link(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {name: one for name, one in mesh.client.proxies().items() if name != "a>b:peer"}
    monkeypatch.setattr(mesh.client, "proxies", lambda: states)
    assert not mesh.pristine()
    with pytest.raises(ChaosError, match="lost a proxy of the link a>b"):
        mesh.survey()


def test_a_rate_of_nothing_is_a_stall() -> None:
    with pytest.raises(ValueError, match="use stalled"):
        limited(0)


def test_systems_without_links_have_an_empty_mesh(server: tuple[str, int], tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "none.jsonl")
    with ToxiproxyClient(*server, timeout_s=5.0) as client:
        empty = Mesh(client, {}, recorder)
        empty.populate()
        assert empty.pristine()
    assert len(recorder.history()) == 0
    recorder.close()
