"""A network: one start at a time, patience with the engine, and an engine that has miscounted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chaoskit.errors import EngineFailed, WaitTimedOut
from chaoskit.networks import MiscountedNetwork, Network, refusal

_REFUSED = EngineFailed("removing network 1f: the engine answered 403: it has active endpoints")


class Holding:
    """An engine that refuses to remove a network `times` times; for ever when that is negative."""

    def __init__(self, error: EngineFailed, *, times: int) -> None:
        self.error, self.left = error, times

    def start(self, container: str) -> None:
        raise AssertionError(container)

    def remove_network(self, network: str) -> None:
        assert network == "1f"
        if self.left:
            self.left -= 1
            raise self.error


class Starting:
    """An engine that notes how many starts are under way; each waits for a second one."""

    def __init__(self) -> None:
        self.under_way = 0
        self.most = 0
        self.second = threading.Event()

    def start(self, container: str) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.under_way == 2:
            self.second.set()
        self.second.wait(0.2)
        self.under_way -= 1

    def remove_network(self, network: str) -> None:
        raise AssertionError(network)


def test_a_network_that_the_engine_still_holds_is_asked_for_again() -> None:
    engine = Holding(_REFUSED, times=3)
    assert Network(engine, "1f", name="c1").remove(timeout_s=10.0)
    assert engine.left == 0


def test_a_network_that_a_container_holds_is_an_error() -> None:
    network = Network(Holding(_REFUSED, times=-1), "1f", name="c1")
    words = r"the network c1 to be removed; last seen: .*active endpoints"
    with pytest.raises(WaitTimedOut, match=words):
        network.remove(timeout_s=0.3)


def test_a_miscounted_network_is_given_up_after_the_same_time() -> None:
    lost = Network(Holding(MiscountedNetwork("held"), times=-1), "1f", name="c1")
    assert not lost.remove(timeout_s=0.3)
    late = Network(Holding(MiscountedNetwork("held"), times=2), "1f", name="c1")
    assert late.remove(timeout_s=10.0), "an endpoint may go a while before its count"


def test_containers_of_one_network_are_started_one_after_the_other() -> None:
    engine = Starting()
    network = Network(engine, "1f", name="c1")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(network.start, ("n1", "n2", "n3")))
    assert engine.most == 1


def test_only_a_refusal_without_a_container_is_a_miscount() -> None:
    empty = refusal(_REFUSED, {"Containers": {}})
    assert isinstance(empty, MiscountedNetwork)
    assert "restarted. Then `chaoskit sweep` removes it" in str(empty)
    assert refusal(_REFUSED, {"Containers": {"77": {"Name": "n1"}}}) is _REFUSED
    other = EngineFailed("removing network 1f: the engine answered 500")
    assert refusal(other, {"Containers": {}}) is other
