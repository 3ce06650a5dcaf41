"""First bytes of connections: who speaks what, whether both ends do, and what was met instead."""

from __future__ import annotations

import socket
import ssl

import pytest

from chaoskit.conversation import Conversation, Mode, Segment, segment_of

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
DATA = b"\x17\x03\x03\0\x20" + b"x" * 32
SERVER_HELLO = b"\x16\x03\x03\0\x7a" + b"x" * 122


def hello(*protocols: str) -> bytes:
    """What OpenSSL says first as a client that offers these protocols."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    out = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="n1")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return out.read()


def heard(*said: bytes, from_its_start: bool = True) -> Conversation:
    """A connection whose ends say these in turn, the asking one first."""
    found = Conversation(from_its_start)
    for number, data in enumerate(said):
        (found.answer if number % 2 else found.ask)(data)
    return found


def test_tls_stands_when_more_than_the_handshake_was_answered() -> None:
    found = heard(hello("h2"), SERVER_HELLO, DATA, DATA)
    assert (found.mode, found.stands, found.met) == (Mode.TLS, True, "tls")
    assert not heard(hello("h2"), SERVER_HELLO, DATA).stands
    assert not heard(hello("h2"), SERVER_HELLO, hello("h2"), SERVER_HELLO).stands, "asked again"
    split = Conversation(from_its_start=True)
    for part in (hello("grpc-exp", "h2")[:90], hello("grpc-exp", "h2")[90:]):
        split.ask(part)
    assert split.mode is Mode.TLS


def test_plaintext_stands_when_it_was_answered_with_settings() -> None:
    found = heard(PREFACE + SETTINGS, SETTINGS)
    assert (found.mode, found.stands, found.met) == (Mode.PLAINTEXT, True, "http/2")


@pytest.mark.parametrize(
    ("asked", "mode", "stands"),
    [(PREFACE + SETTINGS, Mode.PLAINTEXT, True), (hello("h2"), Mode.TLS, False)],
)
def test_a_server_may_greet_before_it_is_asked(asked: bytes, mode: Mode, *, stands: bool) -> None:
    found = Conversation(from_its_start=True)
    found.answer(SETTINGS)
    assert (found.mode, found.stands) == (None, False)
    found.ask(asked[:5])
    found.ask(asked[5:])
    assert (found.mode, found.stands, found.met) == (mode, stands, "http/2")


@pytest.mark.parametrize(
    ("asked", "answer", "mode", "met"),
    [
        (PREFACE, b"HTTP/1.1 400 Bad Request\r\n", Mode.PLAINTEXT, "http/1"),
        (PREFACE, b"\x15\x03\x01\0\x02\x02\x46", Mode.PLAINTEXT, "other"),
        (hello("h2"), SETTINGS, Mode.TLS, "http/2"),
    ],
)
def test_an_answer_in_another_mode_is_no_connection(
    asked: bytes, answer: bytes, mode: Mode, met: str
) -> None:
    found = heard(asked, answer)
    assert (found.mode, found.stands, found.met) == (mode, False, met)
    assert heard(asked).met == "nothing"


@pytest.mark.parametrize("asked", [hello(), hello("http/1.1"), b"GET / HTTP/1.0\r\n\r\n", b""])
def test_what_a_probe_of_ours_says_is_nobody_s(asked: bytes) -> None:
    found = heard(asked, SERVER_HELLO, DATA, DATA)
    assert (found.mode, found.stands) == (None, False)


def test_a_connection_that_was_there_before_is_told_by_what_it_carries() -> None:
    found = heard(DATA, DATA, from_its_start=False)
    assert (found.mode, found.stands) == (Mode.TLS, True)
    frame = b"\0\0\x10\x01\x04\0\0\0\x05" + b"x" * 16
    assert heard(frame, frame, from_its_start=False).mode is Mode.PLAINTEXT
    assert heard(b"xxxx", DATA, from_its_start=False).mode is None
    assert not heard(DATA, from_its_start=False).stands
    late = Conversation(from_its_start=False)
    late.answer(DATA)
    for said in (b"the rest of something", DATA, b"the rest of this"):
        late.ask(said)
        late.answer(DATA)
    assert (late.mode, late.stands) == (Mode.TLS, True)


def packet(data: bytes, *, flags: int, options: bytes = b"", protocol: int = 6) -> bytes:
    """A packet from 10.0.0.1:5000 to 10.0.0.2:4444."""
    offset = (20 + len(options)) // 4 << 4
    tcp = b"\x13\x88\x11\x5c" + b"\0" * 8 + bytes([offset, flags]) + b"\0" * 6 + options + data
    head = b"\x45\0" + (20 + len(tcp)).to_bytes(2, "big") + b"\0" * 5 + bytes([protocol]) + b"\0\0"
    return head + socket.inet_aton("10.0.0.1") + socket.inet_aton("10.0.0.2") + tcp


def test_segments_are_taken_out_of_packets() -> None:
    one, other = ("10.0.0.1", 5000), ("10.0.0.2", 4444)
    assert segment_of(packet(b"", flags=0x02)) == Segment(
        one, other, opens=True, ends=False, data=b""
    )
    padded = packet(b"said", flags=0x18, options=b"\x01" * 12) + b"\0" * 6
    assert segment_of(padded) == Segment(one, other, opens=False, ends=False, data=b"said")
    for flag in (0x11, 0x14):
        found = segment_of(packet(b"", flags=flag))
        assert found is not None
        assert found.ends
    assert segment_of(packet(b"", flags=0x02, protocol=17)) is None
    assert segment_of(b"\x60" + b"\0" * 60) is None
    assert segment_of(b"\x45\0\0\x14") is None
