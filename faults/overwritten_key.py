"""
Overwritten key: a node's key, share or other file is replaced by another node's, and it restarts.

Seen in: a backup restored from the wrong host; a key generation that did not notice the key that
was there (a testnet's outage of 2024-02-21, where a node signed on until its next restart). Nobody
has the old bytes, so there is no way back. Refuses: a node that does not run, and a file that is
not there on both nodes or is the same on both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chaoskit.artifacts import file_of, overwrite
from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.fault import Testimony, target
from chaoskit.processevidence import read_at_start, started_anew

_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class OverwrittenKey:
    """`node` restarts with the `artifact` (by its name) of the node `by` in place of its own."""

    NEEDS: ClassVar = ("artifacts",)
    PROOF: ClassVar = "the file as it lay there when the process was started anew"

    node: str = target()
    artifact: str = ""
    by: str = ""

    def apply(self, cluster: Cluster) -> Testimony:
        """Stop, overwrite, start; witnessed by the file's content before the start."""
        cluster.require_running(self.node)
        path = file_of(cluster, self.node, self.artifact)
        other = file_of(cluster, self.by, self.artifact)
        content = other.read_bytes()
        if content == path.read_bytes():
            raise NotApplicable(f"{self.artifact} is the same on {self.node} and {self.by}")
        node = cluster.node(self.node)
        anew = started_anew(node)
        node.stop()
        overwrite(path, content)
        lay = read_at_start(node, path, wanted=lambda text: text == content)
        node.start()
        return Testimony(probes=[anew, lay], within_s=_WITHIN_S)
