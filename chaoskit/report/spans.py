"""
The vocabulary of a timeline: what lies on a lane, in seconds of the run.

Owns: spans, marks, lanes and series as plain data. Refuses: pixels, colours and events. A `kind`
is a word that the style sheet knows; `title` is what pointing at the thing shows. `Detail` says how
finely lines and windows are cut: small where a report holds many tests.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Detail = Literal["full", "small"]


@dataclass(frozen=True, slots=True)
class Span:
    """What held from `start_s` to `end_s`; `label` is written on it where it fits."""

    start_s: float
    end_s: float
    kind: str
    title: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """What happened at one moment."""

    at_s: float
    kind: str
    title: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One row: spans, on top of them thin under-spans, and marks."""

    label: str
    kind: str
    spans: tuple[Span, ...] = ()
    under: tuple[Span, ...] = ()
    marks: tuple[Mark, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """
    A line of (seconds, value) in unbroken pieces.

    `needed` is how many points it would have without thinning.
    """

    label: str
    pieces: tuple[tuple[tuple[float, float], ...], ...]
    needed: int

    @property
    def drawn(self) -> int:
        """How many points it has."""
        return sum(len(piece) for piece in self.pieces)


def clipped(spans: Iterable[Span], start_s: float, end_s: float) -> tuple[Span, ...]:
    """The spans that meet the window, cut to it."""
    return tuple(
        replace(span, start_s=max(span.start_s, start_s), end_s=min(span.end_s, end_s))
        for span in spans
        if span.end_s >= start_s and span.start_s <= end_s
    )


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Neighbours of one kind, title and label that touch become one span."""
    result: list[Span] = []
    for span in spans:
        last = result[-1] if result else None
        same = last is not None and (last.kind, last.title, last.label, last.end_s) == (
            span.kind,
            span.title,
            span.label,
            span.start_s,
        )
        if last is not None and same:
            result[-1] = replace(last, end_s=span.end_s)
        else:
            result.append(span)
    return tuple(result)


def thinned(
    points: tuple[tuple[float, float], ...], buckets: int
) -> tuple[tuple[float, float], ...]:
    """
    A line of at most 4 points in each of `buckets` equal parts: first, lowest, highest, last.

    No peak and no step is lost, and what is left out lies between what is drawn. A line with
    fewer points than that stays as it is.
    """
    if len(points) <= 4 * buckets:
        return points
    start_s, width_s = points[0][0], (points[-1][0] - points[0][0]) / buckets or 1.0
    kept: list[tuple[float, float]] = []
    bucket: list[tuple[float, float]] = []
    number = 0
    for point in points:
        its = min(int((point[0] - start_s) / width_s), buckets - 1)
        if its != number:
            kept += _extremes(bucket)
            bucket, number = [], its
        bucket.append(point)
    kept += _extremes(bucket)
    return tuple(kept)


def _extremes(bucket: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(bucket) <= 4:
        return bucket
    chosen = {
        bucket[0],
        bucket[-1],
        min(bucket, key=lambda point: point[1]),
        max(bucket, key=lambda point: point[1]),
    }
    return sorted(chosen)


def without_level_middles(
    points: tuple[tuple[float, float], ...],
) -> tuple[tuple[float, float], ...]:
    """The same line without the points in the middle of its level stretches."""
    inner = (
        here
        for before, here, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == here[1] == after[1]
    )
    return (points[0], *inner, points[-1]) if len(points) > 2 else points
