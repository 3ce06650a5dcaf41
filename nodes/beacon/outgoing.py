"""
A stream that somebody reads: which rounds it is still owed.

Owns: the debt, two numbers however slow the reader is. Refuses: nothing; a stream that the core
closes ends with the core's refusal after what was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from nodes.beacon.errors import SyncRefused
from nodes.beacon.messages import Beacon


class Outgoing:
    """The rounds from `first` to `last` are owed; the reader takes them with `rounds`."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._last = 0
        self._newest: Beacon | None = None
        self._refusal: SyncRefused | None = None
        self._changed = asyncio.Event()

    def owe(self, first: int, last: int) -> None:
        """Stored rounds are to be sent."""
        if self._first is None:
            self._first = first
        self._last = last
        self._changed.set()

    def owe_new(self, beacon: Beacon) -> None:
        """A new round is to be sent, after all that is owed."""
        self._newest = beacon
        self.owe(beacon.round, beacon.round)

    def close(self, refusal: SyncRefused) -> None:
        """The stream ends with this error."""
        self._refusal = refusal
        self._changed.set()

    async def rounds(
        self, read: Callable[[int, int], Awaitable[Sequence[Beacon]]]
    ) -> AsyncGenerator[Beacon, None]:
        """
        What is owed, in order, and then what comes; never ends by itself.

        `read` answers stored rounds from a first one on, as many as are asked for or fewer, at
        least one. Raises SyncRefused when the stream is closed.
        """
        while True:
            if self._refusal is not None:
                raise self._refusal
            if self._first is None or self._first > self._last:
                self._changed.clear()
                await self._changed.wait()
                continue
            newest = self._newest
            if newest is not None and newest.round == self._first:
                part: Sequence[Beacon] = (newest,)
            else:
                part = await read(self._first, self._last - self._first + 1)
            for beacon in part:
                if self._refusal is not None:
                    break
                self._first = beacon.round + 1
                yield beacon
