"""
Evidence of each fault and change: what proves that it happened, met the system, and went away.

Owns: the rows of the evidence table. Refuses: gaps that look like facts: what is missing says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chaoskit.history import Event
from chaoskit.report.document import compact, number_of, object_of, text_of
from chaoskit.report.faultlanes import Course, growth
from chaoskit.report.wording import NONE, count, duration, moment

Standing = Literal["yes", "no", "open"]
_DETAIL_LIMIT = 90


@dataclass(frozen=True, slots=True)
class Cell:
    """
    One fact: in words, by what it was seen, and whether it is there.

    `standing`: yes (proven), no (looked for and not found, or never looked for), open (the run
    ended before).
    """

    text: str
    by: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """A fault or change with its facts in the order in which they are owed."""

    name: str
    fields: str
    is_change: bool
    injected: str
    cells: tuple[tuple[Cell, ...], ...]


def evidence(course: Course) -> EvidenceRow:
    """The row of one fault (effective, felt, healed, gone) or change (done, witnessed)."""
    cells = _change_cells(course) if course.is_change else _fault_cells(course)
    return EvidenceRow(
        course.label, course.fields, course.is_change, moment(course.injected.time_s), cells
    )


def _fault_cells(course: Course) -> tuple[tuple[Cell, ...], ...]:
    effective = [_effective(course)]
    if course.again is not None:
        effective.append(_again(course.again))
    felt = tuple(_felt(event) for event in course.felt)
    return (
        tuple(effective),
        felt or (Cell("never measured", "", _owed(course)),),
        (_healed(course),),
        (_absent(course),),
    )


def _owed(course: Course) -> Standing:
    """What is missing is owed once the heal began; before that the run ended too early."""
    return "no" if course.heal is not None else "open"


def _effective(course: Course) -> Cell:
    event = course.effective
    if event is None:
        return Cell("no proof", "", "no" if course.heal is not None else "open")
    onset = duration(number_of(event.value, "onset_s"))
    if event.type == "ok":
        return Cell(f"after {onset}", _by(event), "yes")
    return Cell("NOT effective", _by(event), "no")


def _again(event: Event) -> Cell:
    if event.type == "ok":
        return Cell("still, just before the heal", "", "yes")
    return Cell("no longer, just before the heal", _by(event), "no")


def _felt(event: Event) -> Cell:
    before, after = number_of(event.value, "before"), number_of(event.value, "after")
    meter = text_of(event.value, "meter", "unnamed counter")
    if event.type == "ok":
        return Cell(f"{count(before)} \u2192 {count(after)}", meter, "yes")
    grown = growth(event)
    stayed = f"NOT felt: stayed at {count(after)}" if grown == 0 else "NOT felt"
    return Cell(stayed, meter, "no")


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


def _absent(course: Course) -> Cell:
    event = course.absent
    if event is None:
        return Cell("not shown", "", _owed(course))
    if event.type == "ok":
        return Cell(f"after {duration(number_of(event.value, 'after_s'))}", _by(event), "yes")
    return Cell("STILL THERE", _by(event), "no")


def _change_cells(course: Course) -> tuple[tuple[Cell, ...], ...]:
    done, witnessed = course.done, course.witnessed
    if done is None:
        done_cell = Cell("never ended", "", "open")
    elif done.type == "ok":
        took = duration(done.time_s - course.injected.time_s)
        done_cell = Cell(f"at {moment(done.time_s)}", f"took {took}", "yes")
    else:
        done_cell = Cell("FAILED", compact(done.value, limit=_DETAIL_LIMIT), "no")
    if witnessed is None:
        witness_cell = Cell("not witnessed", "", "open" if done is None else "no")
    elif witnessed.type == "ok":
        after = duration(number_of(witnessed.value, "after_s"))
        witness_cell = Cell(f"after {after}", _by(witnessed), "yes")
    else:
        witness_cell = Cell("NOT witnessed", _by(witnessed), "no")
    return ((done_cell,), (witness_cell,))


def _by(event: Event) -> str:
    probe = text_of(event.value, "probe")
    detail = compact(object_of(event.value, "detail"), limit=_DETAIL_LIMIT)
    said = " · ".join(one for one in (probe, detail) if one)
    return said or NONE
