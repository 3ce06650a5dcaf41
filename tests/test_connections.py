"""Batches of requests on kept connections, against a server whose answers wait for each other."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chaoskit import connections
from chaoskit.clock import monotonic, wait_until
from chaoskit.connections import AT_ONCE, Answer, Connections, Outcome, Request

LONG_S = 30.0  # no machine takes that long for what is meant to be done in time


@dataclass
class Told:
    """What the server was asked, and by how many connections."""

    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    accepted: list[object] = field(default_factory=list)
    together: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))
    release: threading.Event = field(default_factory=threading.Event)
    answered: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    told: Told

    def setup(self) -> None:
        super().setup()
        self.told.accepted.append(self.client_address)

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.told.asked.append((self.command, self.path, body))
        if self.path == "/together":
            self.told.together.wait(LONG_S)
        if self.path == "/never":
            self.told.release.wait(2 * LONG_S)
        if self.path == "/garbled":
            self.wfile.write(b"what?\r\n\r\n")
            self.told.answered.append(self.path)
            self.close_connection = True
            return
        self.send_response(404 if self.path == "/missing" else 200)
        said = f"{self.command} {self.path}".encode()
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
        self.told.answered.append(self.path)
        self.close_connection = self.path == "/last"

    do_GET = do_PATCH = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 4 * AT_ONCE


@contextmanager
def serving() -> Iterator[tuple[Connections, Told]]:
    told = Told()
    server = Server(("127.0.0.1", 0), type("Here", (Handler,), {"told": told}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    kept = Connections("127.0.0.1", server.server_port, timeout_s=LONG_S)
    try:
        yield kept, told
    finally:
        told.release.set()
        kept.close()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_batch_is_asked_before_it_is_answered_and_answered_in_order() -> None:
    with serving() as (kept, told):
        told.together = threading.Barrier(5)  # nobody is answered before all five have asked
        batch = [Request("PATCH", "/together", {"n": n}) for n in range(5)]
        assert kept.ask(batch) == [Answer(200, b"PATCH /together")] * 5
        assert {body for _, _, body in told.asked} == {b'{"n": %d}' % n for n in range(5)}
        assert kept.ask([Request("GET", "/a"), Request("GET", "/missing")]) == [
            Answer(200, b"GET /a"),
            Answer(404, b"GET /missing"),
        ]
        assert len(told.accepted) == 5, "kept for the next batch"


def test_more_than_fit_at_once_are_asked_in_turns() -> None:
    with serving() as (kept, told):
        batch = [Request("GET", f"/{n}") for n in range(2 * AT_ONCE + 1)]
        assert kept.ask(batch) == [Answer(200, b"GET /%d" % n) for n in range(2 * AT_ONCE + 1)]
        assert len(told.accepted) == AT_ONCE


def test_one_that_fails_fails_alone_and_its_connection_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receive = Connections._receive

    def late(self: Connections, connection: HTTPConnection, deadline_s: float) -> Outcome:
        """When answers are waited for the time is nearly over, and those that come are there."""
        wait_until(lambda: len(told.answered) >= 2, what="two answers", timeout_s=LONG_S)
        monkeypatch.setattr(connections, "monotonic", lambda: monotonic() + LONG_S - 0.3)
        return receive(self, connection, deadline_s)

    monkeypatch.setattr(Connections, "_receive", late)
    with serving() as (kept, told):
        never, garbled, fine = kept.ask(
            [Request("GET", "/never"), Request("GET", "/garbled"), Request("GET", "/fine")]
        )
        assert isinstance(never, TimeoutError)
        assert isinstance(garbled, Exception)
        assert not isinstance(garbled, TimeoutError)
        assert fine == Answer(200, b"GET /fine")
        assert kept.ask([Request("GET", "/a"), Request("GET", "/b")]) == [
            Answer(200, b"GET /a"),
            Answer(200, b"GET /b"),
        ]
        assert len(told.accepted) == 4, "one of three was kept"


def test_a_connection_that_the_server_has_closed_is_replaced() -> None:
    with serving() as (kept, told):
        assert kept.ask([Request("GET", "/last")]) == [Answer(200, b"GET /last")]
        (one,) = kept._kept
        wait_until(one.stale, what="the server's close", timeout_s=LONG_S)
        assert kept.ask([Request("GET", "/after")]) == [Answer(200, b"GET /after")]
        assert len(told.accepted) == 2


def test_one_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (kept, told):
        kept.ask([Request("GET", "/a")])
        monkeypatch.setattr(connections, "IDLE_LIMIT_S", -1.0)
        kept.ask([Request("GET", "/b")])
        assert len(told.accepted) == 2


def test_nobody_there_is_an_outcome() -> None:
    with socket.socket() as bound:  # nobody else's, and not listening
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        (outcome,) = Connections("127.0.0.1", port, timeout_s=LONG_S).ask([Request("GET", "/")])
    assert isinstance(outcome, ConnectionRefusedError)
