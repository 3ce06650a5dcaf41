"""The rules in a proxy's network: six counters a link, and the gate, in a network of our own."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import pytest

from chaoskit.clock import wait_until
from chaoskit.errors import ChaosError
from chaoskit.namespace import Namespace
from chaoskit.packets import Counters, Leg, Traffic, ruleset

T = TypeVar("T")
TARGETS = {"b": "10.99.0.11", "c": "10.99.0.12"}
LEGS = (
    Leg("a>b", "10.99.1.1", "192.0.2.1", TARGETS["b"]),
    Leg("a>c", "10.99.1.2", "192.0.2.2", TARGETS["c"]),
)
PORT = 7001


def _own_network(pid: int | str) -> int:
    return Path(f"/proc/{pid}/ns/net").stat().st_ino


@pytest.fixture
def proxy() -> Iterator[Namespace]:
    """A network with a device eth0, and in it the targets' own addresses."""
    lines = "link set lo up\nlink add eth0 type veth peer name eth1\n"
    lines += "link set eth0 up\nlink set eth1 up\naddr add 10.99.0.5/16 dev eth0\n"
    lines += "".join(f"addr add {one}/32 dev lo\n" for one in TARGETS.values())
    set_up = ["ip", "-batch", "-"]
    with subprocess.Popen(["unshare", "--net", "--", "sleep", "600"]) as child:
        try:
            wait_until(
                lambda: _own_network(child.pid) != _own_network("self"),
                what="a network of its own",
                timeout_s=30,
            )
            inside = Namespace(child.pid)
            inside.run(
                lambda: subprocess.run(set_up, input=lines, text=True, check=True), timeout_s=10
            )
            yield inside
            inside.close()
        finally:
            child.kill()


@pytest.fixture
def counters(proxy: Namespace) -> Counters:
    made = Counters(proxy, LEGS)
    made.install(link_range="10.99.1.0/24")
    return made


def within(proxy: Namespace, call: Callable[[], T]) -> T:
    return proxy.run(call, timeout_s=10)


def dialled(proxy: Namespace, upstream: str) -> str:
    """How a dial of an upstream address ends: connected, refused, or nothing (in 5 s)."""

    def dial() -> str:
        try:
            with socket.create_connection((upstream, PORT), 5.0):
                return "connected"
        except ConnectionRefusedError:
            return "refused"
        except OSError:
            return "nothing"

    return within(proxy, dial)


@pytest.fixture
def listener(proxy: Namespace) -> Iterator[socket.socket]:
    """B answers whatever it gets."""
    listening = within(proxy, lambda: socket.create_server((TARGETS["b"], PORT)))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, suppress(OSError):
                    while asked := connection.recv(4096):
                        connection.sendall(asked)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listening
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(5)


def test_the_rules_name_every_link_once_a_counter() -> None:
    text = ruleset(LEGS)
    for kind in fields(Traffic):
        assert text.count(f"counter {kind.name}_0 {{ }}") == 1
        assert text.count(f"counter {kind.name}_1 {{ }}") == 1
    assert "set dead { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2 }; }" in text


@pytest.mark.engine
@pytest.mark.usefixtures("listener")
def test_every_target_is_dead_until_it_is_revived(proxy: Namespace, counters: Counters) -> None:
    assert dialled(proxy, "192.0.2.1") == "refused"
    counters.revive([TARGETS["b"]])
    assert dialled(proxy, "192.0.2.1") == "connected"
    assert dialled(proxy, "192.0.2.2") == "refused"
    counters.bury([TARGETS["b"]])
    assert dialled(proxy, "192.0.2.1") == "refused"


@pytest.mark.engine
@pytest.mark.usefixtures("listener")
def test_burying_and_reviving_twice_is_fine(proxy: Namespace, counters: Counters) -> None:
    for _ in range(2):
        counters.revive(TARGETS.values())
    assert dialled(proxy, "192.0.2.1") == "connected"
    for _ in range(2):
        counters.bury(TARGETS.values())
    assert dialled(proxy, "192.0.2.1") == "refused"


@pytest.mark.engine
@pytest.mark.usefixtures("listener")
def test_what_is_sent_upstream_and_comes_back_is_counted_on_its_own_link(
    proxy: Namespace, counters: Counters
) -> None:
    counters.revive(TARGETS.values())

    def ask() -> bytes:
        with socket.create_connection(("192.0.2.1", PORT), 2.0) as connection:
            connection.sendall(b"x" * 100)
            return connection.recv(4096)

    assert within(proxy, ask) == b"x" * 100
    counted = counters.read()
    assert (counted["a>b"].sent, counted["a>b"].got) == (1, 1)
    assert counted["a>c"] == Traffic()


@pytest.mark.engine
def test_dials_and_refusals_at_a_link_s_own_address_are_counted(
    proxy: Namespace, counters: Counters
) -> None:
    for _ in range(3):
        assert dialled(proxy, "10.99.1.2") == "refused"  # nobody listens there
    counted = counters.read()
    assert (counted["a>c"].opened, counted["a>c"].refused) == (3, 3)
    assert (counted["a>c"].asked, counted["a>c"].answered) == (0, 0)
    assert counted["a>b"] == Traffic()


@pytest.mark.engine
def test_data_at_a_link_s_own_address_is_counted_and_bare_acknowledgements_are_not(
    proxy: Namespace, counters: Counters
) -> None:
    def exchange() -> None:
        with (
            socket.create_server(("10.99.1.1", PORT)) as listening,
            socket.create_connection(("10.99.1.1", PORT), 2.0, ("10.99.0.5", 0)) as source,
        ):
            connection, _ = listening.accept()
            with connection:
                source.sendall(b"x" * 200)
                assert connection.recv(4096)
                connection.sendall(b"y" * 200)
                assert source.recv(4096)

    within(proxy, exchange)
    counted = counters.read()["a>b"]
    assert (counted.asked, counted.answered, counted.opened, counted.refused) == (1, 1, 1, 0)


@pytest.mark.engine
def test_rules_that_cannot_be_loaded_are_an_error(proxy: Namespace) -> None:
    with pytest.raises(ChaosError, match="nft -f - failed with 1"):
        Counters(proxy, [Leg("a>b", "nowhere", "192.0.2.1", "x")]).install(
            link_range="10.99.1.0/24"
        )
