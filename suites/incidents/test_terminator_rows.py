"""Rows of the beacon's outage about what ends TLS before members: A15, and C4."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from chaoskit.cluster import Cluster
from chaoskit.companion import Companion
from chaoskit.errors import WaitTimedOut
from chaoskit.fault import apply, inject
from chaoskit.plan import Plan
from chaoskit.system import Observation, Placement, System
from faults.kill import Kill
from faults.restarting import Restart
from faults.upgrade import Upgrade
from suites.beacon import system as members
from suites.beacon.builds import with_insecure_build
from suites.beacon.system import beacon
from suites.beacon.terminator import FRONT
from suites.incidents.limping import any_threshold_makes_rounds_in_time
from suites.incidents.terminating import (
    calls_are_decrypted_once,
    calls_are_handed_on_as_http2,
    calls_are_handed_on_in_the_mode_that_is_served,
    note_calls,
)

_PERIOD_S = 3
_BACK_S = 15.0
_GENESIS_IN_S = 25.0  # all have started by then, and one once more, on a busy machine too

Take = Callable[[System], Cluster]


def test_a_proxy_hands_calls_on_as_its_member_serves(chaos_cluster: Take, chaos_plan: Plan) -> None:
    """
    Goal: calls of peers reach a member through what ends TLS before it; where not, the proxy's log
        says why, and that the member is not to blame.
    Runbook: one of four members stands behind an nginx that is set up as the plan says; it is
        restarted, so that its peers dial it anew; five rounds pass.
    Success: what well members were called for was handed on in HTTP/2, in their mode, decrypted
        once; rounds keep time.
    """
    system = _steady_in_time(beacon(4, threshold=3, terminated=True))
    group = chaos_cluster(_fronted(system, chaos_plan.inputs))
    apply(Restart("n1", how="stop"), to=group)
    _await_level(group)
    group.await_progress(by=5, timeout_s=20)
    note_calls(group)
    group.check(
        calls_are_handed_on_as_http2,
        calls_are_handed_on_in_the_mode_that_is_served,
        calls_are_decrypted_once,
    )


def test_one_member_of_another_build_costs_no_round(chaos_cluster: Take, chaos_plan: Plan) -> None:
    """
    Goal: a member that was upgraded to a build of the plan's kind signs with the others.
    Runbook: one of four members behind nginx is upgraded to that build before the first round, so
        that it misses none; another one is killed, which leaves a threshold with it.
    Success: while exactly a threshold runs each round is there a second before the next is due.
    """
    inputs = chaos_plan.inputs
    group = chaos_cluster(with_insecure_build(_before_genesis(), inputs["to"]))
    apply(Upgrade("n1", to=inputs["to"] + inputs["build"]), to=group)
    group.await_progress(by=2, timeout_s=2 * _GENESIS_IN_S)
    with inject(Kill("n2"), into=group) as fault:
        fault.await_felt(timeout_s=10)
        group.hold(float(inputs["spared_for_s"]))
    _await_level(group)
    group.await_progress(by=2, timeout_s=20)
    group.check(any_threshold_makes_rounds_in_time(late_s=_PERIOD_S - 1.0))


def _fronted(system: System, inputs: Mapping[str, str]) -> System:
    """The group, one member of which has its proxy set up as the plan says, from the start on."""

    def beside(placement: Placement) -> Companion | None:
        if placement.name == "n1":
            settings = {**placement.settings, FRONT: inputs[FRONT]}
            return members.beside(replace(placement, settings=settings))
        return members.beside(placement)

    return replace(system, beside=beside)


def _before_genesis() -> System:
    """Four members behind nginx that are up for some time before their first round."""
    system = beacon(
        4,
        threshold=3,
        period_s=_PERIOD_S,
        catchup_period_s=1,
        terminated=True,
        genesis_in_s=_GENESIS_IN_S,
    )
    return _steady_in_time(system)


def _steady_in_time(system: System) -> System:
    """
    Steady is whoever is in time, as before genesis all are, whatever peers say of a member: that
    may be its proxy's doing.
    """

    def steady(seen: Mapping[str, Observation]) -> bool:
        return all(one.ready or not one.progress for one in seen.values())

    return replace(system, steady=steady)


def _await_level(group: Cluster) -> None:
    """Wait until all are in time; for the judge to say if not."""
    with suppress(WaitTimedOut):
        group.await_steady_state(timeout_s=_BACK_S)
