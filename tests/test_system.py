"""A system as data: what cannot be meant is refused where it is written."""

from __future__ import annotations

from typing import Any

import pytest

from chaoskit.system import Endpoint, Observation, Port, Release, Unobserved
from tests.stand_in import still

RELEASES = tuple(Release(label) for label in ("3.4.23", "3.5.16", "3.5.35", "3.50.1", "4-rc"))


def test_a_release_is_found_by_itself_or_by_a_prefix_that_ends_at_a_part() -> None:
    system = still(releases=RELEASES)
    assert system.release("3.5.16").label == "3.5.16"
    assert system.release("3.4").label == "3.4.23"
    assert system.release("3.50").label == "3.50.1"
    assert system.release("4").label == "4-rc"


@pytest.mark.parametrize(
    ("prefix", "says"),
    [
        ("3.5", "still 3.5 matches more than one of its releases: 3.4.23, 3.5.16"),
        ("3.5.1", "still 3.5.1 is none of its releases"),
        ("", "is none of its releases"),
        ("5", "is none of its releases"),
    ],
)
def test_a_prefix_that_does_not_match_one_is_refused(prefix: str, says: str) -> None:
    with pytest.raises(LookupError, match=says):
        still(releases=RELEASES).release(prefix)


def test_a_label_that_others_begin_with_is_itself() -> None:
    system = still(releases=(Release("1"), Release("1.1"), Release("1-rc")))
    assert system.release("1").label == "1"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"quorum": 0}, "quorum 0 of 3"),
        ({"quorum": 4}, "quorum 4 of 3"),
        ({"nodes": ("a", "b", "a")}, "two nodes of one name"),
        ({"releases": ()}, "no release"),
    ],
)
def test_systems_that_cannot_be_are_refused(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        still(**more)


@pytest.mark.parametrize("number", [0, 80, 1024, 65536])
def test_ports_are_those_that_anybody_may_open(number: int) -> None:
    with pytest.raises(ValueError, match="is not in 1025"):
        Port("peer", number)


def test_the_steady_state_is_that_all_who_answered_are_ready() -> None:
    steady = still().steady
    ready, not_ready = Observation(ready=True), Observation(ready=False)
    assert steady({"a": ready, "b": ready})
    assert not steady({"a": ready, "b": not_ready})


def test_endpoints_and_linked_ports() -> None:
    endpoint = Endpoint("a", "10.0.0.1", {"client": 7002})
    assert endpoint.url("client") == "http://10.0.0.1:7002"
    assert endpoint.url("client", "/x", scheme="https") == "https://10.0.0.1:7002/x"
    assert [port.name for port in still().linked_ports] == ["peer"]
    assert Unobserved("refused").cause == "refused"
