"""
Observers: one thread a node that samples it and writes to the history.

Owns: the pace (quicker, and with less patience, until a node first says that it is ready: a start
is not to wait for a sample), and telling a sample from a gap. A node that refuses or does not
answer in time has been sampled (`fail` with its cause). A sample that was not taken is a gap:
promises that need that window are then UNKNOWN. Observers dial through the harness's own links,
never those between nodes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from chaoskit import clock
from chaoskit.history import Recorder
from chaoskit.system import Endpoint, Observation, System, Unobserved
from chaoskit.watching import Watchers

INTERVAL_S = 0.2
SAMPLE_TIMEOUT_S = 0.5
EAGER_INTERVAL_S = 0.015  # for each node: many that come up at once are not held up by our asking
_EAGER_TIMEOUT_S = 0.1
_EAGER_SAMPLES = 60
_GAP_AFTER_S = 3 * INTERVAL_S + SAMPLE_TIMEOUT_S


@dataclass(slots=True)
class Observers:
    """
    All observers of a cluster; they run for the length of the block.

    `latest()` holds each node's last answer, None while it does not answer.
    """

    system: System
    endpoints: dict[str, Endpoint]
    recorder: Recorder
    _latest: dict[str, Observation | None] = field(default_factory=dict)
    _asked_s: dict[str, float] = field(default_factory=dict)
    _watchers: Watchers = field(
        default_factory=lambda: Watchers(end_timeout_s=2 * SAMPLE_TIMEOUT_S + INTERVAL_S)
    )

    def __enter__(self) -> Self:
        for node in self.endpoints:
            self._latest[node] = None
            self._asked_s[node] = 0.0
            self._watchers.begin(f"observer-{node}", functools.partial(self._watch, node))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watchers.end()

    def latest(self) -> dict[str, Observation | None]:
        """The last answer of each node. Raises ChaosError if an observer ended."""
        self.raise_failure()
        return dict(self._latest)

    def all_asked_since(self, moment_s: float) -> bool:
        """Whether the last sample of every node began after `moment_s` (clock.monotonic)."""
        return all(asked_s >= moment_s for asked_s in self._asked_s.values())

    def raise_failure(self) -> None:
        """Raise ChaosError from what ended an observer, if one ended."""
        self._watchers.raise_failure(f"mend `observe` of {self.system.name}")

    def _watch(self, node: str) -> None:
        due_s = self.recorder.now_s()
        last_s = due_s
        eager = _EAGER_SAMPLES
        eager_interval_s = min(INTERVAL_S, EAGER_INTERVAL_S * len(self.endpoints))
        patience_s = _EAGER_TIMEOUT_S
        while not self._watchers.told_to_stop():
            ready = self._sample(node, patience_s if eager else SAMPLE_TIMEOUT_S)
            eager = 0 if ready or not eager else eager - 1
            # a node that is slow to answer is met by more patience each time
            patience_s = min(2 * patience_s, SAMPLE_TIMEOUT_S)
            now_s = self.recorder.now_s()
            if now_s - last_s > _GAP_AFTER_S:
                value = {"from_s": round(last_s, 6), "to_s": round(now_s, 6)}
                self.recorder.record(node, "gap", value)
            last_s = now_s
            due_s = max(due_s + (eager_interval_s if eager else INTERVAL_S), now_s)
            self._watchers.told_to_stop(within_s=due_s - now_s)

    def _sample(self, node: str, timeout_s: float) -> bool:
        """Take one sample; answers whether the node said that it is ready."""
        ready = False
        started_s = clock.monotonic()
        try:
            seen = self.system.observe(self.endpoints[node], timeout_s)
        except Unobserved as unobserved:
            self._latest[node] = None
            self.recorder.record(node, "observe", {"cause": unobserved.cause}, kind="fail")
        else:
            self._latest[node] = seen
            ready = seen.ready
            value = {
                "ready": seen.ready,
                "version": seen.version,
                "role": seen.role,
                "term": seen.term,
                "progress": seen.progress,
                "digest": seen.digest,
                "detail": dict(seen.detail),
                "took_s": round(clock.monotonic() - started_s, 6),
            }
            self.recorder.record(node, "observe", value, kind="ok")
        self._asked_s[node] = started_s
        return ready
