"""
What two ends of a TCP connection say to each other first, read off the packets between them.

Owns: telling from the first bytes in which mode a connection was asked for and how that was
answered, whether it came to stand, and that it still carries something. Refuses: what is said
once it stands, and taking a segment apart that is no TCP over IPv4.

Rules: TLS is a client's record of a handshake (RFC 8446 5.1) that offers h2 (RFC 7301), plaintext
is HTTP/2's own preface (RFC 9113 3.4). Anything else is nobody's who speaks HTTP/2: probes of
chaoskit, which look at a port by TLS without asking for a protocol, or by HTTP/1. A connection that
was there before the first packet is told by a later one: records of TLS, or frames of HTTP/2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

_TCP, _IPV4 = 6, 4
_FIN, _SYN, _RST = 0x01, 0x02, 0x04
_HANDSHAKE, _APPLICATION_DATA = 0x16, 0x17
_RECORD_BYTES, _FRAME_BYTES = 5, 9
_OFFERS_H2 = b"\x02h2"
_PREFACE = b"PRI * HTTP/2.0\r\n"
_SETTINGS, _FRAME_KINDS = 0x4, 10
_ASKED_BYTES_AT_MOST = 8192


class Mode(StrEnum):
    """How a connection was asked for."""

    TLS = "tls"
    PLAINTEXT = "plaintext"


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment: from where to where (address, port), whether it opens or ends, its data."""

    source: tuple[str, int]
    target: tuple[str, int]
    opens: bool
    ends: bool
    data: bytes


def segment_of(packet: bytes) -> Segment | None:
    """The segment in a packet that begins with its IP header; None for what is no TCP over IPv4."""
    if len(packet) < 40 or packet[0] >> 4 != _IPV4 or packet[9] != _TCP:
        return None
    head = (packet[0] & 0x0F) * 4
    length = int.from_bytes(packet[2:4], "big") or len(packet)
    tcp = packet[head:length]
    if len(tcp) < 20:
        return None
    flags, data = tcp[13], tcp[(tcp[12] >> 4) * 4 :]
    return Segment(
        source=(_dotted(packet[12:16]), int.from_bytes(tcp[0:2], "big")),
        target=(_dotted(packet[16:20]), int.from_bytes(tcp[2:4], "big")),
        opens=bool(flags & _SYN),
        ends=bool(flags & (_FIN | _RST)),
        data=data,
    )


def _dotted(address: bytes) -> str:
    return ".".join(str(one) for one in address)


@dataclass(slots=True)
class Conversation:
    """
    One connection, from what was heard of it; `from_its_start`: from its first packet on.

    `turns`: how often the asked end answered what the asking one had said before.
    """

    from_its_start: bool
    turns: int = 0
    _asked: bytearray = field(default_factory=bytearray)
    _answer: bytes = b""
    _waits: bool = False
    _past_handshake: bool = False

    def ask(self, data: bytes) -> None:
        """The end that opened it says this."""
        if self.from_its_start and not self.turns and len(self._asked) < _ASKED_BYTES_AT_MOST:
            self._asked += data  # a server of HTTP/2 may have greeted by then
        elif not self.from_its_start and self.mode is None:
            self._asked = bytearray(data)
        self._waits = True

    def answer(self, data: bytes) -> None:
        """The other end says this."""
        if self._waits:
            self.turns += 1
            if self.turns > 1 and data[0] == _APPLICATION_DATA:
                self._past_handshake = True
        self._answer = self._answer or data
        self._waits = False

    @property
    def mode(self) -> Mode | None:
        """In which mode it was asked for; None while that is not known, or for neither."""
        asked = bytes(self._asked)
        if not self.from_its_start:
            return _mode_within(asked)
        if asked.startswith(_PREFACE):
            return Mode.PLAINTEXT
        offers = len(asked) > _RECORD_BYTES and asked[0] == _HANDSHAKE and _OFFERS_H2 in asked
        return Mode.TLS if offers else None

    @property
    def stands(self) -> bool:
        """
        Whether it came to stand: both ends speak, in the mode that was asked for.

        By TLS that is an answer in TLS, and to what the asking end said then another one that is
        no handshake any more; in plaintext settings of HTTP/2, which nothing else begins with.
        """
        mode = self.mode
        if not self.from_its_start:
            return mode is not None and self.turns > 0
        if mode is Mode.TLS:
            return self._answer[:1] == bytes([_HANDSHAKE]) and self._past_handshake
        return mode is Mode.PLAINTEXT and _is_frame(self._answer, _SETTINGS)

    @property
    def met(self) -> str:
        """What its first bytes were answered with, in a word."""
        if not self._answer:
            return "nothing"
        if self._answer[0] == _HANDSHAKE:
            return "tls"
        if self._answer.startswith(b"HTTP/1."):
            return "http/1"
        return "http/2" if _is_frame(self._answer, _SETTINGS) else "other"


def _mode_within(said: bytes) -> Mode | None:
    """The mode of a connection that stands, by something that was said in it."""
    if len(said) > _RECORD_BYTES and said[0] == _APPLICATION_DATA and said[1] == 3:
        return Mode.TLS
    return Mode.PLAINTEXT if any(_is_frame(said, kind) for kind in range(_FRAME_KINDS)) else None


def _is_frame(said: bytes, kind: int) -> bool:
    """Whether it begins as a frame of HTTP/2 of that kind does (RFC 9113 4.1)."""
    short = len(said) >= _FRAME_BYTES and said[:1] == b"\0"  # under 64 kB
    return short and said[3] == kind and said[5] & 0x80 == 0
