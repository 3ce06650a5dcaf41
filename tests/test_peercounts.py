"""What nodes say went wrong with their peers: a sum that never goes back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from chaoskit.errors import NotApplicable
from chaoskit.mesh import link_between
from chaoskit.peercounts import PeerCounts
from chaoskit.system import Endpoint, Unobserved
from tests.stand_in import StandIn, still

LINKS = [
    link_between(a, b, address="127.0.0.1", upstream_host="127.0.0.1", ports={})
    for a, b in (("a", "b"), ("a", "c"), ("b", "a"))
]


class Told:
    """What each node says of its peers; a node that says nothing does not answer."""

    def __init__(self) -> None:
        self.said: dict[str, dict[str, int]] = {}
        self.asked: list[str] = []

    def failures(self, endpoint: Endpoint, timeout_s: float) -> Mapping[str, int]:
        assert timeout_s > 0
        self.asked.append(endpoint.node)
        if endpoint.node not in self.said:
            raise Unobserved("refused")
        return self.said[endpoint.node]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def counts(told: Told, tmp_path: Path) -> Iterator[PeerCounts]:
    cluster = StandIn(tmp_path, still(failures=told.failures))
    yield PeerCounts(cluster.as_cluster, LINKS)
    cluster.recorder.close()


def test_it_is_the_sum_over_the_links_and_each_node_is_asked_once(
    told: Told, counts: PeerCounts
) -> None:
    told.said = {"a": {"b": 2, "c": 3, "z": 100}, "b": {"a": 4, "c": 50}}
    assert counts.read() == 9
    assert told.asked == ["a", "b"]


def test_of_a_node_that_does_not_answer_what_it_said_last_counts(
    told: Told, counts: PeerCounts
) -> None:
    assert counts.read() == 0
    told.said = {"a": {"b": 2}, "b": {"a": 4}}
    assert counts.read() == 6
    del told.said["a"]
    assert counts.read() == 6
    told.said["a"] = {"b": 1}  # started anew
    assert counts.read() == 6
    told.said["a"] = {"b": 3}
    assert counts.read() == 7


def test_a_system_whose_nodes_do_not_tell_is_refused(tmp_path: Path) -> None:
    cluster = StandIn(tmp_path)
    with pytest.raises(NotApplicable, match="nodes of still do not tell their failures by peer"):
        PeerCounts(cluster.as_cluster, LINKS)
    cluster.recorder.close()
