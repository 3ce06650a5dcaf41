"""JSON over HTTP, against servers on loopback that answer well, badly, late or not at all."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaoskit import clock
from chaoskit.certificates import Authority
from chaoskit.http import HttpClient, NoAnswer, observe_json
from chaoskit.system import Endpoint, Observation, Unobserved
from tests.fakes import own_prefix, serving

_AREA = own_prefix("http")
ADDRESS, NOBODY, PORT = f"{_AREA}.4", f"{_AREA}.9", 18092
URL = f"http://{ADDRESS}:{PORT}/status"
LONG_S = 30.0  # no machine takes that long for what is meant to be done in time


def answer(status: str, body: bytes, *headers: str) -> Callable[[socket.socket], None]:
    # It answers once and hangs up, and says so: else the client may ask again on this connection.
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [*headers, "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)

    return behave


@contextmanager
def client(timeout_s: float = LONG_S) -> Iterator[HttpClient]:
    made = HttpClient(timeout_s)
    try:
        yield made
    finally:
        made.close()


def test_a_status_that_is_no_success_is_an_answer() -> None:
    with serving(ADDRESS, PORT, answer("503 x", b'{"why": "full"}')), client() as http:
        assert http.get(URL) == (503, {"why": "full"})


def test_what_is_posted_arrives_as_json() -> None:
    got: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        got.append(b"")
        while not got[-1].endswith(b"}"):
            got[-1] += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\n{}")

    with serving(ADDRESS, PORT, behave), client() as http:
        assert http.post(URL, {"key": "ä"}) == (200, {})
    assert got[0].startswith(b"POST /status HTTP/1.1\r\n")
    assert got[0].endswith(b'{"key": "\\u00e4"}')


def test_a_list_is_wrapped_and_text_is_text() -> None:
    with serving(ADDRESS, PORT, answer("200 x", b"[1, 2]")), client() as http:
        assert http.get(URL) == (200, {"answer": [1, 2]})
        assert http.text(URL) == (200, "[1, 2]")


def test_a_redirect_is_an_answer_and_nobody_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://{NOBODY}:1")  # nor goes by a proxy
    with (
        serving(ADDRESS, PORT, answer("302 x", b"{}", f"Location: http://{NOBODY}:1/")),
        client() as http,
    ):
        assert http.get(URL) == (302, {})


def reset(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("behave", "cause"),
    [
        (lambda connection: connection.recv(1), "closed"),
        (reset, "closed"),
        (answer("200 x", b"<html>"), "garbled"),
        (answer("200 x", b""), "garbled"),
    ],
    ids=["closed", "reset", "no JSON", "empty"],
)
def test_why_no_answer_came(behave: Callable[[socket.socket], None], cause: str) -> None:
    with serving(ADDRESS, PORT, behave), client() as http, pytest.raises(NoAnswer) as caught:
        http.get(URL)
    assert caught.value.cause == cause
    assert URL in str(caught.value)


def test_nobody_listens() -> None:
    with client() as http, pytest.raises(NoAnswer) as caught:
        http.get(URL)
    assert caught.value.cause == "refused"


def test_who_says_nothing_is_waited_for_as_long_as_was_said() -> None:
    def behave(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    begun_s = clock.monotonic()
    with (
        serving(ADDRESS, PORT, behave),
        client(0.2) as http,
        pytest.raises(NoAnswer) as caught,
    ):
        http.get(URL)
    assert caught.value.cause == "timed_out"
    assert clock.monotonic() - begun_s >= 0.2


# -- over TLS ------------------------------------------------------------------------------------

SECURE = URL.replace("http:", "https:")


@pytest.fixture
def shown(tmp_path: Path) -> ssl.SSLContext:
    """A server's side, with a certificate that expired, for another name, of an unknown issuer."""
    leaf = Authority().issue(["nobody.invalid"], [], kind="expired")
    file = tmp_path / "served.pem"
    file.write_bytes(leaf.certificate_pem + leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_whoever_answers_over_tls_is_heard_without_a_warning(shown: ssl.SSLContext) -> None:
    said = answer("200 x", b'{"height": 7}')

    def behave(connection: socket.socket) -> None:
        with shown.wrap_socket(connection, server_side=True) as session:
            said(session)

    with serving(ADDRESS, PORT, behave), client() as http:
        assert http.get(SECURE) == (200, {"height": 7})


def test_what_speaks_no_tls_is_told_from_what_hangs_up() -> None:
    with serving(ADDRESS, PORT, answer("400 x", b"")), client() as http:
        with pytest.raises(NoAnswer) as caught:
            http.get(SECURE)
        assert caught.value.cause == "no_tls"
    with client() as http, pytest.raises(NoAnswer) as caught:
        http.get(SECURE)
    assert caught.value.cause == "refused"


# -- an observer out of a path and a function ----------------------------------------------------

OBSERVE = observe_json(
    "client", "/status", lambda said: Observation(ready=said["ready"], progress=said["height"])
)
NODE = Endpoint("n1", ADDRESS, {"client": PORT})


def test_an_observation_is_read_from_the_document() -> None:
    with serving(ADDRESS, PORT, answer("200 x", b'{"ready": true, "height": 7}')):
        assert OBSERVE(NODE, LONG_S) == Observation(ready=True, progress=7)


@pytest.mark.parametrize(
    ("behave", "cause"),
    [
        (answer("503 x", b'{"ready": true, "height": 7}'), "status 503"),
        (answer("200 x", b'{"ready": true}'), "error"),
        (answer("200 x", b"no"), "garbled"),
    ],
    ids=["status", "a key is missing", "no JSON"],
)
def test_a_sample_that_failed(behave: Callable[[socket.socket], None], cause: str) -> None:
    with serving(ADDRESS, PORT, behave), pytest.raises(Unobserved) as caught:
        OBSERVE(NODE, LONG_S)
    assert caught.value.cause == cause
