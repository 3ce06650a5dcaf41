"""
Promises about who signs: every member that runs contributes, one that starts on old keys too.

Owns: these promises, and the spare-signer test that they rest on: while no more members run than
are a threshold, a round needs each of them. Refuses: to know which release does what, and what
members say of themselves: one whose partials are refused follows the chain and looks well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation, safety
from chaoskit.quorate import timelines
from chaoskit.verdict import Kind
from suites.beacon.punctuality import networks_keep_time
from suites.beacon.readings import denied, failing, nodes_of, rounds_of, samples_of
from suites.incidents.upgrades import moves_to, sights_of


@dataclass(frozen=True, slots=True)
class Stand:
    """
    A time in which the same members ran, well and connected, a threshold of them or more.

    `rounds_s` is when rounds were shown that nobody had shown before; `cause` the event at its
    beginning; `spare` how many more members ran than a threshold.
    """

    members: frozenset[str]
    spare: int
    start_s: float
    end_s: float
    cause: int
    rounds_s: tuple[float, ...]

    def wait(self) -> tuple[float, float]:
        """The longest time without a new round: from when to when."""
        times_s = pairwise((self.start_s, *self.rounds_s, self.end_s))
        return max(times_s, key=lambda one: one[1] - one[0])

    def longest_wait_s(self) -> float:
        """How long that was."""
        from_s, to_s = self.wait()
        return to_s - from_s

    def has_made(self) -> bool:
        """Whether a round was made in it: the first that is shown may be older."""
        return len(self.rounds_s) > 1


def stands_of(history: History) -> Iterator[Stand]:
    """Every such time of the one cluster, in order."""
    nodes_of(history)
    news_s = _news_s(history)
    for timeline in timelines(history):
        found: list[tuple[frozenset[str], float, float, int]] = []
        for one in timeline.intervals:
            members = one.healthy if one.quorate else frozenset[str]()
            if found and found[-1][0] == members:
                found[-1] = (members, found[-1][1], one.end_s, found[-1][3])
            else:
                found.append((members, one.start_s, one.end_s, one.cause))
        for members, start_s, end_s, cause in found:
            if members:
                rounds_s = tuple(time_s for time_s in news_s if start_s <= time_s <= end_s)
                spare = len(members) - timeline.quorum
                yield Stand(members, spare, start_s, end_s, cause, rounds_s)


def _news_s(history: History) -> list[float]:
    newest, found = 0, []
    for one in rounds_of(history):
        if one.number > newest:
            newest = one.number
            found.append(one.time_s)
    return found


def every_running_member_contributes(*, within_s: float) -> Invariant:
    """
    Make the promise: as long as a threshold of members runs, rounds come, whoever they are.

    Liveness. Source: threshold signatures: any threshold of members signs. Broken where a threshold
    ran, well and connected, and no new round was shown for longer than `within_s` seconds.
    Evidence is a round that was made while exactly a threshold ran: each of them has signed it.
    No stall is to blame where members refused so many partial signatures that none could be made.
    """

    def judge(history: History) -> Sequence[Violation]:
        stands = list(stands_of(history))
        violations = [
            Violation(
                f"{' '.join(sorted(one.members))} ran from {one.start_s:.3f} to {one.end_s:.3f} s, "
                f"{one.spare} more than a threshold, and no round was made for "
                f"{one.longest_wait_s():.3f} s: not all of them contribute{_mute(history, one)}",
                (one.cause,),
                span_s=one.wait(),
                excusable=not _refuses(history, one),
            )
            for one in stands
            if one.longest_wait_s() > within_s
        ]
        if not violations and not any(one.spare == 0 and one.has_made() for one in stands):
            raise Inconclusive("no round was made while no more members ran than are a threshold")
        return violations

    return Invariant("every_running_member_contributes", Kind.LIVENESS, judge)


def _refuses(history: History, stand: Stand) -> bool:
    """
    Whether refusals alone explain that a round was waited for: by a member that all others needed,
    or by each of them of so many that too few were left to make one.
    """
    from_s, to_s = stand.wait()
    refusing = {one for one in stand.members if denied(history, one, from_s, to_s)}
    if stand.spare == 0 and refusing:
        return True
    threshold = len(stand.members) - stand.spare
    told = {one: samples_of(history, one, (from_s + to_s) / 2, to_s) for one in stand.members}

    def taken(member: str) -> int:
        """From how many a member may have taken partials in the end, itself among them."""
        return sum(
            one == member or not of or any(member not in failing(sample) for sample in of)
            for one, of in told.items()
        )

    return all(one in refusing and taken(one) < threshold for one in stand.members)


def _mute(history: History, stand: Stand) -> str:
    """Whose partials were not taken by anybody at the end of it, in words."""
    last: dict[str, Event] = {
        event.process: event
        for event in history.of("observe")
        if event.type == "ok" and stand.start_s <= event.time_s <= stand.end_s
    }
    refused = {
        name: failing(event) & stand.members
        for name, event in last.items()
        if name in stand.members
    }
    mute = [name for name, by in refused.items() if by == stand.members - {name}]
    return f"; nobody took the last partial of {' '.join(sorted(mute))}" if mute else ""


def a_member_with_valid_old_keys_starts_and_contributes(
    *, label: str, version: str, within_s: float
) -> Invariant:
    """
    Make the promise: a member that comes to `label` with valid old keys starts, and contributes.

    Liveness. Source: an upgrade promises to load what older releases wrote. Broken where its
    process ended by itself, where it was not seen ready at `version` within `within_s` seconds, and
    where it was one of exactly a threshold and no round was made for that long. Inconclusive: no
    member went there, or one that did was never put to the test there.
    """

    def judge(history: History) -> Sequence[Violation]:
        moves = list(moves_to(history, label))
        if not moves:
            raise Inconclusive(f"no member went to {label}")
        stands = list(stands_of(history))
        violations: list[Violation] = []
        tried: set[str] = set()
        for move in moves:
            events = (move.begun.index, move.done.index)
            told = move.said(move.done.time_s)
            if move.exit is not None:
                ended = (*events, move.exit.index)
                violations.append(Violation(f"{told}: it did not start", ended, excusable=False))
                continue
            limit_s = move.done.time_s + within_s
            if not any(one.time_s <= limit_s for one in sights_of(history, move, version)):
                if move.until_s < limit_s:
                    raise Inconclusive(f"{move.member} was not given {within_s:g} s")
                text = f"{told}: not seen ready at {version} within {within_s:g} s"
                violations.append(Violation(text, events))
                continue
            trials = [
                one
                for one in stands
                if one.spare == 0
                and move.member in one.members
                and move.done.time_s <= one.start_s
                and one.end_s <= move.until_s
            ]
            mute = [one for one in trials if one.longest_wait_s() > within_s]
            violations += [
                Violation(
                    f"{told}: no round for {one.longest_wait_s():.3f} s when each needed it",
                    (*events, one.cause),
                    span_s=one.wait(),
                )
                for one in mute
            ]
            if mute or any(one.has_made() for one in trials):
                tried.add(move.member)
        untried = sorted({move.member for move in moves} - tried)
        if not violations and untried:
            raise Inconclusive(f"whether {' '.join(untried)} contributes was not tried")
        return violations

    name = "a_member_with_valid_old_keys_starts_and_contributes"
    return Invariant(name, Kind.LIVENESS, judge)


@safety
def a_failing_or_repeated_command_never_changes_the_private_scalar(
    history: History,
) -> Sequence[Violation]:
    """
    A failing or repeated command never changes the private scalar on disk.

    Safety. Source: whoever has another scalar than the group knows is no member of it any more.
    Judged from the notes that a test makes of it, two of one member at least.
    """
    notes: dict[str, list[Event]] = {}
    for event in history.of("note"):
        if "scalar_digest" in event.value:
            notes.setdefault(event.process, []).append(event)
    if not any(len(of) > 1 for of in notes.values()):
        raise Inconclusive("no member's private scalar was noted before and after")
    return [
        Violation(
            f"{node}'s private scalar was another one at {later.time_s:.3f} s than at "
            f"{earlier.time_s:.3f} s",
            (earlier.index, later.index),
        )
        for node, of in notes.items()
        for earlier, later in pairwise(of)
        if earlier.value["scalar_digest"] != later.value["scalar_digest"]
    ]


def a_fault_in_one_network_leaves_the_others_on_time(*others: str, bound_s: float) -> Invariant:
    """
    Make the promise: whatever ails one network of a daemon, `others` make their rounds.

    Liveness, as `networks_keep_time`. No stall is to blame where fewer than a threshold ran for
    that long, for want of processes that had ended by themselves.
    """
    promise = networks_keep_time(*others, bound_s=bound_s)

    def judge(history: History) -> Sequence[Violation]:
        return [
            replace(one, excusable=_lost_s(history, one.span_s) <= bound_s)
            for one in promise.judge(history)
        ]

    name = "a_fault_in_one_network_leaves_the_others_on_time"
    return Invariant(name, promise.kind, judge)


def _lost_s(history: History, span_s: tuple[float, float] | None) -> float:
    """For how long of this time fewer than a threshold ran, and would not but for own exits."""
    (started,) = (one for one in history.of("cluster") if one.value["event"] == "started")
    quorum = started.value["quorum"]
    from_s, to_s = span_s or (0.0, 0.0)
    running: set[str] = set()
    exited: set[str] = set()
    lost_s, since_s = 0.0, from_s
    for event in (*history.of("state"), None):
        now_s = to_s if event is None else min(max(event.time_s, from_s), to_s)
        if len(running) < quorum <= len(running | exited):
            lost_s += now_s - since_s
        since_s = now_s
        if event is not None:
            ours = event.value["signalled"]
            running.discard(event.process)
            exited.discard(event.process)
            if event.value["state"] == "running":
                running.add(event.process)
            elif event.value["state"] == "exited" and not ours:
                exited.add(event.process)
    return lost_s
