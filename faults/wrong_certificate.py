"""
Wrong certificate: a node serves one that its peers must not trust.

Seen in: an authority that was rotated on one side only, a forgotten renewal, a certificate issued
for another host. In the field it heals when the right one is put in place. Refuses: systems without
a secure linked port.

The node is restarted with the wrong certificate: one that is swapped in place bites only when
peers dial anew, and then on some links and not on others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

from chaoskit.certificates import Authority, Credential, fingerprint
from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.fault import Witness, target
from chaoskit.handshake import Distrust
from chaoskit.linkevidence import failures_of, is_distrusted

Flaw = Literal["foreign_authority", "expired", "wrong_name"]
_WITHIN_S = 15.0
_REASONS = {
    "foreign_authority": Distrust.UNKNOWN_AUTHORITY,
    "expired": Distrust.EXPIRED,
    "wrong_name": Distrust.WRONG_NAME,
}


@dataclass(frozen=True, slots=True)
class WrongCertificate:
    """`node` restarts with a certificate that has one `flaw`."""

    NEEDS: ClassVar = ("packet counters or peers that tell of failures", "a secure port")
    PROOF: ClassVar = (
        "the flawed certificate is served and distrusted for its flaw; connections of peers"
    )

    node: str = target()
    flaw: Flaw = "foreign_authority"

    def __post_init__(self) -> None:
        if self.flaw not in get_args(Flaw):
            raise ValueError(f"flaw {self.flaw!r} is none of {', '.join(get_args(Flaw))}")

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Restart the node with a flawed certificate, and back with its own."""
        cluster.require_running(self.node)
        if cluster.authority is None:
            raise NotApplicable(f"{cluster.system.name} has no secure port")
        node = cluster.node(self.node)
        credential = self._flawed(cluster, cluster.authority)
        to_it = cluster.mesh.to(self.node)
        links = [*to_it, *cluster.mesh.of(self.node)]
        meter = failures_of(cluster, links, "handshakes of and with it that failed", "opened")
        with node.reconfigured(replace(node.configuration, credential=credential)):
            yield Witness(
                probes=[
                    is_distrusted(
                        cluster,
                        link,
                        fingerprint=fingerprint(credential.certificate_pem),
                        reason=_REASONS[self.flaw],
                    )
                    for link in to_it
                ],
                meters=[meter],
                within_s=_WITHIN_S,
            )

    def _flawed(self, cluster: Cluster, authority: Authority) -> Credential:
        match self.flaw:
            case "foreign_authority":
                return cluster.credential(self.node, authority=Authority())
            case "expired":
                return cluster.credential(self.node, validity="expired")
            case "wrong_name":
                return authority.issue(["nobody.invalid"], [])
