"""Members that end or stand still: above, at and below the threshold of three of five."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import Fault, inject
from chaoskit.liveness import recovered_within
from faults.kill import Kill
from faults.pause import Pause

pytestmark = pytest.mark.nightly


@pytest.mark.parametrize("fault", [Kill, Pause])
def test_two_that_are_gone_cost_no_round(beacon: Cluster, fault: type[Kill | Pause]) -> None:
    """
    Goal: three of five are the threshold: two that are killed or stand still cost no round.
    Runbook: two members go; eight rounds; they come back.
    Success: every round in time, no fork, the two level within 20 s.
    """
    with inject(fault("n1"), into=beacon) as one, inject(fault("n2"), into=beacon) as other:
        one.await_felt(timeout_s=10)
        other.await_felt(timeout_s=10)
        beacon.await_progress(by=8, timeout_s=20)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))


@pytest.mark.parametrize("third", [Kill("n3"), Pause("n3")], ids=repr)
def test_a_third_that_is_gone_stops_the_chain(beacon: Cluster, third: Fault) -> None:
    """
    Goal: two of five make no round; three are enough again and make those that were due.
    Runbook: two members are killed, a third goes for eight seconds; it comes back, then the two.
    Success: no round meanwhile, none missing afterwards, all level within 30 s.
    """
    with inject(Kill("n1"), into=beacon) as one, inject(Kill("n2"), into=beacon):
        one.await_felt(timeout_s=10)
        with inject(third, into=beacon) as gone:
            gone.await_felt(timeout_s=10)
            beacon.hold(8)
        beacon.await_progress(by=10, timeout_s=30)
    beacon.await_steady_state(timeout_s=30)
    beacon.check(recovered_within(30))
