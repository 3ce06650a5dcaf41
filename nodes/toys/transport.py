"""
Connections between toys: opened when there is something to say, kept, redialled when lost.

Owns: frames, one dialled connection a peer, the time limits of questions, the way back of replies,
and the counters of what went wrong on the way. Refuses: the meaning of messages. A node asks over
connections that it dialled and is answered on them; so a reply to a question of a former life
cannot reach this one. A question that is not answered in time closes its connection.

A frame is four bytes of length, big-endian, and so many bytes of JSON. The first frame of a
connection names both ends, `["hello", own, peer]`, so that a wrong node at an address is noticed.
Whoever speaks anything else is told so, `["turned away", why]`, and the connection is closed.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from nodes.toys.messages import (
    Event,
    Failed,
    Forward,
    Message,
    Question,
    Received,
    decode,
    encode,
)

DIAL_S = 0.5
ANSWER_S = 0.5
FORWARD_S = 1.0
FRAME_LIMIT_BYTES = 64 * 1024 * 1024

Deliver = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port."""

    host: str
    port: int


@dataclass(slots=True)
class Counters:
    """
    What befell this node's own connections to one peer since it started.

    refused: nobody listened. timed_out: no connection, or no answer, in time. resets: reset by the
    other side. closed: ended by the other side. handshakes: ended in or by the TLS handshake.
    connected: open now.
    """

    refused: int = 0
    timed_out: int = 0
    resets: int = 0
    closed: int = 0
    handshakes: int = 0
    connected: bool = False


def frame(data: bytes) -> bytes:
    """The bytes with their length before them."""
    return len(data).to_bytes(4, "big") + data


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """One frame; raises ValueError for one over the limit, EOFError at the end."""
    size_bytes = int.from_bytes(await reader.readexactly(4), "big")
    if size_bytes > FRAME_LIMIT_BYTES:
        raise ValueError(f"a frame of {size_bytes} bytes is over {FRAME_LIMIT_BYTES}")
    return await reader.readexactly(size_bytes)


class Peer:
    """The dialled side: this node's questions to one peer."""

    def __init__(
        self, own: str, name: str, address: Address, tls: ssl.SSLContext | None, deliver: Deliver
    ) -> None:
        self.counters = Counters()
        self._own = own
        self._name = name
        self._address = address
        self._tls = tls
        self._deliver = deliver
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._queued: list[Question] = []
        self._asked: dict[int, asyncio.TimerHandle] = {}

    def ask(self, question: Question) -> None:
        """Send a question, dialling when needed; a Failed is delivered when no reply comes."""
        limit_s = FORWARD_S if isinstance(question, Forward) else ANSWER_S
        if self._writer is not None:
            self._write(self._writer, question)
        else:
            self._queued.append(question)
            if self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._converse())
        loop = asyncio.get_running_loop()
        self._asked[question.number] = loop.call_later(limit_s, self._too_late)

    def status(self) -> dict[str, Any]:
        """The counters, as JSON values."""
        return asdict(self.counters)

    def _write(self, writer: asyncio.StreamWriter, question: Question) -> None:
        writer.write(frame(encode(question)))

    def _too_late(self) -> None:
        self.counters.timed_out += 1
        if self._task is not None:
            self._task.cancel()

    async def _converse(self) -> None:
        try:
            await self._dial_and_read()
        except asyncio.CancelledError:
            pass
        except TimeoutError:
            self.counters.timed_out += 1
        except ssl.SSLError:
            self.counters.handshakes += 1
        except ConnectionRefusedError:
            self.counters.refused += 1
        except (OSError, ValueError):
            if self._tls is not None and self._writer is None:
                self.counters.handshakes += 1
            else:
                self.counters.resets += 1
        except EOFError:
            self.counters.closed += 1
        finally:
            self._end()

    async def _dial_and_read(self) -> None:
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(
                self._address.host,
                self._address.port,
                ssl=self._tls,
                server_hostname=self._name if self._tls else None,
            ),
            DIAL_S,
        )
        self._writer = writer
        self.counters.connected = True
        writer.write(frame(json.dumps(["hello", self._own, self._name]).encode()))
        queued, self._queued = self._queued, []
        for question in queued:
            self._write(writer, question)
        while True:
            reply = decode(await read_frame(reader))
            timer = self._asked.pop(reply.number, None)
            if timer is not None:
                timer.cancel()
                self._deliver(Received(self._name, reply))

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = None
        self._task = None
        self.counters.connected = False
        asked, self._asked = self._asked, {}
        unsent = {question.number for question in self._queued}
        self._queued = []
        for number, timer in asked.items():
            timer.cancel()
            self._deliver(Failed(self._name, number, sent=number not in unsent))


class Doorkeeper:
    """The listening side: questions of peers come in, replies go back the way they came."""

    def __init__(self, own: str, names: frozenset[str], deliver: Deliver) -> None:
        self.turned_away = 0
        self._own = own
        self._names = names
        self._deliver = deliver
        self._ways_back: dict[tuple[str, int], asyncio.StreamWriter] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        open_questions: set[tuple[str, int]] = set()
        try:
            source = self._greeted(await asyncio.wait_for(read_frame(reader), DIAL_S))
            while True:
                message = decode(await read_frame(reader))
                way_back = (source, message.number)
                open_questions.add(way_back)
                self._ways_back[way_back] = writer
                self._deliver(Received(source, message))
                open_questions &= self._ways_back.keys()
        except ValueError as error:
            self.turned_away += 1
            writer.write(frame(json.dumps(["turned away", str(error)]).encode()))
        except (OSError, EOFError):
            pass
        finally:
            for way_back in open_questions:
                self._ways_back.pop(way_back, None)
            writer.close()

    def reply(self, target: str, reply: Message) -> None:
        """Send a reply if the connection its question came on is still there."""
        writer = self._ways_back.pop((target, reply.number), None)
        if writer is not None and not writer.is_closing():
            writer.write(frame(encode(reply)))

    def _greeted(self, data: bytes) -> str:
        match json.loads(data):
            case ["hello", str(source), self._own] if source in self._names - {self._own}:
                return source
        raise ValueError(f"not a peer's greeting: {data[:80]!r}")


def tls_contexts(
    certificate: str, key: str, authority: str
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """
    Contexts for listening and for dialling, from PEM files.

    Each side must show a certificate of the authority; the one that is dialled must carry its
    node's name. Raises OSError, ssl.SSLError included, for files that cannot be used.
    """
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    dialling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in (listening, dialling):
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return listening, dialling
