"""
One node as a process: an asyncio loop around the core.

Owns: the order in which effects are carried out (the journal first, then messages and answers),
the two ports, signals. Refuses: protocol. Events are taken in batches, so that one wait for the
disk serves all of a batch; the status shows what is on the disk, not what is on its way there.

A disk without room makes the node mute, not dead: the batch is tried again until there is room.
Any other failure of the disk ends the process with exit code 1.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Any

from nodes.toys.behaviours import Variant
from nodes.toys.client_port import ClientPort
from nodes.toys.core import Core
from nodes.toys.journal import Journal
from nodes.toys.log import restored
from nodes.toys.messages import (
    QUESTIONS,
    Answer,
    Asked,
    Effect,
    Event,
    Keep,
    Operation,
    Outcome,
    Send,
    Tick,
)
from nodes.toys.transport import Address, Doorkeeper, Peer

BATCH_LIMIT = 256
QUEUE_LIMIT = 10_000
ROOM_POLL_S = 0.1
STATUS_CODES: Mapping[Outcome, HTTPStatus] = {
    Outcome.DONE: HTTPStatus.OK,
    Outcome.REFUSED: HTTPStatus.SERVICE_UNAVAILABLE,
    Outcome.UNKNOWN: HTTPStatus.GATEWAY_TIMEOUT,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a node is started with; `tls` are the contexts for listening and dialling."""

    name: str
    listen: Address
    client: Address
    peers: Mapping[str, Address]
    data: Path
    variant: Variant
    release: str
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None


class Node:
    """A running node."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        listening, dialling = settings.tls or (None, None)
        self._listening = listening
        self._core = Core(
            settings.name,
            tuple(settings.peers),
            behaviour=settings.variant.behaviour,
            random=Random(f"{settings.name} {os.getpid()}"),
            durable=restored(journal.records),
            first_number=time.time_ns() // 1000,
        )
        self._peers = {
            name: Peer(settings.name, name, address, dialling, self._deliver)
            for name, address in settings.peers.items()
            if name != settings.name
        }
        self._doorkeeper = Doorkeeper(settings.name, frozenset(settings.peers), self._deliver)
        self._events: list[Event] = []
        self._arrived = asyncio.Event()
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._full = False
        self._status = self._core.status()

    async def run(self) -> None:
        """Serve until a signal; raises OSError when a port cannot be had or the disk fails."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._note)
        work = loop.create_task(self._work())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        port = ClientPort(self._answer)
        peer_side, client_side = self._settings.listen, self._settings.client
        serving = [
            await asyncio.start_server(
                self._doorkeeper.serve, peer_side.host, peer_side.port, ssl=self._listening
            ),
            await asyncio.start_server(port.serve, client_side.host, client_side.port),
        ]
        self._say(f"release {self._settings.release} serves, {self._standing()}")
        try:
            await work
        except asyncio.CancelledError:
            self._say("stopped by a signal")
        finally:
            for server in serving:
                server.close()

    def _deliver(self, event: Event) -> None:
        if len(self._events) < QUEUE_LIMIT:
            self._events.append(event)
            self._arrived.set()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._await_events()
            batch, self._events = self._events[:BATCH_LIMIT], self._events[BATCH_LIMIT:]
            effects: list[Effect] = []
            for event in batch or [Tick()]:
                effects += self._core.handle(event, loop.time())
            records = [one.record for one in effects if isinstance(one, Keep)]
            if records:
                await self._keep(records)
            self._publish()
            for effect in effects:
                self._carry_out(effect)

    async def _await_events(self) -> None:
        wake_s = self._core.wake_s
        if self._events:
            await asyncio.sleep(0)
            return
        self._arrived.clear()
        if wake_s is None:
            await self._arrived.wait()
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_at(wake_s, self._arrived.set)
        await self._arrived.wait()
        timer.cancel()

    async def _keep(self, records: Sequence[Sequence[Any]]) -> None:
        while True:
            try:
                await asyncio.to_thread(self._journal.keep, records)
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                    raise
                if not self._full:
                    self._say(f"no room for the journal in {self._settings.data}; waiting for some")
                self._full = True
                await asyncio.sleep(ROOM_POLL_S)
            else:
                self._full = False
                return

    def _publish(self) -> None:
        before, self._status = self._status, self._core.status()
        if (before["role"], before["leader"]) != (self._status["role"], self._status["leader"]):
            self._say(self._standing())

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(target, message) if isinstance(message, QUESTIONS):
                self._peers[target].ask(message)
            case Send(target, message):
                self._doorkeeper.reply(target, message)
            case Answer(number):
                future = self._answers.pop(number, None)
                if future is not None and not future.done():
                    future.set_result(effect)

    async def _answer(
        self, method: str, path: str, body: Any
    ) -> tuple[HTTPStatus, Mapping[str, Any]]:
        while self._core.blocked:
            await asyncio.Event().wait()
        if (method, path) == ("GET", "/status"):
            return HTTPStatus.OK, self._report()
        if method != "POST" or path not in {"/put", "/get", "/cas"}:
            return HTTPStatus.NOT_FOUND, {"error": "GET /status, POST /put, /get, /cas"}
        try:
            operation = Operation(f=path[1:], **(body or {}))
        except (TypeError, ValueError) as error:
            return HTTPStatus.BAD_REQUEST, {"error": str(error)}
        number = self._core.number()
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        self._deliver(Asked(number, operation))
        try:
            answer = await future
        finally:
            self._answers.pop(number, None)
        self._say(f"{operation.f} {operation.key}: {answer.outcome}")
        return STATUS_CODES[answer.outcome], answer.result

    def _report(self) -> Mapping[str, Any]:
        return {
            "name": self._settings.name,
            "ready": not self._full,
            "version": self._settings.release,
            **self._status,
            "syncs": self._journal.syncs,
            "turned_away": self._doorkeeper.turned_away,
            "peers": {name: peer.status() for name, peer in self._peers.items()},
        }

    def _standing(self) -> str:
        seen = self._status
        leader = seen["leader"] or "none known"
        return f"{seen['role']} at height {seen['progress']}, term {seen['term']}, leader {leader}"

    def _say(self, text: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        sys.stderr.write(f"{now} {self._settings.name} {text}\n")

    def _note(self, _: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, asyncio.CancelledError):
            self._say(f"{context.get('message', 'error')}: {error!r}")
