"""
Drawing the panels of a system: one chart under the other, on the axis of time of its timeline.

Owns: where points, lines, lanes and reference lines lie. Refuses: colour as the only difference:
members have marks and strokes of their own, counts stand in words, and every thing has a title.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaoskit.report.axis import Scale, decade_ticks, round_ticks
from chaoskit.report.catchup import CatchUp
from chaoskit.report.drawing import (
    LEFT,
    RIGHT,
    WIDTH,
    end_labels,
    fault_shades,
    height_of,
    lane_shapes,
    spoken,
    time_axis,
    time_scale,
    violation_lines,
)
from chaoskit.report.panels import Contributions, Plot
from chaoskit.report.shapes import (
    Drawing,
    Group,
    Label,
    Line,
    Path,
    Shape,
    mark,
    polyline,
    width_of,
)
from chaoskit.report.spans import Detail, Lane
from chaoskit.report.timeline import Timeline
from chaoskit.report.wording import count, duration, moment

_GUTTER = LEFT - 12
_TITLE = 20.0
_HEIGHT = 84.0
_GAP = 16.0
_WIDE_RANGE = 30.0  # a greater ratio of times is shown by decades
_POINTED = 600  # marks with a title each
_STROKES = 6


@dataclass(frozen=True, slots=True)
class Panels:
    """What is drawn: charts from the top, then who held what."""

    plots: tuple[Plot, ...]
    catch_up: CatchUp | None
    held: Contributions | None


def draw_panels(
    panels: Panels,
    shown: Timeline,
    faults: Sequence[Lane],
    *,
    started_utc: str,
    detail: Detail = "full",
) -> Drawing | None:
    """
    The panels of a test on its timeline's axis; None when there is nothing to draw.

    Faults are shaded behind, violations cross everything; the axis says which UTC its origin is.
    Pointing at a mark shows its number, unless the detail is small.
    """
    charts = [*panels.plots, *([_behind(panels.catch_up)] if panels.catch_up else [])]
    if not charts and panels.held is None:
        return None
    x = time_scale(shown.start_s, shown.end_s)
    groups: list[Group] = []
    y = 4.0
    for plot in charts:
        groups.append(Group(_said(plot), tuple(_chart(plot, x, y, detail))))
        y += _TITLE + _HEIGHT + _GAP
    if panels.held is not None:
        groups.append(Group(panels.held.title, (_title(panels.held.title, y),)))
        y += _TITLE
        for lane in panels.held.lanes:
            y += 5.0 if lane.kind == "margin" else 0.0
            groups.append(Group(spoken(lane), tuple(lane_shapes(lane, x, y))))
            y += height_of(lane)
    bottom = y
    behind = (*fault_shades(faults, x, 4, bottom), *time_axis(x, 4, bottom, started_utc))
    over = Group("violations", tuple(violation_lines(shown.violations, x, 4, bottom)))
    titles = [*(plot.title for plot in charts), *([panels.held.title] if panels.held else [])]
    return Drawing(
        WIDTH,
        bottom + 22,
        f"Panels from {shown.start_s:.1f} to {shown.end_s:.1f} seconds: {'; '.join(titles)}",
        (Group("axis of time", behind), *groups, over),
        shown.start_s,
        shown.end_s,
        LEFT,
        RIGHT,
    )


def _behind(catch_up: CatchUp) -> Plot:
    return Plot(
        title=f"{catch_up.noun} behind",
        words=catch_up.words,
        seconds=False,
        marks=False,
        series=catch_up.behind,
        bounds=catch_up.bounds,
    )


def _said(plot: Plot) -> str:
    values = [value for _, value in _points(plot)]
    least, most = _number(plot, min(values)), _number(plot, max(values))
    return f"{plot.title}: between {least} and {most}, {len(plot.series)} members"


def _points(plot: Plot) -> Iterator[tuple[float, float]]:
    for one in plot.series:
        for piece in one.pieces:
            yield from piece


def _number(plot: Plot, value: float) -> str:
    return duration(value) if plot.seconds else count(value)


def _title(words: str, y: float) -> Label:
    return Label(LEFT, y + 12, words, "heading")


def scale_of(plot: Plot, top: float, bottom: float) -> Scale:
    """From the values of a chart to pixels: times over a wide range by decades, others from 0."""
    values = [value for _, value in _points(plot)] + [value for _, value in plot.levels]
    values += [value for one in plot.bounds for piece in one.pieces for _, value in piece]
    above = [value for value in values if value > 0]
    if plot.seconds and above and max(above) / min(above) > _WIDE_RANGE:
        low = 10 ** math.floor(math.log10(max(min(above), 1e-4)))
        return Scale(low, max(above) * 1.2, bottom, top, logarithmic=True)
    low = 0.0 if plot.seconds or plot.bounds else min(values)
    return Scale(min(low, *values), max(*values, low + 1), bottom, top)


def _chart(plot: Plot, x: Scale, y: float, detail: Detail) -> Iterator[Shape]:
    top, bottom = y + _TITLE, y + _TITLE + _HEIGHT
    scale = scale_of(plot, top + 4, bottom - 4)
    yield _title(plot.title, y)
    ticks = (
        decade_ticks(scale.low, scale.high)
        if scale.logarithmic
        else [
            one for one in round_ticks(scale.low, scale.high, 4) if plot.seconds or one == int(one)
        ]
    )
    for tick in ticks:
        at = scale.at(tick)
        yield Line(LEFT, at, RIGHT, at, "grid")
        yield Label(_GUTTER, at + 4, _tick(plot, tick), "tick", "end")
    for words, value in plot.levels:
        at = scale.at(value)
        said = f"{words}: {_number(plot, value)}"
        yield Line(LEFT, at, RIGHT, at, "level", said)
        yield Label(RIGHT - 4, at - 4, said, "leveled", "end")
    for one in plot.bounds:
        for piece in one.pieces:
            path = polyline([(x.at(at_s), scale.at(value)) for at_s, value in _until(piece, x)])
            yield Path(path, "bound", f"the bound: level by {moment(piece[-1][0])}")
    if plot.marks:
        yield from _marks(plot, x, scale, detail)
        yield from _legend(plot, y)
    else:
        yield from _lines(plot, x, scale)


def _until(piece: Sequence[tuple[float, float]], x: Scale) -> list[tuple[float, float]]:
    """A straight piece as far as the axis goes."""
    (from_s, first), (to_s, last) = piece[0], piece[-1]
    if to_s <= x.high or to_s <= from_s:
        return [(from_s, first), (to_s, last)]
    return [(from_s, first), (x.high, first + (last - first) * (x.high - from_s) / (to_s - from_s))]


def _tick(plot: Plot, value: float) -> str:
    if not plot.seconds:
        return count(value)
    return f"{value:g}\u202fs" if value >= 1 or not value else f"{value * 1000:g}\u202fms"


def _lines(plot: Plot, x: Scale, scale: Scale) -> Iterator[Shape]:
    for number, one in enumerate(plot.series):
        for piece in one.pieces:
            path = polyline([(x.at(at_s), scale.at(value)) for at_s, value in piece])
            last = _number(plot, piece[-1][1])
            said = f"{plot.title} of {one.label}, {last} at {moment(piece[-1][0])}"
            yield Path(path, f"line n{number % _STROKES}", said)
    yield from end_labels(plot.series, scale)


def _marks(plot: Plot, x: Scale, scale: Scale, detail: Detail) -> Iterator[Shape]:
    one_by_one = detail == "full" and sum(one.drawn for one in plot.series) <= _POINTED
    for number, one in enumerate(plot.series):
        paths = [
            (mark(number, x.at(at_s), scale.at(value), 3.0), at_s, value)
            for piece in one.pieces
            for at_s, value in piece
        ]
        kind = f"mark m{number % _STROKES}"
        if one_by_one:
            for path, at_s, value in paths:
                yield Path(path, kind, f"{one.label}: {_number(plot, value)}, at {moment(at_s)}")
        else:
            yield Path("".join(path for path, _, _ in paths), kind, f"{plot.title} of {one.label}")


def _legend(plot: Plot, y: float) -> Iterator[Shape]:
    """Each member's mark and name, on the line of the title."""
    left = LEFT + width_of(plot.title) + 30
    for number, one in enumerate(plot.series):
        yield Path(mark(number, left, y + 8, 3.2), f"mark m{number % _STROKES}", one.label)
        yield Label(left + 8, y + 12, one.label, "quiet")
        left += width_of(one.label) + 28
