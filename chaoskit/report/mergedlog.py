"""
One log of everybody: what the nodes wrote and what the harness did, in order of time, on one clock.

Owns: the merge, its bounds, and how a structured line is written for people. Refuses: length
without end (of many lines those nearest to what the harness did are kept, the same number for each
node, and it says how many were left out) and secrets: logs are redacted before they are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from chaoskit.report.document import compact, text_of
from chaoskit.report.experiment import Experiment
from chaoskit.report.harnesslog import LIMIT, Said
from chaoskit.report.source import LogLine
from chaoskit.report.wording import cut

HARNESS = "harness"
FILTERS = 12  # nodes that can be left out by a click; more stand there all the time
_CHARACTERS = 260
_CLOCK = frozenset({"ts", "time", "timestamp", "t", "caller"})
_LEVEL, _MESSAGE = ("level", "lvl", "severity"), ("msg", "message")
_WORD = re.compile(r"\b(WARN|WARNING|ERROR|FATAL|PANIC|CRITICAL)\b", re.IGNORECASE)
_ESCAPED = re.compile(r"\\[u/]")
_LOOKED_AT = 80  # characters in which a line without structure says its level

Weight = Literal["", "warn", "error", "done"]


@dataclass(frozen=True, slots=True)
class LogRow:
    """
    One line: when (of the run, and UTC, "" when unknown), who, and what.

    `number` is 0 for the harness, else the node's place in the cluster from 1 on. `weight` says how
    grave it is by its own word, or `done` where the harness did something.
    """

    time_s: float
    utc: str
    number: int
    who: str
    text: str
    weight: Weight


@dataclass(frozen=True, slots=True)
class Voice:
    """Whose lines there are: how many are shown, and how many were written in the test."""

    number: int
    name: str
    shown: int
    written: int


@dataclass(frozen=True, slots=True)
class MergedLog:
    """The rows in order of time, and whose they are."""

    rows: tuple[LogRow, ...]
    voices: tuple[Voice, ...]

    @property
    def left_out(self) -> int:
        """How many lines are not shown."""
        return sum(one.written - one.shown for one in self.voices)


def merged_log(
    experiment: Experiment,
    done: Sequence[Said],
    kept: Mapping[str, Sequence[LogLine]],
    written: Mapping[str, int],
    started: datetime | None,
) -> MergedLog:
    """
    Merge what the harness did with the lines that were kept of each node's log.

    `written` says how many lines each node wrote in the test.
    """
    names = [*experiment.nodes, *sorted(set(kept) - set(experiment.nodes))]
    names = [name for name in names if name in kept or name in experiment.nodes]
    shown = done[:LIMIT]
    rows = [
        LogRow(
            one.time_s, _utc(started, one.time_s), 0, HARNESS, one.text,
            "done" if one.weighty else "",
        )
        for one in shown
    ]  # fmt: skip
    voices = [Voice(0, HARNESS, len(shown), len(done))]
    for number, name in enumerate(names, start=1):
        lines = kept.get(name, ())
        rows += [_row(number, line, started) for line in lines]
        voices.append(Voice(number, name, len(lines), max(written.get(name, 0), len(lines))))
    return MergedLog(tuple(sorted(rows, key=lambda row: row.time_s)), tuple(voices))


def _row(number: int, line: LogLine, started: datetime | None) -> LogRow:
    text, weight = _readable(line.text)
    utc = _utc(started, line.time_s)
    return LogRow(line.time_s, utc, number, line.node, cut(text, _CHARACTERS), weight)


def _utc(started: datetime | None, time_s: float) -> str:
    if started is None or not 0 <= time_s < 10_000_000:
        return ""
    at = started + timedelta(seconds=time_s)
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"


def _readable(text: str) -> tuple[str, Weight]:
    """
    A line as people read it: of a JSON object level, message and the rest, without its clock.

    One with escapes stays as it is: what was redacted was the text, and not what it stands for.
    """
    document = None
    if text.startswith("{") and not _ESCAPED.search(text):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
    if not isinstance(document, dict):
        found = _WORD.search(text[:_LOOKED_AT])
        return text, _weight(found[1] if found else "")
    level = next((text_of(document, key) for key in _LEVEL if text_of(document, key)), "")
    message = next((text_of(document, key) for key in _MESSAGE if text_of(document, key)), "")
    rest = {
        key: value
        for key, value in document.items()
        if key not in _CLOCK and key not in _LEVEL and key not in _MESSAGE
    }
    said = compact(rest, limit=_CHARACTERS) if rest else ""
    return " ".join(one for one in (level.upper(), message, said) if one), _weight(level)


def _weight(level: str) -> Weight:
    word = level.upper()
    if word in {"ERROR", "FATAL", "PANIC", "CRITICAL", "DPANIC"}:
        return "error"
    return "warn" if word in {"WARN", "WARNING"} else ""
