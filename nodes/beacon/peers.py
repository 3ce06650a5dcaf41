"""
What we ask of other members.

Owns: the calls, and a bound on what is under way to one that does not answer. Refuses: more than
PARTIALS_UNDER_WAY_AT_MOST partials of a network to one address.

Rules: addresses are the group file's, and a proxy may answer there: nobody is known by his address.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

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
from nodes.beacon.channels import Channels
from nodes.beacon.meters import Meters
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.proto import health_pb2 as health
from nodes.beacon.surface_view import ConnectionState

CALL_S = 5.0
PROBE_S = 3.0
PARTIALS_UNDER_WAY_AT_MOST = 64


class Peers:
    """The members that a process talks to."""

    def __init__(self, channels: Channels, meters: Meters) -> None:
        self._channels = channels
        self._meters = meters
        self._partials: Counter[tuple[str, str]] = Counter()

    def know(self, address: str, *, says_tls: bool) -> None:
        """A member's identity says this of its address: it may be dialled."""
        self._channels.know(address, says_tls=says_tls)

    def knows(self, address: str) -> bool:
        """Whether it is a member's."""
        return self._channels.knows(address)

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

    async def sync(
        self, address: str, request: drand.SyncRequest
    ) -> AsyncGenerator[drand.BeaconPacket, None]:
        """The rounds that a member sends; raises CallFailed."""
        channel = await self._channels.to(address)
        async with aclosing(channel.stream(SYNC_CHAIN, request)) as packets:
            async for packet in packets:
                yield packet

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
        """Ask a member; raises CallFailed. The time counts from when there is a channel."""
        channel = await self._channels.to(address)
        try:
            return await channel.call(method, message, timeout_s=timeout_s)
        except CallFailed:
            if channel.state is ConnectionState.TRANSIENT_FAILURE:
                self._meters.dial_failed(address)
            raise

    def states(self) -> Mapping[str, ConnectionState]:
        """How each connection stands that was ever wanted."""
        return self._channels.states()

    async def close(self) -> None:
        """End every connection."""
        await self._channels.close()
