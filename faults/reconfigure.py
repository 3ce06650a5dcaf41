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
from chaoskit.processevidence import holds, runs_as_configured

_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """`node` restarts with `settings` on top of those it has."""

    NEEDS: ClassVar = ("settings",)
    PROOF: ClassVar = "the arguments of the process that runs, and the files it was given"

    node: str = target()
    settings: Mapping[str, str] = field(default_factory=dict)

    def apply(self, cluster: Cluster) -> Testimony:
        """Stop, write the files, start; witnessed by the process's arguments and the files."""
        cluster.require_running(self.node)
        node = cluster.node(self.node)
        system, now = cluster.system, node.placement()
        asked = replace(now, settings=dict(now.settings) | dict(self.settings))
        argv, files = tuple(system.command(asked)), system.files(asked)
        if argv == tuple(system.command(now)) and files == system.files(now):
            raise NotApplicable(f"{dict(self.settings)} change nothing about {self.node}")
        settings = dict(node.configuration.settings) | dict(self.settings)
        node.stop()
        node.configure(replace(node.configuration, settings=settings))
        node.start()
        edited = node.configuration.edits  # these win over what the system makes of its settings
        written = [holds(node, one) for one in files if one.path not in edited]
        return Testimony(
            probes=[runs_as_configured(node, argv=argv), *written],
            within_s=_WITHIN_S,
        )
