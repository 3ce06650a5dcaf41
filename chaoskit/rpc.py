"""
A call of gRPC, in HTTP/2 over TLS, by a name that no server knows (RFC 9113, RFC 7541).

Owns: one bounded exchange of our own, and the HTTP status that it ends with. Refuses: plaintext,
and understanding an answer beyond its status. A server of gRPC answers such a call with status 200
(and, behind that, that it does not know it); who answers with another one has not asked a server of
gRPC, or could not.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from chaoskit.exchange import LONGEST_EXCHANGE, Connect, Ended, Outcome, Probe

SERVED = 200
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD_BYTES = 9  # length (3), type (1), flags (1), stream (4)
_DATA, _HEADERS, _RESET, _SETTINGS, _GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x7
_END_STREAM, _END_HEADERS = 0x1, 0x4
_PADDED, _PRIORITY = 0x8, 0x20
_STREAM = 1
_FRAME_BYTES_AT_MOST = 16_384
_EMPTY_MESSAGE = bytes(5)
_PATH = "/chaoskit.Nobody/Knows"
# The static table's entries 8 to 14 are whole: a status each.
_STATUSES = (200, 204, 206, 304, 400, 404, 500)
_STATUS_NAMES = range(8, 15)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What became of the call: its HTTP `status`, where there was one that could be read.

    Without: `kind` says why; timed_out, reset, closed (also by a goodbye), refused. A status may be
    0: nginx 1.22 sends "000" for an answer of HTTP/0.9.
    """

    status: int | None
    kind: Outcome
    took_s: float

    def __str__(self) -> str:
        return self.kind.value if self.status is None else f"HTTP status {self.status}"


def call(
    address: str,
    port: int,
    *,
    timeout_s: float,
    server_name: str,
    connect: Connect = socket.create_connection,
) -> Answer:
    """Make the call, to an IP, whatever certificate is shown; `timeout_s` bounds all of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with Probe(address, port, timeout_s, connect) as probe:
        try:
            spoken = _Spoken(probe, context, server_name)
            return Answer(spoken.asked(), Outcome.ANSWERED, probe.took_s())
        except Ended as end:
            return Answer(None, end.outcome, probe.took_s())
        except ssl.SSLError:
            return Answer(None, Outcome.PLAINTEXT, probe.took_s())


class _Spoken:
    """TLS over a probe's connection, whose bytes pass through memory."""

    def __init__(self, probe: Probe, context: ssl.SSLContext, server_name: str) -> None:
        self._probe = probe
        self._server_name = server_name
        self._connection = probe.dial()
        self._read, self._written = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._read, self._written, server_hostname=server_name)

    def asked(self) -> int | None:
        """The status that the call ended with. Raises Ended, ssl.SSLError."""
        for _chunk in range(LONGEST_EXCHANGE):
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._exchange()
        request = _frame(_HEADERS, _END_HEADERS, _request(self._server_name))
        message = _frame(_DATA, _END_STREAM, _EMPTY_MESSAGE)
        self._tls.write(_PREFACE + _frame(_SETTINGS, 0, b"") + request + message)
        held = b""
        for _chunk in range(LONGEST_EXCHANGE):
            try:
                held += self._tls.read(_FRAME_BYTES_AT_MOST)
            except ssl.SSLWantReadError:
                self._exchange()
            except ssl.SSLZeroReturnError:
                raise Ended(Outcome.CLOSED) from None
            while len(held) >= _HEAD_BYTES:
                length = int.from_bytes(held[:3], "big")
                if length > _FRAME_BYTES_AT_MOST:
                    raise Ended(Outcome.CLOSED)  # whatever this is, it is no HTTP/2
                if len(held) < _HEAD_BYTES + length:
                    break
                kind, flags = held[3], held[4]
                payload = held[_HEAD_BYTES : _HEAD_BYTES + length]
                held = held[_HEAD_BYTES + length :]
                if kind == _HEADERS:
                    return _status(payload, flags)
                if kind == _GOAWAY:
                    raise Ended(Outcome.CLOSED)
                if kind == _RESET:
                    raise Ended(Outcome.RESET)
        raise Ended(Outcome.CLOSED)

    def _exchange(self) -> None:
        """Send what is to be sent, and receive something."""
        if self._written.pending:
            self._probe.send(self._connection, self._written.read(), self._probe.ends_s)
        self._read.write(self._probe.receive(self._connection, self._probe.ends_s))


def _frame(kind: int, flags: int, payload: bytes) -> bytes:
    stream = 0 if kind == _SETTINGS else _STREAM
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _request(authority: str) -> bytes:
    """The call's headers, each spelt out: no table is kept."""
    fields = (
        (":method", "POST"),
        (":scheme", "https"),
        (":path", _PATH),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    )
    return b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields
    )


def _status(payload: bytes, flags: int) -> int | None:
    """The status, which comes first in an answer's headers; None for one spelt otherwise."""
    begin = (1 if flags & _PADDED else 0) + (5 if flags & _PRIORITY else 0)
    block = payload[begin:]
    while block[:1] and block[0] & 0xE0 == 0x20:  # the table's size
        block = block[1:]
    if not block:
        return None
    first = block[0]
    if first & 0x80:
        index = first & 0x7F
        return _STATUSES[index - 8] if index in _STATUS_NAMES else None
    name = first & (0x3F if first & 0x40 else 0x0F)
    if name not in _STATUS_NAMES or block[1:2] != b"\x03" or not block[2:5].isdigit():
        return None
    return int(block[2:5])
