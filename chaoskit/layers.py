"""
What several blocks have put on one proxy at a time, so that each takes off its own alone.

Owns: counting it by proxy, and who waits for a proxy to be bare again. Refuses: changing a proxy;
whoever does changes it while it holds it, so that what is counted and what is done go together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import ExitStack, contextmanager


class Layers:
    """The layers on proxies, by name, the oldest first; a layer is any hashable value."""

    def __init__(self) -> None:
        self._laid: dict[str, list[Hashable]] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._waiting: list[tuple[frozenset[str], Callable[[], None]]] = []
        self._guard = threading.Lock()

    @contextmanager
    def held(self, *proxies: str) -> Iterator[None]:
        """Nobody else changes these proxies for the length of the block."""
        with self._guard:
            locks = [self._locks.setdefault(one, threading.RLock()) for one in sorted(set(proxies))]
        with ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            yield

    def on(self, proxy: str) -> tuple[Hashable, ...]:
        """What lies on it."""
        return tuple(self._laid.get(proxy, ()))

    def lay(self, proxy: str, layer: Hashable) -> bool:
        """Put one on; whether it is the only one of its kind there."""
        there = self._laid.setdefault(proxy, [])
        there.append(layer)
        return there.count(layer) == 1

    def lift(self, proxy: str, layer: Hashable) -> bool:
        """Take the newest of its kind off; whether none of its kind is left."""
        there = self._laid[proxy]
        del there[len(there) - 1 - there[::-1].index(layer)]
        return layer not in there

    def when_bare(self, proxies: Collection[str], call: Callable[[], None]) -> None:
        """Keep a call for when nothing lies on any of these proxies any more."""
        with self._guard:
            self._waiting.append((frozenset(proxies), call))

    def due(self) -> list[Callable[[], None]]:
        """The calls whose time has come, each once."""
        with self._guard:
            due = [one for one in self._waiting if not any(map(self.on, one[0]))]
            self._waiting = [one for one in self._waiting if one not in due]
        return [call for _, call in due]
