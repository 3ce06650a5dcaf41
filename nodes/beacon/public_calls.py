"""
What anybody may ask: rounds, each new round, the chain, which networks there are.

Owns: the answers of drand.Public. Refuses: rounds that are not stored. The next round is waited
for, one period and a second at most.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from nodes.beacon.calls import (
    ANSWER_S,
    HOME,
    LIST_BEACON_IDS,
    PUBLIC_CHAIN_INFO,
    PUBLIC_RAND,
    PUBLIC_RAND_STREAM,
    CallRefused,
    Code,
)
from nodes.beacon.errors import SyncRefused
from nodes.beacon.group import PERIOD_S_AT_MOST
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.routing import Routing
from nodes.beacon.store import StoreFailed
from nodes.beacon.wire import Answer, Caller, Flow

_NOT_STARTED = "drand: beacon generation not started yet"
NO_GROUP = "drand: no dkg group setup yet"


class PublicCalls:
    """The answers; `handlers` is what a listener is given."""

    def __init__(self, routing: Routing) -> None:
        self._routing = routing

    def handlers(self) -> tuple[Answer | Flow, ...]:
        """Who answers what."""
        return (
            Answer(PUBLIC_RAND, self._round, PERIOD_S_AT_MOST + ANSWER_S),
            Flow(PUBLIC_RAND_STREAM, self._rounds),
            Answer(PUBLIC_CHAIN_INFO, self.chain_info, ANSWER_S),
            Answer(LIST_BEACON_IDS, self.ids, ANSWER_S),
            *((Answer(HOME, self._home, ANSWER_S),) if self._routing.version.major == 1 else ()),
        )

    async def _home(self, _: drand.ListBeaconIDsRequest, __: Caller) -> drand.ListBeaconIDsRequest:
        return drand.ListBeaconIDsRequest()

    async def _round(self, request: drand.PublicRandRequest, _: Caller) -> drand.PublicRandResponse:
        network = self._routing.started(request.metadata, _NOT_STARTED)
        wanted, last = request.round, network.last()
        try:
            if not wanted:
                beacon = last if last.round else None
            elif wanted == last.round + 1:
                limit_s = network.group.period_s + 1.0
                beacon = await network.wait_for(wanted, limit_s)
                if beacon is None:
                    raise CallRefused(Code.UNKNOWN, f"waited too long for next beacon {wanted}")
            else:
                beacon = await network.get(wanted)
        except StoreFailed as error:
            raise CallRefused(Code.UNAVAILABLE, "the store cannot be read") from error
        if beacon is None:
            raise CallRefused(
                Code.UNKNOWN, f"can't retrieve beacon {wanted}: beacon not found in database"
            )
        return network.packets.randomness(beacon, streamed=False)

    async def _rounds(
        self, request: drand.PublicRandRequest, caller: Caller
    ) -> AsyncGenerator[drand.PublicRandResponse, None]:
        network = self._routing.started(request.metadata, "beacon has not started on this node yet")
        try:
            async with aclosing(network.stream(caller.address, request.round)) as rounds:
                async for beacon in rounds:
                    yield network.packets.randomness(beacon, streamed=True)
        except SyncRefused as error:
            raise CallRefused(Code.UNKNOWN, str(error)) from error
        except StoreFailed as error:
            raise CallRefused(Code.UNAVAILABLE, "the store cannot be read") from error

    async def chain_info(self, request: drand.ChainInfoRequest, _: Caller) -> drand.ChainInfoPacket:
        """The chain of a network."""
        network = self._routing.started(request.metadata, NO_GROUP)
        return network.packets.chain(network.group)

    async def ids(self, _: drand.ListBeaconIDsRequest, __: Caller) -> drand.ListBeaconIDsResponse:
        """The networks that run."""
        networks = self._routing.networks()
        return drand.ListBeaconIDsResponse(
            ids=[network.beacon_id for network in networks],
            metadatas=[network.packets.metadata() for network in networks],
        )
