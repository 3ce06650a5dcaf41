"""Members whose wall clock is wrong: ahead, behind, drifting, one or several."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from faults.wrong_clock import WrongClock

pytestmark = pytest.mark.chaos(clocks=True)


@pytest.mark.parametrize("ahead_s", [10.0, pytest.param(-10.0, marks=pytest.mark.nightly)])
def test_one_wrong_clock_costs_no_round(beacon: Cluster, ahead_s: float) -> None:
    """
    Goal: a member whose clock is ahead, or behind, costs no round and lets none be made early.
    Runbook: one member's clock is set wrong by ten seconds for eight rounds, and set right.
    Success: every round in time and none before it, no fork, all level within 20 s.
    """
    with inject(WrongClock("n1", ahead_s=ahead_s), into=beacon) as fault:
        fault.await_felt(timeout_s=10)
        beacon.await_progress(by=8, timeout_s=20)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))
