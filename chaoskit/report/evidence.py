"""
Evidence of each fault and change: what proves that it happened, met the system, and went away.

Owns: the rows of the evidence table. Refuses: gaps that look like facts: what is missing says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from chaoskit.history import Event
from chaoskit.report.document import compact, number_of, text_of
from chaoskit.report.faultlanes import Course, growth
from chaoskit.report.wording import count, duration, moment, plural

Standing = Literal["yes", "no", "zero", "open"]
_DETAIL_LIMIT = 110
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Cell:
    """
    One fact: in words, by what it was seen, and whether it is there.

    `standing`: yes (proven), no (looked for and not found, or never looked for), zero (a counter
    that stood still beside one that moved), open (the run ended before).
    """

    text: str
    by: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """A fault or change with its facts, column by column, in the order in which they are owed."""

    name: str
    fields: str
    is_change: bool
    injected: str
    columns: tuple[tuple[Cell, ...], ...]


def evidence(course: Course) -> EvidenceRow:
    """The row of one fault (effective, felt, healed, gone) or change (done, witnessed)."""
    columns = (
        ((_done(course),), _witnessed(course))
        if course.is_change
        else (_effective(course), _felt(course), (_healed(course),), _absent(course))
    )
    return EvidenceRow(
        course.label, course.fields, course.is_change, moment(course.injected.time_s), columns
    )


def _missing(text: str, course: Course) -> Cell:
    """What is missing was owed once the heal began; before that the run ended too early."""
    return Cell(text, "", "no" if course.heal is not None else "open")


def _looks(events: Sequence[Event], key: str, *, seen: str, unseen: str) -> tuple[Cell, ...]:
    """A cell a look, those that missed first; beyond some the rest in one line."""
    ordered = sorted(events, key=lambda event: event.type == "ok")
    cells = []
    shown = _shown(len(ordered))
    for event in ordered[:shown]:
        after = f"after {duration(number_of(event.value, key))}"
        good = event.type == "ok"
        text = f"{seen} {after}".strip() if good else unseen
        cells.append(Cell(text, _by(event), "yes" if good else "no"))
    rest = ordered[shown:]
    if rest:
        good = all(event.type == "ok" for event in rest)
        last = duration(max(number_of(event.value, key) or 0.0 for event in rest))
        text = f"{plural(len(rest), 'more probe')}, the last after {last}" if good else unseen
        cells.append(Cell(text, "", "yes" if good else "no"))
    return tuple(cells)


def _shown(number: int) -> int:
    """How many of so many are shown one by one: never all but one."""
    return number if number <= _SHOWN + 1 else _SHOWN


def _effective(course: Course) -> tuple[Cell, ...]:
    if not course.effective:
        return (_missing("no probe looked", course),)
    cells = _looks(course.effective, "onset_s", seen="", unseen="NOT effective")
    return (*cells, *_again(course))


def _again(course: Course) -> tuple[Cell, ...]:
    lost = [event for event in course.again if event.type != "ok"]
    if lost:
        return tuple(Cell("NO LONGER, just before the heal", _by(one), "no") for one in lost)
    if course.again:
        return (Cell("still so just before the heal", "", "yes"),)
    if course.proven and course.heal is not None:
        return (Cell("not looked at again before the heal", "", "no"),)
    return ()


def _felt(course: Course) -> tuple[Cell, ...]:
    if not course.felt:
        return (_missing("no counter was read", course),)
    ordered = sorted(course.felt, key=lambda event: -(growth(event) or 0.0))
    cells = []
    for event in ordered[: _shown(len(ordered))]:
        before, after = number_of(event.value, "before"), number_of(event.value, "after")
        meter = text_of(event.value, "meter", "unnamed counter")
        if event.type == "ok":
            cells.append(Cell(f"{count(before)} \u2192 {count(after)}", meter, "yes"))
        elif course.felt_most is not None:
            cells.append(Cell(f"stood still at {count(after)}", meter, "zero"))
        else:
            cells.append(Cell(f"NOT felt: stood still at {count(after)}", meter, "no"))
    more = len(ordered) - len(cells)
    return (*cells, Cell(plural(more, "more counter"), "", "zero")) if more else tuple(cells)


def _healed(course: Course) -> Cell:
    if course.heal is None and course.healed is None:
        return Cell("never healed", "", "open")
    if course.healed is None:
        return Cell("begun, never ended", "", "no")
    if course.healed.type != "ok":
        return Cell("HEAL FAILED", compact(course.healed.value, limit=_DETAIL_LIMIT), "no")
    began_s = (course.heal or course.healed).time_s
    took = duration(course.healed.time_s - began_s)
    return Cell(f"at {moment(course.healed.time_s)}", f"took {took}", "yes")


def _absent(course: Course) -> tuple[Cell, ...]:
    if not course.absent:
        return (_missing("not shown", course),)
    return _looks(course.absent, "after_s", seen="", unseen="STILL THERE")


def _done(course: Course) -> Cell:
    done = course.done
    if done is None:
        return Cell("never ended", "", "open")
    if done.type != "ok":
        return Cell("FAILED", compact(done.value, limit=_DETAIL_LIMIT), "no")
    took = duration(done.time_s - course.injected.time_s)
    return Cell(f"at {moment(done.time_s)}", f"took {took}", "yes")


def _witnessed(course: Course) -> tuple[Cell, ...]:
    if course.witnessed:
        return _looks(course.witnessed, "after_s", seen="", unseen="NOT witnessed")
    return (Cell("not witnessed", "", "open" if course.done is None else "no"),)


def _by(event: Event) -> str:
    """Which probe, and what it saw."""
    detail = event.value.get("detail")
    said = compact(detail, limit=_DETAIL_LIMIT) if isinstance(detail, (str, dict)) else ""
    return " · ".join(one for one in (text_of(event.value, "probe"), said) if one)
