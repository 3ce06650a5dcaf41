"""
Progress while quorate: the standing promise of liveness.

Owns: what counts as progress, when it was owed for long enough, and when nobody asked for it.
Refuses: bounds of its own: the cluster's event carries the System's `progress_bound_s`.

Progress is owed in a stretch during which one and the same quorum stood: the links and nodes that
were good all through the stretch hold a clique of at least `quorum`. A cluster in which another
majority is broken every second is quorate all the time and owes nothing: a protocol needs a
stable period (partial synchrony, Dwork, Lynch, Stockmeyer 1988).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Violation, liveness
from chaoskit.operations import attempts
from chaoskit.quorate import Interval, Timeline, quorate, timelines, voters


@dataclass(frozen=True, slots=True)
class Stretch:
    """
    A time in which one quorum stood all along.

    `voters` are the nodes of its cliques of at least quorum; `whole` says that they form one
    clique, so that each of them can serve; `cause` is the index of the event that began it.
    """

    start_s: float
    end_s: float
    voters: frozenset[str]
    whole: bool
    cause: int


def _stretch(first: Interval, last: Interval, together: Interval) -> Stretch:
    able = voters(together.healthy, together.connected, together.quorum)
    return Stretch(
        start_s=first.start_s,
        end_s=last.end_s,
        voters=able,
        whole=all(frozenset((a, b)) in together.connected for a in able for b in able if a != b),
        cause=first.cause,
    )


def _common(one: Interval, other: Interval) -> Interval:
    """What is good in both; quorate by that alone."""
    healthy = one.healthy & other.healthy
    connected = one.connected & other.connected
    return Interval(
        start_s=one.start_s,
        end_s=other.end_s,
        cause=one.cause,
        healthy=healthy,
        connected=connected,
        quorum=one.quorum,
        quorate=quorate(healthy, connected, one.quorum),
        conceivable=one.conceivable and other.conceivable,
    )


def stretches(timeline: Timeline) -> Iterator[Stretch]:
    """The maximal stretches in which one quorum stood; they may overlap."""
    intervals = timeline.intervals
    reached = -1
    for at, first in enumerate(intervals):
        if not first.quorate:
            continue
        together, last = first, at
        for following in range(at + 1, len(intervals)):
            both = _common(together, intervals[following])
            if not both.quorate:
                break
            together, last = both, following
        if last > reached:
            reached = last
            yield _stretch(first, intervals[last], together)
        if reached == len(intervals) - 1:
            return


@dataclass(frozen=True, slots=True)
class _Asked:
    """Somebody wanted progress of `node` (None: of any) between start_s and end_s."""

    start_s: float
    end_s: float
    node: str | None
    index: int


def _load(history: History, timeline: Timeline) -> tuple[list[Event], list[_Asked]]:
    """Acknowledgements, and the operations that asked for them."""
    signs: list[Event] = []
    asked: list[_Asked] = []
    for attempt in attempts(history):
        if not attempt.shows_progress:
            continue
        if attempt.node is not None and attempt.node not in timeline.nodes:
            continue
        done = attempt.completion
        if done is not None and done.type == "ok":
            signs.append(done)
        end_s = history.end_s if done is None else done.time_s
        asked.append(_Asked(attempt.invoke.time_s, end_s, attempt.node, attempt.invoke.index))
    signs.sort(key=lambda event: event.index)
    return signs, asked


def _samples(history: History, timeline: Timeline) -> tuple[list[Event], list[_Asked]]:
    """Samples that show more progress than any before, and all samples taken."""
    signs: list[Event] = []
    asked: list[_Asked] = []
    best: int | None = None
    for event in history.of("observe"):
        if event.process not in timeline.nodes:
            continue
        asked.append(_Asked(event.time_s, event.time_s, event.process, event.index))
        progress = event.value.get("progress")
        if event.type == "ok" and progress is not None and (best is None or progress > best):
            if best is not None:
                signs.append(event)
            best = progress
    return signs, asked


def _demanded(
    within: tuple[float, float], asked: Sequence[_Asked], stretch: Stretch, bound_s: float
) -> tuple[float, float, int] | None:
    """
    The first time longer than the bound in which those who could serve were asked all along.

    It begins with a question; half a bound without one ends it. Where the voters are no one clique
    (a bridge) each of them must have been asked, half a bound before the end at the latest: one may
    be led by a node that it cannot reach. Answers start_s, end_s, the last question's index.
    """
    from_s, to_s = within
    half_s = bound_s / 2
    start_s = end_s = from_s
    first_s: dict[str | None, float] = {}
    index = -1
    questions = [one for one in asked if one.end_s > from_s and one.start_s < to_s]
    for one in [*questions, None]:
        if one is not None and one.node is not None and one.node not in stretch.voters:
            continue
        if one is None or not first_s or one.start_s > end_s + half_s:
            in_time = {node for node, at_s in first_s.items() if at_s <= end_s - half_s}
            enough = in_time if stretch.whole or None in in_time else in_time >= stretch.voters
            if enough and end_s - start_s > bound_s:
                return start_s, end_s, index
            if one is None:
                return None
            start_s = end_s = max(from_s, one.start_s)
            first_s = {}
        end_s = max(end_s, min(one.end_s, to_s))
        index = one.index
        first_s.setdefault(one.node, max(from_s, one.start_s))
    return None


@dataclass(frozen=True, slots=True)
class _Findings:
    """Of one cluster: where progress was missing, and whether some owed time could not be seen."""

    violations: tuple[Violation, ...]
    unseen: bool


def _stalls(
    history: History, timeline: Timeline, signs: Sequence[Event], asked: Sequence[_Asked]
) -> _Findings:
    bound_s = timeline.progress_bound_s
    gaps = [] if timeline.driven else history.of("gap")
    what = "acknowledged operation" if timeline.driven else "progress"
    accused: set[int] = set()
    violations: list[Violation] = []
    unseen = False
    for stretch in stretches(timeline):
        marks = [(stretch.start_s, stretch.cause)]
        marks += [
            (sign.time_s, sign.index)
            for sign in signs
            if stretch.start_s < sign.time_s < stretch.end_s
        ]
        marks.append((stretch.end_s, -1))
        for (from_s, cause), (to_s, following) in pairwise(marks):
            if to_s - from_s <= bound_s or cause in accused:
                continue
            found = _demanded((from_s, to_s), asked, stretch, bound_s)
            if found is None or any(
                gap.process in stretch.voters
                and gap.value["from_s"] < found[1]
                and gap.value["to_s"] > found[0]
                for gap in gaps
            ):
                unseen = unseen or not timeline.driven
                continue
            start_s, end_s, last = found
            accused.add(cause)
            violations.append(
                Violation(
                    f"{timeline.cluster}: {' '.join(sorted(stretch.voters))} were a quorum from "
                    f"{stretch.start_s:.3f} to {stretch.end_s:.3f} s, and there was no {what} from "
                    f"{start_s:.3f} to {end_s:.3f} s; the bound is {bound_s:g} s",
                    tuple(sorted({cause, last} | ({following} if following >= 0 else set()))),
                )
            )
    return _Findings(tuple(violations), unseen)


@liveness
def progress_while_quorate(history: History) -> Sequence[Violation]:
    """
    While one quorum stands, progress is never further apart than the System's bound.

    Liveness. Source: design section 1, idea 4. Driven systems: acknowledged operations, while
    operations were asked of the nodes that could serve; others: the highest progress that any node
    shows. Evidence is progress at a time when a quorum was there; none, or for systems that are
    not driven a gap of the observers in the only time that counts, is Inconclusive.
    """
    violations: list[Violation] = []
    evidence = anything = owed = unseen = False
    for timeline in timelines(history):
        read = _load if timeline.driven else _samples
        signs, asked = read(history, timeline)
        anything = anything or bool(asked)
        findings = _stalls(history, timeline, signs, asked)
        violations.extend(findings.violations)
        unseen = unseen or findings.unseen
        times = [(i.start_s, i.end_s) for i in timeline.intervals if i.quorate]
        owed = owed or bool(times)
        evidence = evidence or any(
            start_s <= sign.time_s <= end_s for sign in signs for start_s, end_s in times
        )
    if not violations and unseen:
        raise Inconclusive("no sample was taken for longer than the bound while a quorum was there")
    if not violations and not evidence:
        if not owed:
            raise Inconclusive("no quorum was there at any time")
        asked_for = "nothing came of what was asked" if anything else "nobody asked for progress"
        raise Inconclusive(f"no progress was seen while a quorum was there: {asked_for}")
    return violations
