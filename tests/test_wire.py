"""Our own probes on links: what they meet on real sockets, through a real proxy, and on the way."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit import clock
from chaoskit.assembly import wired
from chaoskit.errors import ChaosError
from chaoskit.handshake import Outcome
from chaoskit.history import Recorder
from chaoskit.mesh import Mesh, delayed, dropped, refused, reset
from chaoskit.system import Port
from chaoskit.wire import Met, Wire
from tests.fakes import FakeBackend, serving, toxiproxy
from tests.stand_in import NODES, still

SHORT_S = 0.3  # in which nobody answers who will not
LONG_S = 30.0  # in which everybody has who will
PEER, SECURE = Port("peer", 7001, linked=True), Port("peer", 7001, linked=True, secure=True)


def answers(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"yes")


def closes(connection: socket.socket) -> None:
    connection.recv(65536)


def silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


@dataclass
class Rig:
    """Three nodes' links through a real Toxiproxy; a test says what serves at their ends."""

    wire: Wire
    mesh: Mesh
    recorder: Recorder
    nodes: dict[str, Any]
    serving: ExitStack
    place: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)

    def serve(self, node: str, behave: Callable[[socket.socket], None]) -> None:
        self.serving.enter_context(serving(self.place[node], 7001, behave))

    def handshakes(self) -> list[tuple[str, str, str]]:
        return [
            (one.value["source"], one.value["target"], one.type)
            for one in self.recorder.history().of("handshake")
        ]


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    with toxiproxy() as place:
        yield place


@pytest.fixture
def rig(tmp_path: Path, server: tuple[str, int]) -> Iterator[Rig]:
    system = still(ports=(PEER,))
    backend = FakeBackend(tmp_path, NODES, api=server)
    recorder = Recorder(tmp_path / "history.jsonl")
    placement = SimpleNamespace(settings={}, authority_pem=b"", credential=None)
    nodes: dict[str, Any] = {
        name: SimpleNamespace(state="running", placement=lambda: placement) for name in NODES
    }
    with ExitStack() as serving, wired(system, backend, recorder) as mesh:
        wire = Wire(system, backend, nodes, mesh, recorder)
        yield Rig(wire, mesh, recorder, nodes, serving, dict(backend.layout.nodes))
    recorder.close()


def asked(rig: Rig, *, timeout_s: float = LONG_S, padding_bytes: int = 0) -> Met:
    return rig.wire.ask("a", "b", timeout_s=timeout_s, padding_bytes=padding_bytes)


def outcome(met: Met) -> tuple[bool, Outcome]:
    return met.answered, met.kind


# -- words -------------------------------------------------------------------------------------


def test_what_is_said_has_a_source_a_time_and_an_answer(rig: Rig) -> None:
    got: list[tuple[bytes, tuple[str, int]]] = []

    def behave(connection: socket.socket) -> None:
        got.append((connection.recv(65536), connection.getpeername()))
        connection.sendall(b"yes")

    rig.serve("b", behave)
    before_s = clock.monotonic()
    said = rig.wire.say("a", "b", b"word", timeout_s=LONG_S)
    assert (got[0][0], said.answer) == (b"word", b"yes")
    assert before_s <= said.said_s <= clock.monotonic()
    assert said.source[1] not in (7001, got[0][1][1]), "of our own end, not of the proxy's"


def test_a_word_that_nobody_answers(rig: Rig) -> None:
    for behave, timeout_s in ((closes, LONG_S), (silent, SHORT_S)):
        with ExitStack() as serves:
            serves.enter_context(serving(rig.place["b"], 7001, behave))
            assert rig.wire.say("a", "b", b"word", timeout_s=timeout_s).answer == b""
    with (
        rig.mesh.shaped({"a>b": refused()}),
        pytest.raises(ChaosError, match="nothing can be said on a>b: refused"),
    ):
        rig.wire.say("a", "b", b"word", timeout_s=LONG_S)


# -- questions ---------------------------------------------------------------------------------


def test_an_answer_is_an_answer(rig: Rig) -> None:
    rig.serve("b", answers)
    assert outcome(asked(rig)) == (True, Outcome.ANSWERED)


def test_the_question_is_padded(rig: Rig) -> None:
    got: list[int] = []

    def behave(connection: socket.socket) -> None:
        count = 0
        while count < 5000:
            count += len(connection.recv(65536))
        got.append(count)
        connection.sendall(b"yes")

    rig.serve("b", behave)
    assert asked(rig, padding_bytes=5000).answered
    assert got[0] >= 5000


def test_who_closes_on_everybody_has_answered(rig: Rig) -> None:
    rig.serve("b", closes)
    assert outcome(asked(rig)) == (True, Outcome.CLOSED)


def test_who_closes_on_this_link_alone_has_not(rig: Rig) -> None:
    rig.serve("b", answers)
    with rig.mesh.shaped({"a>b": dropped(("downstream",))}):
        # it answers on the harness's own link, so a close without a byte is no answer of its own
        assert outcome(asked(rig, timeout_s=SHORT_S))[0] is False


def test_the_same_question_beside_the_link_meets_no_fault(rig: Rig) -> None:
    rig.serve("b", answers)
    with rig.mesh.shaped({"a>b": refused()}):
        assert outcome(asked(rig)) == (False, Outcome.REFUSED)
        beside = rig.wire.ask_beside("b", timeout_s=LONG_S)
    assert outcome(beside) == (True, Outcome.ANSWERED)


def greets(connection: socket.socket) -> None:
    connection.sendall(b"\0\0\0\x04\0\0\0\0\0")
    while connection.recv(65536):
        pass


def test_a_greeting_of_http2_is_no_answer(rig: Rig) -> None:
    rig.serve("b", greets)
    assert outcome(asked(rig)) == (True, Outcome.ANSWERED), "by a request of HTTP/1 it seems so"
    rig.wire.system = still(ports=(replace(PEER, http2=True),))
    assert outcome(asked(rig, timeout_s=SHORT_S)) == (False, Outcome.TIMED_OUT)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [(refused(), Outcome.REFUSED), (dropped(), Outcome.TIMED_OUT), (reset(), Outcome.RESET)],
    ids=lambda one: getattr(one, "label", ""),
)
def test_what_a_shape_does_to_a_question(rig: Rig, shape: Any, kind: Outcome) -> None:
    rig.serve("a", answers)
    rig.serve("b", answers)
    with rig.mesh.shaped({"a>b": shape}):
        timeout_s = SHORT_S if kind is Outcome.TIMED_OUT else LONG_S
        assert outcome(asked(rig, timeout_s=timeout_s)) == (False, kind)
        assert rig.wire.ask("b", "a", timeout_s=LONG_S).answered, "its way back is another link"
    assert asked(rig).answered


def test_a_delay_is_measured(rig: Rig) -> None:
    rig.serve("b", answers)
    with rig.mesh.shaped({"a>b": delayed(0.2)}):
        met = asked(rig)
    assert met.answered
    assert 0.4 <= met.took_s < LONG_S
    assert str(met) == f"answered after {met.took_s * 1000:.1f} ms"


def test_a_server_that_never_answers_is_waited_for_no_longer_than_asked(rig: Rig) -> None:
    rig.serve("b", silent)
    met = asked(rig, timeout_s=SHORT_S)
    assert outcome(met) == (False, Outcome.TIMED_OUT)
    assert met.took_s < LONG_S


# -- closes ------------------------------------------------------------------------------------


def test_when_a_close_comes_and_when_it_never_does(rig: Rig) -> None:
    def late(connection: socket.socket) -> None:
        connection.recv(65536)
        clock.pause(0.2)

    rig.serve("b", late)
    rig.serve("c", silent)
    assert 0.2 <= rig.wire.close_time_s("a", "b", timeout_s=LONG_S) < LONG_S
    assert rig.wire.close_time_s("a", "c", timeout_s=0.3) == 0.3
    with rig.mesh.shaped({"a>b": refused()}), pytest.raises(ChaosError, match=r"a>b: .*refused"):
        rig.wire.close_time_s("a", "b", timeout_s=LONG_S)


# -- surveys -----------------------------------------------------------------------------------


def dialled(rig: Rig, around: str, *, failing: str = "") -> set[str]:
    """Survey; answers the links that were dialled. The one that is `failing` refuses."""
    found = set()

    def dial(_: object, source: str, target: str, *, timeout_s: float) -> Any:
        found.add(f"{source}>{target}")
        bad = failing == f"{source}>{target}"
        return SimpleNamespace(kind=Outcome.REFUSED if bad else Outcome.ACCEPTED)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "dial", dial)
        rig.wire.survey([around])
    return found


def test_a_survey_dials_what_begins_or_ends_there(rig: Rig) -> None:
    assert dialled(rig, "a") == {"a>b", "b>a", "a>c", "c>a"}
    rig.nodes["b"].state = "stopped"
    assert dialled(rig, "a") == {"a>c", "c>a"}, "one that is down has nothing to say"
    with rig.mesh.shaped({"a>c": refused()}):
        rig.mesh.survey()
        assert dialled(rig, "a") == {"c>a"}, "that it is cut the mesh tells"
    assert rig.handshakes() == [], "good is what is taken for granted"


def test_a_handshake_that_fails_is_said_once_and_so_is_its_end(rig: Rig) -> None:
    dialled(rig, "b", failing="a>b")
    dialled(rig, "b", failing="a>b")
    dialled(rig, "c")
    assert rig.handshakes() == [("a", "b", "fail")]
    for node in NODES:
        rig.serve(node, silent)
    rig.wire.survey(["a"])
    rig.wire.survey(["a"])
    assert rig.handshakes() == [("a", "b", "fail"), ("a", "b", "ok")]


def test_where_it_failed_is_asked_again_and_nowhere_else(rig: Rig) -> None:
    dialled(rig, "b", failing="a>b")
    asked = []

    def dial(_: object, source: str, target: str, *, timeout_s: float) -> Any:
        asked.append(f"{source}>{target}")
        return SimpleNamespace(kind=Outcome.ACCEPTED)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "dial", dial)
        rig.wire.survey_again()
        assert asked == ["a>b"]
        assert rig.handshakes() == [("a", "b", "fail"), ("a", "b", "ok")]
        rig.wire.survey_again()
        assert asked == ["a>b"], "it is good now"


# -- modes -------------------------------------------------------------------------------------


def test_a_node_is_secure_unless_its_settings_say_plaintext(rig: Rig) -> None:
    assert not rig.wire.secure("a")
    port = Port("peer", 7001, linked=True, secure=True, plaintext={"tls": "off", "deep": "no"})
    rig.wire.system = still(ports=(port,))
    settings = rig.nodes["a"].placement().settings
    for said, secure in (
        ({}, True),
        ({"tls": "off"}, True),  # both are needed
        ({"tls": "off", "deep": "no"}, False),
        ({"tls": "off", "deep": "no", "more": "x"}, False),
    ):
        settings.clear()
        settings.update(said)
        assert rig.wire.secure("a") is secure


def test_a_secure_link_is_asked_by_a_hello(rig: Rig) -> None:
    rig.wire.system = still(ports=(SECURE,))
    got: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        got.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.0 400 no\r\n\r\n")

    rig.serve("b", behave)
    assert outcome(asked(rig)) == (True, Outcome.PLAINTEXT)
    assert got[0][:1] == b"\x16", "a TLS record of a handshake (RFC 8446 5.1)"
    with rig.mesh.shaped({"a>b": dropped()}):
        assert asked(rig, timeout_s=SHORT_S).answered is False


def test_a_system_without_links_is_told_so(rig: Rig) -> None:
    rig.wire.system = still(ports=(Port("client", 7002),))
    with pytest.raises(ChaosError, match="still declares no linked port"):
        rig.wire.linked_port()


def test_a_source_that_went_down_has_failed(rig: Rig) -> None:
    def gone(*_: object, **__: object) -> Any:
        raise ChaosError("a does not run")

    cast("Any", rig.wire.backend).inside = gone
    assert rig.wire._shake("a", "b") == (False, "a does not run")
