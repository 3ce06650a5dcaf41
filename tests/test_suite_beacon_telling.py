"""Members that tell, or do not, whom they cannot reach."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Violation
from chaoskit.verdict import Kind
from suites.beacon.telling import members_tell_within, told_of
from tests.beacon_tape import NODES, BeaconTape

WITHIN = members_tell_within(5, back_within_s=10)
OTHERS = NODES[1:]


def judged(history: History) -> Sequence[Violation]:
    return list(WITHIN.judge(history))


def cut(*, told_s: float | None = 12.0, over_s: float | None = 32.0) -> BeaconTape:
    """
    N1 is cut off from 10 to 30 s, everybody is seen each half second to 50 s.

    All others tell of it from `told_s` to `over_s`; n1 tells in time of all others.
    """
    tape = BeaconTape()
    tape.scope(1.0, "start")
    for half in range(4, 100):
        time_s = half / 2
        if time_s == 10.0:
            tape.part(time_s, ["n1"], OTHERS, cut=True)
        if time_s == 30.0:
            tape.part(time_s, ["n1"], OTHERS, cut=False)
        for node in OTHERS:
            says = told_s is not None and told_s <= time_s
            ended = over_s is not None and over_s <= time_s
            tape.sample(time_s + 0.1, node, 1, failing=["n1"] if says and not ended else [])
        tape.sample(time_s + 0.1, "n1", 1, failing=OTHERS if 11.0 <= time_s < 31.0 else ())
    return tape


def test_members_that_tell_in_time() -> None:
    assert WITHIN.kind is Kind.LIVENESS
    assert judged(cut().history()) == []
    told = list(told_of(cut().history()))
    assert len(told) == 16, "four pairs, both ways, gone and back"
    times = {(one.member == "n1", one.gone): round(one.after_s or 0, 1) for one in told}
    assert times == {
        (True, True): 1.1,
        (True, False): 1.1,
        (False, True): 2.1,
        (False, False): 2.1,
    }


@pytest.mark.parametrize(("told_s", "found"), [(14.5, 0), (15.0, 4), (None, 4)])
def test_members_that_tell_too_late(told_s: float | None, found: int) -> None:
    violations = judged(cut(told_s=told_s).history())
    assert len(violations) == found
    assert all("n1 is out of reach since 10.000 s" in one.text for one in violations)


def test_a_peer_that_is_back_may_be_told_later() -> None:
    assert judged(cut(over_s=36.0).history()) == []


@pytest.mark.parametrize("over_s", [41.0, None])
def test_members_that_do_not_tell_that_it_is_over(over_s: float | None) -> None:
    violations = judged(cut(over_s=over_s).history())
    assert len(violations) == 4
    assert all("n1 is back since 30.000 s" in one.text for one in violations)


def test_a_cut_shorter_than_the_bound_need_not_be_told() -> None:
    tape = BeaconTape()
    tape.scope(1.0, "start")
    tape.part(10.0, ["n1"], ["n2"], cut=True)
    tape.sample(12.0, "n1", 1)
    tape.part(14.0, ["n1"], ["n2"], cut=False)
    with pytest.raises(Inconclusive):
        judged(tape.history())


@pytest.mark.parametrize("state", ["stopped", "paused"])
def test_a_peer_that_does_not_run_is_out_of_reach(state: str) -> None:
    tape = BeaconTape()
    tape.scope(1.0, "start")
    tape.state(10.0, "n1", state)
    for node in OTHERS:
        tape.sample(12.0, node, 1, failing=["n1"] if node != "n3" else [])
        tape.sample(20.0, node, 1, failing=["n1"] if node != "n3" else [])
    (violation,) = judged(tape.history())
    assert violation.text.startswith("n3 said nothing")


def test_of_a_slow_link_a_member_may_say_either() -> None:
    tape = BeaconTape()
    tape.scope(1.0, "start")
    tape.link(10.0, "n1", "n2", cut=False, shape="latency")
    tape.sample(12.0, "n1", 1, failing=["n2"])
    tape.sample(20.0, "n1", 1)
    with pytest.raises(Inconclusive):
        judged(tape.history())


def test_what_was_so_before_the_test_is_not_owed_again() -> None:
    tape = cut(told_s=None)
    tape.scope(10.1, "start")
    tape.events = [event for event in tape.events if event.f != "scope" or event.time_s > 10]
    history = History(sorted(tape.history(), key=lambda event: event.time_s))
    assert {one.gone for one in told_of(history)} == {False}
