"""
Evidence for a wall clock that was set wrong, from what the node tells without being told to.

Owns: the probe and the meter of faults on clocks. Effective comes from the node's own word for the
time, asked by us (the Date of its HTTP answers); felt from the lines of its log: stamped by the
node, against our clock when they came. Gone is a clock that may
be right again: an answer that allows for neither is no evidence. Refuses: a look at the file by
which the clock is set, and what that file says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from chaoskit import clock
from chaoskit.clockreading import offset
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError
from chaoskit.node import Node
from chaoskit.sighting import Meter, Probe, Sighting
from chaoskit.system import Clock, Unobserved
from chaoskit.wallclock import Skew

_LEAST_S = 0.5  # a line that comes later than it was written looks as if its clock were behind


def tells_wrong_time(cluster: Cluster, node: Node, *, asked: Clock, skew: Skew) -> Probe:
    """Seen when the node, asked for the time, is off as `skew` says, and cannot be right."""
    endpoint = cluster.endpoint(node.name)

    def look() -> Sighting:
        try:
            found = offset(asked, endpoint)
        except Unobserved as error:
            raise ChaosError(f"{node.name} does not tell the time: {error.cause}") from error
        if found.allows(0.0):
            return Sighting(present=False, detail=str(found))
        if not found.allows(skew.at_s(clock.utc_now().timestamp())):
            raise ChaosError(f"{node.name} is neither right nor wrong as asked: {found}")
        return Sighting(present=True, detail=str(found))

    return Probe(f"the time that {node.name} tells", look)


def wrong_stamps(cluster: Cluster, node: Node, *, asked: Clock, skew: Skew) -> Meter:
    """Lines of the node's log, from now on, whose stamp is off as `skew` says rather than right."""
    begun_s = datetime.fromisoformat(cluster.recorder.started_utc).timestamp()
    path = node.log.path
    lines = _Lines(path, path.stat().st_size if path.exists() else 0, asked.stamp)
    counted = 0

    def read() -> int:
        nonlocal counted
        for came_s, stamped_s in lines.new():
            came_unix_s = begun_s + came_s
            off_s, wrong_s = stamped_s - came_unix_s, skew.at_s(came_unix_s)
            counted += abs(wrong_s) >= _LEAST_S and abs(off_s - wrong_s) < abs(off_s)
        return counted

    return Meter(f"lines with the wrong time in the log of {node.name}", read)


@dataclass(slots=True)
class _Lines:
    """What was added to a node's log: when each stamped line came (s of the run), its stamp."""

    path: Path
    place: int
    stamp: Callable[[str], float | None]

    def new(self) -> list[tuple[float, float]]:
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.place)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.place += len(whole)
        found = []
        for line in whole.decode(errors="replace").splitlines():
            came_s, _, said = line.partition(" ")
            stamped_s = self.stamp(said)
            if stamped_s is not None:
                found.append((float(came_s), stamped_s))
        return found
