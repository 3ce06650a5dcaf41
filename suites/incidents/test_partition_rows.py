"""Rows about links: E9 (what a read claims) and E11 (a member that hears nothing)."""

from __future__ import annotations

from chaoskit.cluster import Cluster
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from chaoskit.plan import Plan, run
from faults.partition import OneWay
from suites.etcd.leadership import leader_and_term_stay_while_a_majority_is_undisturbed
from suites.incidents.writes import writes_are_answered_after_the_heal


def test_reads_that_claim_to_be_linearizable_are(etcd: Cluster, chaos_plan: Plan) -> None:
    """
    Goal: whoever is told that a read is linearizable can rely on it, whatever is broken.
    Runbook: the plan's faults, at and below a majority, under load; reads are sent as it says.
    Success: reads are linearizable, acknowledged writes survive, level within 20 s.
    """
    etcd.await_progress(by=40, timeout_s=20)
    run(chaos_plan, on=etcd)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))


def test_a_deaf_member_disturbs_nobody(etcd: Cluster, chaos_plan: Plan) -> None:
    """
    Goal: a follower that cannot hear the leader costs the others nothing, nor does its return.
    Runbook: bytes from the leader to one follower vanish for a while; then they arrive again.
    Success: leader and term stay; for 3 s after the heal each write is answered within 1 s.
    """
    leader = etcd.target("leader")
    deaf, other = (name for name in etcd.nodes if name != leader)
    etcd.await_progress(by=60, timeout_s=20)
    with inject(OneWay(leader, (deaf,)), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        etcd.hold(float(chaos_plan.inputs["deaf_for_s"]))
    etcd.hold(3)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(
        leader_and_term_stay_while_a_majority_is_undisturbed,
        writes_are_answered_after_the_heal((leader, other), for_s=3, within_s=1),
        recovered_within(20),
    )
