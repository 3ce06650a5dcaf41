"""A beacon's safety promises, each on a history that keeps it and one that differs by an event."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Invariant, Violation
from chaoskit.verdict import Kind
from suites.beacon.invariants import (
    PROMISES,
    every_signature_verifies,
    future_rounds_are_refused,
    no_round_before_its_time,
    no_round_is_missing,
    no_round_without_a_threshold,
    one_signature_a_round,
    the_chain_stays_the_same,
)
from tests.beacon_tape import BeaconTape, due_s, signature

FOREIGN = 8  # another group's secret


def judged(invariant: Invariant, history: History) -> Sequence[Violation]:
    return list(invariant.judge(history))


def whole() -> BeaconTape:
    """Six rounds in time, read and kept; a question for a round that is not due, refused."""
    tape = BeaconTape()
    tape.info(0.1)
    tape.level(1, 6)
    tape.get(5.5, "n2", 6)
    tape.ahead(5.6, "n3", cause="status 404")
    tape.info(5.7, "n4")
    tape.snapshots(5.9, 6)
    return tape


@pytest.mark.parametrize("promise", PROMISES, ids=lambda one: one.name)
def test_a_chain_in_order_keeps_every_promise(promise: Invariant) -> None:
    assert promise.kind is Kind.SAFETY
    assert judged(promise, whole().history()) == []


@pytest.mark.parametrize("promise", PROMISES[:-1], ids=lambda one: one.name)
def test_nothing_seen_is_no_evidence(promise: Invariant) -> None:
    with pytest.raises(Inconclusive):
        judged(promise, BeaconTape().history())


@pytest.mark.parametrize("promise", PROMISES, ids=lambda one: one.name)
def test_two_clusters_are_not_judged_together(promise: Invariant) -> None:
    tape = whole()
    tape.cluster(7.0, ("m1",), name="c2")
    with pytest.raises(Inconclusive, match="2 clusters"):
        judged(promise, tape.history())


# -- one signature a round ---------------------------------------------------------------------


def test_two_signatures_of_one_round_are_a_fork() -> None:
    tape = whole()
    odd = tape.sample(6.1, "n5", 6, shown=signature(6, secret=FOREIGN))
    (violation,) = judged(one_signature_a_round, tape.history())
    assert odd in violation.events
    assert "round 6" in violation.text
    assert "n5" in violation.text


def test_what_is_kept_counts_too() -> None:
    tape = whole()
    kept = [signature(number) for number in range(1, 7)]
    tape.snapshot(6.1, "n5", [kept[0], signature(2, secret=FOREIGN), *kept[2:]])
    (violation,) = judged(one_signature_a_round, tape.history())
    assert "round 2" in violation.text


def test_one_member_alone_shows_no_agreement() -> None:
    tape = BeaconTape()
    tape.sample(0.3, "n1", 1)
    tape.sample(0.5, "n1", 1)
    with pytest.raises(Inconclusive):
        judged(one_signature_a_round, tape.history())


# -- the chain ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"public_key": "00"},
        {"schemeID": "pedersen-bls-unchained"},
        {"groupHash": "00"},
        {"period": 2},
        {"genesis_time": 1},
    ],
    ids=str,
)
def test_a_member_of_another_chain_is_found(other: dict[str, object]) -> None:
    tape = whole()
    odd = tape.info(6.1, "n5", **other)
    (violation,) = judged(the_chain_stays_the_same, tape.history())
    assert violation.events == (odd,)


# -- signatures --------------------------------------------------------------------------------


def test_a_signature_of_another_group_is_found() -> None:
    tape = whole()
    odd = tape.get(6.1, "n5", 6, signature=signature(6, secret=FOREIGN), randomness="")
    (violation,) = judged(every_signature_verifies, tape.history())
    assert odd in violation.events


def test_a_signature_over_another_round_before_is_found() -> None:
    tape = whole()
    tape.get(6.1, "n5", 6, previous_signature=signature(4))
    (violation,) = judged(every_signature_verifies, tape.history())
    assert "round 6" in violation.text


def test_what_an_observer_saw_is_verified() -> None:
    tape = BeaconTape()
    tape.info(0.1)
    tape.sample(0.3, "n1", 1)
    tape.sample(1.3, "n2", 2, shown=signature(2, secret=FOREIGN))
    (violation,) = judged(every_signature_verifies, tape.history())
    assert "n2" in violation.text


def test_what_is_no_signature_at_all_is_found() -> None:
    tape = whole()
    tape.get(6.1, "n5", 6, signature="no hex", randomness="")
    assert len(judged(every_signature_verifies, tape.history())) == 1


def test_randomness_that_is_not_the_hash_is_found() -> None:
    tape = whole()
    odd = tape.get(6.1, "n5", 6, randomness="00" * 32)
    (violation,) = judged(every_signature_verifies, tape.history())
    assert odd in violation.events
    assert "randomness" in violation.text


def test_an_unknown_scheme_cannot_be_judged() -> None:
    tape = BeaconTape()
    tape.info(0.1, schemeID="bls-bn254-unchained-on-g1")
    tape.sample(0.3, "n1", 1)
    with pytest.raises(Inconclusive, match="bn254"):
        judged(every_signature_verifies, tape.history())


# -- before its time ---------------------------------------------------------------------------


def test_a_round_before_its_time_is_found() -> None:
    tape = whole()
    odd = tape.sample(6.1, "n5", 8)  # due at 7.0 s
    (violation,) = judged(no_round_before_its_time, tape.history())
    assert odd in violation.events
    assert "0.900 s before it was due" in violation.text


def test_a_round_when_it_is_due_is_none() -> None:
    tape = whole()
    tape.sample(due_s(8), "n5", 8)
    assert judged(no_round_before_its_time, tape.history()) == []


def test_a_future_round_that_is_served_is_found() -> None:
    tape = whole()
    odd = tape.ahead(6.1, "n5", 15)
    (violation,) = judged(future_rounds_are_refused, tape.history())
    assert odd in violation.events


@pytest.mark.parametrize("cause", ["timed_out", "refused"])
def test_a_member_that_did_not_answer_refused_nothing(cause: str) -> None:
    tape = BeaconTape()
    tape.info(0.1)
    tape.ahead(0.2, "n1", cause=cause)
    with pytest.raises(Inconclusive):
        judged(future_rounds_are_refused, tape.history())


def test_a_round_that_has_come_due_meanwhile_may_be_served() -> None:
    tape = whole()
    tape.ahead(9.1, "n5", 10)
    assert judged(future_rounds_are_refused, tape.history()) == []


# -- missing rounds ----------------------------------------------------------------------------


def test_a_hole_in_what_a_member_keeps_is_found() -> None:
    tape = whole()
    kept = [signature(number) for number in range(1, 7)]
    odd = tape.snapshot(6.1, "n5", [*kept[:3], None, *kept[4:]])
    (violation,) = judged(no_round_is_missing, tape.history())
    assert violation.events == (odd,)
    assert "lacks 4" in violation.text


def test_what_was_not_answered_is_not_called_missing() -> None:
    tape = whole()
    kept = [signature(number) for number in range(1, 7)]
    tape.snapshot(6.1, "n5", [*kept[:3], None, *kept[4:]], unanswered=[4])
    with pytest.raises(Inconclusive, match="n5"):
        judged(no_round_is_missing, tape.history())


def test_a_member_that_runs_has_to_be_read() -> None:
    tape = BeaconTape()
    tape.snapshot(1.0, "n1", [signature(1)])
    with pytest.raises(Inconclusive, match="n2 n3 n4 n5"):
        judged(no_round_is_missing, tape.history())
    for node in ("n2", "n3", "n4", "n5"):
        tape.state(2.0, node, "stopped")
    assert judged(no_round_is_missing, tape.history()) == []


# -- below the threshold -----------------------------------------------------------------------


def halted(newest_meanwhile: int, *, shown_s: float = 13.0) -> BeaconTape:
    """Three members are down from 10 to 20 s; the others show a round in that time."""
    tape = BeaconTape()
    tape.info(0.1)
    tape.level(1, 10)
    for node in ("n1", "n2", "n3"):
        tape.state(10.0, node, "stopped")
    tape.sample(shown_s, "n4", newest_meanwhile)
    for node in ("n1", "n2", "n3"):
        tape.state(20.0, node, "running")
    return tape


def test_a_round_without_a_threshold_is_found() -> None:
    assert judged(no_round_without_a_threshold, halted(10).history()) == []
    (violation,) = judged(no_round_without_a_threshold, halted(12).history())
    assert "newer than 10" in violation.text
    assert len(violation.events) == 2


def test_a_round_whose_partials_may_have_come_before_is_none() -> None:
    """Round 11 is due when the members go down, and signed by then by a clock that is ahead."""
    assert due_s(11) == 10.0
    assert judged(no_round_without_a_threshold, halted(11).history()) == []


@pytest.mark.parametrize(("between_s", "found"), [((12.0, 12.9), 0), ((9.0, 9.9), 1)])
def test_partials_of_one_after_the_other_make_a_round(
    between_s: tuple[float, float], found: int
) -> None:
    """n4 hears n5, then n1, then n5: a threshold of three with itself, though never at once."""
    tape = BeaconTape()
    tape.info(0.1)
    tape.level(1, 8)
    for node in ("n2", "n3"):
        tape.state(8.0, node, "stopped")
    first_s, last_s = between_s
    for at_s, other, cut in (
        (8.0, "n1", True),
        (first_s, "n5", True),
        (first_s, "n1", False),
        (last_s, "n1", True),
        (last_s, "n5", False),
    ):
        tape.link(at_s, "n4", other, cut=cut)
        tape.link(at_s, other, "n4", cut=cut)
        if at_s == 8.0:
            tape.link(at_s, "n1", "n5", cut=True)
            tape.link(at_s, "n5", "n1", cut=True)
    tape.sample(14.0, "n4", 13)
    tape.state(20.0, "n2", "running")
    assert len(judged(no_round_without_a_threshold, tape.history())) == found


@pytest.mark.parametrize(("shown_s", "found"), [(11.4, 0), (11.6, 1)])
def test_a_round_that_was_under_way_is_none(shown_s: float, found: int) -> None:
    tape = BeaconTape()
    tape.info(0.1)
    tape.level(1, 10)
    for node in ("n1", "n2", "n3"):
        tape.state(10.0, node, "stopped")
    tape.sample(shown_s, "n4", 12)
    tape.sample(14.0, "n5", 12)
    tape.state(20.0, "n1", "running")
    violations = judged(no_round_without_a_threshold, tape.history())
    assert len(violations) == found


def test_nobody_asked_meanwhile_is_no_evidence() -> None:
    tape = BeaconTape()
    tape.level(1, 10)
    for node in ("n1", "n2", "n3"):
        tape.state(10.0, node, "stopped")
    tape.state(20.0, "n1", "running")
    with pytest.raises(Inconclusive):
        judged(no_round_without_a_threshold, tape.history())


def test_a_stretch_between_two_looks_needs_no_evidence() -> None:
    tape = BeaconTape()
    tape.level(1, 10)
    for node in ("n1", "n2", "n3"):
        tape.state(10.0, node, "stopped")
    tape.state(12.0, "n1", "running")
    tape.sample(12.5, "n1", 11)
    assert judged(no_round_without_a_threshold, tape.history()) == []
