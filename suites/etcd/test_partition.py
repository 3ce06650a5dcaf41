"""Partitions at, above and below the quorum."""

from __future__ import annotations

from chaoskit.cluster import Cluster
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from faults.partition import Bridge, Isolate, OneWay, Split


def test_an_isolated_leader_loses_nothing(etcd: Cluster) -> None:
    """
    Goal: the majority elects a leader and goes on; what the old leader acknowledged stays.
    Runbook: the leader is cut off both ways; the others make progress; it comes back.
    Success: no acknowledged write is lost, every member is level within 20 s of the heal.
    """
    with inject(Isolate("leader"), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        etcd.await_progress(by=40, timeout_s=30)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))


def test_nothing_is_acknowledged_without_a_majority(etcd: Cluster) -> None:
    """
    Goal: three members that cannot hear each other acknowledge nothing.
    Runbook: all links are cut; then a majority is whole again; then everybody.
    Success: no acknowledgement below the quorum; progress once two can hear each other.
    """
    with inject(Isolate("e1"), into=etcd) as first:
        with inject(Bridge("e2", "e3"), into=etcd) as second:
            first.await_felt(timeout_s=10)
            second.await_felt(timeout_s=10)
            etcd.hold(4)
        etcd.await_progress(by=20, timeout_s=20)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))


def test_a_bridge_costs_no_majority(etcd: Cluster) -> None:
    """
    Goal: two members that cannot hear each other, both heard by the third, cost no progress.
    Runbook: the leader and a follower are cut from each other; progress; heal.
    Success: no fork, nothing lost, level within 20 s.
    """
    with inject(Bridge("leader", "follower"), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        etcd.await_progress(by=40, timeout_s=30)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))


def test_a_leader_that_nobody_hears_is_replaced(etcd: Cluster) -> None:
    """
    Goal: a leader whose bytes reach nobody is replaced.
    Runbook: bytes from the leader to both others vanish; progress; heal.
    Success: progress within the bound, nothing lost, level within 20 s.
    """
    leader = etcd.target("leader")
    deaf = tuple(name for name in etcd.nodes if name != leader)
    with inject(OneWay(leader, deaf), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        etcd.await_progress(by=40, timeout_s=30)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))


def test_a_silent_split_ends_as_a_loud_one(etcd: Cluster) -> None:
    """
    Goal: a partition that drops bytes instead of refusing them costs no more.
    Runbook: bytes between one follower and the others vanish; progress; heal.
    Success: no acknowledged write is lost, level within 20 s.
    """
    with inject(Split(("follower",), style="dropped"), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        etcd.await_progress(by=40, timeout_s=30)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))
