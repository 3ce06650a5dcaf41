"""
Who is next: one thing of each source that waits, in turn.

Owns: the queues. Refuses: nothing; whoever puts looks at `waiting` first and bounds each source.

Rules: a source that floods its own queue makes the others wait for one thing of it a round.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Turns(Generic[Thing]):
    """Queues by source, emptied in turn; within a source first in, first out."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[Thing]] = OrderedDict()

    def __len__(self) -> int:
        """How many sources have something waiting."""
        return len(self._queues)

    def waiting(self, source: str) -> int:
        """How much of this source waits."""
        return len(self._queues.get(source, ()))

    def put(self, source: str, thing: Thing) -> None:
        """Let it wait behind what this source has waiting."""
        self._queues.setdefault(source, deque()).append(thing)

    def take(self) -> Thing:
        """The next source's first; raises LookupError where nothing waits."""
        if not self._queues:
            raise LookupError("nothing waits")
        source, queue = next(iter(self._queues.items()))
        thing = queue.popleft()
        if queue:
            self._queues.move_to_end(source)
        else:
            del self._queues[source]
        return thing
