"""Links that are slow, narrow, reset, half-open or slow to close."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import Fault, inject
from chaoskit.liveness import recovered_within
from chaoskit.plan import Plan, run
from faults.broken_connections import HalfOpenConnections, ResetConnections, SlowClose
from faults.slow_link import NarrowLink, SlowLink, jittered

_FAULTS = (
    SlowLink("leader", "follower", delay_s=0.2),
    NarrowLink("leader", "follower", rate_kb_per_s=1),
    ResetConnections("leader", "follower"),
    HalfOpenConnections("leader", "follower"),
    SlowClose("leader", "follower", delay_s=1.0),
)


@pytest.mark.parametrize("fault", _FAULTS, ids=lambda fault: type(fault).__name__)
def test_one_bad_link_costs_no_majority(etcd: Cluster, fault: Fault) -> None:
    """
    Goal: with one bad link the leader still has a majority by way of the other follower.
    Runbook: the link between the leader and one follower goes bad, both ways; progress; heal.
    Success: progress within its bound, nothing lost, level within 20 s.
    """
    with inject(fault, into=etcd) as injected:
        injected.await_felt(timeout_s=15)
        etcd.await_progress(by=40, timeout_s=30)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))


@pytest.mark.nightly
def test_an_uneven_link_costs_no_majority(etcd: Cluster) -> None:
    """
    Goal: a link whose delay changes every few seconds costs neither progress nor the leader.
    Runbook: the link between the leader and one follower has three delays, one after the other.
    Success: nothing lost, level within 20 s of the last heal.
    """
    steps = jittered(
        *("leader", "follower"), delay_s=0.1, jitter_s=0.08, each_s=3, times=3, random=etcd.random
    )
    run(Plan(steps=steps), on=etcd)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))
