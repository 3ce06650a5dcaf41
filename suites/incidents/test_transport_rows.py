"""Rows of the beacon's outage that are about TLS between members: A5, A6, A7, A11."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from chaoskit.cluster import Cluster
from chaoskit.companion import Companion
from chaoskit.errors import Inconclusive, WaitTimedOut
from chaoskit.fault import apply, inject
from chaoskit.handshake import Outcome
from chaoskit.plan import Plan
from chaoskit.system import InitialFile, Placement, System
from chaoskit.tap import tapped
from faults.partition import Bridge, Isolate
from faults.reconfigure import Reconfigure
from faults.restarting import Restart
from suites.beacon import dealing
from suites.beacon.links import links_come_back_once_they_are_whole
from suites.beacon.system import BEHIND, DEFAULT, beacon
from suites.beacon.terminator import FRONT
from suites.incidents.carrying import (
    a_restart_of_either_end_heals,
    members_without_tls_are_named,
    new_and_kept_connections_fare_alike,
    no_connection_is_plaintext,
    with_refusals_heard,
)
from suites.incidents.deciding import await_decided
from suites.incidents.dialled import connections_of
from suites.incidents.present import the_chain_reaches_the_present

_AFTER_S = 35.0
_GENESIS_IN_S = 4.0  # for each member: who is not there yet at a first dial may be lost
_RESTARTED_S = 12.0
_NAMED_S = 5.0
_UP_S = 15.0
_DECIDED_S = 150.0
_OWED = 5
"""Rounds before the fault, some of which are owed in time: after it the test may end too soon."""
_BARE = "nothing"
"""What stands before a member that serves its peers itself, which a v2 does in plaintext."""
_SLOW = beacon(
    4,
    threshold=3,
    period_s=3,
    catchup_period_s=1,
    terminated=True,
    genesis_in_s=4 * _GENESIS_IN_S,
)


def test_links_that_were_cut_come_back(
    chaos_cluster: Callable[[System], Cluster], chaos_plan: Plan
) -> None:
    """
    Goal: what a member could not reach when it started it reaches once the link is whole.
    Runbook: behind nginx, every link is cut, and all members restart; when each of them has told of
        all others that they are out of reach, all links are healed.
    Success: all level within 30 s of the heal, and rounds again.
    """
    group = chaos_cluster(_group_of(chaos_plan.inputs))
    with tapped(group):
        with _all_links_cut(group):
            _restart_all(group)
        with suppress(WaitTimedOut):  # for the judge to say
            group.await_steady_state(timeout_s=_AFTER_S)
    group.check(with_refusals_heard(links_come_back_once_they_are_whole(within_s=30)))


def test_new_connections_fare_as_those_that_were_kept_alive(
    chaos_cluster: Callable[[System], Cluster], chaos_plan: Plan
) -> None:
    """
    Goal: who looks at a member over a connection that he kept sees what who dials it anew meets.
    Runbook: behind nginx, n1 and n2 are cut off from each other; n1 restarts and tells; the links
        are healed. Then n2 restarts, which n1 dials; then n1.
    Success: nobody fails with n2 while others succeed; each restart heals its links within 12 s.
    """
    group = chaos_cluster(_group_of(chaos_plan.inputs))
    alike = new_and_kept_connections_fare_alike()
    healed = a_restart_of_either_end_heals(within_s=_RESTARTED_S)
    with tapped(group):
        with inject(Bridge("n1", "n2", style="refused"), into=group):
            apply(Restart("n1", how="stop"), to=group)
            _await_told(group, "n1", "n2")
        await_decided(alike, on=group, timeout_s=_AFTER_S)
        for name in ("n2", "n1"):
            apply(Restart(name, how="stop"), to=group)
            await_decided(healed, on=group, timeout_s=_RESTARTED_S + 2)
    group.await_progress(by=3, timeout_s=20)
    group.check(alike, healed)


def test_a_member_that_cannot_serve_tls_is_refused(
    chaos_cluster: Callable[[System], Cluster], chaos_plan: Plan
) -> None:
    """
    Goal: where members are to speak TLS, one that cannot serve it joins nobody in plaintext.
    Runbook: of members behind nginx, whose files say that n1 does without TLS, five rounds are
        made; n1 restarts with nothing before it; then the others restart, one after the other, and
        dial it anew.
    Success: no connection in plaintext; who met plaintext at n1 names it from 5 s later on.
    """
    group = chaos_cluster(_without_tls("n1", _group_of(chaos_plan.inputs)))
    group.await_progress(by=_OWED, timeout_s=_UP_S)
    with tapped(group):
        apply(Reconfigure("n1", {FRONT: _BARE}), to=group)
        _await_listening(group, "n1", Outcome.PLAINTEXT)
        for name in tuple(group.nodes)[1:]:
            _restart(group, name)
        group.hold(_NAMED_S + 2)
    group.check(no_connection_is_plaintext, members_without_tls_are_named(within_s=_NAMED_S))


def test_a_chain_that_fell_behind_reaches_the_present(
    chaos_cluster: Callable[[System], Cluster], chaos_plan: Plan
) -> None:
    """
    Goal: once all is whole again, a chain that stood still catches up faster than time passes.
    Runbook: behind nginx, with a period of 3 s, five rounds are made; every link is cut and all
        four members restart, as for A5; the links are healed; then those restart whom the plan
        says, one after the other.
    Success: in the present within 1.5 * H * c / (1 - c / P) + 5 * P of the end of the back-off.
    """
    group = chaos_cluster(_SLOW)
    promise = the_chain_reaches_the_present(catchup_period_s=1)
    group.await_progress(by=_OWED, timeout_s=60)
    with tapped(group):
        with _all_links_cut(group):
            _restart_all(group)
            group.hold(float(chaos_plan.inputs["halted_for_s"]))
        for name in chaos_plan.inputs["restarted"].split():
            _restart(group, name)
        await_decided(promise, on=group, timeout_s=_DECIDED_S)
    group.check(promise)


def _group_of(inputs: Mapping[str, str]) -> System:
    """A group behind nginx, as large as the plan says."""
    members = int(inputs["members"])
    return beacon(
        members,
        threshold=int(inputs["threshold"]),
        terminated=True,
        genesis_in_s=_GENESIS_IN_S * members,
    )


@contextmanager
def _all_links_cut(group: Cluster) -> Iterator[None]:
    """No member reaches another for the length of the block."""
    *others, last_but_one, last = group.nodes
    with ExitStack() as stack:
        for name in others:
            stack.enter_context(inject(Isolate(name, style="refused"), into=group))
        stack.enter_context(inject(Bridge(last_but_one, last, style="refused"), into=group))
        yield


def _restart_all(group: Cluster) -> None:
    """Restart each member, and wait until each has told of all others."""
    for name in group.nodes:
        apply(Restart(name, how="stop"), to=group)
    group.await_that(
        lambda: all(_out_of_reach(group, name) for name in group.nodes),
        what="every member to tell of all others",
        timeout_s=30,
    )


def _restart(group: Cluster, name: str) -> None:
    """Restart a member, and wait until it is there again and was heard dialling all others."""
    since_s = group.recorder.now_s()
    apply(Restart(name, how="stop"), to=group)
    _await_listening(group, name, Outcome.TLS)
    _await_dialled(group, name, since_s)


def _await_told(group: Cluster, name: str, peer: str) -> None:
    """Wait until a member has told that it does not reach a peer."""
    group.await_that(
        lambda: peer in _failing(group, name), what=f"{name} to tell of {peer}", timeout_s=30
    )


def _out_of_reach(group: Cluster, name: str) -> bool:
    return len(_failing(group, name)) == len(group.nodes) - 1


def _failing(group: Cluster, name: str) -> Sequence[str]:
    """Whom the member does not reach, by its last word."""
    seen = group.latest()[name]
    return () if seen is None else tuple(seen.detail["failing"])


def _await_listening(group: Cluster, name: str, kind: Outcome) -> None:
    """Wait until a member serves its peers so, seen from one of them."""
    peer = next(one for one in group.nodes if one != name)
    group.await_that(
        lambda: group.wire.look(peer, name, timeout_s=1.0).kind is kind,
        what=f"{name} to serve {kind.value}",
        timeout_s=_UP_S,
    )


def _await_dialled(group: Cluster, name: str, since_s: float) -> None:
    """Wait until a member was heard dialling each other one, however that ended."""

    def missing() -> list[str]:
        try:
            heard = connections_of(group.history())
        except Inconclusive:
            heard = []
        met = {
            one.target
            for one in heard
            if one.source == name and one.opened_within(since_s, math.inf)
        }
        return [one for one in group.nodes if one not in (name, *met)]

    group.await_that(
        lambda: not missing(), what=f"{name} to have dialled everybody", timeout_s=_UP_S
    )


def _without_tls(name: str, system: System) -> System:
    """
    The group, on files of v1, in all of which the identity of `name` says TLS = false.

    With the setting `front` at _BARE nothing stands before a member, which then listens itself.
    """

    def initial_data(placements: Sequence[Placement]) -> Mapping[str, Sequence[InitialFile]]:
        dealt = dealing.deal(
            placements,
            threshold=system.quorum,
            networks=(DEFAULT,),
            genesis_in_s=_GENESIS_IN_S * len(placements),
            left_by="v1.5.11",
        )
        address = f'"{name}:{placements[0].ports["private"]}"'.encode()
        return {
            node: [replace(one, content=_says_no(one.content, address)) for one in files]
            for node, files in dealt.items()
        }

    def command(placement: Placement) -> Sequence[str]:
        argv = system.command(placement)
        if placement.settings[FRONT] != _BARE:
            return argv
        own = f"{placement.bind}:{placement.ports['private']}"
        return [own if word == BEHIND else word for word in argv]

    def beside(placement: Placement) -> Companion | None:
        if placement.settings[FRONT] == _BARE or system.beside is None:
            return None
        return system.beside(placement)

    return replace(system, initial_data=initial_data, command=command, beside=beside)


def _says_no(text: bytes, address: bytes) -> bytes:
    """A file, or the part of a group that is about this address, in which it does without TLS."""
    parts = text.split(b"[[Nodes]]")
    return b"[[Nodes]]".join(
        one.replace(b"TLS = true", b"TLS = false") if address in one else one for one in parts
    )
