"""Processes that end or stand still: at, above and below the quorum."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from faults.kill import Kill
from faults.pause import Pause


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_one_killed_member_costs_nothing(etcd: Cluster, role: str) -> None:
    """
    Goal: two of three are a quorum, so one SIGKILL costs no acknowledged write.
    Runbook: one member is killed; the others make progress; it starts again.
    Success: no acknowledged write is lost, everybody is level within 20 s of the start.
    """
    with inject(Kill(role), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        etcd.await_progress(by=40, timeout_s=30)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))


def test_two_killed_members_stop_the_third(etcd: Cluster) -> None:
    """
    Goal: one of three is no quorum: it acknowledges nothing; two are enough again.
    Runbook: both followers are killed; one starts; progress; the other starts.
    Success: no acknowledgement below the quorum, nothing lost, level within 20 s.
    """
    one, other = (name for name in etcd.nodes if name != etcd.target("leader"))
    with inject(Kill(one), into=etcd) as first:
        with inject(Kill(other), into=etcd) as second:
            first.await_felt(timeout_s=10)
            second.await_felt(timeout_s=10)
            etcd.hold(4)
        etcd.await_progress(by=20, timeout_s=20)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_one_paused_member_costs_nothing(etcd: Cluster, role: str) -> None:
    """
    Goal: a member that stands still with open sockets costs no more than a dead one.
    Runbook: one member is frozen; the others make progress; it goes on.
    Success: no acknowledged write is lost, everybody is level within 20 s.
    """
    with inject(Pause(role), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        etcd.await_progress(by=40, timeout_s=30)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))


def test_two_paused_members_stop_the_third(etcd: Cluster) -> None:
    """
    Goal: two members that stand still leave no quorum, and one that goes on restores it.
    Runbook: the leader and a follower are frozen; one goes on; progress; the other goes on.
    Success: no acknowledgement below the quorum, nothing lost, level within 20 s.
    """
    leader = etcd.target("leader")
    follower = etcd.target("follower")
    with inject(Pause(follower), into=etcd) as first:
        with inject(Pause(leader), into=etcd) as second:
            first.await_felt(timeout_s=10)
            second.await_felt(timeout_s=10)
            etcd.hold(4)
        etcd.await_progress(by=20, timeout_s=20)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))
