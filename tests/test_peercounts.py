"""What nodes tell of their peers: summed over the links asked for, and never going back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.mesh import Link, link_between
from chaoskit.peercounts import PeerCounts
from chaoskit.system import Endpoint, Unobserved


def cluster_of(told: dict[str, dict[str, int]] | None) -> Cluster:
    def ask(endpoint: Endpoint, _: float) -> dict[str, int]:
        assert told is not None
        if endpoint.node not in told:
            raise Unobserved("refused")
        return told[endpoint.node]

    failures: Any = None if told is None else ask
    system = SimpleNamespace(name="s", failures=failures)
    return cast(
        "Cluster",
        SimpleNamespace(
            system=system,
            backend=SimpleNamespace(name="process"),
            endpoint=lambda node: Endpoint(node, "127.0.0.1", {}),
        ),
    )


def link(source: str, target: str) -> Link:
    return link_between(source, target, address="127.9.9.9", upstream_host="127.9.9.8", ports={})


LINKS = [link("a", "b"), link("b", "a")]


def test_only_the_links_asked_for_count() -> None:
    counts = PeerCounts(cluster_of({"a": {"b": 2, "c": 100}, "b": {"a": 3}, "c": {"a": 50}}), LINKS)
    assert counts.read() == 5


def test_who_does_not_answer_has_said_what_it_said_last() -> None:
    told = {"a": {"b": 2}, "b": {"a": 3}}
    counts = PeerCounts(cluster_of(told), LINKS)
    assert counts.read() == 5
    del told["a"]
    told["b"]["a"] = 4
    assert counts.read() == 6


def test_a_node_that_was_started_anew_takes_nothing_back() -> None:
    told = {"a": {"b": 7}}
    counts = PeerCounts(cluster_of(told), LINKS)
    read = []
    for now in (7, 0, 6, 9):
        told["a"] = {"b": now}
        read.append(counts.read())
    assert read == [7, 7, 7, 9]


def test_a_system_that_does_not_tell_is_refused() -> None:
    with pytest.raises(NotApplicable, match="process backend counts no packets"):
        PeerCounts(cluster_of(None), LINKS)
