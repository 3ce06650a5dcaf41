"""
Restart: a process ends, by force or asked, and is started again at once on the same data.

Seen in: supervisors that bring back what has died, updates of the host, operators who try whether
it helps. When it happens is the plan's part: at any moment of what the system does in turns.
Refuses: a node that does not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from chaoskit.cluster import Cluster
from chaoskit.fault import Testimony, target
from chaoskit.processevidence import started_anew

How = Literal["kill", "stop"]
_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Restart:
    """`node` gets SIGKILL ("kill"), or SIGTERM and its time to end ("stop"), and is started."""

    NEEDS: ClassVar = ("engine",)
    PROOF: ClassVar = "the process that ran is gone from /proc, and another one was started"

    node: str = target()
    how: How = "kill"

    def __post_init__(self) -> None:
        if self.how not in get_args(How):
            raise ValueError(f"how {self.how!r} is none of {', '.join(get_args(How))}")

    def apply(self, cluster: Cluster) -> Testimony:
        """End it, start it; witnessed by the end of the process that ran, and by another start."""
        cluster.require_running(self.node)
        node = cluster.node(self.node)
        anew = started_anew(node)
        if self.how == "kill":
            node.kill()
        else:
            node.stop()
        node.start()
        return Testimony(probes=[anew], within_s=_WITHIN_S)
