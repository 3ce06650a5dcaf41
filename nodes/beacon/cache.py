"""
Partials that wait for enough others.

Owns: verified partials by round and previous signature, each member once in each. Refuses: more
than PARTIALS_OF_ONE_MEMBER of one member at a time: its oldest goes, so that a member that signs
nonsense without end takes nobody else's place and no more memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PARTIALS_OF_ONE_MEMBER = 100
ROUNDS_AHEAD = 4
"""Partials are kept for this many rounds after the last stored one."""

_Key = tuple[int, bytes]
_EMPTY: Mapping[int, bytes] = MappingProxyType({})


class PartialCache:
    """The partials of rounds that are not made yet."""

    def __init__(self) -> None:
        self._entries: dict[_Key, dict[int, bytes]] = {}
        self._of_member: dict[int, list[_Key]] = {}

    def add(self, round_number: int, previous: bytes, index: int, partial: bytes) -> int:
        """Keep a partial; answers how many its round has now, or 0 where it was there already."""
        key = (round_number, previous)
        entry = self._entries.get(key)
        if entry is not None and index in entry:
            return 0
        theirs = self._of_member.setdefault(index, [])
        if len(theirs) >= PARTIALS_OF_ONE_MEMBER:
            self._forget(theirs.pop(0), index)
        entry = self._entries.setdefault(key, {})
        entry[index] = partial
        theirs.append(key)
        return len(entry)

    def holds(self, round_number: int, previous: bytes, index: int, partial: bytes) -> bool:
        """Whether exactly this one is kept: it was verified when it came first."""
        return self._entries.get((round_number, previous), _EMPTY).get(index) == partial

    def of(self, round_number: int, previous: bytes) -> Mapping[int, bytes]:
        """The partials of a round upon a previous signature, by member."""
        return self._entries.get((round_number, previous), _EMPTY)

    def drop(self, round_number: int, previous: bytes) -> None:
        """Forget one round upon one previous signature."""
        entry = self._entries.pop((round_number, previous), _EMPTY)
        for index in entry:
            self._of_member[index].remove((round_number, previous))

    def drop_through(self, round_number: int) -> None:
        """Forget every round up to this one."""
        for key in [key for key in self._entries if key[0] <= round_number]:
            self.drop(*key)

    def __len__(self) -> int:
        """How many partials are kept."""
        return sum(len(entry) for entry in self._entries.values())

    def _forget(self, key: _Key, index: int) -> None:
        entry = self._entries[key]
        del entry[index]
        if not entry:
            del self._entries[key]
