"""Rows of the beacon's outage that need no TLS: A1, A2, A3, A4, A4b, A14, and C2."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

from chaoskit.artifacts import file_of
from chaoskit.clock import monotonic
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, WaitTimedOut
from chaoskit.fault import apply, inject
from chaoskit.invariant import Invariant
from chaoskit.liveness import recovered_within
from chaoskit.plan import Plan
from chaoskit.system import InitialFile, Placement, System
from faults.kill import Kill
from faults.left_behind import LeftBehind
from faults.operator_error import OperatorError
from faults.restarting import Restart
from faults.upgrade import Upgrade
from suites.beacon import dealing
from suites.beacon.operating import GENERATE
from suites.beacon.system import DEFAULT, beacon
from suites.incidents.alarms import an_alarm_comes_before_the_last_spare_is_lost, note_alarms
from suites.incidents.deciding import await_decided
from suites.incidents.signing import (
    a_failing_or_repeated_command_never_changes_the_private_scalar,
    a_fault_in_one_network_leaves_the_others_on_time,
    a_member_with_valid_old_keys_starts_and_contributes,
    every_running_member_contributes,
)
from suites.incidents.upgrades import the_way_back_is_open

_WITHIN_S = 8.0
_START_S = 15.0  # one that does not start says so by its exit
_GENESIS_IN_S = 2.0  # for each member that has to start before
_OWED = 10  # rounds: until some were owed in time, after all that was changed
_SECOND = "second"
_UNCHAINED = "pedersen-bls-unchained"

Take = Callable[..., Cluster]


def _group_of(inputs: Mapping[str, str], **more: Any) -> System:
    """A group as large as the plan says."""
    members = int(inputs["members"])
    return beacon(
        members,
        threshold=int(inputs["threshold"]),
        genesis_in_s=_GENESIS_IN_S * members,
        **more,
    )


def _with_keys_of(release: str, system: System, schemes: dict[str, str]) -> System:
    """The group, dealt as the ceremony of that release leaves it."""

    def initial_data(placements: Sequence[Placement]) -> dict[str, Sequence[InitialFile]]:
        dealt = dealing.deal(
            placements,
            threshold=system.quorum,
            networks=tuple(schemes),
            genesis_in_s=_GENESIS_IN_S * len(placements),
            left_by=release,
            schemes=schemes,
        )
        return dict(dealt)

    return replace(system, initial_data=initial_data)


def _spared(group: Cluster, promise: Invariant) -> None:
    """The last members are killed, so that a threshold is left, until the promise is decided."""
    with _all_killed(group, spares := _spares(group)):
        await_decided(promise, on=group, timeout_s=_START_S + 3)
    for spare in spares:
        _await_up_or_down(group, spare)


def _spares(group: Cluster) -> Sequence[str]:
    """Who can be spared: all but a threshold, the first of whom are what a row is about."""
    return tuple(group.nodes)[group.system.quorum :]


@contextmanager
def _all_killed(group: Cluster, names: Sequence[str]) -> Iterator[None]:
    """These are dead for the length of the block."""
    with ExitStack() as stack:
        faults = [stack.enter_context(inject(Kill(name), into=group)) for name in names]
        for fault in faults:
            fault.await_felt(timeout_s=10)
        yield


def test_a_member_left_behind_still_signs(chaos_cluster: Take, chaos_plan: Plan) -> None:
    """
    Goal: a member that missed an upgrade signs with those that did not.
    Runbook: all but one go to another release at once; then as many of these are killed as leave a
        threshold with the one that was left behind.
    Success: while these run a round comes at least every 8 s; level within 20 s.
    """
    group = chaos_cluster(_group_of(chaos_plan.inputs))
    promise = every_running_member_contributes(within_s=_WITHIN_S)
    apply(LeftBehind("n1", to=chaos_plan.inputs["to"]), to=group)
    group.await_progress(by=3, timeout_s=20)
    _spared(group, promise)
    group.await_progress(by=_OWED, timeout_s=40)
    group.check(promise, recovered_within(20))


def test_each_step_of_an_upgrade_keeps_the_margin(chaos_cluster: Take, chaos_plan: Plan) -> None:
    """
    Goal: while members go from release to release, any threshold of them makes rounds.
    Runbook: two members go, one after the other, to the next release; the others follow unless it
        is the last one. There one more is killed, which leaves a threshold of both.
    Success: a round at least every 8 s.
    """
    group = chaos_cluster(_group_of(chaos_plan.inputs))
    promise = every_running_member_contributes(within_s=_WITHIN_S)
    *between, last = chaos_plan.inputs["way"].split()
    for label in between:
        for names in (("n1",), ("n2",), tuple(group.nodes)[2:]):
            apply(Upgrade(names, to=label), to=group)
            group.await_progress(by=1, timeout_s=20)
    for name in ("n1", "n2"):
        apply(Upgrade(name, to=last), to=group)
        with suppress(WaitTimedOut):  # for the judge to say
            group.await_progress(by=3, timeout_s=_WITHIN_S + 1)
    _spared(group, promise)
    with suppress(WaitTimedOut):  # the same
        group.await_progress(by=_OWED, timeout_s=2 * _OWED)
    group.check(promise)


def test_a_command_leaves_the_key_alone(chaos_cluster: Take, chaos_plan: Plan) -> None:
    """
    Goal: an operator who generates a key pair again, with another scheme, loses nothing.
    Runbook: the command is run beside a member that works; then that member is restarted.
    Success: its private scalar is what it was, and it makes rounds with one other of three.
    """
    group = chaos_cluster(_group_of(chaos_plan.inputs))
    _note_scalar(group, "n1")
    apply(OperatorError("n1", GENERATE, may_be_refused=True), to=group)
    _note_scalar(group, "n1")
    apply(Restart("n1", how="stop"), to=group, may_exit=True)
    _await_up_or_down(group, "n1")
    group.check(
        a_failing_or_repeated_command_never_changes_the_private_scalar,
        *_contributing(group, "n1"),
    )


def _contributing(group: Cluster, name: str) -> tuple[Invariant, ...]:
    """What a member that runs owes when all that can be are spared; nothing when it is down."""
    if _down(group, name):
        return ()
    promise = every_running_member_contributes(within_s=_WITHIN_S)
    _spared(group, promise)
    group.await_progress(by=_OWED, timeout_s=40)
    group.await_steady_state(timeout_s=20)
    return promise, recovered_within(20)


def _note_scalar(group: Cluster, name: str) -> None:
    """Note a digest of the scalar in the member's private key, which says nothing of it."""
    key = str(tomllib.loads(file_of(group, name, "private key").read_text())["Key"])
    digest = hashlib.sha256(key.encode()).hexdigest()
    group.recorder.record(name, "note", {"text": "private scalar", "scalar_digest": digest})


def _await_up_or_down(group: Cluster, name: str) -> None:
    """Wait until the member is in time, by a sample from now on, or its process has ended."""
    since_s = monotonic()

    def is_ready() -> bool:
        seen = group.latest()[name]
        return group.observers.all_asked_since(since_s) and seen is not None and seen.ready

    with suppress(WaitTimedOut):
        group.await_that(
            lambda: is_ready() or _down(group, name),
            what=f"{name} in time, or down",
            timeout_s=_START_S,
        )


def _down(group: Cluster, name: str) -> bool:
    return group.node(name).state == "exited"


def test_old_keys_are_loaded(chaos_cluster: Take, chaos_plan: Plan) -> None:
    """
    Goal: a member whose keys are from before key files named their scheme survives an upgrade.
    Runbook: a group of the plan's scheme, dealt as an older release left it, runs; one member is
        upgraded; as many others are killed as leave a threshold with it.
    Success: it starts, keeps its scalar, and makes rounds with the others; level within 20 s.
    """
    scheme = chaos_plan.inputs["scheme"]
    system = _group_of(chaos_plan.inputs, scheme=scheme)
    group = chaos_cluster(_with_keys_of(chaos_plan.inputs["vintage"], system, {DEFAULT: scheme}))
    new = group.system.release(chaos_plan.inputs["to"])
    promise = a_member_with_valid_old_keys_starts_and_contributes(
        label=new.label, version=new.version, within_s=_START_S
    )
    _note_scalar(group, "n1")
    apply(Upgrade("n1", to=new.label), to=group, may_exit=True, asks=True)
    _await_up_or_down(group, "n1")
    _note_scalar(group, "n1")
    if not _down(group, "n1"):
        _spared(group, promise)
    group.await_progress(by=_OWED, timeout_s=40)
    group.check(promise, a_failing_or_repeated_command_never_changes_the_private_scalar)


def _self_signed(group: Cluster, name: str, label: str) -> None:
    """Have the member's identity signed by the command of an older release, which ours are, too."""
    where = f"{group.node(name).placement().data}/{dealing.FOLDER}"
    argv = ("drand", "--as-release", label, "util", "self-sign", "--folder", where)
    done = group.execute(name, *argv)
    if done.exit_code:  # a real drand has no older one in it
        raise ChaosError(f"the command of {label} did not run beside {name}: {done.stderr!r}")


def test_the_way_back_from_an_upgrade_is_open(chaos_cluster: Take, chaos_plan: Plan) -> None:
    """
    Goal: a member that was upgraded can go back to the release that it came from.
    Runbook: one member goes to the plan's release and, when it is in time, back; in between the
        old release's own command signs its identity, where the plan says so.
    Success: it serves at the old release within 15 s; level within 20 s.
    """
    group = chaos_cluster(_group_of(chaos_plan.inputs))
    old = group.system.release(group.setting.release)
    promise = the_way_back_is_open(label=old.label, version=old.version, within_s=_START_S)
    apply(Upgrade("n1", to=chaos_plan.inputs["to"]), to=group)
    group.await_steady_state(timeout_s=20)
    if chaos_plan.inputs["remedy"] == "self-sign":
        _self_signed(group, "n1", old.label)
    apply(Upgrade("n1", to=old.label), to=group, may_exit=True, asks=True)
    _await_up_or_down(group, "n1")
    await_decided(promise, on=group, timeout_s=_START_S + 1)
    group.await_progress(by=_OWED, timeout_s=40)
    group.check(promise)


def test_one_networks_old_keys_are_its_own_business(chaos_cluster: Take, chaos_plan: Plan) -> None:
    """
    Goal: of two networks in one daemon the one that can be served is, whatever ails the other.
    Runbook: both run on keys as an older release left them, one chained and one unchained; one
        member is upgraded; as many others are killed as leave a threshold with it.
    Success: the chained network makes a round at least every 8 s.
    """
    system = _group_of(chaos_plan.inputs, networks=(DEFAULT, _SECOND))
    schemes = {DEFAULT: system.settings["scheme"], _SECOND: _UNCHAINED}
    group = chaos_cluster(_with_keys_of(chaos_plan.inputs["vintage"], system, schemes))
    promise = a_fault_in_one_network_leaves_the_others_on_time(DEFAULT, bound_s=_WITHIN_S)
    apply(Upgrade("n1", to=chaos_plan.inputs["to"]), to=group, may_exit=True, asks=True)
    _await_up_or_down(group, "n1")
    with _all_killed(group, spares := _spares(group)):
        group.hold(_WITHIN_S + 1)
    for spare in spares:
        _await_up_or_down(group, spare)
    group.check(promise)


def test_an_alarm_comes_before_it_is_too_late(chaos_cluster: Take, chaos_plan: Plan) -> None:
    """
    Goal: a group that decays to one spare signer tells its operators.
    Runbook: six members run, four of them are a threshold; one is killed for two and a half of
        the alarm's intervals (drand's: a minute).
    Success: a member's own alarm within two intervals, and none while all run.
    """
    interval_s = float(chaos_plan.inputs["alarm_interval_s"])
    system = beacon(6, threshold=4)

    def environment(placement: Placement) -> dict[str, str]:
        return dict(system.environment(placement)) | {"DRAND_ALARM_INTERVAL": f"{interval_s:g}s"}

    group = chaos_cluster(replace(system, environment=environment))
    group.hold(2.5 * interval_s)
    with inject(Kill("n6"), into=group) as fault:
        fault.await_felt(timeout_s=10)
        group.hold(2 * interval_s + 4)
    _await_up_or_down(group, "n6")
    note_alarms(group)
    group.check(an_alarm_comes_before_the_last_spare_is_lost(interval_s=interval_s))
