"""
The history: everything observed, in order, as the only thing that judges may look at.

Owns: the event and its file form (`history.jsonl`, one JSON object a line, the first line a header
with the schema version). Refuses: prose (that goes to the log) and events out of order. Each event
is flushed as it happens, so that a killed run still has its history up to the kill.

`process` is a node's name, a client ("client 3") or "chaoskit"; `f` names the kind of fact. An
operation is an `invoke` followed by one `ok`, `fail` (certainly did not happen) or `info` (outcome
unknown) of the same process; facts of the harness and of observers are single events.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from chaoskit import clock
from chaoskit.errors import UsageError
from chaoskit.redaction import Redactor

SCHEMA = 1

EventType = Literal["invoke", "ok", "fail", "info"]


class Event(msgspec.Struct, frozen=True):
    """
    One fact: `index` counts from 0 without gaps; `time_s` is seconds since the run began.

    `value` is a JSON object whose keys depend on `f`; docs/architecture.md lists them.
    """

    index: int
    time_s: float
    process: str
    type: EventType
    f: str
    value: dict[str, Any]


class Header(msgspec.Struct, frozen=True):
    """The first line of a saved history; `started_utc` is ISO 8601, what `time_s` 0.0 was."""

    schema: int
    started_utc: str


class History:
    """
    Recorded events in order, with an index by kind; immutable, cheap to slice.

    `of("observe", "felt")` gives the events of these kinds in order; `window(a, b)` the events
    with a <= time_s < b.
    """

    def __init__(self, events: Iterable[Event], *, started_utc: str = "") -> None:
        self.events: tuple[Event, ...] = tuple(events)
        self.started_utc = started_utc
        self._by_kind: dict[str, list[Event]] = {}
        for event in self.events:
            self._by_kind.setdefault(event.f, []).append(event)

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    @property
    def end_s(self) -> float:
        """Time of the last event; 0.0 when there is none."""
        return self.events[-1].time_s if self.events else 0.0

    def of(self, *kinds: str) -> list[Event]:
        """Events whose `f` is one of `kinds`, in order."""
        if len(kinds) == 1:
            return list(self._by_kind.get(kinds[0], ()))
        found = [event for kind in kinds for event in self._by_kind.get(kind, ())]
        return sorted(found, key=lambda event: event.index)

    def window(self, start_s: float, end_s: float) -> History:
        """The events with start_s <= time_s < end_s."""
        return History(
            (event for event in self.events if start_s <= event.time_s < end_s),
            started_utc=self.started_utc,
        )

    def since(self, index: int) -> History:
        """The events from `index` on."""
        return History(
            (event for event in self.events if event.index >= index), started_utc=self.started_utc
        )

    def without(self, index: int) -> History:
        """The same history with one event taken out (what `recheck` is tested with)."""
        return History(
            (event for event in self.events if event.index != index),
            started_utc=self.started_utc,
        )


class Recorder:
    """
    Writes events to `history.jsonl` as they happen; safe to call from any thread.

    What `redactor` knows as a secret is taken out of an event before it reaches the file.

    `record` returns the event with its index and time. `history()` is a snapshot of what was
    recorded so far. Memory holds all events of the run: a run of an hour has some 100 000.
    """

    def __init__(self, path: Path, redactor: Redactor | None = None) -> None:
        self._redactor = redactor
        self._lock = threading.Lock()
        self._encoder = msgspec.json.Encoder()
        self._origin_s = clock.monotonic()
        self._events: list[Event] = []
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND, 0o644)
        self.started_utc = clock.utc_now().isoformat(timespec="milliseconds")
        self.path = path
        self._write(Header(schema=SCHEMA, started_utc=self.started_utc))

    def _write(self, line: Event | Header) -> None:
        os.write(self._file, self._encoder.encode(line) + b"\n")

    def _cleaned(self, event: Event) -> Event:
        """
        The event without secrets. A look at the whole line is quick, and as thorough as the scan
        for leaks at the run's end; values are gone through only where it finds one.
        """
        if self._redactor is None:
            return event
        line = self._encoder.encode(event)
        if self._redactor.clean(line) == line:
            return event
        return msgspec.structs.replace(event, value=self._redactor.clean_document(event.value))

    def now_s(self) -> float:
        """Seconds since the run began."""
        return clock.monotonic() - self._origin_s

    def record(
        self,
        process: str,
        f: str,
        value: Mapping[str, Any],
        *,
        kind: EventType = "info",
    ) -> Event:
        """Append one event, flushed to the file before this returns; answers it as recorded."""
        with self._lock:
            event = self._cleaned(
                Event(
                    index=len(self._events),
                    time_s=round(self.now_s(), 6),
                    process=process,
                    type=kind,
                    f=f,
                    value=dict(value),
                )
            )
            self._events.append(event)
            self._write(event)
        return event

    def history(self) -> History:
        """What was recorded so far."""
        with self._lock:
            events = tuple(self._events)
        return History(events, started_utc=self.started_utc)

    def count(self) -> int:
        """How many events were recorded: the index of the next one."""
        with self._lock:
            return len(self._events)

    def close(self) -> None:
        """Close the file; recording afterwards raises OSError."""
        with self._lock:
            os.close(self._file)
            self._file = -1  # the number may be another file's by now


def read(path: Path) -> History:
    """
    Read a saved `history.jsonl`.

    A last line cut short by a kill is left out. Raises UsageError, naming the line, when the file
    is missing, is no history, has another schema or is corrupt before its last line.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"no history at {path}: {error.strerror}") from error
    complete, rest = lines[:-1], lines[-1]
    del rest  # what follows the last newline is a line cut short, or nothing
    try:
        header = msgspec.json.decode(complete[0], type=Header) if complete else None
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path}: line 1 is no history header: {error}") from error
    if header is None or header.schema != SCHEMA:
        found = "an empty file" if header is None else f"schema {header.schema}"
        raise UsageError(f"{path}: this chaoskit reads schema {SCHEMA}, found {found}")
    decoder = msgspec.json.Decoder(Event)
    events = []
    for number, line in enumerate(complete[1:], start=2):
        try:
            events.append(decoder.decode(line))
        except msgspec.MsgspecError as error:
            raise UsageError(f"{path}: line {number} is no event: {error}") from error
    return History(events, started_utc=header.started_utc)
