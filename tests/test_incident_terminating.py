"""What ends TLS before members: each wrong way is named, by the member's proxy, never by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit.cluster import Cluster
from chaoskit.companion import LOG
from chaoskit.errors import Inconclusive
from chaoskit.exchange import Outcome
from chaoskit.handshake import Dial
from chaoskit.history import Recorder
from chaoskit.invariant import Invariant, Violation
from chaoskit.verdict import Kind
from suites.beacon.system import BEHIND
from suites.beacon.terminator import Front
from suites.incidents.terminating import (
    calls_are_decrypted_once,
    calls_are_handed_on_as_http2,
    calls_are_handed_on_in_the_mode_that_is_served,
    note_calls,
)
from tests.beacon_tape import NODES, BeaconTape

PROMISES = {
    Front.HTTP1: calls_are_handed_on_as_http2,
    Front.WRONG_MODE: calls_are_handed_on_in_the_mode_that_is_served,
    Front.TWICE: calls_are_decrypted_once,
}
MET = {  # upstream, its status, the peer's
    Front.RIGHT: (BEHIND, "200", "200"),
    Front.HTTP1: (BEHIND, "200", "009"),
    Front.WRONG_MODE: (BEHIND, "502", "502"),
    Front.TWICE: ("127.0.0.1:4449", "502", "502"),
}


def judged(promise: Invariant, tape: BeaconTape) -> Sequence[Violation]:
    return list(promise.judge(tape.history()))


def noted(tape: BeaconTape, node: str, front: Front, time_s: float = 5.5) -> None:
    upstream, upstream_status, status = MET[front]
    told = {
        "way": front.name,
        "count": 1,
        "from_s": time_s,
        "to_s": time_s,
        "line": "POST /drand.Protocol/PartialBeacon HTTP/2.0",
        "status": status,
        "upstream": upstream,
        "upstream_status": upstream_status,
    }
    tape.add(20.0, node, "note", text="the proxy's log", handed_on=told)


def fronted(front: Front, *, others: Sequence[str] = NODES[1:], serves: bool = True) -> BeaconTape:
    """Five members in time; one call was handed on to each."""
    tape = BeaconTape()
    tape.level(1, 10)
    tape.add(20.0, "n1", "note", text="a ping", serves=serves)
    noted(tape, "n1", front)
    for node in others:
        noted(tape, node, Front.RIGHT)
    return tape


@pytest.mark.parametrize("front", Front)
def test_each_way_breaks_the_promise_that_names_it_and_no_other(front: Front) -> None:
    for of, promise in PROMISES.items():
        assert promise.kind is Kind.SAFETY
        found = judged(promise, fronted(front))
        assert len(found) == (of is front)
        for one in found:
            assert one.text.startswith("what ends TLS before n1 ")
            assert "1 of 1 calls of peers from 5.500 to 5.500 s" in one.text
            assert one.text.endswith(
                "while n1 itself ran, answered, and serves HTTP/2 in plaintext behind it"
            )
            assert not one.excusable


@pytest.mark.parametrize("front", [Front.HTTP1, Front.WRONG_MODE, Front.TWICE])
def test_a_proxy_is_not_blamed_for_a_member_that_is_not_well(front: Front) -> None:
    for state in ("stopped", "running"):  # gone; started, and not listening yet
        tape = fronted(Front.RIGHT)
        noted(tape, "n1", front, time_s=12.0)
        tape.state(11.0, "n1", state)
        tape.level(14, 16)
        tape.events.sort(key=lambda event: event.time_s)
        assert judged(PROMISES[front], tape) == []
    tape = fronted(Front.RIGHT)
    noted(tape, "n1", front, time_s=12.0)  # nobody has asked it since
    assert judged(PROMISES[front], tape) == []
    with pytest.raises(Inconclusive, match="the proxy before n1 is set up"):
        judged(PROMISES[front], fronted(front, serves=False))


def test_a_proxy_that_handed_nothing_on_is_not_known() -> None:
    tape = fronted(Front.RIGHT, others=NODES[1:3])
    with pytest.raises(Inconclusive, match="the proxy before n4 n5 is set up"):
        judged(calls_are_decrypted_once, tape)
    assert judged(calls_are_decrypted_once, fronted(Front.TWICE, others=()))


def test_a_log_is_noted_with_when_and_what_failed_one_by_one(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "history.jsonl")
    begun_s = datetime.fromisoformat(recorder.started_utc).timestamp()

    def line(after_s: float, front: Front, request: str = "POST /drand.Protocol/X HTTP/2.0") -> str:
        upstream, upstream_status, status = MET[front]
        return (
            f'{{"request":"{request}","at":"{begun_s + after_s:.3f}","status":"{status}",'
            f'"upstream":"{upstream}","upstream_status":"{upstream_status}","sent":"5"}}\n'
        )

    written = [line(1, Front.RIGHT), line(2, Front.RIGHT), "a word of nginx's own\n"]
    written += [line(3, Front.HTTP1), line(4, Front.HTTP1), line(5, Front.RIGHT, "POST /x HTTP/2")]
    (tmp_path / "n1").mkdir()
    (tmp_path / "n1" / LOG).write_text("".join(written))
    node = SimpleNamespace(log=SimpleNamespace(path=tmp_path / "n1" / "node.log"))
    met = Dial(Outcome.ANSWERED, 0.001)
    backend = SimpleNamespace(inside=lambda _node, _call, timeout_s: met if timeout_s else None)
    world = SimpleNamespace(nodes={"n1": node}, recorder=recorder, backend=backend)
    note_calls(cast("Cluster", world))
    ping, *notes = recorder.history().of("note")
    recorder.close()
    assert ping.value["serves"] is True
    told: list[dict[str, Any]] = [one.value["handed_on"] for one in notes]
    assert [(one["way"], one["count"], one["from_s"], one["to_s"]) for one in told] == [
        ("RIGHT", 2, pytest.approx(1.0, abs=0.002), pytest.approx(2.0, abs=0.002)),
        ("HTTP1", 1, pytest.approx(3.0, abs=0.002), pytest.approx(3.0, abs=0.002)),
        ("HTTP1", 1, pytest.approx(4.0, abs=0.002), pytest.approx(4.0, abs=0.002)),
    ]
