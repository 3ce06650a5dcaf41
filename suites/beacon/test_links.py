"""Links that are slow, narrow, reset, half-open or slow to close."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import Fault, inject
from chaoskit.liveness import recovered_within
from faults.broken_connections import HalfOpenConnections, ResetConnections, SlowClose
from faults.kill import Kill
from faults.slow_link import NarrowLink, SlowLink

pytestmark = pytest.mark.nightly

_FAULTS = (
    SlowLink("n1", "n2", delay_s=0.3),
    NarrowLink("n1", "n2", rate_kb_per_s=1),
    ResetConnections("n1", "n2"),
    HalfOpenConnections("n1", "n2"),
)


@pytest.mark.parametrize("fault", _FAULTS, ids=lambda fault: type(fault).__name__)
def test_one_bad_link_costs_no_round(beacon: Cluster, fault: Fault) -> None:
    """
    Goal: every member hears four others, and needs two: one bad link costs nothing.
    Runbook: the link between two members goes bad, both ways; eight rounds; heal.
    Success: every round in time, no fork, all level within 20 s.
    """
    with inject(fault, into=beacon) as injected:
        injected.await_felt(timeout_s=15)
        beacon.await_progress(by=8, timeout_s=20)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))


@pytest.mark.containers("a slow close makes nothing fail, and nothing counts packets there")
def test_slow_closes_cost_no_round(beacon: Cluster) -> None:
    """
    Goal: members keep their connections, so a slow close is met when one of them ends.
    Runbook: between two members a close arrives a second late; one is killed and starts again.
    Success: every round in time, no fork, all level within 20 s.
    """
    with inject(SlowClose("n1", "n2", delay_s=1.0), into=beacon) as slow:
        with inject(Kill("n2"), into=beacon) as kill:
            kill.await_felt(timeout_s=10)
            beacon.await_progress(by=4, timeout_s=20)
        slow.await_felt(timeout_s=15)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))
