"""
Operations: each invocation paired with what became of it.

Owns: the pairing, by process and operation number, and which operations need a quorum. Refuses:
completions whose invocation is not in the history (a slice cut them off): they are left out.

An operation's value may carry `consistency`: "linearizable" (the answer needs a quorum) or another
word such as "serializable" (one node answers by itself). Without the word, `put` and `txn` need a
quorum and a `snapshot` is one node's own; of any other kind nothing is known, so it is taken as a
sign of progress and never accused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chaoskit.history import Event, History

_WRITES = frozenset({"put", "txn"})
_LOCAL = frozenset({"snapshot"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    One operation: its `invoke` event and its completion, None while (or for ever) unanswered.

    Order in real time is the order of event indices: A came before B if A's completion has a
    lower index than B's invocation.
    """

    invoke: Event
    completion: Event | None

    @property
    def f(self) -> str:
        """The operation's kind."""
        return self.invoke.f

    @property
    def value(self) -> dict[str, Any]:
        """What was asked."""
        return self.invoke.value

    @property
    def node(self) -> str | None:
        """The node that was asked, None when the operation does not say."""
        return self.invoke.value.get("node")

    @property
    def acknowledged(self) -> bool:
        """It was answered, and took effect."""
        return self.completion is not None and self.completion.type == "ok"

    @property
    def failed(self) -> bool:
        """It certainly had no effect."""
        return self.completion is not None and self.completion.type == "fail"

    @property
    def result(self) -> dict[str, Any]:
        """What was answered; empty unless acknowledged."""
        if self.completion is None or self.completion.type != "ok":
            return {}
        return self.completion.value

    @property
    def events(self) -> tuple[int, ...]:
        """The indices of its events."""
        if self.completion is None:
            return (self.invoke.index,)
        return (self.invoke.index, self.completion.index)

    @property
    def needs_quorum(self) -> bool:
        """Below the quorum it must not be acknowledged: a write, or a read said linearizable."""
        consistency = self.invoke.value.get("consistency")
        if consistency is None:
            return self.invoke.f in _WRITES
        return bool(consistency == "linearizable")

    @property
    def shows_progress(self) -> bool:
        """Its acknowledgement is progress of the cluster: all but reads that one node answers."""
        consistency = self.invoke.value.get("consistency")
        if consistency is None:
            return self.invoke.f not in _LOCAL
        return bool(consistency == "linearizable")


def attempts(history: History) -> tuple[Attempt, ...]:
    """All operations of the history's clients, in the order in which they were invoked."""
    invoked: list[Event] = []
    completions: list[Event | None] = []
    waiting: dict[tuple[str, Any], int] = {}
    for event in history.events:
        process = event.process
        if process[:7] != "client ":
            continue
        key = (process, event.value.get("op"))
        if event.type == "invoke":
            waiting[key] = len(invoked)
            invoked.append(event)
            completions.append(None)
        elif key in waiting:
            completions[waiting.pop(key)] = event
    return tuple(map(Attempt, invoked, completions))
