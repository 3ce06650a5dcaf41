"""
Our channels to other members, one for each address, whichever networks share it.

Owns: how each is dialled, for how long that is kept, and what is logged of it. Refuses: nothing; a
channel to somebody who cannot be reached fails its calls.

Rules:

* A channel is made when it is first wanted, kept while the process lives, and redials by itself in
  the mode that it was made in. Nothing but a new process makes another one.
* Where a release falls back (read from v2.0.2-testnet's client_grpc.go): a new channel speaks TLS
  and is tried by a call to the health service, then by one to Home, which v1 has instead. Whatever
  ends the second, refused, silent, or given up by whoever wanted the channel, it is from then on
  plaintext for this address. The TLS channel goes on redialling, unused: what it reaches on the
  wire later says nothing of the calls.
* There, trying has no time limit of its own but gRPC's for a connection (20 s an attempt), and one
  lock is held meanwhile: nobody else gets a channel, not even one that is there already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from nodes.beacon.calls import HEALTH_CHECK, HOME, CallFailed, Code
from nodes.beacon.eventlog import Log
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.proto import health_pb2 as health
from nodes.beacon.surface_view import ConnectionState
from nodes.beacon.transport import Dialling
from nodes.beacon.wire import Channel

UNLIMITED_S = 86_400.0
"""What stands for no time limit: whoever hangs that long has hung the process for good."""


class Channels:
    """
    The channels of a process.

    `trusted`: authorities in PEM that others' certificates are checked by, None for the system's.
    """

    def __init__(self, dialling: Dialling, trusted: bytes | None, log: Log) -> None:
        self._dialling = dialling
        self._trusted = trusted
        self._log = log
        self._channels: dict[str, Channel] = {}
        self._says_tls: dict[str, bool] = {}
        self._lock = asyncio.Lock()
        self._unused: list[Channel] = []
        self._dials: set[asyncio.Task[Channel]] = set()
        self._watches: set[asyncio.Task[None]] = set()

    def know(self, address: str, *, says_tls: bool) -> None:
        """A member's identity says this of its address: it may be dialled."""
        self._says_tls[address] = says_tls

    def knows(self, address: str) -> bool:
        """Whether it is a member's."""
        return address in self._says_tls

    async def to(self, address: str) -> Channel:
        """The channel to this address; waits where the release does, and may be cancelled."""
        kept = self._channels.get(address)
        if self._dialling is not Dialling.TLS_OR_FALLEN_BACK:
            return kept or self._kept(address, self._made(address, tls=self._tls(address)))
        if kept is not None and not self._lock.locked():
            return kept
        given_up = asyncio.Event()
        dial = asyncio.create_task(self._tried(address, given_up))
        self._dials.add(dial)
        dial.add_done_callback(self._dials.discard)
        try:
            return await asyncio.shield(dial)
        except asyncio.CancelledError:
            # The dial goes on, and comes to know that nobody waits: that is a failure to it.
            given_up.set()
            raise

    def states(self) -> Mapping[str, ConnectionState]:
        """How each connection stands that was ever wanted."""
        return {address: channel.state for address, channel in self._channels.items()}

    async def close(self) -> None:
        """End every connection, and whatever dials."""
        tasks = [*self._dials, *self._watches]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        channels = [*self._channels.values(), *self._unused]
        self._channels.clear()
        self._unused.clear()
        await asyncio.gather(*(channel.close() for channel in channels))

    def _tls(self, address: str) -> bool:
        if self._dialling is Dialling.AS_IDENTITIES_SAY:
            return self._says_tls.get(address, False)
        return self._dialling is Dialling.TLS

    def _made(self, address: str, *, tls: bool) -> Channel:
        channel = Channel(address, tls=tls, trusted=self._trusted)
        if self._log.verbose:
            watch = asyncio.create_task(self._watch(channel))
            self._watches.add(watch)
            watch.add_done_callback(self._watches.discard)
        return channel

    def _kept(self, address: str, channel: Channel) -> Channel:
        self._channels[address] = channel
        return channel

    # ---- falling back --------------------------------------------------------------------------

    async def _tried(self, address: str, given_up: asyncio.Event) -> Channel:
        async with self._lock:
            kept = self._channels.get(address)
            if kept is not None:
                return kept
            channel = self._made(address, tls=True)
            self._unused.append(channel)
            failed = await _failure(channel, given_up)
            if failed is None:
                self._unused.remove(channel)
                return self._kept(address, channel)
            self._log.error(
                "error initiating a new grpc conn using TLS",
                to=address,
                err=str(failed),
                code=failed.code.spelt,
            )
            self._log.warn("falling back to non-TLS grpc conn", to=address)
            return self._kept(address, self._made(address, tls=False))

    # ---- what an operator reads ------------------------------------------------------------------

    async def _watch(self, channel: Channel) -> None:
        """Say each time a connection is there, fails or goes: calls over a kept one say nothing."""
        mode = "TLS" if channel.tls else "plaintext"
        async for state in channel.changes():
            self._log.debug("outgoing connection", to=channel.address, mode=mode, state=state.name)


async def _failure(channel: Channel, given_up: asyncio.Event) -> CallFailed | None:
    """What became of trying a channel: None when it works."""
    try:
        check = health.HealthCheckRequest()
        await _unless(given_up, channel.call(HEALTH_CHECK, check, timeout_s=UNLIMITED_S))
    except CallFailed:
        try:
            home = drand.ListBeaconIDsRequest()
            await _unless(given_up, channel.call(HOME, home, timeout_s=UNLIMITED_S))
        except CallFailed as failed:
            return failed
    return None


async def _unless(given_up: asyncio.Event, call: Coroutine[Any, Any, object]) -> None:
    """Await a call; raises CallFailed as soon as it was given up."""
    asked, left = asyncio.ensure_future(call), asyncio.ensure_future(given_up.wait())
    try:
        await asyncio.wait((asked, left), return_when=asyncio.FIRST_COMPLETED)
        if left.done() and not asked.done():
            raise CallFailed(Code.CANCELED, "context canceled")
        await asked
    finally:
        for task in (asked, left):
            task.cancel()
        await asyncio.gather(asked, left, return_exceptions=True)
