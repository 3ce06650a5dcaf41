"""
Is a node fit to be owed progress? Probes of ours, into the history as `limit` events.

Owns: asking each probe twice a second, and telling every change. A node that is over a limit is not
healthy, so that liveness is not owed on its account. Refuses: what is probed (`health` a disk,
`clockreading` a clock).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from chaoskit.history import Recorder
from chaoskit.watching import Watchers

_INTERVAL_S = 0.5
_END_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Reading:
    """
    What a probe found: whether its limit is passed, and by what.

    `told` is what else its event says. Raises nothing: a reading is what it is.
    """

    over: bool
    value_s: float
    limit_s: float
    told: Mapping[str, Any] = field(default_factory=dict)


Probe = Callable[[], Reading | None]
"""Answers within a second; None where the node did not answer, which changes nothing."""


@dataclass(slots=True)
class FitnessWatch:
    """
    Asks the probe of each node for the length of the block; records every change.

    Attributes
    ----------
    kind: of limit, as its events say: "disk", "clock".
    probes: by node.
    advice: where to look when a probe itself fails.

    """

    kind: str
    probes: Mapping[str, Probe]
    recorder: Recorder
    advice: str
    _over: dict[str, bool] = field(default_factory=dict)
    _watchers: Watchers = field(default_factory=lambda: Watchers(end_timeout_s=_END_TIMEOUT_S))

    def __enter__(self) -> Self:
        for node in self.probes:
            watch = functools.partial(self._watch, node)
            self._watchers.begin(f"{self.kind}-{node}", watch)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watchers.end()

    def raise_failure(self) -> None:
        """Raise ChaosError from what ended a probe's thread, if one ended."""
        self._watchers.raise_failure(self.advice)

    def _watch(self, node: str) -> None:
        while not self._watchers.told_to_stop(within_s=_INTERVAL_S):
            self.look(node)

    def look(self, node: str) -> None:
        """Ask the probe of one node once."""
        reading = self.probes[node]()
        if reading is None or self._over.get(node, False) == reading.over:
            return
        self._over[node] = reading.over
        said = {"probe": self.kind, "over": reading.over, **reading.told}
        said |= {"value_s": round(reading.value_s, 4), "limit_s": reading.limit_s}
        self.recorder.record(node, "limit", said)
