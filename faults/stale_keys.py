"""
Stale keys: a node restarts on files that an older release wrote, which lack a field of today.

Seen in: a testnet's outage of 2024-02-21: keys made before releases wrote the name of their scheme
were never written anew, and the next release could not load them. A node that starts on them may
well write them anew. Refuses: a node that does not run, and files that do not have the field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.artifacts import file_of, overwrite
from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.fault import Testimony, target
from chaoskit.processevidence import read_at_start, started_anew

_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class StaleKeys:
    """
    `node` restarts with `artifacts` (by their names) without their lines that set `field`.

    The files are text with a field a line, as TOML or an ini file has it: `field = value`.
    """

    NEEDS: ClassVar = ("artifacts",)
    PROOF: ClassVar = "the files as they lay there when the process was started anew"

    node: str = target()
    artifacts: tuple[str, ...] = ()
    field: str = ""

    def __post_init__(self) -> None:
        if not self.artifacts or not self.field:
            raise ValueError("stale keys need artifacts, and the field that these lack")

    def apply(self, cluster: Cluster) -> Testimony:
        """Stop, take the lines out, start; witnessed by the files' content before the start."""
        cluster.require_running(self.node)
        line = re.compile(rb"(?m)^[ \t]*" + re.escape(self.field).encode() + rb"[ \t]*=.*\n?")
        paths = [file_of(cluster, self.node, name) for name in self.artifacts]
        for name, path in zip(self.artifacts, paths, strict=True):
            if not line.search(path.read_bytes()):
                raise NotApplicable(f"{name} of {self.node} has no field {self.field}")
        node = cluster.node(self.node)
        anew = started_anew(node)
        node.stop()
        for path in paths:
            overwrite(path, line.sub(b"", path.read_bytes()))
        lay = [
            read_at_start(node, path, wanted=lambda text: line.search(text) is None)
            for path in paths
        ]
        node.start()
        return Testimony(probes=[anew, *lay], within_s=_WITHIN_S)
