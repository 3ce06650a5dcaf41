"""Storage that is slow or full."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from faults.full_disk import FullDisk
from faults.slow_storage import SlowStorage

pytestmark = pytest.mark.chaos(storage=True)


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_slow_syncs_of_one_member_lose_nothing(etcd: Cluster, role: str) -> None:
    """
    Goal: 200 ms more for each fsync of one member slows it and loses nothing.
    Runbook: syncs of one member are delayed; progress; they are quick again.
    Success: progress within its bound, nothing lost, level within 20 s.
    """
    with inject(SlowStorage(role, delay_s=0.2), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        etcd.await_progress(by=40, timeout_s=40)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_full_disk_stops_one_member_alone(etcd: Cluster, role: str) -> None:
    """
    Goal: a member that finds no space may exit; the others go on without it.
    Runbook: the disk of one member is full; progress; space is made, and it starts again.
    Success: nothing lost, level within 20 s of the heal.
    """
    with inject(FullDisk(role), into=etcd, may_exit=True) as fault:
        fault.await_felt(timeout_s=20)
        etcd.await_progress(by=40, timeout_s=30)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))
