"""How members are dialled, over real sockets: what is tried, what is kept, and what heals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from nodes.beacon.calls import HEALTH_CHECK, HOME, PUBLIC_RAND, CallFailed, Code
from nodes.beacon.channels import Channels
from nodes.beacon.eventlog import Log
from nodes.beacon.meters import Meters
from nodes.beacon.options import Certificate
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.proto import health_pb2 as health
from nodes.beacon.transport import (
    BY_THE_KEY,
    FALLING_BACK,
    IN_THE_BINARY,
    TLS_ONLY,
    TLS_OR_INSECURE_BUILD,
    Dialling,
)
from nodes.beacon.wire import Answer, Caller, Channel, Listener
from tests.beacon_nodes import HOST, PATIENCE_S, Lines, until

FALLS_BACK = Dialling.TLS_OR_FALLEN_BACK
HELLO, PREFACE = b"\x16\x03\x01", b"PRI"


class Door:
    """What lies between: an address that is closed at first, and what each connection begins with.

    Open, it leads to `port`; silent, it takes connections and answers nothing.
    """

    def __init__(self) -> None:
        self._bound = socket.socket()
        self._bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._bound.bind((HOST, 0))
        self.address = f"{HOST}:{self._bound.getsockname()[1]}"
        self.began: list[bytes] = []
        self.answered: list[bytes] = []
        self._port: int | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, port: int | None) -> None:
        self._port = port
        if self._server is None:
            self._server = await asyncio.start_server(self._take, sock=self._bound)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._bound.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.callback(writer.close)
                data = await reader.read(65536)
                self.began.append(data[:3])
                if self._port is None:
                    await asyncio.Event().wait()
                behind, answers = await asyncio.open_connection(HOST, self._port)
                stack.callback(answers.close)
                answers.write(data)
                await asyncio.gather(self._pump(reader, answers), self._answer(behind, writer))
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            self._tasks.discard(task)

    async def _answer(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        data = await source.read(65536)
        if data:
            self.answered.append(data[:12])
        sink.write(data)
        await self._pump(source, sink)

    @staticmethod
    async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()


class Wires:
    """Authorities, and listeners as members have them; `log` is the dialler's."""

    def __init__(self, root: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert(HOST)
        issued.private_key_pem.write_to_path(root / "key.pem")
        issued.cert_chain_pems[0].write_to_path(root / "chain.pem")
        self.certificate = Certificate(root / "chain.pem", root / "key.pem")
        self.trusted = authority.cert_pem.bytes()
        self.lines = Lines([])

    @contextlib.asynccontextmanager
    async def listener(self, *, tls: bool, v1: bool = False) -> AsyncIterator[Listener]:
        """Answers its health, or Home where it is a v1, and nothing else."""
        answers = (
            Answer(HOME, _home, 5.0) if v1 else Answer(HEALTH_CHECK, _healthy, 5.0),
            Answer(PUBLIC_RAND, _rand, 5.0),
        )
        listener = Listener(answers, Meters(()))
        await listener.start(f"{HOST}:0", self.certificate if tls else None)
        try:
            yield listener
        finally:
            await listener.stop(0.0)

    @contextlib.asynccontextmanager
    async def channels(self, dialling: Dialling) -> AsyncIterator[Channels]:
        log = Log("", "beacon/tests.py", verbose=True, write=self.lines.lines.append)
        channels = Channels(dialling, self.trusted, log)
        try:
            yield channels
        finally:
            await channels.close()

    def fallen_back(self) -> int:
        return len(self.lines.records(level="WARN", msg="falling back to non-TLS grpc conn"))


async def _healthy(_: health.HealthCheckRequest, __: Caller) -> health.HealthCheckResponse:
    return health.HealthCheckResponse(status=health.HealthCheckResponse.SERVING)


async def _home(_: drand.ListBeaconIDsRequest, __: Caller) -> drand.ListBeaconIDsRequest:
    return drand.ListBeaconIDsRequest()


async def _rand(_: drand.PublicRandRequest, __: Caller) -> drand.PublicRandResponse:
    return drand.PublicRandResponse(round=1)


@pytest.fixture
def wires(tmp_path: Path) -> Wires:
    return Wires(tmp_path)


async def works(channel: Channel) -> bool:
    try:
        await channel.call(PUBLIC_RAND, drand.PublicRandRequest(), timeout_s=PATIENCE_S)
    except CallFailed as failed:
        return failed.code not in {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}
    return True


def firsts(door: Door) -> Counter[bytes]:
    return Counter(door.began)


async def plaintext_dialled_again(door: Door, channel: Channel) -> None:
    """Calls fail, and the one that redials is seen on the wire."""
    seen = firsts(door)[PREFACE]
    async with asyncio.timeout(PATIENCE_S):
        while firsts(door)[PREFACE] == seen:
            assert not await works(channel)
            await asyncio.sleep(0.02)


async def comes_to_work(channel: Channel) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await works(channel):
            await asyncio.sleep(0.02)


# ---- one unlucky moment ------------------------------------------------------------------------


def test_one_failed_dial_makes_a_link_plaintext_for_the_life_of_the_process(wires: Wires) -> None:
    """The listener was away for a moment: its own restart heals nothing, the dialler's does."""

    async def run() -> None:
        door = Door()
        async with wires.channels(FALLS_BACK) as channels:
            kept = await channels.to(door.address)
            assert wires.fallen_back() == 1
            said = wires.lines.records(level="ERROR", to=door.address)
            assert [one["code"] for one in said] == ["Unavailable"]
            for _ in range(2):
                async with wires.listener(tls=True) as listener:
                    await door.open(listener.port)
                    await plaintext_dialled_again(door, kept)
                    assert await channels.to(door.address) is kept
            # The TLS channel that was given up redials by itself; nobody uses it.
            await until("the unused channel is back", lambda: HELLO in firsts(door))
            async with wires.listener(tls=True) as listener:
                await door.open(listener.port)
                async with wires.channels(FALLS_BACK) as anew:
                    assert await works(await anew.to(door.address))
                assert not await works(kept)
        assert wires.fallen_back() == 1
        await door.close()

    asyncio.run(run())


def test_without_a_fallback_the_same_channel_comes_back_by_tls(wires: Wires) -> None:
    async def run() -> None:
        door = Door()
        async with wires.channels(Dialling.TLS) as channels:
            channel = await channels.to(door.address)
            assert not await works(channel)
            async with wires.listener(tls=True) as listener:
                await door.open(listener.port)
                await comes_to_work(channel)
            assert set(door.began) == {HELLO}
        assert wires.fallen_back() == 0
        await door.close()

    asyncio.run(run())


def test_a_silent_peer_holds_up_every_call_until_the_dial_is_given_up(wires: Wires) -> None:
    """Whoever wanted the channel leaves: that counts as a failed dial, and the others go on."""

    async def run() -> None:
        door = Door()
        await door.open(None)
        async with wires.listener(tls=True) as listener, wires.channels(FALLS_BACK) as channels:
            well = f"{HOST}:{listener.port}"
            kept = await channels.to(well)
            waits = asyncio.create_task(channels.to(door.address))
            await until("the hello is there", lambda: bool(door.began))
            other = asyncio.create_task(channels.to(well))
            await asyncio.sleep(0)
            assert not other.done()
            waits.cancel()
            assert await other is kept
            assert wires.fallen_back() == 1
            said = wires.lines.records(level="ERROR", to=door.address)
            assert [(one["code"], one["err"]) for one in said] == [
                ("Canceled", "rpc error: code = Canceled desc = context canceled")
            ]
            assert not (await channels.to(door.address)).tls
            assert await works(kept)
        await door.close()

    asyncio.run(run())


def test_who_gave_up_while_waiting_makes_a_link_plaintext_too(wires: Wires) -> None:
    """The lock is waited for whatever happens; then the dial begins already given up."""

    async def run() -> None:
        door = Door()
        await door.open(None)
        async with wires.listener(tls=True) as listener, wires.channels(FALLS_BACK) as channels:
            well = f"{HOST}:{listener.port}"
            holds = asyncio.create_task(channels.to(door.address))
            await until("the hello is there", lambda: bool(door.began))
            waits = asyncio.create_task(channels.to(well))
            await asyncio.sleep(0)
            waits.cancel()
            holds.cancel()
            spoiled = await channels.to(well)
            assert (spoiled.tls, wires.fallen_back()) == (False, 2)
            assert not await works(spoiled)
        await door.close()

    asyncio.run(run())


# ---- what works at once ------------------------------------------------------------------------


@pytest.mark.parametrize("v1", [False, True])
def test_a_member_that_serves_tls_is_kept_by_tls(wires: Wires, *, v1: bool) -> None:
    """A v1 has no health service, and is asked for its Home instead."""

    async def run() -> None:
        door = Door()
        async with (
            wires.listener(tls=True, v1=v1) as listener,
            wires.channels(FALLS_BACK) as channels,
        ):
            await door.open(listener.port)
            channel = await channels.to(door.address)
            assert channel.tls
            assert await works(channel)
            assert door.began == [HELLO]
        # One that is kept by TLS redials by TLS, however long its peer was away.
        assert wires.fallen_back() == 0
        await door.close()

    asyncio.run(run())


def test_a_kept_tls_channel_survives_its_listeners_restart(wires: Wires) -> None:
    """The mode is chosen once: who was reached by TLS never falls back."""

    async def run() -> None:
        door = Door()
        async with wires.channels(FALLS_BACK) as channels:
            async with wires.listener(tls=True) as listener:
                await door.open(listener.port)
                kept = await channels.to(door.address)
                assert await works(kept)
            assert not await works(kept)
            async with wires.listener(tls=True) as listener:
                await door.open(listener.port)
                await comes_to_work(kept)
                assert await channels.to(door.address) is kept
            ready = wires.lines.records(msg="outgoing connection", state="READY", mode="TLS")
            assert len(ready) == 2
        assert set(door.began) == {HELLO}
        await door.close()

    asyncio.run(run())


# ---- who serves plaintext ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialling", "says_tls", "reached"),
    [
        (FALLS_BACK, False, True),
        (Dialling.TLS, False, False),
        (Dialling.PLAINTEXT, True, True),
        (Dialling.AS_IDENTITIES_SAY, False, True),
        (Dialling.AS_IDENTITIES_SAY, True, False),
    ],
)
def test_who_reaches_a_member_that_serves_plaintext(
    wires: Wires, dialling: Dialling, *, says_tls: bool, reached: bool
) -> None:
    """Its SETTINGS are the first that a TLS dialler gets, where it wants a handshake."""

    async def run() -> None:
        door = Door()
        async with wires.listener(tls=False) as listener, wires.channels(dialling) as channels:
            await door.open(listener.port)
            channels.know(door.address, says_tls=says_tls)
            channel = await channels.to(door.address)
            assert await works(channel) is reached
            assert wires.fallen_back() == (dialling is FALLS_BACK)
            # The TLS channel that was given up goes on redialling: its hellos come when they come.
            tried = {HELLO} if dialling is FALLS_BACK else set[bytes]()
            assert set(door.began) == tried | {PREFACE if reached else HELLO}
            # A frame of HTTP/2: its length, then type 4, SETTINGS.
            assert {one[3] for one in door.answered} == {4}
        await door.close()

    asyncio.run(run())


def test_plaintext_meets_a_member_that_serves_tls(wires: Wires) -> None:
    """The other way round nothing comes back at all: grpcio's listener closes."""

    async def run() -> None:
        door = Door()
        async with (
            wires.listener(tls=True) as listener,
            wires.channels(Dialling.PLAINTEXT) as channels,
        ):
            await door.open(listener.port)
            assert not await works(await channels.to(door.address))
            assert set(door.began) == {PREFACE}
            assert door.answered == []
        await door.close()

    asyncio.run(run())


def test_a_build_may_be_insecure_where_its_release_knows_the_tag() -> None:
    plain = [
        one.dialling(built_insecure=True)
        for one in (IN_THE_BINARY, BY_THE_KEY, FALLING_BACK, TLS_ONLY, TLS_OR_INSECURE_BUILD)
    ]
    says, falls, tls = Dialling.AS_IDENTITIES_SAY, FALLS_BACK, Dialling.TLS
    assert plain == [says, says, falls, tls, Dialling.PLAINTEXT]
    assert TLS_OR_INSECURE_BUILD.dialling(built_insecure=False) is tls
