"""
The run in Chrome's trace event format, to be opened in Perfetto beside other traces.

Owns: trace.json: a track a node with its states, a track a fault, a track a client with its
operations, progress as counters. Refuses: more than 20 000 operations; the first ones are kept
and the file says so. Format: "Trace Event Format" (JSON object form), times in microseconds.
"""

from __future__ import annotations

import json
from typing import Any

from chaoskit.history import Event
from chaoskit.report.document import number_of, object_of, text_of
from chaoskit.report.load import operations
from chaoskit.report.source import Source

_NODES, _FAULTS, _CLIENTS = 1, 2, 3
_OPERATIONS = 20_000


def trace(source: Source) -> str:
    """The trace of a run as JSON text."""
    history = source.history
    tracks = _Tracks()
    for event in history.of("observe"):
        progress = number_of(event.value, "progress")
        if event.type == "ok" and progress is not None:
            tracks.counter(event, progress)
    for name, begun, end_s in _stretches(history.of("state"), history.end_s):
        tracks.slice(_NODES, begun.process, name, begun.time_s, end_s, begun.value)
    for event in history.of("fault", "change"):
        if event.type == "invoke":
            healed = _end_of(event, history.of("heal", "change"), history.end_s)
            name = text_of(event.value, event.f, "unnamed")
            fields = object_of(event.value, "fields")
            tracks.slice(_FAULTS, name, name, event.time_s, healed, fields)
    asked = operations(history)
    for one in asked[:_OPERATIONS]:
        end_s = history.end_s if one.end_s is None else one.end_s
        what = {"node": one.node, "outcome": one.outcome or "none"}
        tracks.slice(_CLIENTS, one.process, one.f, one.start_s, end_s, what)
    kept = f"{min(len(asked), _OPERATIONS)} of {len(asked)} operations"
    document = {
        "traceEvents": [*tracks.names(), *tracks.events],
        "displayTimeUnit": "ms",
        "otherData": {"started_utc": history.started_utc, "kept": kept},
    }
    return json.dumps(document, separators=(",", ":"))


class _Tracks:
    """Events under construction, with a number for each track."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._numbers: dict[tuple[int, str], int] = {}

    def _number(self, group: int, track: str) -> int:
        return self._numbers.setdefault((group, track), len(self._numbers) + 1)

    def slice(
        self, group: int, track: str, name: str, start_s: float, end_s: float, what: dict[str, Any]
    ) -> None:
        self.events.append(
            {
                "ph": "X",
                "pid": group,
                "tid": self._number(group, track),
                "name": name,
                "ts": round(start_s * 1e6),
                "dur": max(round((end_s - start_s) * 1e6), 0),
                "args": what,
            }
        )

    def counter(self, event: Event, progress: float) -> None:
        self.events.append(
            {
                "ph": "C",
                "pid": _NODES,
                "name": f"progress {event.process}",
                "ts": round(event.time_s * 1e6),
                "args": {"progress": progress},
            }
        )

    def names(self) -> list[dict[str, Any]]:
        groups = {_NODES: "nodes", _FAULTS: "faults and changes", _CLIENTS: "clients"}
        named = [
            {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}}
            for pid, name in groups.items()
        ]
        return named + [
            {"ph": "M", "name": "thread_name", "pid": group, "tid": number, "args": {"name": track}}
            for (group, track), number in self._numbers.items()
        ]


def _stretches(states: list[Event], end_s: float) -> list[tuple[str, Event, float]]:
    """Each state of each node until its next one."""
    found: list[tuple[str, Event, float]] = []
    open_states: dict[str, Event] = {}
    for event in states:
        before = open_states.get(event.process)
        if before is not None:
            found.append((text_of(before.value, "state", "unknown"), before, event.time_s))
        open_states[event.process] = event
    return found + [
        (text_of(one.value, "state", "unknown"), one, end_s) for one in open_states.values()
    ]


def _end_of(begun: Event, ends: list[Event], end_s: float) -> float:
    same = (
        event.time_s
        for event in ends
        if event.type != "invoke"
        and event.index > begun.index
        and event.value.get("id") == begun.value.get("id")
    )
    return next(same, end_s)
