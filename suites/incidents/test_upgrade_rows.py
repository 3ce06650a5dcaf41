"""Rows about upgrades: E1 and E2 (a minor skipped), E3 (the way back)."""

from __future__ import annotations

from chaoskit import catalogue, clock
from chaoskit.cluster import Cluster
from chaoskit.fault import apply, inject
from chaoskit.http import HttpClient
from chaoskit.liveness import recovered_within
from chaoskit.plan import Plan
from faults.pause import Pause
from faults.upgrade import Upgrade
from suites.incidents.deciding import await_decided
from suites.incidents.upgrades import the_way_back_is_open, upgraded_members_contribute

_WITHIN_S = 10.0
_HEALTH_TIMEOUT_S = 3.0


def test_an_upgraded_member_contributes(etcd: Cluster, chaos_plan: Plan) -> None:
    """
    Goal: a follower that was upgraded runs at the new version and takes part in decisions.
    Runbook: everybody is asked for its health, as operators do; a follower is upgraded; the other
        one is paused, so that nothing is decided without it, and goes on. If the upgraded one is
        down it goes back to where it came from.
    Success: seen at the new version, and something decided with it, within 10 s; level after that.
    """
    leader = etcd.target("leader")
    member, spare = (name for name in etcd.nodes if name != leader)
    new = etcd.system.release(chaos_plan.inputs["to"])
    promise = upgraded_members_contribute(label=new.label, version=new.version, within_s=_WITHIN_S)
    _ask_health(etcd)
    apply(Upgrade(member, to=new.label), to=etcd, may_exit=True, asks=True)
    with inject(Pause(spare), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        await_decided(promise, on=etcd, timeout_s=_WITHIN_S + 1)
    if etcd.node(member).state == "exited":
        _go_back(etcd, member)
    etcd.await_steady_state(timeout_s=30)
    etcd.check(promise, recovered_within(20))


def _ask_health(etcd: Cluster) -> None:
    """Ask each member's health, and note the answers: on some releases that is a write."""
    http = HttpClient(_HEALTH_TIMEOUT_S)
    answers = [http.get(etcd.endpoint(name).url("client", "/health"))[1] for name in etcd.nodes]
    http.close()
    etcd.recorder.record("chaoskit", "note", {"text": f"asked for health: {answers}"})


def test_an_upgrade_ends_nobody_else(etcd: Cluster, chaos_plan: Plan) -> None:
    """
    Goal: whatever becomes of a member that is upgraded, the others live.
    Runbook: a follower of a cluster that nobody ever asked for its health is upgraded.
    Success: no other process ends, nothing is lost.
    """
    etcd.await_progress(by=20, timeout_s=20)
    apply(Upgrade("follower", to=chaos_plan.inputs["to"]), to=etcd, may_exit=True, asks=True)
    etcd.hold(3)
    etcd.check()


def _go_back(etcd: Cluster, member: str) -> None:
    """Put a member that refused its release back on the old one, and note how that went."""
    before = max(one.progress or 0 for one in etcd.latest().values() if one is not None)
    begun_s = clock.monotonic()
    apply(Upgrade(member, to=etcd.setting.release), to=etcd)
    etcd.await_that(
        lambda: (one := etcd.latest()[member]) and one.ready and (one.progress or 0) >= before,
        what=f"{member} back at {etcd.setting.release}",
        timeout_s=20,
    )
    took_s = clock.monotonic() - begun_s
    text = f"{member} refused the release and ended; put back, it was level after {took_s:.2f} s"
    etcd.recorder.record("chaoskit", "note", {"text": text})


def test_the_way_back_is_open(etcd: Cluster, chaos_plan: Plan) -> None:
    """
    Goal: while an upgrade is under way, the member that was upgraded last can go back.
    Runbook: the plan's upgrades, one after the other; then its last member goes back and forth,
        at once and again after the time in which the system settles.
    Success: each time it serves at the old version within 10 s; level at the end.
    """
    old = etcd.system.release(etcd.setting.release)
    promise = the_way_back_is_open(label=old.label, version=old.version, within_s=_WITHIN_S)
    for number, step in enumerate(chaos_plan.steps, start=1):
        upgrade = catalogue.make(step.action, step.fields)
        apply(upgrade, to=etcd)
        etcd.await_steady_state(timeout_s=30)
        if number == len(chaos_plan.steps) or chaos_plan.inputs["tried_after"] == "each step":
            _back_and_forth(etcd, upgrade, old.label)
            etcd.hold(etcd.system.settle_s)
            _back_and_forth(etcd, upgrade, old.label)
    etcd.check(promise, recovered_within(20))


def _back_and_forth(etcd: Cluster, upgrade: Upgrade, old: str) -> None:
    """Take a member to the old release, see whether it comes up, and take it forward again."""
    apply(Upgrade(upgrade.node, to=old), to=etcd, may_exit=True, asks=True)
    version = etcd.system.release(old).version

    def settled() -> bool:
        seen = etcd.latest()[upgrade.node]
        back = seen is not None and seen.ready and seen.version == version
        return back or etcd.node(upgrade.node).state == "exited"

    etcd.await_that(settled, what=f"{upgrade.node} back at {old}, or down", timeout_s=_WITHIN_S + 1)
    apply(upgrade, to=etcd)
    etcd.await_steady_state(timeout_s=30)
