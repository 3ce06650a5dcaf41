"""
What the operator asks of a node, over the control port on 127.0.0.1.

Owns: the answers of drand.Control, of which ceremonies are not yet a part. Refuses: what routing
refuses, and whatever a command cannot do, saying why.

Rules: no node is ended by a call before the call was answered. A chain's check reads and verifies
what is stored, in turns, and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

from nodes import bls
from nodes.beacon.calls import (
    ANSWER_S,
    BACKUP_DATABASE,
    CHAIN_INFO,
    GROUP_FILE,
    LIST_RUNNING,
    LIST_SCHEMES,
    LOAD_BEACON,
    MEMBER_STATUS,
    PING_PONG,
    PUBLIC_KEY,
    REMOTE_STATUS,
    SHUTDOWN,
    START_CHECK_CHAIN,
    STATUS,
    CallFailed,
    CallRefused,
    Code,
)
from nodes.beacon.errors import BeaconError
from nodes.beacon.group import canonical_id
from nodes.beacon.member_calls import ADDRESSES_AT_MOST, status_of
from nodes.beacon.peers import Peers
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.public_calls import NO_GROUP, PublicCalls
from nodes.beacon.routing import Routing
from nodes.beacon.store import READ_ROUNDS_AT_MOST, StoreFailed
from nodes.beacon.wire import Answer, Caller, Flow

REMOTE_STATUS_S = 20.0
BACKUP_S = 3600.0


class ControlCalls:
    """
    The answers; `handlers` is what a listener is given.

    `load` loads a network by name (BeaconError), `end` ends one, or the node for None.
    """

    def __init__(
        self,
        routing: Routing,
        peers: Peers,
        *,
        load: Callable[[str], Awaitable[None]],
        end: Callable[[str | None], Awaitable[None]],
    ) -> None:
        self._routing = routing
        self._peers = peers
        self._load = load
        self._end = end

    def handlers(self) -> tuple[Answer | Flow, ...]:
        """Who answers what; that v2 does not list its networks here is drand's."""
        public = PublicCalls(self._routing)
        v1 = self._routing.version.major == 1
        return (
            *((Answer(LIST_RUNNING, public.ids, ANSWER_S),) if v1 else ()),
            Answer(PING_PONG, self._ping, ANSWER_S),
            Answer(STATUS, self._status, ANSWER_S),
            Answer(LIST_SCHEMES, self._schemes, ANSWER_S),
            Answer(PUBLIC_KEY, self._public_key, ANSWER_S),
            Answer(CHAIN_INFO, public.chain_info, ANSWER_S),
            Answer(GROUP_FILE, self._group_file, ANSWER_S),
            Answer(SHUTDOWN, self._shutdown, ANSWER_S),
            Answer(LOAD_BEACON, self._load_beacon, BACKUP_S),
            Flow(START_CHECK_CHAIN, self._check_chain),
            Answer(BACKUP_DATABASE, self._backup, BACKUP_S),
            Answer(REMOTE_STATUS, self._remote_status, REMOTE_STATUS_S),
        )

    def _metadata(self, beacon_id: str) -> drand.Metadata:
        version = self._routing.version
        numbers = drand.NodeVersion(major=version.major, minor=version.minor, patch=version.patch)
        return drand.Metadata(node_version=numbers, beaconID=beacon_id)

    async def _ping(self, request: drand.Ping, _: Caller) -> drand.Pong:
        return drand.Pong(metadata=self._metadata(request.metadata.beaconID))

    async def _status(self, request: drand.StatusRequest, _: Caller) -> drand.StatusResponse:
        network = self._routing.find(request.metadata)
        return await status_of(network, self._peers, request.check_conn, self._routing.version)

    async def _schemes(self, _: drand.ListSchemesRequest, __: Caller) -> drand.ListSchemesResponse:
        return drand.ListSchemesResponse(ids=list(bls.SCHEMES), metadata=self._metadata(""))

    async def _public_key(
        self, request: drand.PublicKeyRequest, _: Caller
    ) -> drand.PublicKeyResponse:
        network = self._routing.find(request.metadata)
        identity = network.loaded.pair.identity
        if self._routing.version.major == 1:
            metadata = network.packets.metadata()
            return drand.PublicKeyResponse(pubKey=identity.key, metadata=metadata)
        return drand.PublicKeyResponse(
            pubKey=identity.key,
            addr=identity.address,
            tls=bool(identity.tls),
            signature=identity.signature,
            metadata=network.packets.metadata(),
            schemeName=network.loaded.scheme.name,
        )

    async def _group_file(self, request: drand.GroupRequest, _: Caller) -> drand.GroupPacket:
        network = self._routing.started(request.metadata, NO_GROUP)
        return network.packets.group(network.group)

    # ---- what changes something ----------------------------------------------------------------

    async def _shutdown(self, request: drand.ShutdownRequest, _: Caller) -> drand.ShutdownResponse:
        beacon_id = request.metadata.beaconID or None
        if beacon_id is not None:
            self._routing.find(request.metadata)
            beacon_id = canonical_id(beacon_id)
        await self._end(beacon_id)
        return drand.ShutdownResponse(metadata=self._metadata(beacon_id or ""))

    async def _load_beacon(
        self, request: drand.LoadBeaconRequest, _: Caller
    ) -> drand.LoadBeaconResponse:
        try:
            beacon_id = canonical_id(request.metadata.beaconID)
        except ValueError as error:
            raise CallRefused(Code.INVALID_ARGUMENT, str(error)) from error
        try:
            await self._load(beacon_id)
        except (BeaconError, OSError) as error:
            raise CallRefused(Code.UNKNOWN, str(error)) from error
        return drand.LoadBeaconResponse(metadata=self._metadata(beacon_id))

    async def _backup(self, request: drand.BackupDBRequest, _: Caller) -> drand.BackupDBResponse:
        network = self._routing.started(request.metadata, "drand: beacon not setup yet")
        path = Path(request.output_file)
        if not path.is_absolute() or "\0" in request.output_file:
            raise CallRefused(Code.INVALID_ARGUMENT, "the node needs an absolute path to write to")
        try:
            await asyncio.to_thread(network.rounds.copy_to, path)
        except (StoreFailed, OSError) as error:
            raise CallRefused(Code.UNKNOWN, f"could not open file for backup: {error}") from error
        return drand.BackupDBResponse(metadata=network.packets.metadata())

    # ---- what looks further --------------------------------------------------------------------

    async def _check_chain(
        self, request: drand.StartSyncRequest, _: Caller
    ) -> AsyncGenerator[drand.SyncProgress, None]:
        network = self._routing.started(request.metadata, "drand: beacon not setup yet")
        last = network.last().round
        target = min(request.up_to or last, last)
        first = 1
        while first <= target:
            try:
                part = await network.read(first, min(READ_ROUNDS_AT_MOST, target - first + 1))
            except StoreFailed as error:
                raise CallRefused(Code.DATA_LOSS, str(error)) from error
            if not part:
                raise CallRefused(Code.DATA_LOSS, f"round {first} is not there")
            for beacon in part:
                if not network.verifies(beacon):
                    raise CallRefused(Code.DATA_LOSS, f"round {beacon.round} does not verify")
                await asyncio.sleep(0)
            first = part[-1].round + 1
            yield drand.SyncProgress(
                current=first - 1, target=target, metadata=network.packets.metadata()
            )

    async def _remote_status(
        self, request: drand.RemoteStatusRequest, _: Caller
    ) -> drand.RemoteStatusResponse:
        network = self._routing.find(request.metadata)
        addresses = [one.address for one in request.addresses[:ADDRESSES_AT_MOST] if one.address]
        if not addresses and network.group is not None:
            own = network.loaded.address
            members = (one.identity.address for one in network.group.members)
            addresses = [address for address in members if address != own]
        # v1 has each look at all members instead.
        looked_for = () if self._routing.version.major == 1 else addresses
        asked = drand.StatusRequest(
            check_conn=[drand.Address(address=address) for address in looked_for],
            metadata=network.packets.metadata(),
        )

        async def one(address: str) -> drand.StatusResponse | None:
            if address == network.loaded.address:
                return await status_of(
                    network, self._peers, asked.check_conn, self._routing.version
                )
            try:
                return await self._peers.call(address, MEMBER_STATUS, asked, timeout_s=ANSWER_S)
            except CallFailed:
                return None

        found = await asyncio.gather(*(one(address) for address in addresses))
        answered = zip(addresses, found, strict=True)
        return drand.RemoteStatusResponse(
            statuses={address: status for address, status in answered if status is not None}
        )
