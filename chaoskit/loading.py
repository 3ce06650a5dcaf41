"""
The load on a running cluster: one at a time, its operations numbered on from the one before.

Owns: beginning and ending a load, what came of it so far, and a seed for each. Refuses: how
operations arrive and are carried out (`workload`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from chaoskit.history import Recorder
from chaoskit.system import Endpoint, System
from chaoskit.workload import Load, Tally


@dataclass(slots=True)
class Loading:
    """Loads the nodes of `system`, which are where `endpoints` says once a load begins."""

    system: System
    endpoints: Callable[[], dict[str, Endpoint]]
    recorder: Recorder
    random: Random
    _load: Load | None = None
    _operations: int = 0

    @contextmanager
    def loaded(self, rate_per_s: float) -> Iterator[None]:
        """Load evenly for the length of the block; not at 0, nor a system without traffic."""
        if rate_per_s <= 0 or self.system.traffic is None:
            yield
            return
        load = Load(
            self.system,
            self.endpoints(),
            self.recorder,
            rate_per_s,
            Random(self.random.getrandbits(64)),
            first_operation=self._operations,
        )
        with load:
            self._load = load
            try:
                yield
            finally:
                load.stop()
                self._operations = load.next_operation
                self._load = None
        load.raise_failure()

    def tally(self) -> Tally | None:
        """What came of this load's operations so far; None while there is no load."""
        return None if self._load is None else self._load.tally()

    def end(self) -> None:
        """End the load now, if there is one; what is under way comes to its end."""
        if self._load is not None:
            self._load.stop()

    def raise_failure(self) -> None:
        """Raise ChaosError from what ended a client of the load, if one ended."""
        if self._load is not None:
            self._load.raise_failure()
