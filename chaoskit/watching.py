"""
Threads that watch something for as long as a block lasts.

Owns: starting them, telling them to stop, waiting for their end, and keeping what ended one before
its time, so that its owner can raise it: a thread's exception ends its test. Refuses: a thread that
nobody waits for; each has a bound on how long it may take to stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from chaoskit.errors import ChaosError


class Watchers:
    """Threads under one order to stop; `end_timeout_s` bounds the wait for each of them."""

    def __init__(self, *, end_timeout_s: float) -> None:
        self.failure: tuple[str, Exception] | None = None
        self._end_timeout_s = end_timeout_s
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self, name: str, watch: Callable[[], None]) -> None:
        """Run `watch` in a thread called `name`."""

        def guarded() -> None:
            try:
                watch()
            except Exception as error:  # noqa: BLE001  # the edge of a thread: raised by its owner
                self.failure = self.failure or (name, error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def told_to_stop(self, *, within_s: float = 0.0) -> bool:
        """Whether to stop; waits for the order up to `within_s` seconds."""
        return self._stop.wait(within_s)

    def end(self) -> None:
        """Tell all threads to stop and wait for them; idempotent."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=self._end_timeout_s)

    def raise_failure(self, remedy: str) -> None:
        """Raise ChaosError from what ended a thread before its time, if anything did."""
        if self.failure is not None:
            name, error = self.failure
            raise ChaosError(
                f"the thread {name} ended by {type(error).__name__}: {error}; {remedy}"
            ) from error
