"""
The nodes of a test: what each was, what it said it was, how it ended, and what it wrote.

Owns: the rows of the node table and the log excerpt around a moment. Refuses: reading a log more
than once for one report, and quoting without end: an excerpt has at most 160 lines of 240
characters, the ones nearest to the moment, and says how many were left out.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heapreplace, merge
from pathlib import Path

from chaoskit.report.document import text_of, whole_of
from chaoskit.report.experiment import Experiment, release_of
from chaoskit.report.nodelanes import last_progress, releases_seen
from chaoskit.report.source import LogLine, log_lines, node_names
from chaoskit.report.wording import NONE, cut, moment

AROUND_S = 5.0
_LINES = 160
_CHARACTERS = 240
_GRAVE = re.compile(r"\b(panic|fatal|FATAL|PANIC)\b|\bthread '.*' panicked\b")
_EXITS = 6


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node: the image it was started from, its own words, its exits, its last grave line."""

    name: str
    image: str
    started_as: str
    said: str
    progress: str
    exits: tuple[str, ...]
    last_words: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Log lines of all nodes up to a moment and after it, in order; `left_out` were too many."""

    at_s: float
    why: str
    before: tuple[LogLine, ...]
    after: tuple[LogLine, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Window:
    """
    The part of the logs that a test wants: its own time, and a moment to look at closely.

    `moments`, in order, are when the harness did something; `most` is how many lines of a node are
    kept, the ones nearest to them.
    """

    start_s: float
    end_s: float
    at_s: float | None
    why: str = ""
    moments: tuple[float, ...] = ()
    most: int = 0

    def holds(self, time_s: float) -> bool:
        """Whether a line at this time belongs to the test."""
        return self.start_s <= time_s <= self.end_s

    def distance(self, time_s: float) -> float:
        """How far a line is from the nearest moment, in seconds; 0 without moments."""
        at = bisect_left(self.moments, time_s)
        return min(
            (abs(one - time_s) for one in self.moments[max(at - 1, 0) : at + 1]), default=0.0
        )

    def near(self, time_s: float) -> bool:
        """Whether a line at this time belongs into the excerpt."""
        return self.at_s is not None and abs(time_s - self.at_s) <= AROUND_S


@dataclass(frozen=True, slots=True)
class Read:
    """
    What the logs held for one window: lines near its moment and the last grave line a node.

    `kept` are the lines of each node for the merged log, `written` how many there were.
    """

    near: tuple[LogLine, ...]
    grave: Mapping[str, LogLine]
    last: Mapping[str, LogLine]
    kept: Mapping[str, tuple[LogLine, ...]] = field(default_factory=dict)
    written: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Nearest:
    """The lines nearest to a window's moments while more of them come: the farthest goes first."""

    window: Window
    held: list[tuple[float, int, LogLine]] = field(default_factory=list)
    seen: int = 0

    def add(self, line: LogLine) -> None:
        self.seen += 1
        entry = (-self.window.distance(line.time_s), -self.seen, line)
        if len(self.held) < self.window.most:
            heappush(self.held, entry)
        elif self.held and entry[:2] > self.held[0][:2]:
            heapreplace(self.held, entry)

    def lines(self) -> tuple[LogLine, ...]:
        """In the order in which they came."""
        return tuple(line for _, _, line in sorted(self.held, key=lambda one: -one[1]))


def read_logs(folder: Path, windows: Sequence[Window]) -> tuple[Read, ...]:
    """Read every node's log once, for all tests of a run."""
    near: list[list[list[LogLine]]] = [[] for _ in windows]
    grave: list[dict[str, LogLine]] = [{} for _ in windows]
    last: list[dict[str, LogLine]] = [{} for _ in windows]
    kept: list[dict[str, _Nearest]] = [{} for _ in windows]
    for node in node_names(folder):
        mine: list[list[LogLine]] = [[] for _ in windows]
        for line in log_lines(folder, node):
            for number, window in enumerate(windows):
                if not window.holds(line.time_s):
                    continue
                kept[number].setdefault(node, _Nearest(window)).add(line)
                if window.near(line.time_s):
                    mine[number].append(line)
                last[number][node] = line
                if _GRAVE.search(line.text):
                    grave[number][node] = line
        for number, lines in enumerate(mine):
            near[number].append(lines)
    return tuple(
        Read(
            near=tuple(merge(*near[number], key=_time)),
            grave=grave[number],
            last=last[number],
            kept={node: one.lines() for node, one in kept[number].items()},
            written={node: one.seen for node, one in kept[number].items()},
        )
        for number in range(len(windows))
    )


def _time(line: LogLine) -> float:
    return line.time_s


def excerpt(window: Window, read: Read) -> Excerpt | None:
    """The lines within 5 s of the window's moment; None when it has no moment."""
    if window.at_s is None:
        return None
    at_s = window.at_s
    nearest = sorted(read.near, key=lambda line: abs(line.time_s - at_s))[:_LINES]
    lines = [
        LogLine(line.time_s, line.node, cut(line.text, _CHARACTERS))
        for line in sorted(nearest, key=_time)
    ]
    return Excerpt(
        at_s=at_s,
        why=window.why,
        before=tuple(line for line in lines if line.time_s <= at_s),
        after=tuple(line for line in lines if line.time_s > at_s),
        left_out=len(read.near) - len(lines),
    )


def node_rows(experiment: Experiment, read: Read) -> tuple[NodeRow, ...]:
    """A row a node, in the cluster's order."""
    return tuple(
        NodeRow(
            name=node,
            image=experiment.images.get(node, ""),
            started_as=release_of(experiment, node) or NONE,
            said=releases_seen(experiment, node) or "never answered",
            progress=last_progress(experiment, node),
            exits=_exits(experiment, node),
            last_words=_last_words(experiment, node, read),
        )
        for node in experiment.nodes
    )


def _exits(experiment: Experiment, node: str) -> tuple[str, ...]:
    said = []
    for event in experiment.events.of("state"):
        if event.process == node and text_of(event.value, "state") in {"exited", "stopped"}:
            code = whole_of(event.value, "exit_code")
            by = "by us" if event.value.get("signalled") is True else "BY ITSELF"
            what = "stopped" if code is None else f"code {code}"
            said.append(f"{what} {by} at {moment(event.time_s)}")
    more = len(said) - _EXITS
    return (*said[:_EXITS], f"and {more} more") if more > 0 else tuple(said)


def _last_words(experiment: Experiment, node: str, read: Read) -> str:
    """Its last line that says panic or fatal; else, if it exited by itself, its last line."""
    line = read.grave.get(node)
    alone = any(
        event.process == node and event.value.get("signalled") is not True
        for event in experiment.events.of("state")
        if text_of(event.value, "state") == "exited"
    )
    if line is None and alone:
        line = read.last.get(node)
    return "" if line is None else f"{moment(line.time_s)} {cut(line.text, _CHARACTERS)}"
