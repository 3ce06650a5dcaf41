"""Members whose wall clock is wrong: ahead, behind, jumping or drifting; one, some, too many."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from faults.kill import Kill
from faults.wrong_clock import WrongClock

pytestmark = pytest.mark.chaos(clocks=True)


@pytest.mark.parametrize("ahead_s", [10.0, pytest.param(-10.0, marks=pytest.mark.nightly)])
def test_one_wrong_clock_costs_no_round(beacon: Cluster, ahead_s: float) -> None:
    """
    Goal: a member whose clock is ahead, or behind, costs no round and lets none be made early.
    Runbook: one member's clock is set wrong by ten seconds for five rounds, and set right.
    Success: every round in time and none before it, no fork, all level within 20 s.
    """
    with inject(WrongClock("n1", ahead_s=ahead_s), into=beacon) as fault:
        fault.await_felt(timeout_s=10)
        beacon.await_progress(by=5, timeout_s=20)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))


@pytest.mark.nightly
@pytest.mark.parametrize("gains", [0.5, -0.5])
def test_a_clock_that_drifts_costs_no_round(beacon: Cluster, gains: float) -> None:
    """
    Goal: a member whose clock runs fast, or slow, goes out of step and costs no round.
    Runbook: one member's clock gains or loses half a second a second, for ten rounds; set right.
    Success: every round in time and none before it, no fork, all level within 20 s.
    """
    with inject(WrongClock("n1", ahead_s=0.0, drift_s_per_s=gains), into=beacon) as fault:
        fault.await_felt(timeout_s=15)
        beacon.await_progress(by=10, timeout_s=25)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))


@pytest.mark.nightly
def test_a_clock_that_jumps_to_and_fro_costs_no_round(beacon: Cluster) -> None:
    """
    Goal: a clock that is set wrong, right and wrong again leaves its member none the worse.
    Runbook: one member is an hour ahead, right, an hour behind, right, 400 days ahead, right.
    Success: every round in time and none before it, no fork, no hole, all level within 20 s.
    """
    for ahead_s in (3600.0, -3600.0, 400 * 86_400.0):
        with inject(WrongClock("n1", ahead_s=ahead_s), into=beacon) as fault:
            fault.await_felt(timeout_s=10)
            beacon.await_progress(by=3, timeout_s=15)
        beacon.await_progress(by=3, timeout_s=15)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))


@pytest.mark.nightly
def test_who_was_ahead_counts_again_when_its_clock_is_right(beacon: Cluster) -> None:
    """
    Goal: a member whose clock was set back to what is right signs at the next round's time.
    Runbook: one member is an hour ahead for three rounds; right; two others are down for eight.
    Success: every round in time, of which the three that are left make each; level within 20 s.
    """
    with inject(WrongClock("n1", ahead_s=3600.0), into=beacon) as fault:
        fault.await_felt(timeout_s=10)
        beacon.await_progress(by=3, timeout_s=15)
    beacon.await_steady_state(timeout_s=20)
    with inject(Kill("n4"), into=beacon) as one, inject(Kill("n5"), into=beacon) as two:
        one.await_felt(timeout_s=10)
        two.await_felt(timeout_s=10)
        beacon.await_progress(by=8, timeout_s=25)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))


@pytest.mark.nightly
@pytest.mark.parametrize("wrong", [(10.0, 10.0), (-10.0, -10.0), (10.0, -9.5)], ids=str)
def test_two_wrong_clocks_cost_no_round(beacon: Cluster, wrong: tuple[float, float]) -> None:
    """
    Goal: three of five are the threshold: two wrong clocks make no round early and cost none.
    Runbook: two members' clocks are wrong, alike or apart, for eight rounds; they are set right.
    Success: every round in time and none before it, no fork, all level within 20 s.
    """
    one, other = (
        WrongClock(name, ahead_s) for name, ahead_s in zip(("n1", "n2"), wrong, strict=True)
    )
    with inject(one, into=beacon) as first, inject(other, into=beacon) as second:
        first.await_felt(timeout_s=10)
        second.await_felt(timeout_s=10)
        beacon.await_progress(by=8, timeout_s=20)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))


@pytest.mark.nightly
def test_three_clocks_behind_halt_the_chain_until_they_are_right(beacon: Cluster) -> None:
    """
    Goal: who thinks that a round is not due does not sign it: two of five alone make none.
    Runbook: three members' clocks are set back by a minute for eight seconds, and set right.
    Success: no round before its time; then all that are due, none missing, level within 30 s.
    """
    with ExitStack() as stack:
        for name in ("n1", "n2", "n3"):
            fault = stack.enter_context(inject(WrongClock(name, ahead_s=-60.0), into=beacon))
        fault.await_felt(timeout_s=10)
        beacon.hold(8)
    beacon.await_steady_state(timeout_s=30)
    beacon.check(recovered_within(30))
