"""
Reconfigure: a node is restarted with other settings, for good.

Seen in: most outages. Refuses: a node that does not run, and settings that change nothing about the
process or its files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.fault import Testimony, target
from chaoskit.processevidence import runs_as_configured

_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """`node` restarts with `settings` on top of those it has."""

    NEEDS: ClassVar = ("engine",)
    PROOF: ClassVar = "the arguments of the process that runs"

    node: str = target()
    settings: Mapping[str, str] = field(default_factory=dict)

    def apply(self, cluster: Cluster) -> Testimony:
        """Stop, write the files, start; witnessed by the arguments of the process that runs."""
        cluster.require_running(self.node)
        node = cluster.node(self.node)
        before = (node.command_line(), node.config_digest())
        settings = dict(node.configuration.settings) | dict(self.settings)
        node.stop()
        node.configure(replace(node.configuration, settings=settings))
        node.start()
        wanted = tuple(cluster.system.command(node.placement()))
        if before == (wanted, node.config_digest()):
            raise NotApplicable(f"{dict(self.settings)} change nothing about {self.node}")
        return Testimony(
            probes=[runs_as_configured(node, argv=wanted)],
            within_s=_WITHIN_S,
        )
