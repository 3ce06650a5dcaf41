"""
Misconfigured proxy: what ends TLS before a node passes its peers' calls on in a wrong way.

Seen in: the randomness beacon's outage of 2024-02-21 and the years before it, where members behind
badly configured proxies were taken for broken ones. In the field it heals when the proxy is
configured rightly. Refuses: systems whose nodes have nothing before them that can be set up.

TLS handshakes go on to succeed, by a trusted certificate: only calls fail. The node is restarted
with its proxy, as one that is set up anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.fault import Witness, target
from chaoskit.linkevidence import calls_fail, companion_failures

_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class MisconfiguredProxy:
    """`node` restarts behind a proxy set up by `way`, a value of the system's setting `setting`."""

    NEEDS: ClassVar = ("engine", "a proxy before each node")
    PROOF: ClassVar = "a call of ours fails behind a handshake that succeeds; failed calls of peers"

    node: str = target()
    way: str = "HTTP1"
    setting: str = "front"

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Restart the node behind its proxy with the other setting, and back."""
        cluster.require_running(self.node)
        node = cluster.node(self.node)
        placement = node.placement()
        if cluster.system.beside is None or self.setting not in placement.settings:
            raise NotApplicable(f"{cluster.system.name} has no proxy before {self.node} to set up")
        if placement.settings[self.setting] == self.way:
            raise NotApplicable(f"the proxy before {self.node} is set up that way already")
        settings = dict(node.configuration.settings) | {self.setting: self.way}
        with node.reconfigured(replace(node.configuration, settings=settings)):
            yield Witness(
                probes=[calls_fail(cluster, link) for link in cluster.mesh.to(self.node)],
                meters=[companion_failures(cluster, self.node)],
                within_s=_WITHIN_S,
            )
