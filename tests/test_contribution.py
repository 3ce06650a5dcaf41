"""The promises of an upgrade step."""

from __future__ import annotations

import pytest

from chaoskit.contribution import contributed, margin_kept, promise_named, runs_release
from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Invariant
from chaoskit.system import Release
from tests.tape import Tape
from tests.test_rehearsal_plan import system

ONE, TWO = Release("1", version="1"), Release("2", version="2")


def violations(invariant: Invariant, history: History) -> int:
    return len(invariant.judge(history))


def paused(*, answered: str | None, until_s: float = 3.0) -> Tape:
    """C stands still from 1 s on; b is asked for a put at 1.5 s."""
    tape = Tape()
    tape.state(1.0, "c", "paused")
    tape.invoke(1.5, 0, "put", node="b")
    if answered is not None:
        invoked = len(tape.events) - 1
        tape.answer(1.6, invoked, "ok" if answered == "ok" else "fail")
    tape.state(until_s, "c", "running")
    tape.observe(until_s + 1, "a")
    return tape


def test_an_answer_of_a_quorum_that_needs_the_member_shows_that_it_contributes() -> None:
    kept = paused(answered="ok").history()
    assert violations(contributed("b", ONE, bound_s=1.0), kept) == 0


@pytest.mark.parametrize("answered", ["fail", None])
def test_a_member_whose_quorum_never_answers_does_not_contribute(answered: str | None) -> None:
    broken = paused(answered=answered).history()
    assert violations(contributed("b", ONE, bound_s=1.0), broken) == 1
    with pytest.raises(Inconclusive):  # it did not last long enough to tell
        contributed("b", ONE, bound_s=5.0).judge(broken)


def test_the_last_time_counts() -> None:
    tape = paused(answered="ok")
    tape.state(5.0, "c", "paused")
    tape.invoke(5.5, 0, "put", node="b")
    tape.state(7.0, "c", "running")
    tape.observe(8.0, "a")
    assert violations(contributed("b", ONE, bound_s=1.0), tape.history()) == 1


def test_without_a_quorum_that_needs_it_nothing_is_shown() -> None:
    tape = Tape()
    tape.operation(1.0, "put", node="b")
    with pytest.raises(Inconclusive):
        contributed("b", ONE, bound_s=1.0).judge(tape.history())
    with pytest.raises(Inconclusive):  # it was at another release then
        contributed("b", TWO, bound_s=1.0).judge(paused(answered="ok").history())
    with pytest.raises(Inconclusive):  # the one that stood still contributed nothing
        contributed("c", ONE, bound_s=1.0).judge(paused(answered="ok").history())


def moving(*news_s: float, until_s: float = 3.0) -> History:
    """A chain that moves by itself; c stands still from 1 s on."""
    tape = Tape(driven=False)
    tape.observe(0.5, "a", 10)
    tape.state(1.0, "c", "paused")
    for number, time_s in enumerate(news_s, start=11):
        for node in ("a", "b"):
            tape.observe(time_s, node, number)
    tape.state(until_s, "c", "running")
    tape.observe(until_s + 1, "a", 40)
    tape.observe(until_s + 2, "a", 41)
    return tape.history()


def test_what_moves_by_itself_moves_on_with_a_member_that_contributes() -> None:
    assert violations(contributed("b", ONE, bound_s=1.0), moving(1.2, 2.0)) == 0
    (found,) = contributed("b", ONE, bound_s=1.0).judge(moving(1.2))  # that may be from before
    assert "moved on 1 times from 1.000 to 3.000 s" in found.text
    with pytest.raises(Inconclusive):
        contributed("b", ONE, bound_s=5.0).judge(moving(1.2))
    with pytest.raises(Inconclusive):
        contributed("c", ONE, bound_s=1.0).judge(moving(1.2, 2.0))


def test_the_release_is_what_the_member_says_in_the_end() -> None:
    tape = Tape()
    tape.observe(1.0, "a")
    assert violations(runs_release("a", ONE), tape.history()) == 0
    assert violations(runs_release("a", TWO), tape.history()) == 1
    tape.no_answer(2.0, "a")
    tape.state(2.1, "a", "exited", signalled=False)
    (found,) = runs_release("a", ONE).judge(tape.history())
    assert "exited by itself" in found.text
    with pytest.raises(Inconclusive):
        runs_release("b", ONE).judge(tape.history())


def test_one_that_is_silent_for_a_moment_still_is_what_it_said_it_is() -> None:
    tape = Tape()
    tape.observe(1.0, "a")
    tape.no_answer(2.0, "a")
    assert violations(runs_release("a", ONE), tape.history()) == 0
    assert violations(runs_release("a", TWO), tape.history()) == 1
    tape.state(3.0, "a", "paused")
    tape.state(4.0, "a", "running")
    assert violations(runs_release("a", ONE), tape.history()) == 0, "it goes on, and is the same"
    tape.state(5.0, "a", "stopped")
    tape.state(6.0, "a", "running")
    tape.no_answer(7.0, "a")
    with pytest.raises(Inconclusive, match="a has not said what it is since it was started"):
        runs_release("a", ONE).judge(tape.history())
    tape.observe(8.0, "a")
    assert violations(runs_release("a", ONE), tape.history()) == 0


@pytest.mark.parametrize(("limit", "broken"), [(1, 1), (2, 0)])
def test_a_second_member_that_goes_down_costs_the_margin(limit: int, broken: int) -> None:
    tape = Tape()
    tape.state(1.0, "a", "stopped")
    tape.state(2.0, "b", "exited", signalled=False)
    tape.state(3.0, "b", "running")
    tape.state(4.0, "a", "running")
    tape.observe(5.0, "a")
    assert violations(margin_kept(limit), tape.history()) == broken


def test_what_our_own_faults_take_down_costs_no_margin() -> None:
    tape = Tape()
    tape.fault(0.9, 1, ["a", "b"])
    tape.state(1.0, "a", "paused")
    tape.state(1.1, "b", "paused")
    tape.state(2.0, "b", "running")
    tape.state(2.1, "a", "running")
    tape.evidence(2.2, 1, "heal")
    tape.observe(5.0, "a")
    assert violations(margin_kept(1), tape.history()) == 0
    with pytest.raises(Inconclusive):
        margin_kept(1).judge(History(()))


def test_each_promise_is_found_again_by_its_name() -> None:
    store = system("1", "2")
    for made in (runs_release("a", ONE), contributed("a", TWO, bound_s=1.0), margin_kept(2)):
        found = promise_named(made.name, store)
        assert found is not None
        assert (found.name, found.kind) == (made.name, made.kind)
    assert promise_named("a_runs_9", store) is None
    assert promise_named("no_fork", store) is None
