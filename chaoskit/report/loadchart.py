"""
Drawing the load: rate by outcome and latency over time, under the same axis as the timeline.

Owns: two small charts. Refuses: smoothing; a window without an acknowledged operation has no
latency and its line breaks there.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.report.axis import Scale, decade_ticks, round_ticks
from chaoskit.report.drawing import (
    LEFT,
    RIGHT,
    WIDTH,
    fault_shades,
    time_axis,
    time_scale,
    violation_lines,
)
from chaoskit.report.load import Load, Window
from chaoskit.report.shapes import Drawing, Group, Label, Line, Path, Shape, box, polyline
from chaoskit.report.spans import Detail, Lane
from chaoskit.report.timeline import Timeline
from chaoskit.report.wording import count, duration, moment

_GUTTER = LEFT - 12
_RATE_TOP, _RATE_HEIGHT = 10.0, 62.0
_LATENCY_TOP, _LATENCY_HEIGHT = 88.0, 86.0
_BOTTOM = _LATENCY_TOP + _LATENCY_HEIGHT


def draw_load(
    load: Load, shown: Timeline, faults: tuple[Lane, ...], detail: Detail
) -> Drawing | None:
    """
    Rate and latency on the timeline's axis, faults shaded behind; None without any operation.

    Pointing at a window shows its numbers, unless the detail is small.
    """
    if not load.windows:
        return None
    x = time_scale(shown.start_s, shown.end_s)
    behind = [*fault_shades(faults, x, 6, _BOTTOM + 2), *time_axis(x, 6, _BOTTOM + 2)]
    pointed = tuple(_pointed(one, load.window_s, x) for one in load.windows)
    groups = (
        Group("axis of time", tuple(behind)),
        Group("operations a second by outcome", tuple(_rates(load, x))),
        Group("latency of acknowledged operations", tuple(_latencies(load, x))),
        Group("violations", tuple(violation_lines(shown.violations, x, 6, _BOTTOM + 2))),
        *([Group("each window in words", pointed)] if detail == "full" else []),
    )
    return Drawing(
        WIDTH,
        _BOTTOM + 24,
        f"Load from {shown.start_s:.1f} to {shown.end_s:.1f} seconds: operations a second, latency",
        groups,
        shown.start_s,
        shown.end_s,
        LEFT,
        RIGHT,
    )


def _rates(load: Load, x: Scale) -> Iterator[Shape]:
    most = max(one.acknowledged + one.failed + one.unknown for one in load.windows)
    scale = Scale(0, max(most / load.window_s, 1), _RATE_TOP + _RATE_HEIGHT, _RATE_TOP)
    yield Label(_GUTTER - 44, _RATE_TOP + 10, "operations/s", "lane", "end")
    for tick in round_ticks(0, scale.high, 3):
        yield Line(LEFT, scale.at(tick), RIGHT, scale.at(tick), "grid")
        yield Label(_GUTTER, scale.at(tick) + 4, count(tick), "tick", "end")
    for kind, path in _bars(load, x, scale).items():
        if path:
            yield Path(path, kind, kind.split(" ")[0])


def _bars(load: Load, x: Scale, scale: Scale) -> dict[str, str]:
    """A path for each outcome: its bar in each window, standing on those of the outcomes before."""
    paths = {"acknowledged": "", "failed": "", "unknown load": ""}
    for one in load.windows:
        left, right = x.at(one.start_s), x.at(one.start_s + load.window_s) - 0.8
        below = 0.0
        for kind, number in zip(paths, (one.acknowledged, one.failed, one.unknown), strict=True):
            if number and right > left:
                above = below + number / load.window_s
                paths[kind] += (
                    f"M{left:g} {scale.at(below):g}V{scale.at(above):g}H{right:.1f}"
                    f"V{scale.at(below):g}Z"
                )
                below = above
    return paths


def _pointed(one: Window, window_s: float, x: Scale) -> Shape:
    """What pointing at a window shows."""
    said = (
        f"{moment(one.start_s)}, {duration(window_s)}: {one.acknowledged} acknowledged, "
        f"{one.failed} failed, {one.unknown} unknown, "
        f"p50 {duration(one.p50_s)}, p99 {duration(one.p99_s)}"
    )
    left, right = x.at(one.start_s), x.at(one.start_s + window_s)
    return box(left, right, _RATE_TOP, _BOTTOM - _RATE_TOP, "pointed", said)


def _latencies(load: Load, x: Scale) -> Iterator[Shape]:
    known = [one for one in load.windows if one.p50_s is not None and one.p99_s is not None]
    yield Label(_GUTTER - 44, _LATENCY_TOP + 10, "latency", "lane", "end")
    if not known:
        yield Label(LEFT + 6, _LATENCY_TOP + 40, "nothing was acknowledged", "quiet")
        return
    lowest = min(one.p50_s or 0.0 for one in known)
    highest = max(one.p99_s or 0.0 for one in known)
    scale = Scale(
        10 ** _floor_decade(lowest),
        10 ** (_floor_decade(highest * 0.999) + 1),
        _BOTTOM,
        _LATENCY_TOP,
        logarithmic=True,
    )
    for tick in decade_ticks(scale.low, scale.high):
        yield Line(LEFT, scale.at(tick), RIGHT, scale.at(tick), "grid")
        yield Label(_GUTTER, scale.at(tick) + 4, _decade(tick), "tick", "end")
    for kind in ("p99", "p50"):
        for piece in _pieces(load, x, scale, kind):
            yield Path(polyline(piece), kind, f"{kind} of acknowledged operations")
    upper = scale.at(known[-1].p99_s or 0.0) + 3
    lower = max(scale.at(known[-1].p50_s or 0.0) + 4, upper + 11)
    yield Label(RIGHT + 6, upper, "p99", "end")
    yield Label(RIGHT + 6, lower, "p50", "end")


def _floor_decade(value_s: float) -> int:
    decade = -5
    while 10.0 ** (decade + 1) <= value_s and decade < 5:
        decade += 1
    return decade


def _decade(value_s: float) -> str:
    if value_s >= 0.999:
        return f"{value_s:.0f}\u202fs"
    return f"{value_s * 1000:g}\u202fms"


def _pieces(load: Load, x: Scale, scale: Scale, kind: str) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for one in load.windows:
        value_s = one.p99_s if kind == "p99" else one.p50_s
        if value_s is None:
            pieces.append([])
        else:
            pieces[-1].append((x.at(one.start_s + load.window_s / 2), scale.at(value_s)))
    return [piece for piece in pieces if piece]
