"""
The panels of a system: its own numbers over time, and whose contributions reached whom.

Owns: from what the system declared (chaoskit.panel, as the history carries it) and its observations
to series and lanes. Refuses: knowing any system, and numbers that no observation holds. What cannot
be read as it was declared is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chaoskit.heard import heard
from chaoskit.history import Event
from chaoskit.report.document import number_at, number_of, objects_of, text_of
from chaoskit.report.experiment import Experiment, curves_of, panels_of, quorum_of
from chaoskit.report.spans import Detail, Lane, Series, Span, joined, thinned, without_level_middles
from chaoskit.report.wording import count, moment, plural

CURVES = 8
_LEVELS = 4
_BUCKETS: dict[Detail, int] = {"full": 200, "small": 40}


@dataclass(frozen=True, slots=True)
class Plot:
    """
    One chart: a series for each member.

    `marks`: a mark for each point, else lines; `moved` then says for each series by how much its
    counter went on. `levels` are words and the value they stand for; `bounds` lines of their own.
    """

    title: str
    words: str
    seconds: bool
    marks: bool
    series: tuple[Series, ...]
    levels: tuple[tuple[str, float], ...] = ()
    bounds: tuple[Series, ...] = ()
    moved: tuple[float, ...] = ()


def plots(experiment: Experiment, detail: Detail) -> tuple[Plot, ...]:
    """The declared curves that any observation holds a number for."""
    samples: dict[str, list[Event]] = {node: [] for node in experiment.nodes}
    for event in experiment.events.of("observe"):
        if event.process in samples:
            samples[event.process].append(event)
    found = (_plot(one, samples, _BUCKETS[detail]) for one in curves_of(experiment)[:CURVES])
    return tuple(one for one in found if one.series)


def _plot(declared: dict[str, Any], samples: dict[str, list[Event]], buckets: int) -> Plot:
    reads, counter = text_of(declared, "reads"), text_of(declared, "once_per")
    read = _marks if counter else _line
    series = [read(node, its, reads, counter, buckets) for node, its in samples.items()]
    shown = tuple(one for one in series if one.needed)
    levels = [
        (text_of(one, "words"), value)
        for one in objects_of(declared, "levels")[:_LEVELS]
        if (value := number_of(one, "value")) is not None
    ]
    return Plot(
        title=text_of(declared, "title", reads),
        words=text_of(declared, "words"),
        seconds=declared.get("seconds") is True,
        marks=bool(counter),
        series=shown,
        levels=tuple(levels),
        moved=tuple(_moved(samples[one.label], counter) for one in shown) if counter else (),
    )


def _line(node: str, samples: Sequence[Event], reads: str, _: str, buckets: int) -> Series:
    """A line through all samples, broken where there was no number."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for event in samples:
        value = number_at(event.value, reads) if event.type == "ok" else None
        if value is not None:
            pieces[-1].append((event.time_s, value))
        elif pieces[-1]:
            pieces.append([])
    whole = [without_level_middles(tuple(piece)) for piece in pieces if piece]
    needed = sum(map(len, whole))
    share = buckets / max(needed, 1)
    thin = (thinned(piece, max(1, round(share * len(piece)))) for piece in whole)
    return Series(node, tuple(thin), needed)


def _marks(node: str, samples: Sequence[Event], reads: str, counter: str, buckets: int) -> Series:
    """A point each time the counter has moved; of too many the highest of each bucket."""
    points: list[tuple[float, float]] = []
    before: float | None = None
    for event in samples:
        counted = number_at(event.value, counter) if event.type == "ok" else None
        value = number_at(event.value, reads)
        if counted is not None and value is not None and counted != before:
            if before is not None:  # what stood there when we first looked is of an earlier time
                points.append((event.time_s, value))
            before = counted
    return Series(node, (_highest(points, buckets),) if points else (), len(points))


def _moved(samples: Sequence[Event], counter: str) -> float:
    """By how much a counter went on from the first to the last sample that has it."""
    counted = [
        value
        for event in samples
        if event.type == "ok" and (value := number_at(event.value, counter)) is not None
    ]
    return counted[-1] - counted[0] if counted else 0.0


def _highest(points: list[tuple[float, float]], buckets: int) -> tuple[tuple[float, float], ...]:
    if len(points) <= buckets:
        return tuple(points)
    size = -(-len(points) // buckets)
    parts = (points[at : at + size] for at in range(0, len(points), size))
    return tuple(max(part, key=lambda point: point[1]) for part in parts)


@dataclass(frozen=True, slots=True)
class Contributions:
    """A lane for each member, how many contributions it holds, and one of the margin so seen."""

    title: str
    words: str
    lanes: tuple[Lane, ...]


def contributions(experiment: Experiment) -> Contributions | None:
    """Whose contributions reached whom; None where the system declared no such thing."""
    declared = panels_of(experiment, "contributions")
    quorum = quorum_of(experiment)
    if not declared or quorum is None:
        return None
    samples = experiment.events.of("observe")
    steps = list(heard(samples, experiment.nodes, text_of(declared, "refused")))
    if not steps:
        return None
    ends = [*(step.event.time_s for step in steps[1:]), experiment.end_s]
    spans: dict[str, list[Span]] = {node: [] for node in experiment.nodes}
    margins: list[Span] = []
    for step, end_s in zip(steps, ends, strict=True):
        start_s = step.event.time_s
        margins.append(_margin(start_s, end_s, step.most - quorum))
        for node, holds in step.holders.items():
            spans[node].append(_holds(experiment, node, holds, quorum, (start_s, end_s)))
    lanes = [Lane(node, "held", _timed(joined(its))) for node, its in spans.items()]
    lanes.append(Lane("margin as shown", "margin", _timed(joined(margins))))
    title = text_of(declared, "title", "contributions at each member")
    return Contributions(title, text_of(declared, "words"), tuple(lanes))


def _kind(margin: int) -> str:
    return "margin lost" if margin < 0 else "margin none" if margin == 0 else "margin some"


def _holds(
    experiment: Experiment, node: str, holds: frozenset[str], quorum: int, when: tuple[float, float]
) -> Span:
    names = [one for one in experiment.nodes if one in holds]
    lacking = [one for one in experiment.nodes if one not in holds]
    label = str(len(names)) if len(names) >= quorum else f"{len(names)} of {quorum}"
    title = f"{node} holds those of {' '.join(names)}"
    title += f", not of {' '.join(lacking)}" if lacking else ""
    return Span(*when, _kind(len(names) - quorum), f"{title}; {quorum} are needed", label)


def _margin(start_s: float, end_s: float, margin: int) -> Span:
    if margin < 0:
        said = f"{plural(-margin, 'contribution')} too few at the best placed member"
        return Span(start_s, end_s, _kind(margin), said, f"margin {count(margin)}")
    said = f"the best placed member holds {margin} more than are needed"
    return Span(start_s, end_s, _kind(margin), said, f"margin {margin}")


def _timed(spans: Sequence[Span]) -> tuple[Span, ...]:
    """With the time in what pointing at each shows."""
    return tuple(
        Span(
            one.start_s,
            one.end_s,
            one.kind,
            f"{one.title}, {moment(one.start_s)} to {moment(one.end_s)}",
            one.label,
        )
        for one in spans
    )
