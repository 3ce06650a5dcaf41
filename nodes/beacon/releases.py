"""
The releases that this node can stand in for, by name.

Owns: which vintage of files each release leaves, and what tells a running one from outside.
Refuses: nothing; whoever reads a name says which ones are known.

Rules: a release is here when what it does was recorded from the real one, or follows from a
recorded one of its line (files: v1.4.9, v1.5.7, v2.0.2-testnet and v2.1.4). No files of
v2.0.0-testnet and v2.0.1-testnet were seen, the only v2 that still write TLS: by their source.
SURFACES are those that were recorded: command lines, HTTP and metrics; profiles.py has the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from nodes.beacon.transport import IN_THE_BINARY, TLS_OR_INSECURE_BUILD, Transport

VINTAGE_OF: Mapping[str, str] = MappingProxyType(
    {
        "v1.4.9": "v1.4",
        "v1.5.3": "v1.5",
        "v1.5.4": "v1.5",
        "v1.5.6": "v1.5",
        "v1.5.7": "v1.5",
        "v1.5.8": "v1.5",
        "v1.5.9": "v1.5",
        "v1.5.10": "v1.5",
        "v1.5.11": "v1.5",
        "v2.0.0-testnet": "v2.0.0",
        "v2.0.1-testnet": "v2.0.0",
        "v2.0.2-testnet": "v2",
        "v2.0.3-testnet": "v2",
        "v2.0.4-testnet": "v2",
        "v2.0.5-testnet": "v2",
        "v2.0.6-testnet": "v2",
        "v2.0.0": "v2",
        "v2.0.1": "v2",
        "v2.0.2": "v2",
        "v2.0.3": "v2",
        "v2.0.4": "v2",
        "v2.0.6": "v2",
        "v2.1.0": "v2",
        "v2.1.1": "v2",
        "v2.1.2": "v2",
        "v2.1.3": "v2",
        "v2.1.4": "v2",
    }
)
"""The vintage (of dealer.VINTAGES) of the files that each release leaves, oldest first."""


class Line(Enum):
    """The two lines of releases: they differ in verbs, wordings, headers and metrics."""

    V1 = "v1"
    V2 = "v2"


UNARY = "unary"
SERVER_STREAM = "server_stream"


@dataclass(frozen=True, slots=True)
class Call:
    """A method that peers can call, as metrics name it; `kind` is UNARY or SERVER_STREAM."""

    service: str
    method: str
    kind: str


@dataclass(frozen=True, slots=True)
class Surface:
    """
    What a release looks like from outside.

    `version`: what it calls itself, which is not always its tag. `transport`: how its members reach
    each other.
    """

    release: str
    version: str
    line: Line
    transport: Transport


CALLS: Mapping[Line, tuple[Call, ...]] = MappingProxyType(
    {
        Line.V1: (
            Call("drand.Protocol", "BroadcastDKG", UNARY),
            Call("drand.Public", "ChainInfo", UNARY),
            Call("drand.Protocol", "GetIdentity", UNARY),
            Call("httpgrpc.HTTP", "Handle", UNARY),
            Call("drand.Public", "Home", UNARY),
            Call("drand.Protocol", "PartialBeacon", UNARY),
            Call("drand.Public", "PublicRand", UNARY),
            Call("drand.Public", "PublicRandStream", SERVER_STREAM),
            Call("drand.Protocol", "PushDKGInfo", UNARY),
            Call("drand.Protocol", "SignalDKGParticipant", UNARY),
            Call("drand.Protocol", "Status", UNARY),
            Call("drand.Protocol", "SyncChain", SERVER_STREAM),
        ),
        Line.V2: (
            Call("dkg.DKGPublic", "BroadcastDKG", UNARY),
            Call("drand.Public", "ChainInfo", UNARY),
            Call("grpc.health.v1.Health", "Check", UNARY),
            Call("drand.Protocol", "GetIdentity", UNARY),
            Call("grpc.health.v1.Health", "List", UNARY),
            Call("drand.Public", "ListBeaconIDs", UNARY),
            Call("dkg.DKGPublic", "Packet", UNARY),
            Call("drand.Protocol", "PartialBeacon", UNARY),
            Call("drand.Public", "PublicRand", UNARY),
            Call("drand.Public", "PublicRandStream", SERVER_STREAM),
            Call("drand.Protocol", "Status", UNARY),
            Call("drand.Protocol", "SyncChain", SERVER_STREAM),
            Call("grpc.health.v1.Health", "Watch", SERVER_STREAM),
        ),
    }
)
"""
The methods that metrics list from the start, sorted as there: by line, as recorded of v1.5.8 and
v2.1.4. (v2.0 has a ceremony's calls under another name, as their sources say.)
"""

_SURFACES = (
    Surface("v1.5.8", "1.5.8", Line.V1, IN_THE_BINARY),
    Surface("v2.1.4", "2.1.3", Line.V2, TLS_OR_INSECURE_BUILD),
)
SURFACES: Mapping[str, Surface] = MappingProxyType({one.release: one for one in _SURFACES})
