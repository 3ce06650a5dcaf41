"""
The node's clock.

Owns: reading the time, and waiting until a time or an event. Refuses: nothing. A clock that is set
while somebody waits is noticed within LOOK_S.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

LOOK_S = 1.0


class Clock(Protocol):
    """Where a node has its time from; tests bring one that they move."""

    def now_s(self) -> float:
        """Seconds of the Unix clock."""
        ...

    async def wait(self, event: asyncio.Event, until_s: float | None) -> None:
        """Return when the event is set, or not much after this time; perhaps earlier."""
        ...


class SystemClock:
    """The machine's."""

    def now_s(self) -> float:
        """Seconds of the Unix clock."""
        return time.time()

    async def wait(self, event: asyncio.Event, until_s: float | None) -> None:
        """Return when the event is set, or not much after this time; perhaps earlier."""
        if until_s is None:
            await event.wait()
            return
        delay_s = min(max(until_s - time.time(), 0.0), LOOK_S)
        # A timer that sets the event: no task for each wait. Whoever waits looks at what there is.
        timer = asyncio.get_running_loop().call_later(delay_s, event.set)
        try:
            await event.wait()
        finally:
            timer.cancel()
