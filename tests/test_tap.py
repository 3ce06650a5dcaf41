"""The tap: events made of segments, and packets that are really heard on a cluster's links."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, TypeVar

import pytest

from chaoskit.clock import wait_until
from chaoskit.conversation import Mode, Segment
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.history import Recorder
from chaoskit.namespace import Namespace
from chaoskit.system import Port
from chaoskit.tap import Ledger, overheard, tapped
from chaoskit.wire import Wire
from tests.fakes import serving_on
from tests.lying_tap import Lie, lying
from tests.stand_in import still
from tests.test_conversation import DATA, PREFACE, SERVER_HELLO, SETTINGS, hello

T = TypeVar("T")
DIALLER, LINK, OTHER = ("10.0.0.1", 5000), ("10.0.1.1", 4444), "10.0.1.2"


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "history.jsonl")
    yield made
    made.close()


@pytest.fixture
def ledger(recorder: Recorder) -> Ledger:
    return Ledger({LINK[0]: ("n1", "n2")}, LINK[1], recorder)


def said(ledger: Ledger, *words: bytes, opens: bool = True, dialler: Any = DIALLER) -> None:
    """The dialler opens a connection, and both ends say these in turn."""
    if opens:
        ledger.take(Segment(dialler, LINK, opens=True, ends=False, data=b""))
    for number, data in enumerate(words):
        source, target = (LINK, dialler) if number % 2 else (dialler, LINK)
        ledger.take(Segment(source, target, opens=False, ends=False, data=data))


def events(recorder: Recorder) -> list[tuple[str, str, str, str]]:
    return [
        (event.type, event.value["event"], event.value["mode"], event.value["met"])
        for event in recorder.history().of("connection")
    ]


def test_a_connection_that_stands_carries_and_ends(ledger: Ledger, recorder: Recorder) -> None:
    said(ledger, hello("h2"), SERVER_HELLO, DATA, DATA)
    assert events(recorder) == [("ok", "stands", "tls", "tls")]
    (event,) = recorder.history().of("connection")
    assert (event.value["source"], event.value["target"], event.value["number"]) == ("n1", "n2", 1)
    assert 0 <= event.value["opened_s"] <= event.time_s
    said(ledger, DATA, DATA, opens=False)
    assert len(events(recorder)) == 1, "once a second at most"
    ledger.take(Segment(LINK, DIALLER, opens=False, ends=True, data=b""))
    ledger.take(Segment(DIALLER, LINK, opens=False, ends=True, data=b""))
    assert events(recorder)[1:] == [("info", "ended", "tls", "tls")]


def test_a_connection_that_carries_is_told_again(
    ledger: Ledger, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [10.0]
    monkeypatch.setattr(recorder, "now_s", lambda: now[0])
    said(ledger, hello("h2"), SERVER_HELLO, DATA, DATA)
    for now[0] in (10.4, 10.8, 11.2, 11.6, 12.1, 12.4):
        said(ledger, DATA, DATA, opens=False)
    ledger.take(Segment(LINK, DIALLER, opens=False, ends=False, data=DATA))
    told = [(event.time_s, event.value["event"]) for event in recorder.history().of("connection")]
    assert told == [(10.0, "stands"), (11.2, "carries"), (12.4, "carries")]


def test_a_connection_that_fails_says_what_it_met(ledger: Ledger, recorder: Recorder) -> None:
    said(ledger, PREFACE, b"HTTP/1.1 400 Bad Request\r\n")
    assert events(recorder) == []
    ledger.take(Segment(LINK, DIALLER, opens=False, ends=True, data=b""))
    said(ledger, hello("h2"), SETTINGS, dialler=("10.0.0.1", 5001))
    ledger.take(Segment(("10.0.0.1", 5001), LINK, opens=False, ends=True, data=b""))
    assert events(recorder) == [
        ("fail", "failed", "plaintext", "http/1"),
        ("fail", "failed", "tls", "http/2"),
    ]


def test_a_port_that_is_used_anew_is_another_connection(ledger: Ledger, recorder: Recorder) -> None:
    said(ledger, PREFACE, SETTINGS)
    said(ledger, hello("h2"), SERVER_HELLO, DATA, DATA)
    found = recorder.history().of("connection")
    assert [event.value["number"] for event in found] == [1, 2]
    assert [event.value["mode"] for event in found] == ["plaintext", "tls"]


def test_what_is_no_member_s_or_on_no_link_is_passed_over(
    ledger: Ledger, recorder: Recorder
) -> None:
    said(ledger, hello(), SERVER_HELLO, DATA, DATA)
    elsewhere = ("10.0.1.9", 4444)
    ledger.take(Segment(DIALLER, elsewhere, opens=False, ends=False, data=PREFACE))
    ledger.take(Segment(DIALLER, (LINK[0], 8474), opens=False, ends=False, data=PREFACE))
    ledger.take(Segment(LINK, ("10.0.0.1", 5009), opens=False, ends=True, data=b""))
    assert events(recorder) == []


def test_a_connection_from_before_the_tap_has_no_beginning(
    ledger: Ledger, recorder: Recorder
) -> None:
    said(ledger, DATA, DATA, opens=False)
    (event,) = recorder.history().of("connection")
    assert (event.value["event"], event.value["mode"]) == ("stands", "tls")
    assert event.value["opened_s"] is None


# ---- on a device ---------------------------------------------------------------------------------


def cluster_on(
    recorder: Recorder,
    inside_proxy: Callable[..., T],
    *,
    inside: Callable[..., T] | None = None,
    counts_packets: bool = True,
) -> Any:
    """What the tap asks of a cluster, with links between two nodes; `inside` is n1's network."""
    links = {
        (source, target): SimpleNamespace(
            name=f"{source}>{target}", source=source, target=target, address=address
        )
        for source, target, address in (("n1", "n2", LINK[0]), ("n2", "n1", OTHER))
    }
    mesh: Any = SimpleNamespace(
        links=links, link=lambda *ends: links[ends], cut_links=frozenset[str]
    )
    backend: Any = SimpleNamespace(
        name="such a",
        counts_packets=counts_packets,
        inside_proxy=inside_proxy,
        inside=lambda _node, call, timeout_s: inside(call, timeout_s=timeout_s) if inside else None,
    )
    nodes: Any = {name: SimpleNamespace(state="running") for name in ("n1", "n2")}
    system = still(ports=(Port("peer", LINK[1], linked=True),))
    wire = Wire(system, backend, nodes, mesh, recorder)
    return SimpleNamespace(backend=backend, mesh=mesh, wire=wire, recorder=recorder)


def ip(script: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input=script, text=True, check=True, timeout=10)


@pytest.fixture
def networks() -> Iterator[tuple[Namespace, Namespace]]:
    """A dialler's network and a proxy's, whose eth0 owns the link's address."""
    dialler, proxy = Namespace.made(), Namespace.made()
    plugs = f"link add eth0 type veth peer name eth0 netns {dialler.pid}\n"
    plugs += f"addr add {LINK[0]}/16 dev eth0\naddr add {OTHER}/16 dev eth0\nlink set eth0 up\n"
    proxy.run(lambda: ip(plugs), timeout_s=10)
    dialler.run(lambda: ip("addr add 10.0.0.1/16 dev eth0\nlink set eth0 up\n"), timeout_s=10)
    yield dialler, proxy
    dialler.close()
    proxy.close()


@pytest.fixture
def tried(recorder: Recorder, networks: tuple[Namespace, Namespace]) -> Iterator[Any]:
    """A cluster of two on these networks, at both of whose links somebody speaks HTTP/2."""
    dialler, proxy = networks

    def greets(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(SETTINGS)
        while connection.recv(4096):
            pass

    listening = proxy.run(
        lambda: [socket.create_server((one, LINK[1])) for one in (LINK[0], OTHER)], timeout_s=5
    )
    with ExitStack() as stack:
        for one in listening:
            stack.enter_context(serving_on(one, greets))
        yield cluster_on(recorder, proxy.run, inside=dialler.run)


def dialled(networks: tuple[Namespace, Namespace]) -> socket.socket:
    made: socket.socket = networks[0].run(lambda: socket.create_connection(LINK, 5), timeout_s=10)
    return made


@pytest.mark.engine
def test_what_passes_on_the_device_is_heard(
    recorder: Recorder, networks: tuple[Namespace, Namespace], tried: Any
) -> None:
    with tapped(tried):
        with dialled(networks) as connection:
            connection.sendall(PREFACE)
            assert connection.recv(4096) == SETTINGS
        wait_until(lambda: len(events(recorder)) > 1, what="its end to be heard", timeout_s=30)
    assert events(recorder) == [
        ("ok", "stands", "plaintext", "http/2"),
        ("info", "ended", "plaintext", "http/2"),
    ], "our own words are no member's"


@pytest.mark.engine
@pytest.mark.parametrize("lie", Lie)
def test_a_tap_that_lies_ends_its_test(
    recorder: Recorder, tried: Any, lie: Lie, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaoskit.hearing._TRIES", 2)
    with ExitStack() as stack:
        stack.enter_context(lying(lie, [LINK[0], OTHER], recorder.now_s))
        if lie is not Lie.NONE:
            stack.enter_context(pytest.raises(ChaosError, match="does not hear what is said"))
        reached = False
        with tapped(tried):
            reached = True
    assert reached is (lie is Lie.NONE)
    assert not events(recorder)


@pytest.mark.engine
def test_a_tap_that_lies_later_on_ends_its_test_too(
    tried: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaoskit.hearing._TRIES", 2)
    with pytest.raises(ChaosError, match="does not hear what is said"), tapped(tried):
        monkeypatch.setattr("chaoskit.tap.segment_of", lambda _: None)


@pytest.mark.engine
def test_a_tap_that_ended_says_why(tried: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: bytes) -> None:
        raise ValueError("no such packet")

    monkeypatch.setattr("chaoskit.hearing._TRIES", 1)
    monkeypatch.setattr("chaoskit.tap.segment_of", fails)
    with pytest.raises(ChaosError, match="the thread tap ended by ValueError"), tapped(tried):
        pass


@pytest.mark.engine
@pytest.mark.parametrize(
    ("words", "mode"), [((PREFACE,), Mode.PLAINTEXT), ((hello("h2"),), Mode.TLS), ((), None)]
)
def test_how_a_link_is_spoken_on(
    networks: tuple[Namespace, Namespace], tried: Any, words: tuple[bytes, ...], mode: Mode | None
) -> None:
    link = tried.mesh.links["n1", "n2"]

    def speak() -> None:
        while not done.wait(0.05):
            for word in words:
                with dialled(networks) as connection:
                    connection.sendall(word)
            tried.wire.say("n1", "n2", b"GET / HTTP/1.0\r\n\r\n", timeout_s=1.0)

    done = threading.Event()
    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        assert overheard(tried, link, timeout_s=30.0 if words else 0.5) is mode
        assert overheard(tried, tried.mesh.links["n2", "n1"], timeout_s=0.2) is None
    finally:
        done.set()
        speaker.join(10)


@pytest.mark.engine
def test_a_connection_that_goes_on_is_told_too(
    networks: tuple[Namespace, Namespace], tried: Any
) -> None:
    done = threading.Event()

    def goes_on() -> None:
        while not done.wait(0.05):
            connection.sendall(SETTINGS)

    with dialled(networks) as connection:
        connection.sendall(PREFACE)
        assert connection.recv(4096) == SETTINGS
        speaker = threading.Thread(target=goes_on)
        speaker.start()
        try:
            link = tried.mesh.links["n1", "n2"]
            assert overheard(tried, link, timeout_s=30.0) is Mode.PLAINTEXT
        finally:
            done.set()
            speaker.join(10)


def test_a_tap_needs_a_network_to_listen_in(recorder: Recorder) -> None:
    cluster = cluster_on(recorder, lambda: None, counts_packets=False)
    with pytest.raises(NotApplicable, match="such a backend"), tapped(cluster):
        pass
    with pytest.raises(NotApplicable, match="such a backend"):
        overheard(cluster, cluster.mesh.links["n1", "n2"], timeout_s=1.0)


@dataclass
class Lossy:
    """A socket that heard nothing, and whose kernel says how many packets it dropped."""

    lost: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def recv(self, _bytes: int) -> bytes:
        raise TimeoutError

    def getsockopt(self, *_: int) -> bytes:
        return bytes([9, 0, 0, 0, self.lost, 0, 0, 0])


@pytest.mark.parametrize("lost", [0, 3])
def test_packets_that_went_unheard_are_the_harness_s_failure(
    recorder: Recorder, lost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaoskit.tap.Hearing.demand", lambda _: None)  # it hears nothing
    cluster = cluster_on(recorder, lambda *_, **__: Lossy(lost=lost))
    if not lost:
        with tapped(cluster):
            pass
        return
    with pytest.raises(ChaosError, match="3 packets on the links went unheard"), tapped(cluster):
        pass
