"""
Shapes of a drawing: what the template turns into SVG elements, one to one.

Owns: boxes, lines, paths and labels in pixels, each with a `kind` (its class in the style sheet)
and a `title` (what pointing at it shows). Refuses: markup; the template writes and escapes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

CHARACTER_WIDTH = 6.1  # at 11 pixels in the usual interface fonts; used to see whether text fits


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    shape: ClassVar[str] = "box"
    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line."""

    shape: ClassVar[str] = "line"
    x1: float
    y1: float
    x2: float
    y2: float
    kind: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """A path; `data` is in SVG's path language, made of numbers and M, L, H, V, Z alone."""

    shape: ClassVar[str] = "path"
    data: str
    kind: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A text whose baseline is at y."""

    shape: ClassVar[str] = "label"
    x: float
    y: float
    text: str
    kind: str
    anchor: Literal["start", "middle", "end"] = "start"
    title: str = ""


Shape = Box | Line | Path | Label


@dataclass(frozen=True, slots=True)
class Group:
    """Shapes that belong together, named for those who cannot see them."""

    label: str
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """
    A whole drawing in pixels; `label` says in one sentence what it shows.

    `start_s`, `end_s`, `left` and `right` say which time lies where (for the moving hair line).
    """

    width: float
    height: float
    label: str
    groups: tuple[Group, ...]
    start_s: float
    end_s: float
    left: float
    right: float


def width_of(text: str) -> float:
    """About how wide a text of 11 pixels is."""
    return len(text) * CHARACTER_WIDTH


def box(x1: float, x2: float, y: float, height: float, kind: str, title: str = "") -> Box:
    """A box between two places, at least 1.5 pixels wide so that it can be seen."""
    width = max(x2 - x1, 1.5)
    return Box(round(x1, 1), round(y, 1), round(width, 1), round(height, 1), kind, title)


def polyline(points: list[tuple[float, float]]) -> str:
    """The path through these points; a single point is a short stroke."""
    if len(points) == 1:
        (x, y) = points[0]
        return f"M{x - 2.5:g} {y:g}L{x + 2.5:g} {y:g}"
    head, *rest = (f"{x:g} {y:g}" for x, y in points)
    return f"M{head}L{' '.join(rest)}"


def diamond(x: float, y: float, radius: float) -> str:
    """The path of a diamond around a point."""
    return f"M{x:g} {y - radius:g}L{x + radius:g} {y:g} {x:g} {y + radius:g} {x - radius:g} {y:g}Z"


def triangle(x: float, y: float, radius: float) -> str:
    """The path of a triangle that stands on its point."""
    return f"M{x - radius:g} {y - radius:g}L{x + radius:g} {y - radius:g} {x:g} {y + radius:g}Z"


def mark(number: int, x: float, y: float, radius: float) -> str:
    """The path of the mark of the member of this number: six shapes, told apart without colour."""
    low, high, left, right = y + radius, y - radius, x - radius, x + radius
    half = radius * 0.4
    shapes = (
        f"M{left:g} {high:g}H{right:g}V{low:g}H{left:g}Z",
        diamond(x, y, radius * 1.3),
        triangle(x, y, radius * 1.2),
        f"M{left:g} {low:g}L{right:g} {low:g} {x:g} {high:g}Z",
        f"M{left:g} {y - half:g}H{right:g}V{y + half:g}H{left:g}Z",
        f"M{x - half:g} {high:g}H{x + half:g}V{low:g}H{x - half:g}Z",
    )
    return shapes[number % len(shapes)]
