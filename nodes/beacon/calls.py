"""
The calls that a node answers and makes: service, method, and the messages of each.

Owns: the table. Refuses: nothing; wire.py refuses what is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

from nodes.beacon.errors import BeaconError
from nodes.beacon.meters import CODES
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.proto import health_pb2 as health

ANSWER_S = 10.0
"""How long an answer may take that waits for nothing but this node."""


class Message(Protocol):
    """What protoc's classes have of what is used here."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """The bytes on the wire."""
        ...

    def ParseFromString(self, data: bytes, /) -> int:  # noqa: N802 - protobuf's name
        """Fill from bytes; raises protobuf's DecodeError."""
        ...


Asked = TypeVar("Asked", bound=Message)
Answered = TypeVar("Answered", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[Asked, Answered]):
    """A method; its answer is one message, or as many as come in a Stream."""

    service: str
    name: str
    asked: type[Asked]
    answered: type[Answered]

    @property
    def path(self) -> str:
        """How it is named on the wire."""
        return f"/{self.service}/{self.name}"


@dataclass(frozen=True, slots=True)
class Stream(Generic[Asked, Answered]):
    """A method that answers with messages until it has no more."""

    service: str
    name: str
    asked: type[Asked]
    answered: type[Answered]

    @property
    def path(self) -> str:
        """How it is named on the wire."""
        return f"/{self.service}/{self.name}"


class Code(IntEnum):
    """The codes that calls end with, by gRPC's numbers."""

    OK = 0
    CANCELED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @property
    def spelt(self) -> str:
        """As logs and metrics spell it."""
        return CODES[self]


class CallRefused(BeaconError):
    """A call that is answered with an error: drand gives UNKNOWN to all that has no better code."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


class CallFailed(BeaconError):
    """A call of ours that came to nothing, said as drand's operators know it."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(f"rpc error: code = {code.spelt} desc = {text}")
        self.code = code
        self.text = text


GET_IDENTITY = Method(
    "drand.Protocol", "GetIdentity", drand.IdentityRequest, drand.IdentityResponse
)
PARTIAL_BEACON = Method("drand.Protocol", "PartialBeacon", drand.PartialBeaconPacket, drand.Empty)
SYNC_CHAIN = Stream("drand.Protocol", "SyncChain", drand.SyncRequest, drand.BeaconPacket)
MEMBER_STATUS = Method("drand.Protocol", "Status", drand.StatusRequest, drand.StatusResponse)

PUBLIC_RAND = Method(
    "drand.Public", "PublicRand", drand.PublicRandRequest, drand.PublicRandResponse
)
PUBLIC_RAND_STREAM = Stream(
    "drand.Public", "PublicRandStream", drand.PublicRandRequest, drand.PublicRandResponse
)
PUBLIC_CHAIN_INFO = Method(
    "drand.Public", "ChainInfo", drand.ChainInfoRequest, drand.ChainInfoPacket
)
LIST_BEACON_IDS = Method(
    "drand.Public", "ListBeaconIDs", drand.ListBeaconIDsRequest, drand.ListBeaconIDsResponse
)

# v1 alone has these two, v2 the health service. Nothing of what Home answers is used.
HOME = Method("drand.Public", "Home", drand.ListBeaconIDsRequest, drand.ListBeaconIDsRequest)
LIST_RUNNING = Method(
    "drand.Control", "ListBeaconIDs", drand.ListBeaconIDsRequest, drand.ListBeaconIDsResponse
)
HEALTH_CHECK = Method(
    "grpc.health.v1.Health", "Check", health.HealthCheckRequest, health.HealthCheckResponse
)

PING_PONG = Method("drand.Control", "PingPong", drand.Ping, drand.Pong)
STATUS = Method("drand.Control", "Status", drand.StatusRequest, drand.StatusResponse)
LIST_SCHEMES = Method(
    "drand.Control", "ListSchemes", drand.ListSchemesRequest, drand.ListSchemesResponse
)
PUBLIC_KEY = Method("drand.Control", "PublicKey", drand.PublicKeyRequest, drand.PublicKeyResponse)
CHAIN_INFO = Method("drand.Control", "ChainInfo", drand.ChainInfoRequest, drand.ChainInfoPacket)
GROUP_FILE = Method("drand.Control", "GroupFile", drand.GroupRequest, drand.GroupPacket)
SHUTDOWN = Method("drand.Control", "Shutdown", drand.ShutdownRequest, drand.ShutdownResponse)
LOAD_BEACON = Method(
    "drand.Control", "LoadBeacon", drand.LoadBeaconRequest, drand.LoadBeaconResponse
)
START_CHECK_CHAIN = Stream(
    "drand.Control", "StartCheckChain", drand.StartSyncRequest, drand.SyncProgress
)
BACKUP_DATABASE = Method(
    "drand.Control", "BackupDatabase", drand.BackupDBRequest, drand.BackupDBResponse
)
REMOTE_STATUS = Method(
    "drand.Control", "RemoteStatus", drand.RemoteStatusRequest, drand.RemoteStatusResponse
)
