"""
What a beacon promises at all times, as functions of the history; knows no release.

Owns: what must never happen to rounds: a fork, a signature that does not verify, a round before its
time or without a threshold, a hole. What has to happen in time is in suites.beacon.punctuality,
what members must tell of each other in suites.beacon.telling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Violation, safety
from chaoskit.quorate import Timeline, below_quorum, hung_together, timelines
from nodes import bls
from suites.beacon.readings import (
    Chain,
    Shown,
    Snapshot,
    begun_s,
    chains_of,
    everything,
    nodes_of,
    rounds_of,
    snapshots_of,
)

_CLOCK_S = 0.05  # the history's own time is written to the millisecond
_SETTLED_S = 1.5  # a partial signature under way, and facts that are recorded late
_ASKED_WITHIN_S = 1.0  # a stretch as short as that may pass between two looks


@safety
def one_signature_a_round(history: History) -> Sequence[Violation]:
    """
    A round has one signature, on all members and for ever.

    Safety. Source: drand's specification; BLS signatures are unique (Boneh, Lynn, Shacham 2001), so
    two of one round mean two chains. Compared: all that was read, observed and kept.
    """
    nodes_of(history)
    first: dict[int, Shown] = {}
    accused: set[tuple[int, str]] = set()
    violations: list[Violation] = []
    compared = False
    for one in everything(history):
        earlier = first.setdefault(one.number, one)
        compared = compared or earlier.node != one.node
        if one.signature != earlier.signature and (one.number, one.node) not in accused:
            accused.add((one.number, one.node))
            violations.append(
                Violation(
                    f"round {one.number} is {earlier.signature[:16]}... on {earlier.node} "
                    f"({earlier.time_s:.3f} s) and {one.signature[:16]}... on {one.node} "
                    f"({one.time_s:.3f} s)",
                    (*earlier.events, *one.events),
                )
            )
    if not violations and not compared:
        raise Inconclusive("no round was shown by two members")
    return violations


@safety
def the_chain_stays_the_same(history: History) -> Sequence[Violation]:
    """
    All members name the same public key, scheme, period, genesis and seed, at all times.

    Safety. Source: drand's specification: the chain hash covers them; clients pin it.
    """
    nodes_of(history)
    chains = chains_of(history)
    first = chains[0]

    def says(chain: Chain) -> tuple[object, ...]:
        return chain.public_key, chain.scheme, chain.seed, chain.period_s, chain.genesis_s

    return [
        Violation(f"a member names the chain {says(one)}, another {says(first)}", (one.event,))
        for one in chains
        if says(one) != says(first)
    ]


@safety
def every_signature_verifies(history: History) -> Sequence[Violation]:
    """
    Every round's signature is the group's over that round, and its randomness the signature's hash.

    Safety. Source: drand's specification (schemes, randomness); verified by nodes.bls, under the
    public key that the members name. In a chained scheme the message covers the signature before:
    the one that was shown with the round, or the one that anybody showed of the round before.
    """
    nodes_of(history)
    chain = chains_of(history)[0]
    scheme = chain.known_scheme()
    shown = everything(history)
    known = {one.number: one.signature for one in shown} | {0: chain.seed}
    verified: dict[tuple[int, str, str], bool] = {}
    violations: list[Violation] = []
    for one in shown:
        previous = one.previous or known.get(one.number - 1, "")
        if scheme.chained and not previous:
            continue  # nobody showed the round before
        key = (one.number, one.signature, previous)
        if key not in verified:
            verified[key] = _verifies(scheme, chain, *key)
            if not verified[key]:
                violations.append(
                    Violation(
                        f"round {one.number} on {one.node} has {one.signature[:16]}..., which "
                        f"is not the group's signature",
                        (chain.event, *one.events),
                    )
                )
        if one.randomness and one.randomness != _hash(one.signature):
            violations.append(
                Violation(
                    f"round {one.number} on {one.node}: its randomness {one.randomness[:16]}... "
                    f"is not its signature's hash",
                    one.events,
                )
            )
    if not violations and not verified:
        raise Inconclusive("no round could be verified: none was shown")
    return violations


def _verifies(scheme: bls.Scheme, chain: Chain, number: int, signature: str, previous: str) -> bool:
    try:
        digest = scheme.digest(number, bytes.fromhex(previous))
        return bls.verify(scheme, bytes.fromhex(chain.public_key), digest, bytes.fromhex(signature))
    except ValueError:
        return False


def _hash(signature: str) -> str:
    return hashlib.sha256(bytes.fromhex(signature)).hexdigest()


@safety
def no_round_before_its_time(history: History) -> Sequence[Violation]:
    """
    No round is shown before it is due.

    Safety. Source: drand's specification: round r is at genesis + (r - 1) periods, and nobody knows
    its randomness before a threshold of members has signed then.
    """
    return _early(history, rounds_of(history), "no round was shown")


def _early(history: History, shown: Sequence[Shown], nothing: str) -> list[Violation]:
    nodes_of(history)
    chain = chains_of(history)[0]
    begun = begun_s(history)
    if not shown:
        raise Inconclusive(nothing)
    return [
        Violation(
            f"{one.node} showed round {one.number} at {one.time_s:.3f} s, "
            f"{chain.due_s(one.number) - begun - one.time_s:.3f} s before it was due",
            (chain.event, *one.events),
        )
        for one in shown
        if begun + one.time_s < chain.due_s(one.number) - _CLOCK_S
    ]


@safety
def future_rounds_are_refused(history: History) -> Sequence[Violation]:
    """
    Whoever asks for a round that is not due gets no randomness.

    Safety. Source: drand's specification. Evidence is a member that answered such a question.
    """
    nodes_of(history)
    asked = [event for event in history.of("ahead") if event.type in ("ok", "fail")]
    said = [
        event
        for event in asked
        if event.type == "ok" or str(event.value.get("cause")).startswith("status ")
    ]
    if not said:
        raise Inconclusive("nobody answered a question for a round that is not due")
    answers = {event.index for event in asked}
    served = [one for one in rounds_of(history) if one.events[-1] in answers]
    return _early(history, served, "") if served else ()


@safety
def no_round_is_missing(history: History) -> Sequence[Violation]:
    """
    What a member keeps has no hole: of its newest rounds every one is there.

    Safety. Source: drand's specification: a chain appends one round after the other, late ones too.
    Read at the test's end, of every member that runs then.
    """
    nodes = nodes_of(history)
    latest = {one.node: one for one in snapshots_of(history)}
    states = {event.process: event.value["state"] for event in history.of("state")}
    violations = [
        Violation(
            f"{node} keeps rounds up to {max(latest[node].rounds)} and lacks {missing[0]}"
            + (f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""),
            (latest[node].answer.index,),
        )
        for node in nodes
        if node in latest and (missing := _missing(latest[node]))
    ]
    unread = [
        node
        for node in nodes
        if states.get(node) == "running" and (node not in latest or latest[node].unanswered)
    ]
    if not violations and (unread or not latest):
        raise Inconclusive(f"not all that {' '.join(unread) or 'a member'} keeps could be read")
    return violations


def _missing(snapshot: Snapshot) -> list[int]:
    return [
        number
        for number, kept in snapshot.rounds.items()
        if kept is None and number not in snapshot.unanswered
    ]


@safety
def no_round_without_a_threshold(history: History) -> Sequence[Violation]:
    """
    While no threshold of members can hear each other, no new round comes into being.

    Safety. Source: threshold signatures (Boldyreva 2003): fewer shares than the threshold sign
    nothing. "Can hear" is the permissive reading of chaoskit.quorate. Accused is a round that is
    newer than all that were shown until 1.5 s after such a stretch began, shown before it ended.
    A partial that was heard is kept until its round is made, so a member may have a threshold of
    them from one after the other: accused is no round of which that can be, by what was open and
    running at any moment from a period before it was due (members take partials of the round after
    the present one) until it was shown. Evidence is a look in such a stretch, where what is left of
    it is a second or longer.
    """
    nodes_of(history)
    shown = rounds_of(history)
    violations: list[Violation] = []
    seen = tried = False
    for timeline in timelines(history):
        for start_s, end_s, cause in below_quorum(timeline):
            from_s = start_s + _SETTLED_S
            if end_s <= from_s:
                continue
            tried = tried or end_s - from_s >= _ASKED_WITHIN_S
            newest = max((one.number for one in shown if one.time_s <= from_s), default=0)
            within = [one for one in shown if from_s < one.time_s < end_s]
            seen = seen or bool(within)
            violations += [
                Violation(
                    f"{one.node} showed round {one.number} at {one.time_s:.3f} s, newer than "
                    f"{newest}, while fewer than {timeline.quorum} members could hear each other "
                    f"({start_s:.3f} to {end_s:.3f} s)",
                    (cause, *one.events),
                )
                for one in _first_shown(within)
                if one.number > newest and not _could_be_gathered(history, timeline, one)
            ][:1]
    if tried and not seen:
        raise Inconclusive("nobody was asked while no threshold was there")
    return violations


def _first_shown(shown: Sequence[Shown]) -> list[Shown]:
    """Of each round the first time that it was shown."""
    first: dict[int, Shown] = {}
    for one in shown:
        first.setdefault(one.number, one)
    return list(first.values())


def _could_be_gathered(history: History, timeline: Timeline, one: Shown) -> bool:
    """Whether a threshold of partials may have come together until the round was shown."""
    chain = chains_of(history)[0]
    from_s = chain.due_s(one.number) - chain.period_s - begun_s(history)
    return len(hung_together(history, timeline, from_s, one.time_s)) >= timeline.quorum


PROMISES = (
    one_signature_a_round,
    the_chain_stays_the_same,
    every_signature_verifies,
    no_round_before_its_time,
    future_rounds_are_refused,
    no_round_is_missing,
    no_round_without_a_threshold,
)
