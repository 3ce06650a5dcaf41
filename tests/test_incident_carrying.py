"""What carries calls: plaintext where there must be none, and new connections beside kept ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from chaoskit.errors import Inconclusive
from chaoskit.history import EventType
from chaoskit.invariant import Invariant, Violation
from chaoskit.verdict import Kind
from suites.incidents.carrying import (
    a_restart_of_either_end_heals,
    members_without_tls_are_named,
    new_and_kept_connections_fare_alike,
    no_connection_is_plaintext,
    with_refusals_heard,
)
from suites.incidents.dialled import connections_of
from tests.beacon_tape import BeaconTape

NAMED = members_without_tls_are_named(within_s=3)
ALIKE = new_and_kept_connections_fare_alike()
HEALED = a_restart_of_either_end_heals(within_s=6)


def judged(invariant: Invariant, tape: BeaconTape) -> Sequence[Violation]:
    return list(invariant.judge(tape.history()))


def heard(
    tape: BeaconTape,
    time_s: float,
    link: str,
    event: str = "stands",
    *,
    number: int = 1,
    mode: str = "tls",
    met: str = "tls",
    opened_s: float | None = None,
) -> int:
    """What a tap says of a connection."""
    kinds: dict[str, EventType] = {"stands": "ok", "failed": "fail"}
    source, target = link.split(">")
    return tape.add(
        time_s,
        "chaoskit",
        "connection",
        kinds.get(event, "info"),
        number=number,
        source=source,
        target=target,
        event=event,
        mode=mode,
        met=met,
        opened_s=opened_s,
    )


# ---- row A7 --------------------------------------------------------------------------------------


def spoken(mode: str, event: str = "stands", met: str = "http/2") -> BeaconTape:
    """N2 dials n1 by TLS, which fails, and then so; n1 dials n2 by TLS."""
    tape = BeaconTape()
    heard(tape, 1.0, "n1>n2", opened_s=0.9)
    heard(tape, 2.0, "n2>n1", "failed", number=2, met="http/2", opened_s=1.9)
    heard(tape, 2.2, "n2>n1", event, number=3, mode=mode, met=met, opened_s=2.1)
    return tape


def test_a_network_without_plaintext() -> None:
    assert no_connection_is_plaintext.kind is Kind.SAFETY
    assert judged(no_connection_is_plaintext, spoken("tls", met="tls")) == []
    assert judged(no_connection_is_plaintext, spoken("plaintext", "failed", met="http/1")) == []


def test_a_connection_in_plaintext() -> None:
    tape = spoken("plaintext")
    heard(tape, 3.0, "n2>n1", number=4, mode="plaintext", met="http/2", opened_s=2.9)
    (found,) = judged(no_connection_is_plaintext, tape)
    assert found.text.startswith("n2 speaks plaintext to n1 since 2.200 s")
    assert found.text.endswith("2 such connections")
    assert tape.events[found.events[0]].value["number"] == 3


def test_who_was_not_heard_is_not_cleared() -> None:
    with pytest.raises(Inconclusive, match="nobody listened"):
        judged(no_connection_is_plaintext, BeaconTape())
    tape = BeaconTape()
    heard(tape, 1.0, "n1>n2", "failed", met="nothing", opened_s=0.9)
    with pytest.raises(Inconclusive, match="no connection between members stood"):
        judged(no_connection_is_plaintext, tape)


def refused(*, failing: Sequence[str], last: Sequence[str] | None = None) -> BeaconTape:
    """N2 meets plaintext at n1 from 2 s on, and says so at 4 s, at 6 s and at 7 s."""
    tape = spoken("tls", "failed", met="http/2")
    tape.sample(4.0, "n2", 4)
    tape.sample(6.0, "n2", 6, failing=failing)
    tape.sample(7.0, "n2", 7, failing=failing if last is None else last)
    return tape


def test_who_cannot_serve_tls_is_named() -> None:
    assert NAMED.kind is Kind.LIVENESS
    assert judged(NAMED, refused(failing=["n1"])) == []


@pytest.mark.parametrize(("failing", "last"), [((), None), (("n1",), ("n3",))])
def test_who_cannot_serve_tls_is_not_named(
    failing: Sequence[str], last: Sequence[str] | None
) -> None:
    (found,) = judged(NAMED, refused(failing=failing, last=last))
    assert found.text.startswith("n2 met plaintext at n1 (2.000 s), and more than 3 s later, at ")


def test_each_process_has_its_own_meeting() -> None:
    tape = refused(failing=["n1"])
    tape.state(8.0, "n2", "running")
    tape.sample(8.5, "n2", 8)
    heard(tape, 9.0, "n2>n1", "failed", number=5, met="http/2", opened_s=8.9)
    tape.sample(11.0, "n2", 11)
    assert judged(NAMED, tape) == [], "nothing is owed yet"
    tape.sample(12.5, "n2", 12)
    (found,) = judged(NAMED, tape)
    assert "(9.000 s)" in found.text


def test_nobody_met_plaintext_or_was_asked_later() -> None:
    tape = BeaconTape()
    heard(tape, 1.0, "n1>n2", opened_s=0.9)
    heard(tape, 1.2, "n2>n1", "failed", number=2, met="nothing", opened_s=1.1)
    tape.sample(6.0, "n2", 6)
    with pytest.raises(Inconclusive, match="no member's dial by TLS met plaintext"):
        judged(NAMED, tape)
    tape = spoken("tls", "failed", met="http/2")
    tape.sample(4.0, "n2", 4)
    with pytest.raises(Inconclusive, match="no member was asked 3 s after"):
        judged(NAMED, tape)


# ---- row A5 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "met", "opened_s", "excusable"),
    [
        ("n1>n2", "http/1", 8.0, False),
        ("n1>n2", "nothing", 8.0, True),
        ("n1>n2", "http/1", 5.0, True),  # before the link was whole
        ("n2>n1", "http/1", 8.0, True),  # of the other way that violation says nothing
    ],
)
def test_a_stall_does_not_refuse(link: str, met: str, opened_s: float, *, excusable: bool) -> None:
    tape = BeaconTape()
    tape.link(2.0, "n1", "n2", cut=True)
    at = tape.link(6.0, "n1", "n2", cut=False)
    heard(tape, opened_s + 0.1, link, "failed", mode="plaintext", met=met, opened_s=opened_s)
    late = Violation("n1 did not reach n2", (at,), span_s=(6.0, 36.0))
    plain = Invariant("links_come_back", Kind.LIVENESS, lambda _: [late])
    with_wire = with_refusals_heard(plain)
    assert (with_wire.name, with_wire.kind) == (plain.name, plain.kind)
    (found,) = judged(with_wire, tape)
    assert found.excusable is excusable


# ---- row A6 --------------------------------------------------------------------------------------


def healed(
    anew: str = "stands", *, mode: str = "tls", kept_s: float = 8.0, opened_s: float | None = None
) -> BeaconTape:
    """
    N3 has a connection to n2; n1 and n2 are cut off from each other from 2 to 6 s; n1 dials anew.

    N3's connection carries an answer at `kept_s`.
    """
    tape = BeaconTape()
    heard(tape, 1.0, "n3>n2", number=1, opened_s=opened_s)
    tape.fault(2.0, 1, ["n1", "n2"])
    heard(tape, 4.0, "n1>n2", "failed", number=2, mode=mode, met="nothing", opened_s=3.9)
    tape.evidence(6.0, 1, "heal")
    heard(tape, 6.2, "n1>n2", "failed", number=3, mode=mode, met="nothing", opened_s=5.9)
    met = "tls" if anew == "stands" else "http/1"
    heard(tape, 7.0, "n1>n2", anew, number=4, mode=mode, met=met, opened_s=6.9)
    heard(tape, kept_s, "n3>n2", "carries", number=1, opened_s=opened_s)
    tape.sample(8.5, "n1", 8, failing=[] if anew == "stands" else ["n2"])
    return tape


def test_new_connections_fare_as_kept_ones() -> None:
    assert ALIKE.kind is Kind.LIVENESS
    assert judged(ALIKE, healed()) == []
    assert judged(ALIKE, healed(opened_s=0.9)) == []


def test_new_connections_fail_where_kept_ones_carry() -> None:
    tape = healed("failed", mode="plaintext")
    (found,) = judged(ALIKE, tape)
    assert found.text.startswith(
        "n1 dialled n2 anew at 6.900 s, in plaintext, and met http/1; the connection of n3, kept"
    )
    assert not found.excusable
    heard(tape, 9.0, "n1>n2", number=5, opened_s=8.9)  # one that stands beside it hides nothing
    assert len(judged(ALIKE, tape)) == 1


def test_without_a_pair_new_and_kept_are_not_told_apart() -> None:
    for tape in (
        healed(kept_s=5.0),  # it carried nothing after the heal
        healed(opened_s=2.5),  # it was opened under the fault
        BeaconTape(),
    ):
        with pytest.raises(Inconclusive):
            judged(ALIKE, tape)
    tape = healed("failed", mode="plaintext", kept_s=9.0)
    tape.events = [one for one in tape.events if one.value.get("number") != 4]
    with pytest.raises(Inconclusive, match="dialled anew and reached"):
        judged(ALIKE, tape)
    heard(tape, 9.5, "n1>n2", number=4, opened_s=9.4)
    tape.sample(9.9, "n1", 9, failing=["n2"])
    with pytest.raises(Inconclusive, match="dialled anew and reached"):
        judged(ALIKE, tape)  # it stands, and calls go another way
    tape.sample(10.9, "n1", 10)
    assert judged(ALIKE, tape) == []


def test_what_follows_the_next_change_is_no_matter_of_the_heal() -> None:
    tape = healed()
    restarted(tape, 9.0, "n2", 2)
    heard(tape, 9.4, "n1>n2", "failed", number=6, met="nothing", opened_s=9.3)
    assert judged(ALIKE, tape) == []


def restarted(tape: BeaconTape, time_s: float, node: str, identity: int) -> None:
    """A restart that begins then and takes half a second."""
    tape.add(
        time_s,
        "chaoskit",
        "change",
        "invoke",
        id=identity,
        change="Restart",
        fields={"node": node, "how": "stop"},
        targets=[node],
    )
    tape.add(time_s + 0.5, "chaoskit", "change", "ok", id=identity)


def dialled(
    tape: BeaconTape, from_s: float, node: str, number: int, *, unreached: str = ""
) -> None:
    """All links of a member that was restarted are dialled anew; `unreached` does not reach it."""
    peers = [one for one in ("n1", "n2", "n3", "n4", "n5") if one != node]
    for place, peer in enumerate(peers):
        for way, link in enumerate((f"{node}>{peer}", f"{peer}>{node}")):
            at = number + 2 * place + way
            heard(tape, from_s + 1.0, link, number=at, opened_s=from_s + 0.9)
    for one in ("n1", "n2", "n3", "n4", "n5"):
        tape.sample(from_s + 2.0, one, 5, failing=[node] if one == unreached else [])


def both_ends_restarted(*, unreached: str = "") -> BeaconTape:
    """After the heal first n2 is restarted, whom n1 dials, then n1."""
    tape = healed()
    restarted(tape, 10.0, "n2", 2)
    dialled(tape, 10.5, "n2", 100, unreached=unreached)
    tape.sample(16.8, "n1", 9, failing=["n2"] if unreached else [])
    restarted(tape, 20.0, "n1", 3)
    dialled(tape, 20.5, "n1", 200)
    return tape


def test_a_restart_of_either_end() -> None:
    assert HEALED.kind is Kind.LIVENESS
    assert judged(HEALED, both_ends_restarted()) == []


def test_only_a_restart_of_the_dialler_heals() -> None:
    (found,) = judged(HEALED, both_ends_restarted(unreached="n1"))
    assert found.text.startswith("the listener of n1>n2, n2, was restarted at 10.500 s, and n1 did")
    assert found.text.endswith("connections since: 1 x tls stands")
    assert found.excusable
    tape = both_ends_restarted(unreached="n1")
    for event in tape.events:
        value = event.value
        if value.get("number") == 101:
            value.update(event="failed", mode="plaintext", met="http/1")
    tape.events = [
        replace(one, type="fail") if one.value.get("event") == "failed" else one
        for one in tape.events
    ]
    (found,) = judged(HEALED, tape)
    assert found.text.endswith("connections since: 1 x plaintext met http/1")
    assert not found.excusable


def test_a_member_that_says_nothing_of_a_peer_has_to_be_heard_dialling_it() -> None:
    """Who was just started names nobody, because nothing was tried."""
    tape = both_ends_restarted()
    tape.events = [
        one
        for one in tape.events
        if not (one.f == "connection" and one.value["source"] == "n1" and one.time_s > 20)
        or one.value["target"] != "n2"
    ]
    with pytest.raises(Inconclusive, match="n1 was not given 6 s"):
        judged(HEALED, tape)
    tape.sample(27.0, "n1", 9)
    (found,) = judged(HEALED, tape)
    assert found.text.startswith("the dialler of n1>n2, n1, was restarted")
    assert found.text.endswith("connections since: none")


def test_restarts_before_the_heal_prove_nothing() -> None:
    tape = BeaconTape()
    restarted(tape, 1.0, "n1", 2)
    for one in (tape, healed()):
        with pytest.raises(Inconclusive, match="no member was restarted after a heal"):
            judged(HEALED, one)


@pytest.mark.parametrize(
    ("event", "mode", "met", "refused"),
    [
        ("failed", "plaintext", "http/1", True),
        ("failed", "plaintext", "tls", True),
        ("failed", "tls", "http/2", True),
        ("failed", "tls", "tls", False),  # a handshake without an end
        ("failed", "tls", "nothing", False),
        ("stands", "tls", "tls", False),
    ],
)
def test_a_refusal_is_an_answer_in_another_mode(
    event: str, mode: str, met: str, *, refused: bool
) -> None:
    tape = BeaconTape()
    heard(tape, 1.0, "n1>n2", event, mode=mode, met=met, opened_s=0.9)
    (found,) = connections_of(tape.history())
    assert found.refused is refused


def test_connections_of_two_taps_are_told_apart() -> None:
    tape = BeaconTape()
    heard(tape, 1.0, "n1>n2", opened_s=0.9)
    heard(tape, 2.0, "n3>n2", opened_s=1.9)
    heard(tape, 3.0, "n3>n2", "carries", opened_s=1.9)
    heard(tape, 4.0, "n3>n2", "ended", opened_s=1.9)
    found = connections_of(tape.history())
    assert [(one.link, one.spoke_s) for one in found] == [("n1>n2", (1.0,)), ("n3>n2", (2.0, 3.0))]
