"""
What a report is made of: the files of a run folder, read without trust.

Owns: finding and reading history.jsonl, verdicts.json, plan.json, rehearsal.json, nodes/NAME/log.
Refuses: failing. A file that is missing, cut short or corrupt becomes a note that says so, and
whatever of it can be read is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaoskit import history as recorded
from chaoskit.errors import UsageError
from chaoskit.history import Event, History
from chaoskit.report.document import number_of, object_of, text_of, whole_of

_TYPES = ("invoke", "ok", "fail", "info")
_SCHEMAS = {"verdicts.json": 1, "plan.json": 1, "rehearsal.json": 1}
_LONGEST_S = 1e8  # three years: no run is longer, and arithmetic on times stays exact enough
LINE_LIMIT = 100_000
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")


@dataclass(frozen=True, slots=True)
class Source:
    """
    A run folder as read.

    `verdicts`, `plan` and `rehearsal` are None when the file is not there (a run that did not
    finish, one without a plan, one that was no rehearsal); `notes` says of each piece that could
    not be read what and why.
    """

    folder: Path
    history: History
    verdicts: dict[str, Any] | None
    plan: dict[str, Any] | None
    notes: tuple[str, ...]
    rehearsal: dict[str, Any] | None = None


def load(folder: Path) -> Source:
    """Read a run folder; never raises for what it holds."""
    notes: list[str] = []
    history = _read_history(folder / "history.jsonl", notes)
    verdicts = _read_document(folder / "verdicts.json", notes)
    plan = _read_document(folder / "plan.json", notes)
    rehearsal = _read_document(folder / "rehearsal.json", notes)
    return Source(folder, history, verdicts, plan, tuple(notes), rehearsal)


def _read_document(path: Path, notes: list[str]) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        notes.append(f"{path.name} cannot be read and is left out: {error}")
        return None
    if not isinstance(document, dict):
        notes.append(f"{path.name} holds no JSON object and is left out")
        return None
    known, found = _SCHEMAS[path.name], document.get("schema")
    if found != known:
        notes.append(
            f"{path.name} has schema {found}, this chaoskit knows {known}: shown as far as it goes"
        )
    return document


def _read_history(path: Path, notes: list[str]) -> History:
    try:
        history = recorded.read(path)
    except UsageError as error:
        notes.append(f"{error}; the report shows the lines that can be read")
        history = _salvage(path, notes)
    within = [event for event in history if 0 <= event.time_s <= _LONGEST_S]
    if len(within) == len(history):
        return history
    notes.append(f"{path.name}: {len(history) - len(within)} events at impossible times left out")
    return History(within, started_utc=history.started_utc)


def _salvage(path: Path, notes: list[str]) -> History:
    """Every line of a corrupt history that still is an event, in order."""
    events: list[Event] = []
    started_utc, left_out = "", 0
    for number, line in enumerate(_lines(path)):
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            document = None
        event = _event(document) if isinstance(document, dict) else None
        if event is not None:
            events.append(event)
        elif number == 0 and isinstance(document, dict):
            started_utc = text_of(document, "started_utc")
        else:
            left_out += 1
    if left_out:
        notes.append(f"{path.name}: {left_out} lines left out, {len(events)} events read")
    events.sort(key=lambda event: event.index)
    return History(events, started_utc=started_utc)


def _event(document: dict[str, Any]) -> Event | None:
    index, time_s = whole_of(document, "index"), number_of(document, "time_s")
    kind = document.get("type")
    process, f = text_of(document, "process"), text_of(document, "f")
    if index is None or time_s is None or kind not in _TYPES or not process or not f:
        return None
    return Event(index, time_s, process, kind, f, object_of(document, "value"))


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from iter(lambda: file.readline(LINE_LIMIT), "")
    except OSError:
        return


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a node wrote: when, in seconds since the run began, who and what."""

    time_s: float
    node: str
    text: str


def node_names(folder: Path) -> list[str]:
    """The nodes that left a log, sorted."""
    try:
        return sorted(one.name for one in (folder / "nodes").iterdir() if one.is_dir())
    except OSError:
        return []


def log_lines(folder: Path, node: str) -> Iterator[LogLine]:
    """
    The lines of a node's log in order: `SECONDS TEXT`.

    A line without a time (a message of several lines) has that of the line before it. A line
    longer than 100 000 characters is read as several.
    """
    time_s = 0.0
    for line in _lines(folder / "nodes" / node / "log"):
        head, _, rest = line.rstrip("\r\n").partition(" ")
        found = _SECONDS.fullmatch(head)
        time_s = float(head) if found else time_s
        yield LogLine(time_s, node, rest if found else line.rstrip("\r\n"))
