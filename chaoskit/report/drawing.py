"""
Drawing a timeline: lanes, progress and violations, from seconds to pixels.

Owns: where everything lies. The times run along one axis, shared with the charts of the load, so
that what lies above each other happened together. Refuses: colours (the style sheet's) and facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaoskit.report.axis import Scale, round_ticks
from chaoskit.report.shapes import (
    Drawing,
    Group,
    Label,
    Line,
    Path,
    Shape,
    box,
    diamond,
    polyline,
    triangle,
    width_of,
)
from chaoskit.report.spans import Lane, Mark, Series, Span
from chaoskit.report.timeline import Timeline
from chaoskit.report.wording import count, cut, duration

WIDTH = 1120.0
LEFT = 168.0
RIGHT = 1062.0
_GUTTER = LEFT - 12
_HEIGHTS = {"node": 27.0, "link": 13.0, "links": 20.0, "held": 18.0, "fault": 26.0, "change": 26.0}
_BARS = {
    "node": 20.0,
    "link": 7.0,
    "links": 14.0,
    "held": 14.0,
    "fault": 16.0,
    "change": 16.0,
    "margin": 14.0,
}
_LANE_HEIGHT = 24.0
_UNDER = 5.0
_CHART_HEIGHT = 108.0
_GAP = 12.0
_SECTIONS = {"node": "Nodes", "fault": "Faults", "change": "Faults", "link": "Links cut"}
_LABEL_LIMIT = 25
_END_LIMIT = 9


def time_scale(start_s: float, end_s: float) -> Scale:
    """Where a moment lies, the same in every drawing of a test."""
    return Scale(start_s, end_s, LEFT, RIGHT)


def draw_timeline(shown: Timeline, *, started_utc: str) -> Drawing:
    """The drawing of a timeline; its axis says which UTC its origin is."""
    x = time_scale(shown.start_s, shown.end_s)
    top = 24.0 + 13.0 * _rows_of_labels(shown.violations, x)[1]
    groups: list[Group] = []
    y = top
    previous = ""
    for lane in shown.lanes:
        section = _SECTIONS.get(lane.kind, lane.kind)
        if previous and section != previous:
            y += _GAP
        previous = section
        groups.append(Group(spoken(lane), tuple(lane_shapes(lane, x, y))))
        y += height_of(lane)
    if shown.progress:
        y += _GAP
        groups.append(Group("progress of each node", tuple(_progress(shown, x, y))))
        y += _CHART_HEIGHT
    bottom = y + 4
    behind = Group("axis of time", tuple(time_axis(x, top - 6, bottom, started_utc)))
    over = Group("violations", tuple(_crossing(shown, x, bottom)))
    return Drawing(
        WIDTH,
        bottom + 22,
        f"Timeline from {shown.start_s:.1f} to {shown.end_s:.1f} seconds: "
        + "; ".join(spoken(lane) for lane in shown.lanes[:12]),
        (behind, *groups, over),
        shown.start_s,
        shown.end_s,
        LEFT,
        RIGHT,
    )


def height_of(lane: Lane) -> float:
    """How much height a lane takes, with the room below it."""
    return _HEIGHTS.get(lane.kind, _LANE_HEIGHT)


def fault_shades(faults: Sequence[Lane], x: Scale, top: float, bottom: float) -> Iterator[Shape]:
    """Where a fault was in force or a change under way, as a shade behind everything."""
    for lane in faults:
        for span in lane.spans:
            if span.kind in {"fault", "unproven", "change"}:
                left, right = x.at(span.start_s), x.at(span.end_s)
                yield box(left, right, top, bottom - top, f"shade {span.kind}", span.title)


def violation_lines(marks: Sequence[Mark], x: Scale, top: float, bottom: float) -> Iterator[Shape]:
    """Where broken promises were seen, across everything."""
    for mark in marks:
        yield Line(x.at(mark.at_s), top, x.at(mark.at_s), bottom, "violation", mark.title)


def time_axis(x: Scale, top: float, bottom: float, started_utc: str = "") -> Iterator[Shape]:
    """Round ticks in seconds of the run with hair lines; UTC at the origin when it is given."""
    for tick in round_ticks(x.low, x.high, 12):
        at = x.at(tick)
        yield Line(at, top, at, bottom, "grid")
        yield Label(at, bottom + 14, f"{tick:g}\u202fs", "tick", "middle")
    yield Line(LEFT, bottom, RIGHT, bottom, "base")
    if started_utc:
        yield Label(_GUTTER, bottom + 14, started_utc, "tick", "end")


def spoken(lane: Lane) -> str:
    """A lane for those who cannot see it."""
    said = ", ".join(dict.fromkeys(span.label or span.kind for span in lane.spans))
    return f"{lane.kind} {lane.label}: {said}"


def lane_shapes(lane: Lane, x: Scale, y: float) -> Iterator[Shape]:
    """A lane whose upper edge is at y: its name, spans and marks."""
    height = _BARS.get(lane.kind, 14.0)
    small = lane.kind == "link"
    kind = "lane small" if small else "lane"
    yield Label(
        _GUTTER,
        y + height / 2 + (3 if small else 4),
        cut(lane.label, _LABEL_LIMIT),
        kind,
        "end",
        f"{lane.label} {lane.note}".strip(),
    )
    for span in lane.spans:
        yield from _span(span, x, y, height, 3.0 if lane.kind == "node" else 0.0)
    for span in lane.under:
        left, right = x.at(span.start_s), x.at(span.end_s)
        yield box(left, right, y + height - _UNDER, _UNDER, span.kind, span.title)
    for mark in lane.marks:
        yield _mark(mark, x.at(mark.at_s), y, height)


def _span(span: Span, x: Scale, y: float, height: float, lifted: float) -> Iterator[Shape]:
    left, right = x.at(span.start_s), x.at(span.end_s)
    yield box(left, right, y, height, span.kind, span.title)
    if not span.label:
        return
    wide = width_of(span.label)
    baseline = y + height / 2 + 4 - lifted
    if right - left >= wide + 8:
        yield Label(left + 5, baseline, span.label, f"on {span.kind}", "start", span.title)
    elif span.kind in {"fault", "change", "unproven"} and right + wide + 8 < RIGHT:
        yield Label(right + 6, baseline, span.label, "beside", "start", span.title)


def _mark(mark: Mark, at: float, y: float, height: float) -> Shape:
    middle = y + height / 2
    if mark.kind == "felt":
        return Line(at, y - 3, at, y + height + 3, "felt", mark.title)
    if mark.kind in {"exit", "missing"}:
        return Path(diamond(at, middle, 6), mark.kind, mark.title)
    if mark.kind == "onset":
        return Path(triangle(at, y - 1, 3.5), "onset", mark.title)
    return Line(at, y - 2, at, y + height + 2, mark.kind, mark.title)


def _progress(shown: Timeline, x: Scale, y: float) -> Iterator[Shape]:
    values = [value for one in shown.progress for piece in one.pieces for _, value in piece]
    scale = Scale(min(values), max(values), y + _CHART_HEIGHT - 8, y + 6)
    yield Label(_GUTTER - 44, y + 10, "progress", "lane", "end")
    for span in shown.not_owed:
        left, right = x.at(span.start_s), x.at(span.end_s)
        yield box(left, right, y, _CHART_HEIGHT, "notowed", span.title)
        if right - left > width_of(span.label) + 8:
            yield Label(left + 4, y + 12, span.label, "quiet")
    for tick in round_ticks(scale.low, scale.high, 4):
        at = scale.at(tick)
        yield Line(LEFT, at, RIGHT, at, "grid")
        yield Label(_GUTTER, at + 4, count(tick), "tick", "end")
    for number, one in enumerate(shown.progress):
        for piece in one.pieces:
            path = polyline([(x.at(time_s), scale.at(value)) for time_s, value in piece])
            yield Path(path, f"line n{number % 6}", f"progress of {one.label}")
    yield from end_labels(shown.progress, scale)


def end_labels(lines: Sequence[Series], scale: Scale) -> Iterator[Shape]:
    """Names at the ends of the lines; those that end together share one label."""
    ends: dict[float, list[str]] = {}
    for one in lines:
        last = one.pieces[-1][-1]
        ends.setdefault(scale.at(last[1]), []).append(one.label)
    lowest = -1e9
    for at in sorted(ends):
        y = max(at + 4, lowest + 12)
        lowest = y
        names = " ".join(ends[at])
        shown = names if len(names) <= _END_LIMIT else f"{len(ends[at])} nodes"
        shown = cut(names, _END_LIMIT) if len(ends[at]) == 1 else shown
        yield Label(RIGHT + 6, y, shown, "end", "start", names)


def _rows_of_labels(marks: Sequence[Mark], x: Scale) -> tuple[list[int], int]:
    """For each violation the row its label is written in, and how many rows there are (at most 3).

    A label that would lie on another goes one row down; without a label, and beyond the third row,
    it is -1.
    """
    ends: list[float] = []
    rows = []
    for mark in marks:
        left = _label_left(mark, x)
        row = next((n for n, end in enumerate(ends) if left > end + 8), len(ends))
        if row >= 3 or not mark.label:
            rows.append(-1)
            continue
        if row == len(ends):
            ends.append(0.0)
        ends[row] = left + width_of(mark.label)
        rows.append(row)
    return rows, len(ends)


def _label_left(mark: Mark, x: Scale) -> float:
    return max(min(x.at(mark.at_s) - 3, RIGHT - width_of(mark.label)), 0.0)


def _crossing(shown: Timeline, x: Scale, bottom: float) -> Iterator[Shape]:
    for cause in shown.causes:
        at = x.at(cause.at_s)
        yield Line(at, 18, at, bottom, "cause", cause.title)
    rows, lowest = _rows_of_labels(shown.violations, x)
    for mark, row in zip(shown.violations, rows, strict=True):
        at = x.at(mark.at_s)
        yield Line(at, 18 + 13 * (row if row >= 0 else lowest), at, bottom, "violation", mark.title)
        if row >= 0:
            yield Label(
                _label_left(mark, x), 14 + 13 * row, mark.label, "violated", "start", mark.title
            )


def draw_strip(
    tests: Sequence[tuple[float, float, str, str]], start_s: float, end_s: float, started_utc: str
) -> Drawing:
    """
    The whole run on one line: a box a test, (start, end, verdict, name), on the axis of the run.
    """
    x = time_scale(start_s, max(end_s, start_s + 0.001))
    shapes: list[Shape] = [Label(_GUTTER, 22, "the run", "lane", "end")]
    for number, (from_s, to_s, verdict, name) in enumerate(tests, start=1):
        left, right = x.at(from_s), x.at(to_s)
        title = f"{number} {name}: {verdict}, {duration(to_s - from_s)}"
        shapes.append(box(left, right, 8, 20, f"test {verdict}", title))
        text = f"{number} {verdict}"
        text = text if right - left > width_of(text) + 8 else str(number)
        if right - left > width_of(text) + 6:
            shapes.append(Label((left + right) / 2, 22, text, f"on {verdict}", "middle", title))
    axis = Group("axis of time", tuple(time_axis(x, 4, 34, started_utc)))
    spoken = "; ".join(f"{name}: {verdict}" for _, _, verdict, name in tests[:12])
    return Drawing(
        WIDTH, 56, f"The run: {spoken}", (axis, Group("tests", tuple(shapes))),
        start_s, end_s, LEFT, RIGHT,
    )  # fmt: skip
