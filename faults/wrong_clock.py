"""
Wrong clock: the wall clock of one node is ahead or behind, or gains or loses time.

Seen in: machines that booted without a time server, virtual machines that slept, an operator who
set the zone for the time, leap seconds. In the field it heals when the clock is set, in one step.
Monotonic time, sleeps and timers go on as they were. Refuses: a cluster that was started without
clocks that can be set (`clocks=True`), programs that do not load the shim (static ones, as most
that are written in Go), a clock that is wrong already, and a step too small for the node's own word
for the time to show it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from chaoskit import clock, wallclock
from chaoskit.clockevidence import tells_wrong_time, wrong_stamps
from chaoskit.clockreading import ASK_TIMEOUT_S
from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.fault import Witness, target
from chaoskit.node import Node
from chaoskit.system import Clock, Unobserved
from chaoskit.wallclock import RIGHT, Skew, WallClock

_WITHIN_S = 5.0
_STEPS = 2  # a step is at least so many times as long as what the node tells the time by


@dataclass(frozen=True, slots=True)
class WrongClock:
    """`node` is `ahead_s` seconds ahead (behind, below 0), and gains `drift_s_per_s` from then."""

    NEEDS: ClassVar = ("a clock that can be set",)
    PROOF: ClassVar = "the time it tells when asked; lines of its log that bear the wrong time"

    node: str = target()
    ahead_s: float = 10.0
    drift_s_per_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.ahead_s and not self.drift_s_per_s:
            raise ValueError("a clock that is neither off nor drifts is right")
        Skew(self.ahead_s, self.drift_s_per_s)

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Set the clock of the running process, and set it right again."""
        cluster.require_running(self.node)
        node = cluster.node(self.node)
        asked, settable = _settable(cluster, node)
        resolution_s = _resolution_s(cluster, node, asked)
        if not self.drift_s_per_s and abs(self.ahead_s) < _STEPS * resolution_s:
            raise NotApplicable(
                f"{abs(self.ahead_s):g} s cannot be seen: {node.name} tells the time to "
                f"{resolution_s:g} s"
            )
        skew = Skew(self.ahead_s, self.drift_s_per_s, clock.utc_now().timestamp())
        grows_s = _STEPS * resolution_s / abs(self.drift_s_per_s) if self.drift_s_per_s else 0.0
        witness = Witness(
            probes=[tells_wrong_time(cluster, node, asked=asked, skew=skew)],
            meters=[wrong_stamps(cluster, node, asked=asked, skew=skew)],
            within_s=grows_s + _WITHIN_S,
        )
        settable.set(skew)
        try:
            yield witness
        finally:
            settable.set(RIGHT)


def _settable(cluster: Cluster, node: Node) -> tuple[Clock, WallClock]:
    """How the clock is seen and set. Raises NotApplicable when one of the two cannot be."""
    asked, folder = cluster.system.clock, node.folders.clock
    if asked is None or folder is None:
        raise NotApplicable(
            f"{node.name} has no clock that can be set: start the cluster with clocks=True, of a "
            "system that says how its clock is seen"
        )
    if not wallclock.loaded(node.pid):
        raise NotApplicable(
            f"process {node.pid} of {node.name} has not loaded the shim: a static program, as most "
            "that are written in Go, loads none"
        )
    settable = WallClock(folder)
    if settable.skew() != RIGHT:
        raise NotApplicable(f"the clock of {node.name} is wrong already: {settable.skew()}")
    return asked, settable


def _resolution_s(cluster: Cluster, node: Node, asked: Clock) -> float:
    try:
        told = asked.ask(cluster.endpoint(node.name), ASK_TIMEOUT_S)
    except Unobserved as error:
        raise NotApplicable(f"{node.name} does not tell the time: {error.cause}") from error
    return told.until_s - told.from_s
