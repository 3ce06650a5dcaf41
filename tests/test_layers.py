"""Layers of several blocks on one proxy: who took his own off leaves the others'."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chaoskit.layers import Layers


def test_the_first_of_a_kind_and_the_last_are_told() -> None:
    layers = Layers()
    assert layers.lay("p", "cut")
    assert layers.lay("p", "slow")
    assert not layers.lay("p", "cut")
    assert layers.lay("q", "cut")
    assert layers.on("p") == ("cut", "slow", "cut")
    assert not layers.lift("p", "cut")
    assert layers.on("p") == ("cut", "slow")
    assert layers.lift("p", "cut")
    assert layers.lift("p", "slow")
    assert layers.on("p") == ()
    assert layers.on("q") == ("cut",)
    with pytest.raises(ValueError, match="cut"):
        layers.lift("p", "cut")


def test_a_call_is_due_once_when_all_its_proxies_are_bare() -> None:
    layers, called = Layers(), []
    layers.lay("p", "cut")
    layers.lay("q", "cut")
    layers.when_bare(["p", "q"], lambda: called.append("both"))
    layers.when_bare(["r"], lambda: called.append("never covered"))
    for proxy in ("p", "q", "q"):
        for call in layers.due():
            call()
        if layers.on(proxy):
            layers.lift(proxy, "cut")
    assert called == ["never covered", "both"]
    assert layers.due() == []


def test_who_holds_a_proxy_is_alone_with_it() -> None:
    layers, inside, most = Layers(), [], []
    begin = threading.Barrier(4)

    def change(*proxies: str) -> None:
        begin.wait(10)
        for _ in range(200):
            with layers.held(*proxies):
                inside.append(proxies)
                most.append(len(inside))
                inside.pop()

    with ThreadPoolExecutor() as pool:
        orders = [("p", "q"), ("q", "p"), ("p",), ("p", "q", "p")]
        for done in [pool.submit(change, *one) for one in orders]:
            done.result(timeout=30)
    assert set(most) == {1}
