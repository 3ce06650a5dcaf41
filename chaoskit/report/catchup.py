"""
Catching up after a heal: how far behind each member was, when it was level, and how fast it got
there.

Owns: the moments from which on nothing ailed the cluster, and a row for each member that was behind
then. Refuses: judging; the bound is the system's own, as the history has it, and stands beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from chaoskit.history import Event
from chaoskit.report.document import list_of, number_at, number_of, text_of
from chaoskit.report.experiment import Experiment, panels_of
from chaoskit.report.faultlanes import Course
from chaoskit.report.spans import Series, thinned, without_level_middles

_LEADS_BY_S = 1.0  # what the farthest member has for less than this, nobody else has to have yet
_ROWS = 60
_BUCKETS = 200
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class CatchUpRow:
    """
    One member after one heal, at `healed_s`.

    `behind` is what it lacked then; `level_after_s` is None when it was not level by `seen_s`, when
    it was broken again or the test ended; `slope` is what it gained a second until then, None when
    it gained nothing; `bound_s` is None where there is none.
    """

    member: str
    healed_s: float
    behind: float
    level_after_s: float | None
    seen_s: float
    slope: float | None
    bound_s: float | None

    @property
    def standing(self) -> str:
        """Whether it kept the bound: yes, no, open (it had not run out), or none."""
        if self.bound_s is None:
            return "none"
        if self.level_after_s is not None:
            return "yes" if self.level_after_s <= self.bound_s else "no"
        return "no" if self.seen_s - self.healed_s > self.bound_s else "open"


@dataclass(frozen=True, slots=True)
class CatchUp:
    """
    What is known of catching up in a test.

    `noun` is what members lack, in the plural; `behind` a line of it for each member; `bounds` a
    line from each heal to the moment by which all had to be level.
    """

    noun: str
    words: str
    level: float
    behind: tuple[Series, ...]
    bounds: tuple[Series, ...]
    rows: tuple[CatchUpRow, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class _Sample:
    time_s: float
    progress: float
    behind: float


def catch_up(experiment: Experiment, found: Sequence[Course]) -> CatchUp | None:
    """Follow every member; None when nobody was behind after a heal, or nothing says so."""
    declared = panels_of(experiment, "catch_up")
    level = number_of(declared, "level") or 0.0
    samples, lines = _samples(experiment, text_of(declared, "behind"))
    bound = _points(declared)
    rows: list[CatchUpRow] = []
    bounds: list[Series] = []
    moments = [*_whole_again(experiment, found), experiment.end_s]
    for healed_s, until_s in pairwise(moments):
        mine = [
            row
            for member, its in samples.items()
            if (row := _row(member, its, healed_s, until_s, level, bound)) is not None
        ]
        rows += mine
        if mine and bound:
            most = max(row.behind for row in mine)
            end_s = healed_s + (bound_at(bound, most) or 0.0)
            bounds.append(Series("bound", (((healed_s, most), (end_s, level)),), 2))
    if not rows:
        return None
    return CatchUp(
        noun=text_of(declared, "noun", "progress"),
        words=text_of(declared, "words", "what the farthest member has and this one has not"),
        level=level,
        behind=lines,
        bounds=tuple(bounds),
        rows=tuple(rows[:_ROWS]),
        left_out=max(len(rows) - _ROWS, 0),
    )


def _samples(
    experiment: Experiment, path: str
) -> tuple[dict[str, list[_Sample]], tuple[Series, ...]]:
    """
    What each member answered, and a line of how far it was behind, broken where it did not answer.

    Without a path it is behind what the farthest member had a second ago.
    """
    found: dict[str, list[_Sample]] = {node: [] for node in experiment.nodes}
    pieces: dict[str, list[list[Point]]] = {node: [[]] for node in experiment.nodes}
    best: list[Point] = []
    for event in experiment.events.of("observe"):
        if event.process not in found:
            continue
        progress = number_of(event.value, "progress") if event.type == "ok" else None
        if progress is None:
            pieces[event.process].append([])
            continue
        if not best or progress > best[-1][1]:
            best.append((event.time_s, progress))
        behind = number_at(event.value, path) if path else _led(best, event, progress)
        if behind is not None:
            found[event.process].append(_Sample(event.time_s, progress, behind))
            pieces[event.process][-1].append((event.time_s, behind))
    return found, tuple(_line(node, its) for node, its in pieces.items() if found[node])


def _line(node: str, pieces: Sequence[Sequence[Point]]) -> Series:
    whole = [without_level_middles(tuple(piece)) for piece in pieces if piece]
    needed = sum(map(len, whole))
    thin = (thinned(piece, max(1, round(_BUCKETS * len(piece) / needed))) for piece in whole)
    return Series(node, tuple(thin), needed)


def _led(best: Sequence[Point], event: Event, progress: float) -> float:
    """By how much the farthest member led already a second ago."""
    led = next((value for at, value in reversed(best) if at <= event.time_s - _LEADS_BY_S), None)
    return 0.0 if led is None else max(0.0, led - progress)


def _whole_again(experiment: Experiment, found: Sequence[Course]) -> list[float]:
    """The heals after which no fault was in force any more, in order."""
    faults = [one for one in found if not one.is_change]
    ends = [(one.injected.time_s, _end_s(experiment, one)) for one in faults]
    return sorted(
        {
            end_s
            for one, (_, end_s) in zip(faults, ends, strict=True)
            if one.healed is not None
            and one.healed.type == "ok"
            and not any(from_s <= end_s < to_s for from_s, to_s in ends)
        }
    )


def _end_s(experiment: Experiment, course: Course) -> float:
    return experiment.end_s if course.healed is None else course.healed.time_s


def _row(
    member: str,
    samples: Sequence[_Sample],
    healed_s: float,
    until_s: float,
    level: float,
    bound: Sequence[Point],
) -> CatchUpRow | None:
    """The row of a member that was behind at the heal, by its first answer after it."""
    after = [one for one in samples if healed_s < one.time_s <= until_s]
    if not after or after[0].behind <= level:
        return None
    first = after[0]
    done = next((one for one in after if one.behind <= level), None)
    last = done or after[-1]
    gained, took_s = last.progress - first.progress, last.time_s - first.time_s
    return CatchUpRow(
        member=member,
        healed_s=healed_s,
        behind=first.behind,
        level_after_s=None if done is None else done.time_s - healed_s,
        seen_s=last.time_s,
        slope=gained / took_s if gained > 0 and took_s > 0 else None,
        bound_s=bound_at(bound, first.behind),
    )


def _points(declared: dict[str, object]) -> tuple[Point, ...]:
    pairs = (one for one in list_of(declared, "bound") if isinstance(one, list) and len(one) == 2)
    points = [
        (a, b)
        for a, b in ((_number(one[0]), _number(one[1])) for one in pairs)
        if a is not None and b is not None
    ]
    rising = all(one[0] < other[0] for one, other in pairwise(points))
    return tuple(points) if rising and len(points) > 1 else ()


def _number(value: object) -> float | None:
    return number_of({"value": value}, "value")


def bound_at(points: Sequence[Point], behind: float) -> float | None:
    """The bound on the line through the points, beyond the last of them as straight; or None."""
    pieces = list(pairwise(points))
    if not pieces:
        return None
    (x1, y1), (x2, y2) = next((one for one in pieces if behind <= one[1][0]), pieces[-1])
    return y1 + (y2 - y1) * (behind - x1) / (x2 - x1)
