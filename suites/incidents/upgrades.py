"""
Promises about upgrades: a member that was upgraded takes part, and one that was can go back.

Owns: `upgraded_members_contribute` and `the_way_back_is_open`. Refuses: to know which release does
what: a test says to which label and version members went. Health answers prove nothing here: a
member that receives every entry and never answers is healthy by its own word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation
from chaoskit.operations import attempts
from chaoskit.verdict import Kind


@dataclass(frozen=True, slots=True)
class Move:
    """
    A member that went to a release: from the end of that change to the member's next one.

    `until_s` is when the next change of that member began, or the history's end; `exit` is the
    end of its process by itself in between.
    """

    member: str
    label: str
    begun: Event
    done: Event
    until_s: float
    exit: Event | None

    def said(self, when_s: float) -> str:
        """Who went where, and how it ended if it did."""
        ended = ""
        if self.exit is not None:
            code = self.exit.value.get("exit_code")
            ended = f", exited by itself at {self.exit.time_s:.3f} s with code {code}"
        return f"{self.member}, at {self.label} since {when_s:.3f} s{ended}"


def moves_to(history: History, label: str) -> Iterator[Move]:
    """Every member that went to that release, and back."""
    changes = history.of("change")
    for begun in changes:
        if begun.type != "invoke" or begun.value["change"] != "Upgrade":
            continue
        if begun.value["fields"]["to"] != label:
            continue
        identity = begun.value["id"]
        done = [one for one in changes if one.value["id"] == identity and one.type == "ok"]
        for member in begun.value["targets"] if done else ():
            yield _move(history, changes, member, begun, done[0])


def _move(
    history: History, changes: Sequence[Event], member: str, begun: Event, done: Event
) -> Move:
    later = [
        one
        for one in changes
        if one.index > begun.index and one.type == "invoke" and member in one.value["targets"]
    ]
    until_s = later[0].time_s if later else history.end_s
    exits = [
        event
        for event in history.of("state")
        if event.process == member
        and begun.time_s <= event.time_s <= until_s
        and event.value["state"] == "exited"
        and not event.value["signalled"]
    ]
    label = begun.value["fields"]["to"]
    return Move(member, label, begun, done, until_s, exits[0] if exits else None)


def sights_of(history: History, move: Move, version: str) -> list[Event]:
    """Samples in which the member says that it serves, at that version."""
    return [
        event
        for event in history.of("observe")
        if event.process == move.member
        and event.type == "ok"
        and move.begun.time_s <= event.time_s - event.value.get("took_s", 0.0)
        and event.time_s <= move.until_s
        and event.value["ready"]
        and event.value["version"] == version
    ]


def _pauses(history: History) -> Iterator[tuple[str, Event, float]]:
    """A node, the event that says it stands still, and when that was ended at the earliest."""
    faults = {event.value["id"]: event for event in history.of("fault") if event.type == "invoke"}
    for event in history.of("state"):
        if event.value["state"] != "paused":
            continue
        ends = [
            heal.time_s
            for heal in history.of("heal")
            if heal.type == "invoke"
            and heal.index > event.index
            and heal.value["id"] in faults
            and event.process in faults[heal.value["id"]].value["targets"]
        ]
        yield event.process, event, min(ends, default=history.end_s)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A time in which no quorum could be had without the member: others stood still."""

    start: Event
    end_s: float


def _trials(history: History, move: Move) -> list[_Trial]:
    """One other node paused at a time; with more nodes than 2 * quorum - 1 that is not enough."""
    (started,) = [one for one in history.of("cluster") if one.value["event"] == "started"]
    nodes, quorum = started.value["nodes"], started.value["quorum"]
    if len(nodes) - 1 != quorum:
        raise Inconclusive(f"with {len(nodes)} nodes one that is paused leaves more than a quorum")
    return [
        _Trial(event, end_s)
        for node, event, end_s in _pauses(history)
        if node != move.member and move.done.time_s <= event.time_s and end_s <= move.until_s
    ]


def upgraded_members_contribute(*, label: str, version: str, within_s: float) -> Invariant:
    """
    Make the promise: a member taken to `label` runs at `version` and contributes in time.

    Liveness. Source: the spare-member test: while every member that can be spared stands still, an
    operation that needs a quorum is asked and acknowledged, so the member took part in it. Both
    within `within_s` seconds of the end of the change. A member whose process ended by itself and
    was not brought back on that release has not contributed. Inconclusive: no member went to
    that release, or it runs and was never put to the test until the bound.
    """

    def judge(history: History) -> Sequence[Violation]:
        moves = list(moves_to(history, label))
        if not moves:
            raise Inconclusive(f"no member went to {label}")
        return [one for move in moves for one in _not_contributed(history, move, version, within_s)]

    return Invariant("upgraded_members_contribute", Kind.LIVENESS, judge)


def _not_contributed(
    history: History, move: Move, version: str, within_s: float
) -> Iterator[Violation]:
    limit_s = move.done.time_s + within_s
    sights = [event for event in sights_of(history, move, version) if event.time_s <= limit_s]
    trials = _trials(history, move)
    asked = [
        (attempt, trial)
        for trial in trials
        for attempt in attempts(history)
        if attempt.needs_quorum and trial.start.time_s <= attempt.invoke.time_s <= trial.end_s
    ]
    for attempt, trial in asked:
        done = attempt.completion
        if attempt.acknowledged and done is not None and done.time_s <= min(limit_s, trial.end_s):
            if sights:
                return
            break
    ended = move.exit is not None
    tried = any(trial.end_s >= limit_s for trial in trials) and bool(asked)
    if not ended and not (tried and history.end_s >= limit_s):
        raise Inconclusive(
            f"{move.member} went to {move.label} at {move.done.time_s:.3f} s, and whether it "
            f"contributes was not tried until {within_s:g} s later"
        )
    seen = f"seen ready at {version}" if sights else f"never seen ready at {version}"
    yield Violation(
        f"{move.said(move.done.time_s)}: {seen}; of {len(asked)} operations asked while no quorum "
        f"was possible without it, none was acknowledged within {within_s:g} s",
        (
            move.begun.index,
            move.done.index,
            *(() if move.exit is None else (move.exit.index,)),
            *(trial.start.index for trial in trials),
        ),
        excusable=not ended,
    )


def the_way_back_is_open(*, label: str, version: str, within_s: float) -> Invariant:
    """
    Make the promise: a member that goes back to `label` serves again, at `version`, in time.

    Liveness. Source: rolling upgrades that promise to be reversible until they are finished.
    Every going back that was tried counts, each within `within_s` seconds of the end of the change.
    Inconclusive: none was tried, or the member was neither seen back nor given the time for it.
    """

    def judge(history: History) -> Sequence[Violation]:
        moves = list(moves_to(history, label))
        if not moves:
            raise Inconclusive(f"no member went back to {label}")
        violations: list[Violation] = []
        for move in moves:
            limit_s = move.done.time_s + within_s
            sights = sights_of(history, move, version)
            if sights and sights[0].time_s <= limit_s:
                continue
            if move.exit is None and move.until_s < limit_s:
                raise Inconclusive(f"{move.member} was not given {within_s:g} s to come back")
            ended = () if move.exit is None else (move.exit.index,)
            violations.append(
                Violation(
                    f"{move.said(move.done.time_s)}: not seen ready at {version} within "
                    f"{within_s:g} s, so there is no way back",
                    (move.begun.index, move.done.index, *ended),
                    excusable=not ended,
                )
            )
        return violations

    return Invariant("the_way_back_is_open", Kind.LIVENESS, judge)
