"""
Our channels to other members, one for each address, whichever networks share it.

Owns: the channels, how each is dialled, and a bound on what is under way to one that does not
answer. Refuses: more than PARTIALS_UNDER_WAY_AT_MOST partials of a network to one address.

Rules: addresses are the group file's, and a proxy may answer there: nobody is known by his address.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping

from nodes.beacon.calls import (
    HEALTH_CHECK,
    HOME,
    PARTIAL_BEACON,
    SYNC_CHAIN,
    Answered,
    Asked,
    CallFailed,
    Code,
    Method,
)
from nodes.beacon.meters import Meters
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.proto import health_pb2 as health
from nodes.beacon.surface_view import ConnectionState
from nodes.beacon.transport import Dialling
from nodes.beacon.wire import Channel

CALL_S = 5.0
PROBE_S = 3.0
PARTIALS_UNDER_WAY_AT_MOST = 64


class Peers:
    """The channels of a process."""

    def __init__(self, dialling: Dialling, trusted: bytes | None, meters: Meters) -> None:
        self._dialling = dialling
        self._trusted = trusted
        self._meters = meters
        self._channels: dict[str, Channel] = {}
        self._says_tls: dict[str, bool] = {}
        self._partials: Counter[tuple[str, str]] = Counter()

    def know(self, address: str, *, says_tls: bool) -> None:
        """A member's identity says this of its address: it may be dialled."""
        self._says_tls[address] = says_tls

    def knows(self, address: str) -> bool:
        """Whether it is a member's."""
        return address in self._says_tls

    async def send_partial(self, address: str, packet: drand.PartialBeaconPacket) -> None:
        """Hand over a partial, once; raises CallFailed."""
        link = (address, packet.metadata.beaconID)
        if self._partials[link] >= PARTIALS_UNDER_WAY_AT_MOST:
            raise CallFailed(
                Code.RESOURCE_EXHAUSTED, f"{PARTIALS_UNDER_WAY_AT_MOST} partials are under way"
            )
        self._partials[link] += 1
        try:
            await self.call(address, PARTIAL_BEACON, packet, timeout_s=CALL_S)
        finally:
            self._partials[link] -= 1

    def sync(
        self, address: str, request: drand.SyncRequest
    ) -> AsyncGenerator[drand.BeaconPacket, None]:
        """The rounds that a member sends; raises CallFailed."""
        return self._channel(address).stream(SYNC_CHAIN, request)

    async def answers(self, address: str) -> bool:
        """Whether the member's health service says that it serves."""
        request = health.HealthCheckRequest()
        try:
            answer = await self.call(address, HEALTH_CHECK, request, timeout_s=PROBE_S)
        except CallFailed:
            return False
        return answer.status == health.HealthCheckResponse.SERVING

    async def is_home(self, address: str) -> bool:
        """Whether a member of v1, which has no health service, answers at all."""
        try:
            await self.call(address, HOME, drand.ListBeaconIDsRequest(), timeout_s=PROBE_S)
        except CallFailed:
            return False
        return True

    async def call(
        self, address: str, method: Method[Asked, Answered], message: Asked, *, timeout_s: float
    ) -> Answered:
        """Ask a member; raises CallFailed."""
        channel = self._channel(address)
        try:
            return await channel.call(method, message, timeout_s=timeout_s)
        except CallFailed:
            if channel.state is ConnectionState.TRANSIENT_FAILURE:
                self._meters.dial_failed(address)
            raise

    def states(self) -> Mapping[str, ConnectionState]:
        """How each connection stands that was ever wanted."""
        return {address: channel.state for address, channel in self._channels.items()}

    async def close(self) -> None:
        """End every connection."""
        channels = list(self._channels.values())
        self._channels.clear()
        await asyncio.gather(*(channel.close() for channel in channels))

    def _channel(self, address: str) -> Channel:
        channel = self._channels.get(address)
        if channel is None:
            tls = {
                Dialling.PLAINTEXT: False,
                Dialling.TLS: True,
                Dialling.TLS_OR_FALLEN_BACK: True,
                Dialling.AS_IDENTITIES_SAY: self._says_tls.get(address, False),
            }[self._dialling]
            channel = Channel(address, tls=tls, trusted=self._trusted)
            self._channels[address] = channel
        return channel
