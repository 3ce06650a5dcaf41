"""
TLS mismatch: one side speaks TLS where the other speaks plaintext.

Seen in: the randomness beacon's outage of 2024-02-21, and every half-finished move to TLS. In the
field it heals when both sides are configured alike and dial anew. Refuses: systems whose linked
port is not secure, or that do not say which settings serve it in plaintext.

Serving plaintext and leading a link to another port are separate faults: the first is the target's
configuration, the second something between the two (a load balancer, a port mix-up).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.fault import Witness, target
from chaoskit.handshake import Outcome
from chaoskit.linkevidence import failures_of, serves

_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class TlsMismatch:
    """`node` restarts and serves its linked port in plaintext; its peers go on dialling TLS."""

    NEEDS: ClassVar = ("packet counters or peers that tell of failures", "a secure port")
    PROOF: ClassVar = (
        "a TLS hello of ours meets plaintext; connections of peers that cannot succeed"
    )

    node: str = target()

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Restart the node with the system's plaintext settings, and back."""
        cluster.require_running(self.node)
        port = cluster.wire.linked_port()
        if not port.secure or not port.plaintext:
            raise NotApplicable(
                f"{cluster.system.name} does not say how port {port.name} is served in plaintext"
            )
        node = cluster.node(self.node)
        links = cluster.mesh.to(self.node)
        meter = failures_of(cluster, links, "handshakes of peers that failed", "opened")
        settings = dict(node.configuration.settings) | dict(port.plaintext)
        with node.reconfigured(replace(node.configuration, settings=settings)):
            yield Witness(
                probes=[serves(cluster, link, kind=Outcome.PLAINTEXT) for link in links],
                meters=[meter],
                within_s=_WITHIN_S,
            )


@dataclass(frozen=True, slots=True)
class WrongPort:
    """The link `source`>`node` leads to the node's port `port`, which speaks plaintext."""

    NEEDS: ClassVar = ("packet counters or peers that tell of failures", "a secure port")
    PROOF: ClassVar = "a TLS hello of ours on the link meets plaintext; connections opened on it"

    source: str = target()
    node: str = target()
    port: str = "client"

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Lead the link's linked port elsewhere, and back."""
        link = cluster.link(self.source, self.node)
        linked = cluster.wire.linked_port()
        ports = {port.name: port for port in cluster.system.ports}
        if self.port not in ports or ports[self.port].secure or not linked.secure:
            raise NotApplicable(
                f"{cluster.system.name} has no plaintext port {self.port!r} beside a secure one"
            )
        meter = failures_of(cluster, [link], "handshakes that failed", "opened")
        elsewhere = f"{link.upstream_host}:{ports[self.port].number}"
        with cluster.mesh.retargeted(self.source, self.node, ports={linked.name: elsewhere}):
            yield Witness(
                probes=[serves(cluster, link, kind=Outcome.PLAINTEXT)],
                meters=[meter],
                within_s=_WITHIN_S,
            )
