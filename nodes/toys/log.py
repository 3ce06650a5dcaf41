"""
The replicated log, what it makes of the keys, and what of both survives a restart.

Owns: entries and their chained digests, the keys' values at the agreed height, the reading of
journal records. Refuses: files and messages. The digest of height n is the SHA-256, cut to sixteen
hexadecimal digits, of the digest of n - 1 and entry n, so equal digests mean equal logs up to n.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nodes.toys.messages import Fit, Operation

GENESIS = "0" * 16


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: the term in which a leader made it, the operation, the digest up to here."""

    term: int
    operation: Operation
    digest: str


class Log:
    """Entries numbered from 1."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    @property
    def last(self) -> int:
        """The number of the last entry; 0 when there is none."""
        return len(self._entries)

    def term(self, index: int) -> int:
        """The term of an entry; 0 for index 0."""
        return self._entries[index - 1].term if index else 0

    def digest(self, index: int) -> str:
        """The digest of the log up to an entry."""
        return self._entries[index - 1].digest if index else GENESIS

    def recent(self, height: int, count: int) -> Mapping[str, str]:
        """The digests of the last `count` heights up to `height`, by height."""
        return {str(one): self.digest(one) for one in range(max(1, height - count + 1), height + 1)}

    def operation(self, index: int) -> Operation:
        """The operation of an entry."""
        return self._entries[index - 1].operation

    def append(self, term: int, operation: Operation) -> None:
        """Put an entry at the end."""
        text = json.dumps([self.digest(self.last), term, operation.row()])
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._entries.append(Entry(term, operation, digest))

    def cut(self, index: int) -> None:
        """Drop the entry `index` and all after it."""
        del self._entries[index - 1 :]

    def after(self, index: int, limit: int) -> tuple[tuple[int, Operation], ...]:
        """At most `limit` entries after `index`, as (term, operation)."""
        return tuple(
            (entry.term, entry.operation) for entry in self._entries[index : index + limit]
        )

    def fit(self, previous: int, term: int, agreed: int) -> tuple[Fit, int]:
        """
        Whether entries can follow entry `previous` of `term`, given the agreed height.

        Answers how they fit, and the highest index after which the sender should try again: below
        the whole run of entries of a wrong term.
        """
        if previous > self.last:
            return Fit.BEHIND, self.last
        if self.term(previous) == term:
            return Fit.MATCHED, previous
        if previous <= agreed:
            return Fit.DIVERGED, agreed
        return Fit.BEHIND, max(agreed, self._before_term_of(previous))

    def known(self, previous: int, entries: Sequence[tuple[int, Operation]]) -> int:
        """How many of `entries`, counted from the first, stand after `previous` already."""
        for count, (term, _) in enumerate(entries):
            index = previous + count + 1
            if index > self.last or self.term(index) != term:
                return count
        return len(entries)

    def _before_term_of(self, index: int) -> int:
        term = self.term(index)
        while index and self.term(index) == term:
            index -= 1
        return index


class Registers:
    """The value of each key after the log up to `height`; None where nothing was written."""

    def __init__(self, log: Log, height: int) -> None:
        self._values: dict[str, str] = {}
        for index in range(1, height + 1):
            self.apply(log.operation(index))

    def apply(self, operation: Operation) -> Mapping[str, Any]:
        """Carry an operation out; answers what its client is told."""
        held = self._values.get(operation.key)
        match operation.f:
            case "get":
                return {"value": held}
            case "cas" if held != operation.expect:
                return {"swapped": False, "value": held}
        assert operation.value is not None
        self._values[operation.key] = operation.value
        return {"swapped": True} if operation.f == "cas" else {}


@dataclass(slots=True)
class Durable:
    """What a node must not forget: its term, its vote in it, the log, the height agreed on."""

    term: int = 0
    vote: str = ""
    agreed: int = 0
    log: Log = field(default_factory=Log)


def restored(records: Iterable[list[Any]]) -> Durable:
    """
    Read a journal's records, in the order in which they were kept.

    An entry takes the place of whatever stood at its index or after it. Raises ValueError for a
    record that does not follow from those before it.
    """
    durable = Durable()
    for record in records:
        match record:
            case ["term", int(term), str(vote)] if term >= durable.term:
                durable.term, durable.vote = term, vote
            case ["entry", int(index), int(term), *row] if (
                durable.agreed < index <= durable.log.last + 1
            ):
                durable.log.cut(index)
                durable.log.append(term, Operation(*row))
            case ["agreed", int(height)] if durable.agreed <= height <= durable.log.last:
                durable.agreed = height
            case _:
                raise ValueError(f"record {json.dumps(record)} does not follow from the others")
    return durable
