"""
Bad input against running nodes: each gets its error, and it costs nothing.

After each: the same process, the same files, and the next round is made by all three members. Here
is what an attacker does by design; test_beacon_fuzzing.py sends thousands of inputs at random.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from grpc import aio
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes import bls
from nodes.beacon import calls, layout, peers, wire
from nodes.beacon.calls import CallFailed, Code
from nodes.beacon.core import PREVIOUS_BYTES_AT_MOST
from nodes.beacon.process import Daemon
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.serving import STREAMS_AT_MOST
from nodes.beacon.wire import Channel
from tests.beacon_nodes import (
    PATIENCE_S,
    Lines,
    Members,
    MovedClock,
    deal_members,
    options_for,
    running,
    until,
)

NOW_S = 1_800_000_000.0
TICKS_AT_MOST = 4
EXAMPLES = settings(max_examples=15)
SIXTY_FOUR = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63, 2**64 - 1]))


async def _nothing() -> None:
    return


class Attacked:
    """Three members of which the first is attacked; every example ends in a round of all three."""

    def __init__(self, root: Path, *, now_s: float = NOW_S) -> None:
        self.members: Members = deal_members(root, 3, 3, genesis_in_s=1, now_s=now_s)
        self.clock = MovedClock(now_s)
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.daemons: list[Daemon] = []
        self.logs: list[Lines] = []
        self.rounds = self.late = 0
        self.files = self._files()

    def __enter__(self) -> Self:
        self.runner.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()

    async def _start(self) -> None:
        for folder in self.members.folders:
            daemon, lines = await self.stack.enter_async_context(
                running(options_for(folder), self.clock)
            )
            self.daemons.append(daemon)
            self.logs.append(lines)
        self.target = self.daemons[0]
        self.channel = Channel(self.target.private_address, tls=False, trusted=None)
        self.stack.push_async_callback(self.channel.close)

    def _files(self) -> dict[Path, bytes]:
        network = layout.Network(self.members.folders[0], "default")
        paths = (network.private_key, network.public_key, network.group, network.share)
        return {path: path.read_bytes() for path in paths}

    async def make_round(self) -> None:
        """By all three: the threshold is all, so the attacked one signs too."""
        following = self.target.networks()[0].last().round + 1
        self.rounds += 1
        # A partial is sent once at each round's time: on a machine that has no time for it, it may
        # come to nothing, and the next round's time is the next chance.
        for late in range(TICKS_AT_MOST):
            self.late += late > 0
            self.clock.move_to(self.members.dealt.group.schedule.time_of(following + late))
            made = [await one.networks()[0].wait_for(following, 10) for one in self.daemons]
            if all(made):
                return
        lasts = [one.networks()[0].last().round for one in self.daemons]
        raise AssertionError(f"round {following} was not made by all: {lasts}")

    def attack(
        self,
        action: Callable[[], Awaitable[None]],
        afterwards: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        async def run() -> None:
            async with asyncio.timeout(90):
                await action()
            await self.make_round()
            async with asyncio.timeout(90):
                await afterwards()

        self.runner.run(run())
        assert self._files() == self.files

    async def code_of(self, path: str, data: bytes) -> Code:
        """What raw bytes to a method are answered with."""
        async with aio.insecure_channel(self.target.private_address) as channel:
            call: Any = channel.unary_unary(path)
            try:
                await call(data, timeout=10)
            except aio.AioRpcError as error:
                return Code(error.code().value[0])
        return Code.OK


async def outcome(call: Awaitable[object]) -> tuple[Code, str]:
    """The code and the text that a call of ours ends with."""
    try:
        await call
    except CallFailed as error:
        return error.code, error.text
    return Code.OK, ""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with Attacked(tmp_path_factory.mktemp("attacked")) as made:
        yield made


METADATA = st.builds(
    drand.Metadata,
    node_version=st.none()
    | st.builds(
        drand.NodeVersion,
        major=st.integers(0, 3),
        minor=st.integers(0, 2**32 - 1),
        patch=st.integers(0, 9),
    ),
    beaconID=st.sampled_from(["", "default", "x", "../default", "a" * 5000]) | st.text(max_size=8),
    chain_hash=st.sampled_from([b"", b"\x00"]) | st.binary(max_size=40),
)


@EXAMPLES
@given(
    number=st.integers(-3, 6) | SIXTY_FOUR,
    previous=st.binary(max_size=200),
    index=st.sampled_from([0, 1, 2, 3, 0xFFFF]),
    signature=st.binary(max_size=120) | st.binary(min_size=96, max_size=96),
    metadata=st.none() | METADATA,
)
def test_partials_of_any_kind(
    attacked: Attacked,
    number: int,
    previous: bytes,
    index: int,
    signature: bytes,
    metadata: drand.Metadata | None,
) -> None:
    async def action() -> None:
        near = number + attacked.target.networks()[0].last().round if number < 10 else number
        packet = drand.PartialBeaconPacket(
            round=max(0, near),
            previous_signature=previous,
            partial_sig=index.to_bytes(2, "big") + signature,
            metadata=metadata,
        )
        code, text = await outcome(
            attacked.channel.call(calls.PARTIAL_BEACON, packet, timeout_s=PATIENCE_S)
        )
        assert code in {Code.OK, Code.UNKNOWN, Code.PERMISSION_DENIED}
        assert len(text) < 300

    attacked.attack(action)


@EXAMPLES
@given(first=st.integers(0, 40) | SIXTY_FOUR, metadata=st.none() | METADATA, read=st.integers(0, 3))
def test_syncs_from_any_round(
    attacked: Attacked, first: int, metadata: drand.Metadata | None, read: int
) -> None:
    """Read to some point, and left without a word."""

    async def action() -> None:
        request = drand.SyncRequest(from_round=first, metadata=metadata)
        rounds = attacked.channel.stream(calls.SYNC_CHAIN, request)
        last = attacked.target.networks()[0].last().round
        found = []

        async def take() -> None:
            for _ in range(min(read, last - first + 1) if first else 0):
                found.append((await anext(rounds)).round)

        code, _ = await outcome(take())
        await rounds.aclose()
        assert code in {Code.OK, Code.UNKNOWN, Code.PERMISSION_DENIED}
        assert found == list(range(first, first + len(found)))

    attacked.attack(action)


def test_messages_that_are_too_long(attacked: Attacked) -> None:
    async def action() -> None:
        data = b"\x12" + bytes(wire.MESSAGE_BYTES_AT_MOST + 1)
        assert await attacked.code_of("/drand.Protocol/PartialBeacon", data) is (
            Code.RESOURCE_EXHAUSTED
        )
        packet = drand.PartialBeaconPacket(
            round=attacked.target.networks()[0].last().round + 1,
            previous_signature=bytes(PREVIOUS_BYTES_AT_MOST + 1),
            partial_sig=b"\x00\x01" + bytes(96),
        )
        with pytest.raises(CallFailed, match="invalid partial signature of index 1"):
            await attacked.channel.call(calls.PARTIAL_BEACON, packet, timeout_s=PATIENCE_S)

    attacked.attack(action)


def test_more_streams_than_are_served(attacked: Attacked) -> None:
    """From as many connections; the one too many is refused, and the others are given back."""

    async def action() -> None:
        network = attacked.target.networks()[0]
        channels = [
            Channel(attacked.target.private_address, tls=False, trusted=None)
            for _ in range(STREAMS_AT_MOST + 1)
        ]
        streams = [
            one.stream(calls.SYNC_CHAIN, drand.SyncRequest(from_round=1)) for one in channels
        ]
        assert network.last().round
        for stream in streams[:-1]:
            assert (await anext(stream)).round == 1
        with pytest.raises(CallFailed, match=f"{STREAMS_AT_MOST} streams are open"):
            await anext(streams[-1])
        for channel in channels:
            await channel.close()
        await until("no stream is left", lambda: network.streams == 0)

    attacked.attack(_nothing)
    attacked.attack(action)


@EXAMPLES
@given(
    data=st.binary(max_size=400), prefix=st.sampled_from([b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
)
def test_connections_that_speak_something_else(
    attacked: Attacked, data: bytes, prefix: bytes
) -> None:
    """Bytes on the socket itself, then silence, or an end."""

    async def action() -> None:
        host, _, port = attacked.target.private_address.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(prefix + data)
        await writer.drain()
        writer.close()

    attacked.attack(action)


def test_connections_that_say_nothing(attacked: Attacked) -> None:
    """A hundred of them, open while the round is made."""
    host, _, port = attacked.target.private_address.rpartition(":")
    silent: list[socket.socket] = []

    async def action() -> None:
        for _ in range(100):
            silent.append(socket.create_connection((host, int(port)), timeout=5))

    try:
        attacked.attack(action)
    finally:
        for one in silent:
            one.close()


def test_a_flood_of_partials_keeps_nobody_from_a_round(
    attacked: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Hundreds at once over several connections, genuine points of another round, so that each is
    verified. The round's time comes while they wait, and it needs the partial of every member.
    (Beyond a thousand calls that nobody has taken up yet gRPC drops what comes, whoever sent it.)
    A member sends its partial once: it is given as long as a slow machine needs for the flood.
    """
    monkeypatch.setattr(peers, "CALL_S", PATIENCE_S)
    _, share = attacked.members.dealt.members[1]
    scheme = attacked.members.dealt.group.scheme
    genuine = bls.sign_partial(scheme, share.secret, share.index, scheme.digest(10**6, b""))

    async def action() -> None:
        network = attacked.target.networks()[0]
        number = network.last().round + 1
        packet = drand.PartialBeaconPacket(
            round=number, previous_signature=b"x", partial_sig=genuine
        )
        channels = [
            Channel(attacked.target.private_address, tls=False, trusted=None) for _ in range(4)
        ]
        flood = [
            asyncio.ensure_future(
                outcome(channel.call(calls.PARTIAL_BEACON, packet, timeout_s=PATIENCE_S))
            )
            for channel in channels
            for _ in range(150)
        ]
        await until("the flood has begun", lambda: any(one.done() for one in flood))
        attacked.clock.move_to(attacked.members.dealt.group.schedule.time_of(number))
        assert await network.wait_for(number, PATIENCE_S)
        codes = {code for code, _ in await asyncio.gather(*flood)}
        # OK: for a round that is made already nobody looks.
        assert codes <= {Code.OK, Code.UNKNOWN, Code.RESOURCE_EXHAUSTED}
        for channel in channels:
            await channel.close()

    attacked.attack(action)


def test_a_call_that_is_given_up(attacked: Attacked) -> None:
    """The next round asked for, by callers who do not wait for it."""

    async def action() -> None:
        number = attacked.target.networks()[0].last().round + 1
        for _ in range(20):
            with pytest.raises(CallFailed) as caught:
                await attacked.channel.call(
                    calls.PUBLIC_RAND, drand.PublicRandRequest(round=number), timeout_s=0.02
                )
            assert caught.value.code is Code.DEADLINE_EXCEEDED

    attacked.attack(action)


def test_a_port_that_is_taken(attacked: Attacked) -> None:
    listening = options_for(
        attacked.members.folders[1], private_listen=attacked.target.private_address
    )

    async def action() -> None:
        await attacked.daemons[1].stop()
        with pytest.raises(OSError, match="cannot listen at"):
            async with running(listening, attacked.clock):
                pass
        daemon, _ = await attacked.stack.enter_async_context(
            running(options_for(attacked.members.folders[1]), attacked.clock)
        )
        attacked.daemons[1] = daemon

    attacked.attack(action)
