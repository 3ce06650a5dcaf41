"""
Syncing others: streams of stored rounds and then of each new one.

Owns: who is sent what. Refuses: a request that begins beyond the last stored round, and more than
STREAMS_AT_MOST streams at a time.

Rules: an address has one stream; a new request from it ends the one before. What is stored and what
is new meet without a gap: both are decided in one step of the core.
"""

from __future__ import annotations

from collections.abc import Callable

from nodes.beacon.errors import NoBeaconStored, StreamReplaced, TooManyStreams
from nodes.beacon.messages import (
    Beacon,
    Effect,
    StreamClose,
    StreamNew,
    StreamStored,
    SyncAsked,
)

STREAMS_AT_MOST = 256


class Serving:
    """The server's half of a network's syncs; `emit` takes effects in order."""

    def __init__(self, emit: Callable[[Effect], None]) -> None:
        self._emit = emit
        self._streams: dict[str, int] = {}

    def __len__(self) -> int:
        """How many streams there are."""
        return len(self._streams)

    def asked(self, event: SyncAsked, last: Beacon) -> None:
        """Begin a stream, or refuse it."""
        if event.from_round < 0 or last.round < event.from_round:
            refusal = NoBeaconStored(f"no beacon stored above: {last.round} < {event.from_round}")
            self._emit(StreamClose(event.stream, refusal))
            return
        if event.source not in self._streams and len(self._streams) >= STREAMS_AT_MOST:
            refused = TooManyStreams(f"{STREAMS_AT_MOST} streams are open; try another member")
            self._emit(StreamClose(event.stream, refused))
            return
        replaced = self._streams.pop(event.source, None)
        if replaced is not None:
            self._emit(StreamClose(replaced, StreamReplaced("callback replaced")))
        self._streams[event.source] = event.stream
        if event.from_round:
            self._emit(StreamStored(event.stream, event.from_round, last.round))

    def left(self, stream: int) -> None:
        """Whoever listened has gone."""
        for source, number in self._streams.items():
            if number == stream:
                del self._streams[source]
                return

    def appended(self, beacon: Beacon) -> None:
        """A new round, for everyone who listens."""
        if self._streams:
            self._emit(StreamNew(tuple(self._streams.values()), beacon))
