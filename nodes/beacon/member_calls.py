"""
What other members ask of us: partials, rounds, who we are, how we are.

Owns: the answers of drand.Protocol and of the health service. Refuses: what routing and the core
refuse, and to dial for a caller anybody who is no member of a group of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

from nodes.beacon.awaiting import Awaiting
from nodes.beacon.calls import (
    ANSWER_S,
    GET_IDENTITY,
    HEALTH_CHECK,
    MEMBER_STATUS,
    PARTIAL_BEACON,
    SYNC_CHAIN,
    CallRefused,
    Code,
)
from nodes.beacon.errors import PartialRefused, SyncRefused
from nodes.beacon.network import Network
from nodes.beacon.peers import Peers
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.proto import health_pb2 as health
from nodes.beacon.routing import Routing
from nodes.beacon.store import StoreFailed
from nodes.beacon.versions import Version
from nodes.beacon.wire import Answer, Caller, Flow

ADDRESSES_AT_MOST = 1024
_INITED = 1
_NOT_STARTED = 2
# Where v2 has the epoch, a number in field 2, v1 has a message about the reshare. Its own command
# line crashes where that is missing; empty it says that none is in progress.
_RESHARE_OF_V1 = b"\x12\x00"


class MemberCalls:
    """The answers; `handlers` is what a listener is given."""

    def __init__(self, routing: Routing, peers: Peers) -> None:
        self._routing = routing
        self._peers = peers

    def handlers(self) -> tuple[Answer | Flow, ...]:
        """Who answers what."""
        v1 = self._routing.version.major == 1
        return (
            Answer(GET_IDENTITY, self._identity, ANSWER_S),
            Answer(PARTIAL_BEACON, self._partial, ANSWER_S),
            Flow(SYNC_CHAIN, self._sync),
            Answer(MEMBER_STATUS, self._status, ANSWER_S),
            *(() if v1 else (Answer(HEALTH_CHECK, self._health, ANSWER_S),)),
        )

    async def _partial(self, packet: drand.PartialBeaconPacket, caller: Caller) -> drand.Empty:
        network = self._routing.started(packet.metadata, "DKG not finished yet")
        try:
            await network.take(network.packets.partial_in(packet), caller.address)
        except PartialRefused as error:
            raise CallRefused(Code.UNKNOWN, str(error)) from error
        return network.packets.taken

    async def _sync(
        self, request: drand.SyncRequest, caller: Caller
    ) -> AsyncGenerator[drand.BeaconPacket, None]:
        network = self._routing.started(request.metadata, "no beacon handler available")
        try:
            async with aclosing(network.stream(caller.address, request.from_round)) as rounds:
                async for beacon in rounds:
                    yield network.packets.beacon(beacon)
        except SyncRefused as error:
            raise CallRefused(Code.UNKNOWN, str(error)) from error
        except StoreFailed as error:
            raise CallRefused(Code.UNAVAILABLE, "the store cannot be read") from error

    async def _identity(self, request: drand.IdentityRequest, _: Caller) -> drand.IdentityResponse:
        network = self._routing.find(request.metadata)
        identity = network.loaded.pair.identity
        return drand.IdentityResponse(
            address=identity.address,
            key=identity.key,
            tls=bool(identity.tls),
            signature=identity.signature,
            metadata=network.packets.metadata(),
            schemeName=network.loaded.scheme.name,
        )

    async def _status(self, request: drand.StatusRequest, _: Caller) -> drand.StatusResponse:
        network = self._routing.find(request.metadata)
        return await status_of(network, self._peers, request.check_conn, self._routing.version)

    async def _health(
        self, request: health.HealthCheckRequest, _: Caller
    ) -> health.HealthCheckResponse:
        if request.service:
            raise CallRefused(Code.NOT_FOUND, "unknown service")
        return health.HealthCheckResponse(status=health.HealthCheckResponse.SERVING)


async def status_of(
    network: Network | Awaiting,
    peers: Peers,
    asked: Iterable[drand.Address],
    version: Version,
) -> drand.StatusResponse:
    """
    How a network is, and which of these addresses answer us; those of no member of ours do not.

    As drand's, field by field: in v2 `is_started` and the epoch stay as they are whatever happens,
    and no ceremony has not begun; v1 looks at all members where no address is named.
    """
    v1 = version.major == 1
    addresses = [one.address for one in list(asked)[:ADDRESSES_AT_MOST]]
    own = network.loaded.address
    others = [address for address in dict.fromkeys(addresses) if address not in ("", own)]
    everyone = not addresses if v1 else addresses == [own]
    if everyone and network.group is not None:
        members = (one.identity.address for one in network.group.members)
        others = [address for address in members if address != own]
    answered: Sequence[bool] = await asyncio.gather(
        *(_answers(peers, one, v1=v1) for one in others)
    )
    connections = dict(zip(others, answered, strict=True))
    if isinstance(network, Awaiting):
        status = drand.StatusResponse(
            dkg=drand.DkgStatus(status=_NOT_STARTED if v1 else 0),
            beacon=drand.BeaconStatus(),
            chain_store=drand.ChainStoreStatus(is_empty=True),
            connections=connections,
        )
    else:
        status = drand.StatusResponse(
            dkg=drand.DkgStatus(),
            beacon=drand.BeaconStatus(
                status=_INITED, is_running=True, is_serving=True, is_started=v1
            ),
            chain_store=drand.ChainStoreStatus(
                is_empty=False,
                last_stored=network.last().round,
                expected_last=network.expected_round(),
            ),
            connections=connections,
        )
    if v1:
        status.MergeFromString(_RESHARE_OF_V1)
    return status


async def _answers(peers: Peers, address: str, *, v1: bool) -> bool:
    if not peers.knows(address):
        return False
    return await (peers.is_home(address) if v1 else peers.answers(address))
