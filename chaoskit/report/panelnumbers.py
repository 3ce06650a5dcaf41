"""
The panels in numbers: what their pictures show, for those who cannot see them or want it exactly.

Owns: a table for each chart and one for who held whose. Refuses: numbers that the pictures do not
rest on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from chaoskit.report.panels import Contributions, Plot
from chaoskit.report.spans import Lane
from chaoskit.report.wording import count, duration, moment, share


@dataclass(frozen=True, slots=True)
class Numbers:
    """A table: its title, its columns, and a row of texts for each member."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def numbers(plots: tuple[Plot, ...], held: Contributions | None) -> tuple[Numbers, ...]:
    """The tables of a test's panels, in their order."""
    tables = [_of_marks(one) if one.marks else _of_lines(one) for one in plots]
    if held is not None:
        rows = tuple(_held(lane) for lane in held.lanes if lane.spans)
        head = ("member", "least", "first seen so at", "enough in", "of the time seen")
        tables.append(Numbers(held.title, head, rows))
    return tuple(tables)


def _said(plot: Plot, value: float) -> str:
    return duration(value) if plot.seconds else count(value)


def _of_marks(plot: Plot) -> Numbers:
    rows = []
    for one, moved in zip(plot.series, plot.moved, strict=True):
        points = [point for piece in one.pieces for point in piece]
        at_s, most = max(points, key=lambda point: point[1])
        middle = median(value for _, value in points)
        rows.append(
            (
                one.label,
                f"{count(one.needed)} of {count(moved)}",
                _said(plot, middle),
                _said(plot, most),
                moment(at_s),
            )
        )
    head = ("member", "seen", "median", "most", "seen at")
    return Numbers(plot.title, head, tuple(rows))


def _of_lines(plot: Plot) -> Numbers:
    rows = []
    for one in plot.series:
        values = [value for piece in one.pieces for _, value in piece]
        told = (values[0], values[-1], min(values), max(values))
        rows.append((one.label, *(_said(plot, value) for value in told)))
    return Numbers(plot.title, ("member", "first", "last", "least", "most"), tuple(rows))


def _held(lane: Lane) -> tuple[str, ...]:
    seen_s = sum(_lengths(lane, lost=True)) + sum(_lengths(lane, lost=False))
    enough_s = sum(_lengths(lane, lost=False))
    least = min(lane.spans, key=lambda span: (_number(span.label), span.start_s))
    part = share(enough_s / seen_s) if seen_s else share(None)
    return lane.label, least.label, moment(least.start_s), part, duration(seen_s)


def _lengths(lane: Lane, *, lost: bool) -> Iterator[float]:
    for span in lane.spans:
        if (span.kind == "margin lost") == lost:
            yield span.end_s - span.start_s


def _number(label: str) -> int:
    """The number in "4", "2 of 3" or "margin -1"."""
    words = [word.lstrip("-") for word in label.split()]
    at = next(number for number, word in enumerate(words) if word.isdigit())
    return -int(words[at]) if label.split()[at].startswith("-") else int(words[at])
