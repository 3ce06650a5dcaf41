"""
A question to a port that speaks HTTP/2 in plaintext (RFC 9113): a ping, which needs an answer.

Owns: one bounded exchange of our own. Refuses: requests, streams and TLS. An HTTP/2 server greets
whoever connects, so its first bytes say nothing of whether ours reach it; the acknowledgement of
our ping does.
"""

from __future__ import annotations

import os
import socket

from chaoskit.exchange import LONGEST_EXCHANGE, Connect, Ended, Outcome, Probe
from chaoskit.handshake import Dial

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD_BYTES = 9  # length (3), type (1), flags (1), stream (4)
_SETTINGS, _PING, _GOAWAY = 0x4, 0x6, 0x7
_PADDING = 0xFB  # a type that no standard knows: it must be ignored (section 5.5)
_ACKNOWLEDGED = 0x1
_PING_BYTES = 8
_FRAME_BYTES_AT_MOST = 16_384


def _frame(kind: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, 0, 0, 0, 0, 0]) + payload


def ping(
    address: str,
    port: int,
    *,
    timeout_s: float,
    padding_bytes: int = 0,
    connect: Connect = socket.create_connection,
) -> Dial:
    """
    Connect, greet, send `padding_bytes` that mean nothing and a ping, await its acknowledgement.

    Answers answered, closed (also for a server that says goodbye, or speaks something else), or as
    `handshake.dial`. `timeout_s` bounds all of it; `address` is an IP.
    """
    token = os.urandom(_PING_BYTES)
    padding = b"".join(
        _frame(_PADDING, bytes(min(_FRAME_BYTES_AT_MOST, padding_bytes - begun)))
        for begun in range(0, padding_bytes, _FRAME_BYTES_AT_MOST)
    )
    with Probe(address, port, timeout_s, connect) as probe:
        try:
            connection = probe.dial()
            hello = _PREFACE + _frame(_SETTINGS, b"") + padding + _frame(_PING, token)
            probe.send(connection, hello, probe.ends_s)
            _await_acknowledgement(probe, connection, token)
        except Ended as end:
            return Dial(end.outcome, probe.took_s())
        return Dial(Outcome.ANSWERED, probe.took_s())


def _await_acknowledgement(probe: Probe, connection: socket.socket, token: bytes) -> None:
    """Read frames until the ping's acknowledgement. Raises Ended."""
    held = b""
    for _chunk in range(LONGEST_EXCHANGE):
        while len(held) >= _HEAD_BYTES:
            length = int.from_bytes(held[:3], "big")
            if length > _FRAME_BYTES_AT_MOST:
                raise Ended(Outcome.CLOSED)  # whatever this is, it is no HTTP/2
            if len(held) < _HEAD_BYTES + length:
                break
            kind, flags = held[3], held[4]
            payload, held = held[_HEAD_BYTES : _HEAD_BYTES + length], held[_HEAD_BYTES + length :]
            if kind == _PING and flags & _ACKNOWLEDGED and payload == token:
                return
            if kind == _GOAWAY:
                raise Ended(Outcome.CLOSED)
        held += probe.receive(connection, probe.ends_s)
    raise Ended(Outcome.CLOSED)
