"""
The promise that a halt alone does not decide: without a spare signer rounds come in time.

Owns: lateness of each round in the spare-signer test (suites.incidents.signing). Refuses: a member
that is ahead as proof that all is well: one whose partials nobody takes makes rounds for itself,
the others fetch them from it a tick or two later, and the chain goes on, some periods late.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Invariant, Violation
from chaoskit.verdict import Kind
from suites.beacon.punctuality import LEVEL
from suites.beacon.readings import Chain, Shown, begun_s, chains_of, failing, rounds_of
from suites.incidents.signing import Stand, stands_of


def any_threshold_makes_rounds_in_time(*, late_s: float) -> Invariant:
    """
    Make the promise: while exactly a threshold of members runs, each round is there in time.

    Liveness. Source: threshold signatures: any threshold of members signs, so none is waited for.
    In time is at most `late_s` seconds after it is due, on any member. Owed are the rounds that
    come due while the same members run, well and connected, if the group was level before. What is
    late while peers refused a member's every partial no stall of the machine excuses.
    """

    def judge(history: History) -> Sequence[Violation]:
        stands = [one for one in stands_of(history) if one.spare == 0]
        chain, begun = chains_of(history)[0], begun_s(history)
        shown = rounds_of(history)
        violations: list[Violation] = []
        tried = False
        for stand in stands:
            owed = _owed(stand, chain, begun, shown, late_s)
            tried = tried or bool(owed)
            for number in owed:
                due_s = chain.due_s(number) - begun
                first = next((one for one in shown if one.number >= number), None)
                if first is None or first.time_s > due_s + late_s:
                    violations.append(_late(history, stand, number, due_s, first))
        if not tried:
            raise Inconclusive("no round came due while no more members ran than are a threshold")
        return violations

    return Invariant("any_threshold_makes_rounds_in_time", Kind.LIVENESS, judge)


def _owed(stand: Stand, chain: Chain, begun: float, shown: Sequence[Shown], late_s: float) -> range:
    """The rounds that came due in it, and late in it; none where the group was behind before."""
    had = max((one.number for one in shown if one.time_s <= stand.start_s), default=0)
    due = chain.newest_due(begun + stand.start_s)
    if due - had > LEVEL:
        return range(0)
    return range(due + 1, chain.newest_due(begun + stand.end_s - late_s) + 1)


def _late(
    history: History, stand: Stand, number: int, due_s: float, first: Shown | None
) -> Violation:
    when = "never" if first is None else f"{first.time_s - due_s:.3f} s later"
    text = (
        f"round {number} was due at {due_s:.3f} s and there {when}, while exactly a threshold ran, "
        f"{' '.join(sorted(stand.members))}"
    )
    mute = _mute(history, stand)
    if mute:
        text += f"; nobody took a partial of {' '.join(mute)} all the while"
    seen_s = stand.end_s if first is None else first.time_s
    events = (stand.cause, *(() if first is None else first.events))
    return Violation(text, events, span_s=(due_s, seen_s), excusable=not mute)


def _mute(history: History, stand: Stand) -> list[str]:
    """Who told in every sample of that time that all others had refused the last partial."""
    told = {
        name: [
            stand.members - {name} <= failing(event)
            for event in history.of("observe")
            if event.process == name
            and event.type == "ok"
            and stand.start_s <= event.time_s <= stand.end_s
        ]
        for name in sorted(stand.members)
    }
    return [name for name, refused in told.items() if refused and all(refused)]
