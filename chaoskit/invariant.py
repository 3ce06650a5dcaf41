"""
Invariants: promises as pure functions of the history.

Owns: the form of an invariant and of a violation. Refuses: clusters, clocks and files: an
invariant sees the history and nothing else, so that a saved run can be judged again.

An invariant's name is a true sentence (`acknowledged_writes_survive`). It returns every violation,
not the first alone, and raises Inconclusive when the history holds no evidence either way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaoskit.history import History
from chaoskit.verdict import Kind


@dataclass(frozen=True, slots=True)
class Violation:
    """
    One way in which a promise was broken: a sentence with values, and its events' indices.

    `excusable` says that a machine that stalled may be to blame, as for any missed deadline. It is
    False where a process ended or an answer said no: those come from no stall. `span_s` is the
    time in which a deadline ran, in seconds of the run, where its events do not bound it: a stall
    that was over by then made nothing late.
    """

    text: str
    events: tuple[int, ...]
    excusable: bool = True
    span_s: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not self.events:
            raise ValueError(f"a violation names its events: {self.text}")


@dataclass(frozen=True, slots=True)
class Measured:
    """
    What a promise about time was measured at once: what happened, in words, and how long it took.

    `value_s` is None when it had not happened by the time it was no longer owed. `limit_s` is what
    the promise allows. `events` are indices.
    """

    text: str
    value_s: float | None
    limit_s: float
    events: tuple[int, ...]


def _nothing(_: History) -> Sequence[Measured]:
    return ()


@dataclass(frozen=True, slots=True)
class Invariant:
    """
    A named promise; `judge` maps a history to its violations.

    Attributes
    ----------
    name: a true sentence in snake case.
    kind: safety or liveness; decides precedence among verdicts.
    judge: pure; raises Inconclusive when the history holds no evidence either way.
    measure: pure; the figures behind the judgement, for verdicts.json and the report.

    """

    name: str
    kind: Kind
    judge: Callable[[History], Sequence[Violation]]
    measure: Callable[[History], Sequence[Measured]] = _nothing


def safety(judge: Callable[[History], Sequence[Violation]]) -> Invariant:
    """Make a safety invariant of a function, named as the function."""
    return Invariant(judge.__name__, Kind.SAFETY, judge)


def liveness(judge: Callable[[History], Sequence[Violation]]) -> Invariant:
    """Make a liveness invariant of a function, named as the function."""
    return Invariant(judge.__name__, Kind.LIVENESS, judge)
