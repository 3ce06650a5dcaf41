"""
Operations under way at one node, from their arrival to their answer.

Owns: where each stands (held until a leader is known, forwarded to it, appended by it), until when
it may take, and what its end is when that time is over. Refuses: answering.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nodes.toys.messages import Operation, Outcome


@dataclass(slots=True)
class Wait:
    """One operation: who asked (`client`, or a peer by name), until when, whom we asked."""

    number: int
    operation: Operation
    client: str
    deadline_s: float
    not_before_s: float = 0.0
    target: str = ""


@dataclass(slots=True)
class Waiting:
    """All of them: held and forwarded by number, appended by index."""

    held: dict[int, Wait] = field(default_factory=dict)
    forwarded: dict[int, Wait] = field(default_factory=dict)
    appended: dict[int, Wait] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.held) + len(self.forwarded) + len(self.appended)

    def deadlines_s(self) -> Iterator[float]:
        """When each of them has to be answered."""
        for waits in (self.held, self.forwarded, self.appended):
            yield from (wait.deadline_s for wait in waits.values())

    def expired(self, now_s: float) -> list[tuple[Wait, Outcome]]:
        """Take out those whose time is over: what was only held had no effect and never will."""
        found: list[tuple[Wait, Outcome]] = []
        for waits, outcome in (
            (self.held, Outcome.REFUSED),
            (self.forwarded, Outcome.UNKNOWN),
            (self.appended, Outcome.UNKNOWN),
        ):
            late = [key for key, wait in waits.items() if wait.deadline_s <= now_s]
            found += [(waits.pop(key), outcome) for key in late]
        return found
