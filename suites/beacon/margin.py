"""
The margin to the threshold, watched from outside, and how long it took to see it shrink.

Owns: the margin as facts of ours have it, the margin as the members show it, and the standing
promise that the second follows the first. Refuses: a member's own alarm, and our facts as a source
for what is shown: that is made of what an operator's dashboard has, who answers and
`error_sending_partial` (`failing` in an observation).

A member makes a round when it holds a threshold of partial signatures, its own among them, and the
others sync it from there. So the margin is what the best placed member holds, less the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from chaoskit.errors import Inconclusive
from chaoskit.heard import heard
from chaoskit.history import History
from chaoskit.invariant import Invariant, Measured, Violation
from chaoskit.quorate import begin_s
from chaoskit.verdict import Kind
from suites.beacon.readings import nodes_of
from suites.beacon.telling import Facts

REFUSED = "detail.failing"  # of an observation: who did not take the last partial signature
_TOGETHER_S = 0.5  # a fault that cuts many links is one loss
_CALL_S = 8.0  # newer releases end a call that nobody answers after 5 s, older ones after 60


@dataclass(frozen=True, slots=True)
class Step:
    """The margin since `time_s`, by the event of that index."""

    time_s: float
    margin: int
    event: int


@dataclass(frozen=True, slots=True)
class Loss:
    """
    The margin fell from `before` to `after` at `since_s` and stayed there until `end_s`.

    `seen_after_s` is None where nothing showed that low a margin until then; `sampled` says whether
    anybody was asked.
    """

    since_s: float
    end_s: float
    before: int
    after: int
    seen_after_s: float | None
    sampled: bool
    events: tuple[int, ...]


def real_margin(history: History) -> list[Step]:
    """
    The margin from change to change, by states and cut links; where nobody can tell, the greater.
    """
    nodes, threshold = nodes_of(history), _threshold(history)
    facts = Facts()
    steps: list[Step] = []
    for event in history.of("state", "link", "handshake"):
        facts.take(event)
        running = [node for node in nodes if facts.states.get(node) == "running"]
        held = (
            sum(one == node or facts.reach(one, node) is not False for one in running)
            for node in running
        )
        _add(steps, Step(event.time_s, max(held, default=0) - threshold, event.index))
    return steps


def shown_margin(history: History) -> list[Step]:
    """The margin from sample to sample: of members that answer, whose partials were taken where."""
    nodes, threshold = nodes_of(history), _threshold(history)
    steps: list[Step] = []
    for one in heard(history.of("observe"), nodes, REFUSED):
        _add(steps, Step(one.event.time_s, one.most - threshold, one.event.index))
    return steps


def _threshold(history: History) -> int:
    (started,) = [event for event in history.of("cluster") if event.value["event"] == "started"]
    return int(started.value["quorum"])


def _add(steps: list[Step], step: Step) -> None:
    if not steps or steps[-1].margin != step.margin:
        steps.append(step)


def _settled(steps: Sequence[Step]) -> list[Step]:
    """The steps that lasted: of several in quick succession the last."""
    kept: list[Step] = []
    for step, following in pairwise([*steps, None]):
        if step is not None and (following is None or following.time_s - step.time_s > _TOGETHER_S):
            _add(kept, step)
    return kept


def losses(history: History) -> list[Loss]:
    """Every time the margin fell in the time that is judged, and when that was to be seen."""
    from_s, shown = begin_s(history), shown_margin(history)
    asked = history.of("observe")
    steps = _settled(real_margin(history))
    found = []
    for before, now, following in zip(steps, steps[1:], [*steps[2:], None], strict=False):
        if now.margin >= before.margin or now.time_s < from_s:
            continue
        end_s = history.end_s if following is None else following.time_s
        seen = _seen(shown, now, end_s)
        found.append(
            Loss(
                since_s=now.time_s,
                end_s=end_s,
                before=before.margin,
                after=now.margin,
                seen_after_s=None if seen is None else max(0.0, seen.time_s - now.time_s),
                sampled=any(now.time_s < event.time_s <= end_s for event in asked),
                events=(now.event, *(() if seen is None else (seen.event,))),
            )
        )
    return found


def _seen(shown: Sequence[Step], loss: Step, end_s: float) -> Step | None:
    """The first step that shows it; the one in force when it began, if that did already."""
    earlier = [step for step in shown if step.time_s <= loss.time_s][-1:]
    within = [step for step in shown if loss.time_s < step.time_s <= end_s]
    return next((step for step in (*earlier, *within) if step.margin <= loss.margin), None)


def margin_is_told(*, period_s: float) -> Invariant:
    """
    Make the promise: that fewer members can be spared is to be seen from outside, in time.

    Liveness. Source: in the outage of 2024 the margin of a network went from 5 to below 0 and
    nobody saw it go. In time is a call that ends unanswered and two periods. Owed where the margin
    stayed down for longer; measured wherever it fell.
    """
    limit_s = _CALL_S + 2 * period_s

    def judge(history: History) -> Sequence[Violation]:
        owed = [
            one
            for one in losses(history)
            if one.end_s - one.since_s > limit_s
            and (one.seen_after_s is None or one.seen_after_s > limit_s)
        ]
        if any(not one.sampled for one in owed):
            raise Inconclusive("no member was asked while the margin was down")
        return [
            Violation(f"{_told(one)}, and that was to be seen {_when(one)}", one.events)
            for one in owed
        ]

    def _when(one: Loss) -> str:
        if one.seen_after_s is None:
            return f"never in {one.end_s - one.since_s:.3f} s"
        return f"after {one.seen_after_s:.3f} s, not within {limit_s:g} s"

    def measure(history: History) -> Sequence[Measured]:
        return [
            Measured(f"{_told(one)}; until it showed", one.seen_after_s, limit_s, one.events)
            for one in losses(history)
        ]

    return Invariant("margin_is_told", Kind.LIVENESS, judge, measure)


def _told(one: Loss) -> str:
    return f"the margin fell from {one.before} to {one.after} at {one.since_s:.3f} s"
