"""The margin to the threshold, as it is and as it shows, and the promise between the two."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Violation
from chaoskit.judge import judge
from chaoskit.verdict import Kind
from suites.beacon.margin import losses, margin_is_told, real_margin, shown_margin
from tests.beacon_tape import NODES, BeaconTape

TOLD = margin_is_told(period_s=1)
LIMIT_S = 10.0
OTHERS = NODES[1:]


def judged(history: History) -> Sequence[Violation]:
    return list(TOLD.judge(history))


def cut(*, told_s: float | None, until_s: float = 40.0, end_s: float = 60.0) -> BeaconTape:
    """N1 and n2 are cut off from the others from 20 s on; each of these says so from `told_s`."""
    tape = BeaconTape()
    tape.scope(1.0, "start")
    for tenth in range(20, int(end_s * 2)):
        time_s = tenth / 2
        if time_s in {20.0, until_s}:
            tape.part(time_s, ["n1", "n2"], NODES[2:], cut=time_s == 20.0)
        apart = told_s is not None and told_s <= time_s < until_s
        for node in NODES:
            far = NODES[2:] if node in {"n1", "n2"} else NODES[:2]
            tape.sample(time_s + 0.1, node, 1, failing=far if apart else ())
    return tape


def test_the_margin_as_it_is_and_as_it_shows() -> None:
    history = cut(told_s=22.0).history()
    real = {step.time_s: step.margin for step in real_margin(history)}
    assert (real[20.0], real[40.0]) == (0, 2)
    shown = {step.time_s: step.margin for step in shown_margin(history)}
    assert list(shown.items())[-2:] == [(22.1, 0), (40.1, 2)]


def test_what_it_took_to_show_is_measured() -> None:
    history = cut(told_s=22.0).history()
    assert judged(history) == []
    (loss,) = losses(history)
    assert (loss.before, loss.after, loss.since_s, loss.end_s) == (2, 0, 20.0, 40.0)
    assert loss.seen_after_s == pytest.approx(2.1)
    (figure,) = TOLD.measure(history)
    assert figure.value_s == pytest.approx(2.1)
    assert figure.limit_s == LIMIT_S
    assert figure.text == "the margin fell from 2 to 0 at 20.000 s; until it showed"
    (promise,) = judge(history, [TOLD]).promises
    assert promise.measured == (figure,)


@pytest.mark.parametrize(("told_s", "found"), [(29.5, 0), (30.0, 1), (None, 1)])
def test_a_margin_that_does_not_show_in_time(told_s: float | None, found: int) -> None:
    assert TOLD.kind is Kind.LIVENESS
    violations = judged(cut(told_s=told_s).history())
    assert len(violations) == found
    when = "after 10.100 s" if told_s else "never in 20.000 s"
    assert all(when in one.text for one in violations)


def test_a_loss_that_is_over_before_the_limit_is_measured_and_not_owed() -> None:
    history = cut(told_s=None, until_s=28.0).history()
    assert judged(history) == []
    assert [one.seen_after_s for one in losses(history)] == [None]
    assert [one.value_s for one in TOLD.measure(history)] == [None]


def test_a_member_that_is_down_shows_by_its_silence() -> None:
    tape = BeaconTape()
    tape.scope(1.0, "start")
    for node in NODES:
        tape.sample(5.0, node, 1)
    tape.state(10.0, "n1", "stopped")
    tape.add(10.3, "n1", "observe", "fail", cause="refused")
    for node in OTHERS:
        tape.sample(30.0, node, 1, failing=["n1"])
    (loss,) = losses(tape.history())
    assert (loss.before, loss.after) == (2, 1)
    assert loss.seen_after_s == pytest.approx(0.3)
    assert judged(tape.history()) == []


def test_links_that_go_one_after_the_other_are_one_loss() -> None:
    tape = BeaconTape()
    tape.scope(1.0, "start")
    for node in NODES:
        tape.sample(5.0, node, 1)
    for number, node in enumerate(OTHERS):
        tape.part(10.0 + number / 10, ["n1"], [node], cut=True)
    for number, node in enumerate(NODES[2:]):
        tape.part(10.3 + number / 10, ["n2"], [node], cut=True)
    for node in NODES:
        tape.sample(12.0, node, 1, failing=NODES[:2] if node in NODES[2:] else NODES[2:])
    (loss,) = losses(tape.history())
    assert (loss.before, loss.after) == (2, 0)
    assert loss.since_s == pytest.approx(10.5)


def test_nobody_who_was_asked_is_no_evidence() -> None:
    tape = BeaconTape()
    tape.scope(1.0, "start")
    for node in NODES:
        tape.sample(5.0, node, 1)
    tape.state(10.0, "n1", "paused")
    tape.state(30.0, "n1", "running")
    tape.sample(31.0, "n1", 1)
    with pytest.raises(Inconclusive):
        judged(tape.history())


def test_a_margin_that_never_fell_owes_nothing() -> None:
    tape = BeaconTape()
    tape.scope(1.0, "start")
    tape.level(1, 9)
    assert judged(tape.history()) == []
    assert TOLD.measure(tape.history()) == []


def test_what_fell_before_the_test_is_not_owed_again() -> None:
    tape = cut(told_s=None)
    tape.scope(20.5, "start")
    tape.events = [event for event in tape.events if event.f != "scope" or event.time_s > 20]
    history = History(sorted(tape.history(), key=lambda event: event.time_s))
    assert losses(history) == []
