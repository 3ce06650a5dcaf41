"""Rows about upgrades: E1 and E2 (a minor skipped), E3 (the way back)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from chaoskit import catalogue, clock
from chaoskit.cluster import Cluster
from chaoskit.errors import WaitTimedOut
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
    Runbook: a follower of a cluster that nobody ever asked for its health is upgraded. If others
        ended and the plan names a way out, they are started as they were, then on that release.
    Success: no other process ends, nothing is lost.
    """
    etcd.await_progress(by=20, timeout_s=20)
    apply(Upgrade("follower", to=chaos_plan.inputs["to"]), to=etcd, may_exit=True, asks=True)
    etcd.hold(3)
    ended = [name for name, node in etcd.nodes.items() if node.state == "exited"]
    if ended and (way_out := chaos_plan.inputs["way_out"]):
        _start_again(etcd, ended, etcd.setting.release)
        _start_again(etcd, ended, way_out)
    etcd.check()


def _start_again(etcd: Cluster, names: Sequence[str], release: str) -> None:
    """Start members that ended, and note whether they live."""
    for name in names:
        apply(Upgrade(name, to=release), to=etcd, may_exit=True, asks=True)
    etcd.hold(3)
    states = ", ".join(f"{name} {etcd.node(name).state}" for name in names)
    ready = sum(one is not None and one.ready for one in etcd.latest().values())
    text = f"what had ended, started at {release}: {states}; members ready: {ready}"
    etcd.recorder.record("chaoskit", "note", {"text": text})


def _go_back(etcd: Cluster, member: str) -> None:
    """Put a member that refused its release back on the old one, and note how that went."""
    # members that had stopped deciding may not answer at once
    before = max(
        etcd.await_that(
            lambda: [one.progress or 0 for one in etcd.latest().values() if one is not None],
            what="an answer of a member",
            timeout_s=20,
        )
    )
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
        at once and again after the time in which the system settles. Where the way is closed and
        the plan says so, the documented downgrade is enabled and the way tried once more.
    Success: each time it serves at the old version within 10 s; level at the end.
    """
    old = etcd.system.release(etcd.setting.release)
    closed = False
    promise = the_way_back_is_open(label=old.label, version=old.version, within_s=_WITHIN_S)
    for number, step in enumerate(chaos_plan.steps, start=1):
        upgrade = catalogue.make(step.action, step.fields)
        apply(upgrade, to=etcd)
        etcd.await_steady_state(timeout_s=30)
        if number == len(chaos_plan.steps) or chaos_plan.inputs["tried_after"] == "each step":
            _back_and_forth(etcd, upgrade, old.label)
            etcd.hold(etcd.system.settle_s)
            closed = not _back_and_forth(etcd, upgrade, old.label)
    if closed and chaos_plan.inputs["downgrade"] == "enabled":
        _documented_downgrade(etcd, upgrade.node, old.label)
    etcd.check(promise, recovered_within(20))


def _documented_downgrade(etcd: Cluster, member: str, old: str) -> None:
    """Enable the downgrade as etcd's guide says, wait for it, take a member back, and note it."""
    http = HttpClient(_HEALTH_TIMEOUT_S)
    wanted = ".".join([*old.split(".")[:2], "0"])
    begun_s = clock.monotonic()
    status, answer = http.post(
        etcd.endpoint(member).url("client", "/v3/maintenance/downgrade"),
        {"action": "ENABLE", "version": wanted},
    )

    def moved() -> bool:
        url = etcd.endpoint(member).url("client", "/version")
        return bool(http.get(url)[1].get("etcdcluster") == wanted)

    etcd.await_that(
        moved, what=f"the cluster at {wanted} (enabled: {status} {answer})", timeout_s=30
    )
    took_s = clock.monotonic() - begun_s
    apply(Upgrade(member, to=old), to=etcd, may_exit=True, asks=True)
    back = _is_up(etcd, member, etcd.system.release(old).version)
    text = f"the documented downgrade moved the cluster in {took_s:.1f} s; {member} back: {back}"
    etcd.recorder.record("chaoskit", "note", {"text": text})
    http.close()


def _back_and_forth(etcd: Cluster, upgrade: Upgrade, old: str) -> bool:
    """Take a member to the old release and forward again; answers whether it came up there."""
    member = str(upgrade.node)
    apply(Upgrade(member, to=old), to=etcd, may_exit=True, asks=True)
    up = _is_up(etcd, member, etcd.system.release(old).version)
    apply(upgrade, to=etcd)
    etcd.await_steady_state(timeout_s=30)
    return up


def _is_up(etcd: Cluster, member: str, version: str) -> bool:
    """Wait until a member serves at that version, or is down, a little longer than is promised."""

    def up() -> bool:
        seen = etcd.latest()[member]
        return seen is not None and seen.ready and seen.version == version

    with suppress(WaitTimedOut):
        etcd.await_that(
            lambda: up() or etcd.node(member).state == "exited",
            what=f"{member} at {version}, or down",
            timeout_s=_WITHIN_S + 1,
        )
    return up()
