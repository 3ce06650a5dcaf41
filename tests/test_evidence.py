"""No evidence, no verdict: each missing piece is named with the fault and its targets."""

from __future__ import annotations

import pytest

from chaoskit.evidence import faults_were_felt
from chaoskit.history import History
from chaoskit.verdict import Verdict
from tests.tape import Tape


def whole() -> Tape:
    """One fault with two probes and two meters, and one change, with everything they owe."""
    tape = Tape()
    tape.fault(2.0, 1, ["a", "b"], name="SlowStorage")
    for probe in ("p", "q"):
        tape.evidence(2.1, 1, "effective", probe=probe, onset_s=0.1, detail="", again=False)
    tape.evidence(6.0, 1, "felt", meter="m", before=3, after=9)
    tape.evidence(6.0, 1, "felt", "fail", meter="n", before=3, after=3)
    for probe in ("p", "q"):
        tape.evidence(6.1, 1, "effective", probe=probe, onset_s=4.1, detail="", again=True)
    tape.evidence(6.2, 1, "heal", "invoke")
    tape.evidence(6.3, 1, "heal")
    for probe in ("p", "q"):
        tape.evidence(6.4, 1, "absent", probe=probe, after_s=0.1, detail="")
    tape.add(7.0, "chaoskit", "change", "invoke", id=2, change="Upgrade", fields={}, targets=["c"])
    tape.evidence(8.0, 2, "change")
    tape.evidence(8.1, 2, "witnessed", probe="version", after_s=0.1, detail="")
    tape.add(9.0, "chaoskit", "note", text="end")
    return tape


def renumbered(tape: Tape, gone: int) -> History:
    """Without one event and without the hole that it leaves."""
    kept = [event for event in tape.events if event.index != gone]
    return History(
        type(one)(at, one.time_s, one.process, one.type, one.f, one.value)
        for at, one in enumerate(kept)
    )


def test_everything_owed_is_there() -> None:
    assert faults_were_felt(whole().history()) == ()


SAYS = {
    "effective": "slow_storage on a b was",
    "felt": "slow_storage on a b was effective but never felt in 4.2 s: n, 3 -> 3",
    "heal": "slow_storage on a b was not healed",
    "absent": "slow_storage on a b was healed but not shown to be gone, by",
    "change": "upgrade on c was begun and not ended",
    "witnessed": "upgrade on c was not witnessed",
}
OWED = [
    event.index
    for event in whole().events
    if event.f in SAYS and (event.f, event.type) not in {("change", "invoke"), ("felt", "fail")}
]


@pytest.mark.parametrize("index", OWED)
def test_taking_out_any_evidence_is_invalid_and_says_what_is_missing(index: int) -> None:
    tape = whole()
    reasons = faults_were_felt(renumbered(tape, index))
    assert {one.verdict for one in reasons} == {Verdict.INVALID}
    assert {one.by for one in reasons} == {"faults_were_felt"}
    assert reasons[0].text.startswith(SAYS[tape.events[index].f])


@pytest.mark.parametrize("f", ["fault", "change"])
def test_evidence_of_a_fault_that_never_began_proves_nothing(f: str) -> None:
    tape = whole()
    gone = next(event.index for event in tape.events if (event.f, event.type) == (f, "invoke"))
    (reason,) = faults_were_felt(renumbered(tape, gone))
    assert reason.verdict is Verdict.INVALID
    assert "whose beginning is not in the history" in reason.text


@pytest.mark.parametrize("index", range(1, len(whole().events) - 1))
def test_any_event_that_was_taken_out_is_a_hole(index: int) -> None:
    reasons = faults_were_felt(whole().history(without=[index]))
    assert reasons[-1].by == "record"
    assert reasons[-1].events == (index - 1, index + 1)
    assert {one.verdict for one in reasons} == {Verdict.INVALID}


def test_holes_before_a_scope_are_the_cut_of_the_slice() -> None:
    tape = Tape()
    tape.add(1.0, "chaoskit", "note", text="not carried over")
    tape.scope(2.0, "start")
    tape.scope(3.0, "end")
    assert faults_were_felt(tape.history(without=[4])) == ()


@pytest.mark.parametrize(
    ("f", "again", "verdict", "says"),
    [
        ("effective", False, Verdict.INVALID, "was not seen to be effective: p, it shrugged"),
        ("effective", True, Verdict.INVALID, "not shown to be so still just before its heal, by p"),
        ("felt", None, Verdict.INVALID, "was effective but never felt"),
        ("heal", None, Verdict.INFRA, "its heal failed"),
        ("absent", None, Verdict.INVALID, "was healed but not shown to be gone, by p"),
        ("change", None, Verdict.INFRA, "upgrade on c: the change failed"),
        ("witnessed", None, Verdict.INVALID, "upgrade on c was not witnessed"),
    ],
)
def test_evidence_that_failed(f: str, again: bool | None, verdict: Verdict, says: str) -> None:  # noqa: FBT001
    tape = whole()
    at = next(
        event
        for event in tape.events
        if event.f == f and event.type == "ok" and event.value.get("again") in (again, None)
    )
    value = at.value | {"detail": "it shrugged"}
    tape.events[at.index] = type(at)(at.index, at.time_s, at.process, "fail", f, value)
    reasons = faults_were_felt(tape.history())
    assert reasons[0].verdict is verdict
    assert says in reasons[0].text


def test_a_meter_that_did_not_grow_was_not_felt() -> None:
    tape = whole()
    at = next(event for event in tape.events if event.f == "felt" and event.type == "ok")
    value = at.value | {"after": at.value["before"]}
    tape.events[at.index] = type(at)(at.index, at.time_s, at.process, "ok", "felt", value)
    assert "never felt" in faults_were_felt(tape.history())[0].text


@pytest.mark.parametrize(
    ("f", "time_s"), [("effective", 6.25), ("felt", 6.25), ("absent", 6.25), ("absent", 2.0)]
)
def test_evidence_at_the_wrong_time_is_none(f: str, time_s: float) -> None:
    """Effective and felt after the heal began, absent before it ended."""
    tape = whole()
    moved = [
        type(one)(0, time_s if one.f == f else one.time_s, one.process, one.type, one.f, one.value)
        for one in tape.events
    ]
    moved.sort(key=lambda one: one.time_s)
    history = History(
        type(one)(at, one.time_s, one.process, one.type, one.f, one.value)
        for at, one in enumerate(moved)
    )
    reasons = faults_were_felt(history)
    assert {one.verdict for one in reasons} == {Verdict.INVALID}
