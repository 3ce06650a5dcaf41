"""
Whether members tell in time whom they cannot reach, and so how many more may be lost.

Owns: the promise that an operator sees the margin to the threshold shrink and grow, and how long
each member took to tell. Refuses: alarms in logs; read is `error_sending_partial`, which every
release exports, as observations carry it (`failing`, by peer's name).

A peer is out of reach of a member while it does not run, or while a link between the two is cut
either way: a partial signature is a call, and a call needs both directions of the link that its
caller dials. While a link is shaped otherwise (slow, narrow), or a handshake fails on it, the
member may say either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation
from chaoskit.quorate import begin_s
from chaoskit.verdict import Kind
from suites.beacon.readings import failing, nodes_of


@dataclass(frozen=True, slots=True)
class Told:
    """
    How a member told of a peer: out of reach from `since_s` (`gone`) or again in reach (not gone).

    `after_s` is None when it had not told by `end_s`, when things changed again.
    """

    member: str
    peer: str
    gone: bool
    since_s: float
    end_s: float
    after_s: float | None
    events: tuple[int, ...]


@dataclass(slots=True)
class Facts:
    """What is known of nodes and links at one moment."""

    states: dict[str, str] = field(default_factory=dict)
    odd: set[tuple[str, str]] = field(default_factory=set)
    links: dict[tuple[str, str], bool] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Note a `state`, `link` or `handshake`."""
        value = event.value
        if event.f == "state":
            self.states[event.process] = value["state"]
            return
        way = (value["source"], value["target"])
        if event.f == "link":
            self.links[way] = bool(value["cut"])
            odd = value["shape"] != "open" and not value["cut"]
        else:
            odd = event.type != "ok"
        (self.odd.add if odd else self.odd.discard)((f"{event.f} {way[0]}", way[1]))

    def reach(self, member: str, peer: str) -> bool | None:
        """Whether `member` can call `peer`; None where nothing is said of that."""
        if self.states.get(member) != "running":
            return None
        if peer not in self.states:
            return None
        if self.states[peer] != "running":
            return False
        ways = ((member, peer), (peer, member))
        if any(self.links.get(way) for way in ways):
            return False
        strange = any(
            (f"{kind} {way[0]}", way[1]) in self.odd
            for way in ways
            for kind in ("link", "handshake")
        )
        return None if strange else True


def told_of(history: History) -> Iterator[Told]:
    """
    Every change of who can reach whom in the time that is judged, and when the member told.

    The first state is no change, nor is what was so before the scope began.
    """
    nodes = nodes_of(history)
    from_s = begin_s(history)
    events = history.of("state", "link", "handshake")
    samples = {
        node: [event for event in history.of("observe") if event.process == node] for node in nodes
    }
    for member, peer in permutations(nodes, 2):
        facts = Facts()
        reach: bool | None = None
        since: Event | None = None
        was_known = False
        for event in [*events, None]:
            if event is not None:
                facts.take(event)
                now = facts.reach(member, peer)
                if now is reach:
                    continue
            if was_known and since is not None and reach is not None and since.time_s >= from_s:
                end_s = history.end_s if event is None else event.time_s
                yield _told(member, peer, since, end_s, samples[member], gone=not reach)
            if event is not None:
                was_known = reach is not None
                reach, since = now, event


def _told(
    member: str, peer: str, since: Event, end_s: float, samples: Sequence[Event], *, gone: bool
) -> Told:
    within = [
        event for event in samples if event.type == "ok" and since.time_s < event.time_s <= end_s
    ]
    said = next((event for event in within if (peer in failing(event)) == gone), None)
    last = within[-1:]
    return Told(
        member,
        peer,
        gone,
        since.time_s,
        end_s,
        None if said is None else said.time_s - since.time_s,
        (since.index, *(event.index for event in ([said] if said else last))),
    )


def members_tell_within(bound_s: float, *, back_within_s: float) -> Invariant:
    """
    Make the promise: a member tells in time that a peer is out of reach, and that it is back.

    Liveness. Source: the operator's margin (size - threshold - peers out of reach) is what an alarm
    is made of; in the outage of 2024 nobody saw it go. `bound_s` is for a loss; `back_within_s` has
    room for the back-off after which a lost peer is dialled again. Owed where a peer's reach did
    not change again before, by members that were running then. Evidence is one such change.
    """

    def limit_s(one: Told) -> float:
        return bound_s if one.gone else back_within_s

    def judge(history: History) -> Sequence[Violation]:
        owed = [
            one
            for one in told_of(history)
            if one.after_s is not None or one.end_s - one.since_s > limit_s(one)
        ]
        if not owed:
            raise Inconclusive("no member had a peer out of reach for long enough to tell")
        return [
            Violation(
                f"{one.member} said "
                + ("nothing" if one.after_s is None else f"after {one.after_s:.3f} s")
                + f", not within {limit_s(one):g} s, that {one.peer} is "
                + ("out of reach" if one.gone else "back")
                + f" since {one.since_s:.3f} s",
                one.events,
            )
            for one in owed
            if one.after_s is None or one.after_s > limit_s(one)
        ]

    return Invariant(f"members_tell_within_{bound_s:g}_s", Kind.LIVENESS, judge)
