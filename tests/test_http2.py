"""A ping to a port of HTTP/2: answered by who reads it, not by who merely greets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from chaoskit import http2
from chaoskit.handshake import Outcome

GREETING = b"\0\0\0\x04\0\0\0\0\0"  # SETTINGS, empty
GOODBYE = b"\0\0\x08\x07\0\0\0\0\0" + bytes(8)
HOST = "127.0.0.1"
LONG_S = 30.0  # no machine takes that long for what is meant to be done in time
Handler = Callable[[socket.socket], None]


@contextmanager
def serving(handle: Handler) -> Iterator[int]:
    """A server for one connection on loopback; answers its port."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(2 * LONG_S)
            handle(connection)

    with socket.create_server((HOST, 0)) as listener, ThreadPoolExecutor(1) as pool:
        served = pool.submit(serve)
        yield listener.getsockname()[1]
        served.result(timeout=LONG_S)


def until_closed(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


def greets(connection: socket.socket) -> None:
    connection.sendall(GREETING)
    until_closed(connection)


def says_goodbye(connection: socket.socket) -> None:
    connection.sendall(GREETING + GOODBYE)
    until_closed(connection)


def speaks_something_else(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    until_closed(connection)


def closes(connection: socket.socket) -> None:
    connection.recv(65_536)


def acknowledges(alter: Callable[[bytes], bytes]) -> Handler:
    """Answers the ping in two pieces that end anywhere; `alter` changes the token."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(GREETING)
        heard = b""
        while b"\0\0\x08\x06" not in heard or not heard.partition(b"\0\0\x08\x06")[2][5:13]:
            heard += connection.recv(65_536)
        token = heard.partition(b"\0\0\x08\x06")[2][5:13]
        answer = b"\0\0\0\x04\x01\0\0\0\0" + b"\0\0\x08\x06\x01\0\0\0\0" + alter(token)
        connection.sendall(answer[:11])
        connection.sendall(answer[11:])
        until_closed(connection)

    return handle


@pytest.fixture(scope="module")
def grpc_port() -> Iterator[int]:
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        port = server.add_insecure_port(f"{HOST}:0")
        server.start()
        yield port
        server.stop(grace=None).wait(10)


@pytest.mark.parametrize("padding_bytes", [0, 1, 20_000])
def test_a_real_grpc_server_answers(grpc_port: int, padding_bytes: int) -> None:
    met = http2.ping(HOST, grpc_port, timeout_s=LONG_S, padding_bytes=padding_bytes)
    assert met.kind is Outcome.ANSWERED


def test_the_padding_is_sent() -> None:
    heard: list[int] = []

    def handle(connection: socket.socket) -> None:
        count = 0
        while count < 20_000 and (data := connection.recv(65_536)):
            count += len(data)
        heard.append(count)

    with serving(handle) as port:
        http2.ping(HOST, port, timeout_s=LONG_S, padding_bytes=20_000)
    assert heard[0] >= 20_000


@pytest.mark.parametrize(
    ("handle", "kind"),
    [
        (acknowledges(bytes), Outcome.ANSWERED),
        (acknowledges(lambda token: token[::-1]), Outcome.TIMED_OUT),
        (greets, Outcome.TIMED_OUT),
        (until_closed, Outcome.TIMED_OUT),
        (says_goodbye, Outcome.CLOSED),
        (speaks_something_else, Outcome.CLOSED),
        (closes, Outcome.CLOSED),
    ],
)
def test_only_the_acknowledgement_is_an_answer(handle: Handler, kind: Outcome) -> None:
    timeout_s = 0.5 if kind is Outcome.TIMED_OUT else LONG_S
    with serving(handle) as port:
        assert http2.ping(HOST, port, timeout_s=timeout_s).kind is kind


def test_nobody_there_is_refused() -> None:
    with socket.socket() as bound:  # nobody else's, and not listening
        bound.bind((HOST, 0))
        port = bound.getsockname()[1]
        assert http2.ping(HOST, port, timeout_s=LONG_S).kind is Outcome.REFUSED
