"""
The judge: from a history and promises to a verdict.

Owns: what each finding counts as, the judgement's form, and the cut of a run's history into its
tests. Refuses: I/O; a saved run is judged by the same code as a live one.

A broken promise is FAIL; one without evidence UNKNOWN; one whose function breaks INFRA. A broken
promise of liveness is INFRA instead where the machine was over its limits within the violation's
own time: never one of safety, an exit or a refusal (`Violation.excusable`), or missing evidence.
Where a promise of liveness was broken in a way that no stall explains, what a stall may explain
besides decides nothing. Missing evidence of a fault is INVALID.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from chaoskit.errors import Inconclusive
from chaoskit.evidence import faults_were_felt
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Measured, Violation
from chaoskit.liveness import fault_windows
from chaoskit.operations import attempts
from chaoskit.quorate import begin_s, owed_share
from chaoskit.verdict import Kind, Reason, Verdict, decide

_EVENTS_OF_A_REASON = 20


class Outcome(StrEnum):
    """What became of a promise."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Promise:
    """
    One promise's outcome.

    `violations` holds every violation in the order found; `missing` says for UNKNOWN what evidence
    there was not; `excused` counts the violations that a stalled machine may explain; `measured` is
    what it was measured at, kept or broken.
    """

    name: str
    kind: Kind
    outcome: Outcome
    violations: tuple[Violation, ...] = ()
    missing: str = ""
    excused: int = 0
    measured: tuple[Measured, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """
    How much was done and seen: the load's operations by outcome, samples, faults and changes.

    Snapshots are the harness's own readings, and not among the operations.
    """

    acknowledged: int
    failed: int
    unknown: int
    samples: int
    faults: int
    changes: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    A verdict with everything it rests on.

    `owed_share` is the share of the fault and recovery windows in which liveness was owed, None
    when there were no such windows.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    promises: tuple[Promise, ...]
    owed_share: float | None
    counts: Counts


def _stalls(history: History) -> list[tuple[float, float, Event]]:
    """When the machine was over its limits: from the measurement before to the one that says so."""
    found = []
    before_s = history.events[0].time_s if history.events else 0.0
    for event in history.of("machine"):
        if event.value["over"]:
            found.append((before_s, event.time_s, event))
        before_s = event.time_s
    return found


def _stall_behind(
    violation: Violation, times: dict[int, float], stalls: Sequence[tuple[float, float, Event]]
) -> Event | None:
    """The measurement that may explain a missed deadline: it overlaps the violation's own time."""
    if not violation.excusable:
        return None
    known = violation.span_s or [times[index] for index in violation.events if index in times]
    if not known:
        return None
    for from_s, to_s, event in stalls:
        if from_s <= max(known) and to_s >= min(known):
            return event
    return None


def _summary(violations: Sequence[Violation]) -> str:
    more = len(violations) - 1
    return violations[0].text + (f" (and {more} more)" if more else "")


def _indices(violations: Sequence[Violation]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(index for violation in violations for index in violation.events))[
        :_EVENTS_OF_A_REASON
    ]


def _broken(
    history: History, invariant: Invariant, violations: tuple[Violation, ...]
) -> tuple[Promise, list[Reason]]:
    excused: list[Violation] = []
    blamed = list(violations)
    reasons: list[Reason] = []
    if invariant.kind is Kind.LIVENESS:
        times = {event.index: event.time_s for event in history.events}
        stalls = _stalls(history)
        found = [(one, _stall_behind(one, times, stalls)) for one in violations]
        excused = [one for one, stall in found if stall is not None]
        blamed = [one for one, stall in found if stall is None]
        evidence = [stall for _, stall in found if stall is not None]
        if excused:
            said = evidence[0].value
            reasons.append(
                Reason(
                    Verdict.INFRA,
                    invariant.name,
                    f"{_summary(excused)}; but the machine was over its limits then (steal "
                    f"{said.get('steal')}, pressure {said.get('pressure')}, waiting "
                    f"{said.get('waiting')}, proxy lag {said.get('proxy_lag_s')} s, a sync "
                    f"{said.get('sync_s')} s)",
                    (*_indices(excused), evidence[0].index),
                )
            )
    if blamed:
        reasons.append(
            Reason(Verdict.FAIL, invariant.name, _summary(blamed), _indices(blamed), invariant.kind)
        )
    promise = Promise(
        invariant.name, invariant.kind, Outcome.BROKEN, violations, excused=len(excused)
    )
    return promise, reasons


def _judged(history: History, invariant: Invariant) -> tuple[Promise, list[Reason]]:
    try:
        violations = tuple(invariant.judge(history))
        measured = tuple(invariant.measure(history))
    except Inconclusive as missing:
        return (
            Promise(invariant.name, invariant.kind, Outcome.UNKNOWN, missing=str(missing)),
            [Reason(Verdict.UNKNOWN, invariant.name, str(missing))],
        )
    except Exception as error:  # noqa: BLE001  the edge: a suite's invariant must not end the run
        text = f"the invariant itself broke: {type(error).__name__}: {error}"
        return (
            Promise(invariant.name, invariant.kind, Outcome.UNKNOWN, missing=text),
            [Reason(Verdict.INFRA, invariant.name, text)],
        )
    if not violations:
        return Promise(invariant.name, invariant.kind, Outcome.KEPT, measured=measured), []
    promise, reasons = _broken(history, invariant, violations)
    return replace(promise, measured=measured), reasons


def _certain(promise: Promise) -> bool:
    """Whether a promise of liveness was broken in a way that no machine is to blame for."""
    return promise.kind is Kind.LIVENESS and any(not one.excusable for one in promise.violations)


def _samples(history: History) -> int:
    """How many samples were taken in the time that is judged."""
    begins_s = begin_s(history)
    return sum(event.time_s >= begins_s for event in history.of("observe"))


def _of_the_run(history: History) -> list[Reason]:
    """What the harness has to say of itself, beside the evidence of its faults."""
    reasons = []
    if not _samples(history):
        reasons.append(Reason(Verdict.UNKNOWN, "observation", "no node was observed"))
    round_the_proxy = [event for event in history.of("bypass") if event.value["packets"] > 0]
    if round_the_proxy:
        last = round_the_proxy[-1]
        reasons.append(
            Reason(
                Verdict.INFRA,
                "bypass",
                f"{last.value['packets']} packets tried to go round the proxy",
                (last.index,),
            )
        )
    return reasons


def _counts(history: History) -> Counts:
    outcomes = {"ok": 0, "fail": 0, "info": 0}
    for attempt in attempts(history):
        if attempt.f == "snapshot":
            continue
        outcomes["info" if attempt.completion is None else attempt.completion.type] += 1
    return Counts(
        acknowledged=outcomes["ok"],
        failed=outcomes["fail"],
        unknown=outcomes["info"],
        samples=_samples(history),
        faults=sum(event.type == "invoke" for event in history.of("fault")),
        changes=sum(event.type == "invoke" for event in history.of("change")),
    )


def judge(history: History, invariants: Sequence[Invariant]) -> Judgement:
    """
    Judge one test's history (a slice of `scopes`, or a run with one cluster) by its promises.

    Never PASS without evidence: no promise at all, or nothing observed, is UNKNOWN.
    """
    reasons: list[Reason] = []
    promises: list[Promise] = []
    for invariant in invariants:
        promise, found = _judged(history, invariant)
        promises.append(promise)
        reasons.extend(found)
    if any(_certain(one) for one in promises):
        excused = {one.name for one in promises if one.excused}
        reasons = [
            one for one in reasons if one.verdict is not Verdict.INFRA or one.by not in excused
        ]
    if not promises:
        reasons.append(Reason(Verdict.UNKNOWN, "promises", "no promise was judged"))
    reasons.extend(faults_were_felt(history))
    reasons.extend(_of_the_run(history))
    return Judgement(
        verdict=decide(reasons),
        reasons=tuple(reasons),
        promises=tuple(promises),
        owed_share=owed_share(history, fault_windows(history)),
        counts=_counts(history),
    )
