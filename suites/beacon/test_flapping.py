"""Links that go down and up, over and over."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from faults.flapping_links import FlappingLinks, flaps

pytestmark = pytest.mark.nightly


def test_links_that_flap_cost_no_round(beacon: Cluster) -> None:
    """
    Goal: a link that is down every other second, at uneven times, costs no round.
    Runbook: what joins two members goes down and up six times in twelve seconds; ten rounds.
    Success: every round in time, no fork, all level within 20 s.
    """
    downs = flaps(period_s=2.0, duty=0.5, jitter_s=0.3, times=6, random=beacon.random)
    with inject(FlappingLinks("n1", "n2", downs), into=beacon) as fault:
        fault.await_felt(timeout_s=15)
        beacon.await_progress(by=10, timeout_s=25)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))
