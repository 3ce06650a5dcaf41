"""Rows of the beacon's outage that are about TLS between members: A5."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from chaoskit.cluster import Cluster
from chaoskit.errors import WaitTimedOut
from chaoskit.fault import apply, inject
from chaoskit.invariant import Invariant
from chaoskit.liveness import recovered_within
from chaoskit.plan import Plan
from chaoskit.system import System
from faults.partition import Bridge, Isolate
from faults.restarting import Restart
from suites.beacon.system import beacon

_AFTER_S = 35.0
_GENESIS_IN_S = 12.0  # all have started by then: who is not there at a first dial may be lost


def test_links_that_were_cut_come_back(
    chaos_cluster: Callable[[System], Cluster], chaos_plan: Plan
) -> None:
    """
    Goal: what a member could not reach when it started it reaches once the link is whole.
    Runbook: behind nginx, every link is cut, and all three members restart; when each of them has
        told of both others that they are out of reach, all links are healed.
    Success: all level within 30 s of the heal, and rounds again.
    """
    del chaos_plan
    system = beacon(3, threshold=2, terminated=True, genesis_in_s=_GENESIS_IN_S)
    group = chaos_cluster(system)
    with (
        inject(Isolate("n1", style="refused"), into=group),
        inject(Bridge("n2", "n3", style="refused"), into=group),
    ):
        _restart_all(group)
    with suppress(WaitTimedOut):  # for the judge to say
        group.await_steady_state(timeout_s=_AFTER_S)
    group.check(links_come_back_once_they_are_whole(within_s=30))


def links_come_back_once_they_are_whole(*, within_s: float) -> Invariant:
    """
    Make the promise: when links have healed, who dials on them anew gets through: all recover.

    Liveness, as `recovered_within`. Source: a heal of the network needs no restart of a member.
    """
    return replace(recovered_within(within_s), name="links_come_back_once_they_are_whole")


def _restart_all(group: Cluster) -> None:
    """Restart each member, and wait until each has told of all others."""
    for name in group.nodes:
        apply(Restart(name, how="stop"), to=group)
    group.await_that(
        lambda: all(_out_of_reach(group, name) for name in group.nodes),
        what="every member to tell of all others",
        timeout_s=30,
    )


def _out_of_reach(group: Cluster, name: str) -> bool:
    seen = group.latest()[name]
    return seen is not None and len(seen.detail["failing"]) == len(group.nodes) - 1
