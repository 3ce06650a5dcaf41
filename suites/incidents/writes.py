"""
Promises about writes: they return after a heal, and stay as fast as they were.

Owns: `writes_return_after_the_heal`, `writes_are_answered_after_the_heal` and
`puts_stay_near_the_calibrated`. Refuses: reads as a sign of service: a system that still answers
reads may have stopped for everybody who writes. What was measured before the fault stands in the
history as a `calibration` event, so that a saved run is judged by the same figure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise
from statistics import median

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation
from chaoskit.machine import slowdown
from chaoskit.operations import Attempt, attempts
from chaoskit.verdict import Kind
from suites.etcd.leadership import elections_explain

_WRITES = ("put", "txn")
_FEWEST_PUTS = 20
FACTOR = 10.0
"""How many times as long as calibrated the median put may take."""
_ANSWERED = "status "  # how a client records an answer that said no; no stall explains that


def _last_heal(history: History) -> Event:
    heals = [event for event in history.of("heal") if event.type == "ok"]
    if not heals:
        raise Inconclusive("nothing was healed")
    return heals[-1]


def _writes(history: History) -> list[Attempt]:
    return [attempt for attempt in attempts(history) if attempt.f in _WRITES]


def writes_return_after_the_heal(*, within_s: float) -> Invariant:
    """
    Make the promise: a write asked after the last heal is acknowledged within `within_s` of it.

    Liveness. Source: what mends a cause has to mend its effect (incident row E7: the alarm that
    outlives the full disk). Inconclusive: nothing was healed, or no write was asked for that long.
    """

    def judge(history: History) -> Sequence[Violation]:
        heal = _last_heal(history)
        limit_s = heal.time_s + within_s
        asked = [
            write for write in _writes(history) if heal.time_s <= write.invoke.time_s <= limit_s
        ]
        for write in asked:
            done = write.completion
            if write.acknowledged and done is not None and done.time_s <= limit_s:
                return ()
        if not asked or history.end_s < limit_s:
            raise Inconclusive(f"no write was asked until {within_s:g} s after the heal")
        answers = [write.completion for write in asked if write.completion is not None]
        causes = {str(answer.value.get("cause")) for answer in answers}
        return [
            Violation(
                f"healed at {heal.time_s:.3f} s, and of {len(asked)} writes asked within "
                f"{within_s:g} s none was acknowledged: {', '.join(sorted(causes)) or 'no answer'}",
                (heal.index, asked[0].invoke.index, *asked[-1].events),
                excusable=not any(cause.startswith(_ANSWERED) for cause in causes),
            )
        ]

    return Invariant("writes_return_after_the_heal", Kind.LIVENESS, judge)


def writes_are_answered_after_the_heal(
    nodes: Collection[str], *, for_s: float, within_s: float
) -> Invariant:
    """
    Make the promise: writes asked of `nodes` in `for_s` seconds from the last heal on are quick.

    Liveness. Source: Ongaro's thesis, section 9.6: a server that returns must not cost the others
    an election, which every write would have to wait for. Each is acknowledged within `within_s`
    seconds. Those that were under way while the host's own disk took half of that to sync do not
    decide where there are others. A stall excuses none that waited while the term of `nodes` rose
    faster than by elections of their own. Inconclusive: nothing was healed, or no write was asked
    then.
    """

    def judge(history: History) -> Sequence[Violation]:
        heal = _last_heal(history)
        asked = [
            write
            for write in _writes(history)
            if write.node in nodes and heal.time_s <= write.invoke.time_s <= heal.time_s + for_s
        ]
        if not asked:
            raise Inconclusive(f"no write was asked of {' '.join(nodes)} after the heal")
        deciding = _untouched(history, asked, factor=math.inf, delay_s=within_s / 2)
        return [
            Violation(
                f"{write.f} by {write.node}, asked at {write.invoke.time_s:.3f} s, "
                f"{write.invoke.time_s - heal.time_s:.3f} s after the heal, was not acknowledged "
                f"within {within_s:g} s",
                write.events,
                excusable=_elections_explain(history, nodes, heal, write),
            )
            for write in deciding or asked
            if not write.acknowledged
            or write.completion is None
            or write.completion.time_s - write.invoke.time_s > within_s
        ]

    return Invariant("writes_are_answered_after_the_heal", Kind.LIVENESS, judge)


def _elections_explain(
    history: History, nodes: Collection[str], heal: Event, write: Attempt
) -> bool:
    """
    Whether the term that `nodes` show never rose faster than by their own elections, from the heal
    until a leader was seen after the write's end.
    """
    seen: list[Event] = []
    for event in history.of("observe"):
        if event.process not in nodes or event.type != "ok" or event.value.get("term") is None:
            continue
        seen.append(event)
        if event.value["role"] == "leader" and event.time_s > _end_s(write, history):
            break
    return all(
        elections_explain(
            later.value["term"] - sooner.value["term"],
            members=len(nodes),
            elapsed_s=later.time_s - sooner.time_s,
        )
        for sooner, later in pairwise(seen)
        if later.time_s > heal.time_s
    )


def _took_s(writes: Sequence[Attempt]) -> list[float]:
    return [
        write.completion.time_s - write.invoke.time_s
        for write in writes
        if write.acknowledged and write.completion is not None
    ]


def _median_s(writes: Sequence[Attempt]) -> float:
    """Of what the writes took; one that was never acknowledged took longer than any."""
    took_s = _took_s(writes)
    return median([*took_s, *[float("inf")] * (len(writes) - len(took_s))])


def _end_s(write: Attempt, history: History) -> float:
    return history.end_s if write.completion is None else write.completion.time_s


def _untouched(
    history: History, writes: Sequence[Attempt], *, factor: float, delay_s: float
) -> list[Attempt]:
    """
    The writes under way while the machine was within its limits, or slowed by less than `factor`.

    A machine on which all takes three times as long is no reason for ten times. Left out are those,
    too, that were under way while the host's own disk took `delay_s` or more to sync: it did to
    every member what the fault does to one.
    """
    stalls: list[tuple[float, float]] = []
    before_s = 0.0
    for event in history.of("machine"):
        slow = event.value["over"] and slowdown(event.value) >= factor
        if slow or (event.value.get("sync_s") or 0.0) >= delay_s:
            stalls.append((before_s, event.time_s))
        before_s = event.time_s
    return [
        write
        for write in writes
        if not any(
            from_s <= _end_s(write, history) and to_s >= write.invoke.time_s
            for from_s, to_s in stalls
        )
    ]


def calibration(history: History) -> dict[str, float]:
    """
    What the acknowledged puts of a history took: `puts`, and their median in `median_s` seconds.

    The value of a `calibration` event. Raises Inconclusive when there are fewer than 20.
    """
    took_s = _took_s([one for one in attempts(history) if one.f == "put"])
    if len(took_s) < _FEWEST_PUTS:
        raise Inconclusive(f"{len(took_s)} puts are no calibration")
    return {"puts": len(took_s), "median_s": round(median(took_s), 6)}


def puts_stay_near_the_calibrated(*, delay_s: float, factor: float = FACTOR) -> Invariant:
    """
    Make the promise: while faults are in force the median put takes at most `factor` times as long.

    Liveness. Source: incident row E8: a store that waits for the disk of one member only is as slow
    as that disk, and no health answer says so. Puts count that were asked while a fault was in
    force, all nodes together; those never acknowledged count as the slowest. Where the machine
    stalled, the puts decide that it did not touch, or slowed by less than `factor`, if they are
    half of them and 20 or more; else all do, and it may be to blame. Inconclusive: no
    `calibration`, no fault, fewer than 20 such puts, or none over a limit of `delay_s` or more,
    what a put takes at least that waits for the fault: so high a limit holds whatever the store
    does.
    """

    def judge(history: History) -> Sequence[Violation]:
        known = history.of("calibration")
        faults = [event for event in history.of("fault") if event.type == "invoke"]
        if not known or not faults:
            raise Inconclusive("nothing was calibrated, or no fault was injected")
        seen = [event for event in history.of("effective") if event.type == "ok"]
        heals = [event for event in history.of("heal") if event.type == "invoke"]
        start_s = min(event.time_s for event in (seen or faults))
        end_s = min((event.time_s for event in heals), default=history.end_s)
        puts = [
            one
            for one in attempts(history)
            if one.f == "put" and start_s <= one.invoke.time_s <= end_s
        ]
        if len(puts) < _FEWEST_PUTS:
            raise Inconclusive(f"only {len(puts)} puts were asked while a fault was in force")
        untouched = _untouched(history, puts, factor=factor, delay_s=delay_s)
        enough = len(untouched) >= max(_FEWEST_PUTS, len(puts) / 2)
        if enough:
            puts = untouched
        found_s = _median_s(puts)
        before_s = known[-1].value["median_s"]
        if found_s <= factor * before_s:
            if factor * before_s >= delay_s:
                raise Inconclusive(
                    f"calibrated at {before_s * 1000:.1f} ms, so that {factor:g} times as long is "
                    f"no less than the {delay_s:g} s that a put waits for the fault"
                )
            return ()
        return [
            Violation(
                f"the median of {len(puts)} puts was {found_s * 1000:.1f} ms from {start_s:.3f} to "
                f"{end_s:.3f} s, {found_s / before_s:.0f} times the calibrated "
                f"{before_s * 1000:.1f} ms; the limit is {factor:g} times",
                (known[-1].index, faults[0].index, *puts[-1].events),
                excusable=not enough,
            )
        ]

    return Invariant("puts_stay_near_the_calibrated", Kind.LIVENESS, judge)
