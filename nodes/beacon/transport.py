"""
How a release carries what its members tell each other: who ends TLS, and how others are dialled.

Owns: the kinds of transport that there were, one record each, which a release's profile holds.
Refuses: nothing. What a kind does when it dials is peers.py's, what it serves serving options' and
the command line's.

Rules: read from the public sources at v1.5.8, v2.0.0-testnet, v2.0.2-testnet, v2.0.4-testnet,
v2.0.5-testnet and v2.1.4. No v2 ends TLS itself: its listener is plaintext, and where a network
speaks TLS something in front of each member ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Dialling(Enum):
    """How other members are dialled."""

    AS_IDENTITIES_SAY = "v1, v2.0.0-testnet, v2.0.1-testnet: TLS where the identity says TLS = true"
    TLS_OR_FALLEN_BACK = "v2.0.2-testnet, v2.0.3-testnet: TLS, and after one failure plaintext"
    TLS = "v2.0.4-testnet and later"
    PLAINTEXT = "v2.0.5-testnet and later, built with the tag conn_insecure"


@dataclass(frozen=True, slots=True)
class Transport:
    """
    How a release's members reach each other.

    `ends_tls`: whether the node itself serves TLS, given a certificate (v1 demands one, or
    --tls-disable). `dials`: how it dials as released. `insecure_build`: whether its source knows
    the tag conn_insecure, by which a build dials in plaintext; for others the tag means nothing.
    """

    ends_tls: bool
    dials: Dialling
    insecure_build: bool

    def dialling(self, *, built_insecure: bool) -> Dialling:
        """How a build of this release dials."""
        return Dialling.PLAINTEXT if built_insecure and self.insecure_build else self.dials


IN_THE_BINARY = Transport(ends_tls=True, dials=Dialling.AS_IDENTITIES_SAY, insecure_build=False)
"""v1: TLS in the binary."""
BY_THE_KEY = Transport(ends_tls=False, dials=Dialling.AS_IDENTITIES_SAY, insecure_build=False)
"""v2.0.0-testnet, v2.0.1-testnet: TLS is somebody else's, and the key says whether it is there."""
FALLING_BACK = Transport(ends_tls=False, dials=Dialling.TLS_OR_FALLEN_BACK, insecure_build=False)
"""v2.0.2-testnet and v2.0.3-testnet."""
TLS_ONLY = Transport(ends_tls=False, dials=Dialling.TLS, insecure_build=False)
"""v2.0.4-testnet."""
TLS_OR_INSECURE_BUILD = Transport(ends_tls=False, dials=Dialling.TLS, insecure_build=True)
"""v2.0.5-testnet and later."""
