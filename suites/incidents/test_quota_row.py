"""Row E7: the heal that does not heal."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import inject
from chaoskit.plan import Plan
from suites.incidents.deciding import await_decided
from suites.incidents.quota import QuotaReached
from suites.incidents.writes import writes_return_after_the_heal

_WITHIN_S = 10.0


@pytest.mark.chaos(settings={"quota_bytes": "4194304"})
def test_service_returns_when_space_is_free_again(etcd: Cluster, chaos_plan: Plan) -> None:
    """
    Goal: when the database has room again, writes are served again.
    Runbook: the database reaches its quota; writes are refused; the plan's remedy makes room.
    Success: a write is acknowledged within 10 s of the remedy; nothing acknowledged is lost.
    """
    promise = writes_return_after_the_heal(within_s=_WITHIN_S)
    remedy = tuple(chaos_plan.inputs["remedy"].split())
    with inject(QuotaReached("leader", remedy), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        etcd.hold(float(chaos_plan.inputs["full_for_s"]))
    await_decided(promise, on=etcd, timeout_s=_WITHIN_S + 2)
    etcd.check(promise)
