"""A call that no server knows: its status from real servers, and what is no answer."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from chaoskit.certificates import Authority
from chaoskit.exchange import Outcome
from chaoskit.rpc import SERVED, Answer, call

HOST = "127.0.0.1"
GOODBYE = b"\0\0\x08\x07\0\0\0\0\0" + bytes(8)
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


def asked(port: int, *, timeout_s: float = 30.0) -> Answer:
    return call(HOST, port, timeout_s=timeout_s, server_name=HOST)


def headers(block: bytes, flags: int = 0x4) -> bytes:
    return SETTINGS + len(block).to_bytes(3, "big") + bytes([1, flags, 0, 0, 0, 1]) + block


@contextmanager
def answering(tmp_path: Path, answer: bytes, *, tls: bool = True) -> Iterator[int]:
    """A server that reads once and then sends these bytes to each that connects; its port."""
    own = Authority().issue([], [HOST])
    (tmp_path / "pair.pem").write_bytes(own.key_pem + own.certificate_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "pair.pem")
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                if not tls:
                    connection.recv(1000)
                    connection.sendall(answer)
                    return
                with context.wrap_socket(connection, server_side=True) as spoken:
                    spoken.recv(1000)
                    spoken.sendall(answer)
                    spoken.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join()


def test_a_server_of_grpc_answers_what_it_does_not_know() -> None:
    own = Authority().issue([], [HOST])
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        credentials = grpc.ssl_server_credentials([(own.key_pem, own.certificate_pem)])
        port = server.add_secure_port(f"{HOST}:0", credentials)
        server.start()
        try:
            assert asked(port).status == SERVED
        finally:
            server.stop(0).wait()


@pytest.mark.parametrize(
    ("block", "flags", "status"),
    [
        (b"\x88", 0x4, 200),
        (b"\x8c", 0x4, 400),
        (b"\x48\x03502", 0x4, 502),
        (b"\x08\x03009", 0x4, 9),
        (b"\x20\x18\x03503\x00", 0x4, 503),
        (b"\x02\x8d\x00\x00", 0xC, 404),
        (b"\0\0\0\0\x10\x8e", 0x24, 500),
        (b"\x08\x03000", 0x4, 0),
        (b"\x48\x82\x40\x01", 0x4, None),
        (b"", 0x4, None),
    ],
)
def test_the_status_as_servers_spell_it(
    tmp_path: Path, block: bytes, flags: int, status: int | None
) -> None:
    with answering(tmp_path, headers(block, flags)) as port:
        answer = asked(port)
        assert (answer.status, answer.kind) == (status, Outcome.ANSWERED)


@pytest.mark.parametrize(
    ("said", "tls", "kind"),
    [
        (GOODBYE, True, Outcome.CLOSED),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", True, Outcome.CLOSED),
        (b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x01", True, Outcome.RESET),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, Outcome.PLAINTEXT),
    ],
)
def test_what_is_no_answer(tmp_path: Path, said: bytes, *, tls: bool, kind: Outcome) -> None:
    with answering(tmp_path, said, tls=tls) as port:
        answer = asked(port)
        assert (answer.status, answer.kind, str(answer)) == (None, kind, kind.value)


def test_silence_is_waited_for_as_long_as_was_said() -> None:
    with socket.create_server((HOST, 0)) as listener:
        answer = asked(listener.getsockname()[1], timeout_s=0.2)
        assert (answer.status, answer.kind) == (None, Outcome.TIMED_OUT)


def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        assert asked(bound.getsockname()[1]).kind is Outcome.REFUSED
