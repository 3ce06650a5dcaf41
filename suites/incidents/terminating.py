"""
Promises about what ends TLS before a member: it hands the calls of peers on as the member serves.

Owns: reading the proxies' logs into the history, and a promise for each way in which such a proxy
can be set up wrongly, so that which one is broken names the way. Refuses: how a proxy was set up,
and what peers say of a member: to them a member behind such a proxy is as one that is broken.

A proxy is accused only of what it did while its member was well: the process ran, nothing changed
about it, it answered for itself before and after, and on its own machine it was seen to serve
HTTP/2 in plaintext, which is what it promises to whatever stands before it. What nginx cannot hand
on to a member that is down, or that does not listen yet, looks like a wrong mode.

    note   {"text", "serves"}, by member: whether a ping in plaintext HTTP/2, on its own loopback,
           was answered
    note   {"text", "handed_on": {"way", "count", "from_s", "to_s", "line", "status", "upstream",
           "upstream_status"}}, by member: calls of peers, one after the other, that met the same;
           `way` is a name of suites.beacon.terminator.Front
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter

from chaoskit import http2
from chaoskit.cluster import Cluster
from chaoskit.companion import LOG
from chaoskit.errors import Inconclusive
from chaoskit.exchange import Outcome
from chaoskit.history import Event, History
from chaoskit.invariant import Violation, safety
from suites.beacon.readings import nodes_of
from suites.beacon.system import BEHIND
from suites.beacon.terminator import Front, Request, of_peers, requests, way

_PING_TIMEOUT_S = 2.0
_MET = attrgetter("status", "upstream", "upstream_status")


def note_calls(cluster: Cluster) -> None:
    """
    Put what the members' proxies logged of peers' calls into the history, and whether members serve
    what they have to.

    Raises ChaosError when one of them does not run.
    """
    begun_s = datetime.fromisoformat(cluster.recorder.started_utc).timestamp()
    host, _, port = BEHIND.rpartition(":")
    ping = partial(http2.ping, host, int(port), timeout_s=_PING_TIMEOUT_S)
    for name, node in cluster.nodes.items():
        met = cluster.backend.inside(name, ping, timeout_s=2 * _PING_TIMEOUT_S)
        text = f"a ping in plaintext HTTP/2 to {name}, behind its proxy: {met.kind.value}"
        serves = met.kind is Outcome.ANSWERED
        cluster.recorder.record(name, "note", {"text": text, "serves": serves})
        with node.log.path.with_name(LOG).open(encoding="utf-8", errors="replace") as lines:
            asked = of_peers(requests(lines))
        for _, alike in groupby(asked, key=_MET):
            _note(cluster, name, list(alike), begun_s)


def _note(cluster: Cluster, name: str, alike: Sequence[Request], begun_s: float) -> None:
    first = alike[0]
    found = way(first, BEHIND)
    # What failed is told one by one: each has to be of a time when the member was well.
    for some in [alike] if found is Front.RIGHT else [[one] for one in alike]:
        value = {
            "way": found.name if found else "",
            "count": len(some),
            "from_s": round(some[0].ended_s - begun_s, 3),
            "to_s": round(some[-1].ended_s - begun_s, 3),
            "line": some[0].line,
            "status": first.status,
            "upstream": first.upstream,
            "upstream_status": first.upstream_status,
        }
        met = f"{first.upstream_status} by {first.upstream}, {first.status} to the peer"
        text = f"the proxy before {name} handed {len(some)} calls on at {value['from_s']} s: {met}"
        cluster.recorder.record(name, "note", {"text": text, "handed_on": value})


@dataclass(frozen=True, slots=True)
class HandedOn:
    """Calls of peers that a member's proxy handed on, with what came of them: see the module."""

    member: str
    way: str
    count: int
    from_s: float
    to_s: float
    status: str
    upstream: str
    upstream_status: str
    event: int


def handed_on(history: History) -> Iterator[HandedOn]:
    """What was noted of it, in order; what came to nothing as far as the member was well then."""
    serving = {event.process for event in history.of("note") if event.value.get("serves")}
    for event in history.of("note"):
        told = event.value.get("handed_on")
        if told is None:
            continue
        found = HandedOn(
            event.process,
            told["way"],
            told["count"],
            told["from_s"],
            told["to_s"],
            told["status"],
            told["upstream"],
            told["upstream_status"],
            event.index,
        )
        well = found.member in serving and _was_well(history, found)
        if found.way == Front.RIGHT.name or well:
            yield found


def _was_well(history: History, calls: HandedOn) -> bool:
    """Whether the member answered for itself before and after these calls, and in between."""
    own = [event for event in history.of("observe", "state") if event.process == calls.member]
    before = [event for event in own if event.time_s < calls.from_s][-1:]
    within = [event for event in own if calls.from_s <= event.time_s <= calls.to_s]
    after = [event for event in own if event.time_s > calls.to_s][:1]
    return bool(before and after) and all(map(_answered, (*before, *within, *after)))


def _answered(event: Event) -> bool:
    return event.f == "observe" and event.type == "ok"


def _met(history: History, front: Front, what: str) -> Sequence[Violation]:
    """A violation for each member whose proxy is set up so, by all that it handed on."""
    found = [one for one in handed_on(history) if one.way]
    violations = []
    for member in nodes_of(history):
        its = [one for one in found if one.member == member]
        wrong = [one for one in its if one.way == front.name]
        if not wrong:
            continue
        first, calls = wrong[0], sum(one.count for one in wrong)
        violations.append(
            Violation(
                f"what ends TLS before {member} {what}: {calls} of {sum(i.count for i in its)} "
                f"calls of peers from {first.from_s:.3f} to {wrong[-1].to_s:.3f} s came to nothing "
                f"({first.upstream_status} by {first.upstream}, {first.status} to the peer), while "
                f"{member} itself ran, answered, and serves HTTP/2 in plaintext behind it",
                tuple(one.event for one in wrong),
                excusable=False,
            )
        )
    silent = set(nodes_of(history)) - {one.member for one in found}
    if silent and not violations:
        raise Inconclusive(
            f"no call says how the proxy before {' '.join(sorted(silent))} is set up"
        )
    return violations


@safety
def calls_are_handed_on_as_http2(history: History) -> Sequence[Violation]:
    """
    What ends TLS before a member speaks HTTP/2 to it: calls of gRPC are nothing else.

    Safety. Source: the gRPC protocol over HTTP/2; nginx hands on as HTTP/1 by `proxy_pass`.
    Evidence is, for each member, a call of a peer that says how its proxy is set up.
    """
    return _met(history, Front.HTTP1, "speaks HTTP/1 to it")


@safety
def calls_are_handed_on_in_the_mode_that_is_served(history: History) -> Sequence[Violation]:
    """
    What ends TLS before a member speaks plaintext to one that listens in plaintext.

    Safety. Source: the listener of every v2 of drand is plaintext; `grpc_pass grpcs://` speaks TLS.
    Evidence as for `calls_are_handed_on_as_http2`.
    """
    return _met(history, Front.WRONG_MODE, "speaks TLS to it where it listens in plaintext")


@safety
def calls_are_decrypted_once(history: History) -> Sequence[Violation]:
    """
    What ends TLS before a member is the only one that does: a second one finds nothing encrypted.

    Safety. Source: a terminator behind another one, each set up as if it stood alone. Evidence as
    for `calls_are_handed_on_as_http2`.
    """
    return _met(history, Front.TWICE, "hands what it has decrypted to one more that ends TLS")
