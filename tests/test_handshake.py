"""The probes against local servers of every kind, and how gently they leave."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit import exchange, handshake
from chaoskit.certificates import Authority, Credential, Validity, fingerprint
from chaoskit.clock import monotonic
from chaoskit.exchange import Probe
from chaoskit.handshake import (
    Connect,
    Distrust,
    Outcome,
    ProbeFailed,
    Serving,
    ask,
    dial,
    look,
)

HTTP_ANSWER = b"HTTP/1.0 400 Bad Request\r\n\r\nno"
HTTP2_SETTINGS = bytes.fromhex("00000c040000000000000300000064000400100000")
CLIENT_HELLO = 0x16
CLONE_NEWNET = 0x40000000  # linux/sched.h
LONG_S = 30.0  # no machine takes that long for what is meant to be done in time

Handler = Callable[[socket.socket], None]


@dataclass
class Server:
    """A server on loopback: the n-th connection gets the n-th handler, later ones the last."""

    handlers: tuple[Handler, ...]
    port: int
    failures: list[BaseException] = field(default_factory=list)
    """What handlers raised: resets they met, TLS alerts they were sent."""


@contextmanager
def serving(*handlers: Handler) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(handlers, listener.getsockname()[1])
        threads: list[threading.Thread] = []

        def handle(handler: Handler, connection: socket.socket) -> None:
            connection.settimeout(2 * LONG_S)
            with connection:
                try:
                    handler(connection)
                except OSError as error:
                    server.failures.append(error)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                handler = handlers[min(len(threads), len(handlers) - 1)]
                threads.append(threading.Thread(target=handle, args=(handler, connection)))
                threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join(timeout=10)


def until_closed(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def silent(connection: socket.socket) -> None:
    until_closed(connection)


def closing(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.shutdown(socket.SHUT_WR)


def resetting(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def saying(answer: bytes) -> Handler:
    def handler(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)
        until_closed(connection)

    return handler


def speaking_first(connection: socket.socket) -> None:
    connection.sendall(HTTP2_SETTINGS)
    until_closed(connection)


def plaintext_only(on_hello: Handler, answer: bytes = HTTP_ANSWER) -> Handler:
    """Answers plaintext; a TLS hello is left to `on_hello`."""

    def handler(connection: socket.socket) -> None:
        first = connection.recv(1, socket.MSG_PEEK)
        (on_hello if first[:1] == bytes([CLIENT_HELLO]) else saying(answer))(connection)

    return handler


def server_context(
    credential: Credential, tmp_path: Path, *, demands: Authority | None = None
) -> ssl.SSLContext:
    file = tmp_path / "served.pem"
    file.write_bytes(credential.certificate_pem + credential.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if demands:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=demands.certificate_pem.decode())
    return context


def over_tls(
    context: ssl.SSLContext, greeting: bytes = b"", clients: list[bytes] | None = None
) -> Handler:
    def handler(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as session:
            if clients is not None:
                clients.append(session.getpeercert(binary_form=True) or b"")
            session.sendall(greeting)
            until_closed(session)

    return handler


class Later:
    """A clock of the probes alone, that tests put forward."""

    def __init__(self) -> None:
        self.by_s = 0.0

    def __call__(self) -> float:
        return monotonic() + self.by_s


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    made = Later()
    monkeypatch.setattr(exchange, "monotonic", made)
    monkeypatch.setattr(handshake, "monotonic", made)
    return made


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third of its time that a probe waits for the answer to a hello takes a moment."""
    wait = Probe.readable

    def readable(probe: Probe, connections: list[socket.socket], until_s: float) -> bool:
        third_s = probe.began_s + (probe.ends_s - probe.began_s) / 3
        soon_s = monotonic() + 0.1
        return wait(probe, connections, soon_s if abs(until_s - third_s) < 1e-6 else until_s)

    monkeypatch.setattr(Probe, "readable", readable)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def looked(
    server: Server,
    authority: Authority | None = None,
    *,
    server_name: str = "n1",
    credential: Credential | None = None,
    timeout_s: float = LONG_S,
) -> Serving:
    return look(
        "127.0.0.1",
        server.port,
        timeout_s=timeout_s,
        server_name=server_name,
        authority_pem=authority.certificate_pem if authority else None,
        credential=credential,
    )


# --- TLS


def test_a_right_certificate_is_trusted(authority: Authority, tmp_path: Path) -> None:
    leaf = authority.issue(["n1"], ["127.0.0.1"])
    with serving(over_tls(server_context(leaf, tmp_path))) as server:
        for name in ("n1", "127.0.0.1"):
            seen = looked(server, authority, server_name=name)
            assert seen.kind is Outcome.TLS
            assert (seen.trusted, seen.reason) == (True, None)
            assert seen.fingerprint == fingerprint(leaf.certificate_pem)
            assert seen.not_after is not None
            assert 0 < seen.took_s < LONG_S
    assert server.failures == []


@pytest.mark.parametrize(
    ("kind", "foreign", "server_name", "reason"),
    [
        ("valid", True, "n1", Distrust.UNKNOWN_AUTHORITY),
        ("expired", False, "n1", Distrust.EXPIRED),
        ("not_yet_valid", False, "n1", Distrust.NOT_YET_VALID),
        ("valid", False, "n2", Distrust.WRONG_NAME),
        ("valid", False, "127.0.0.2", Distrust.WRONG_NAME),
    ],
)
def test_a_wrong_certificate_is_told_and_why(
    authority: Authority,
    tmp_path: Path,
    kind: Validity,
    foreign: bool,  # noqa: FBT001
    server_name: str,
    reason: Distrust,
) -> None:
    leaf = (Authority() if foreign else authority).issue(["n1"], ["127.0.0.1"], kind=kind)
    with serving(over_tls(server_context(leaf, tmp_path))) as server:
        seen = looked(server, authority, server_name=server_name)
    assert (seen.kind, seen.trusted, seen.reason) == (Outcome.TLS, False, reason)
    assert seen.fingerprint == fingerprint(leaf.certificate_pem)
    assert seen.not_after is not None
    [told] = server.failures
    assert isinstance(told, ssl.SSLError), (
        "the server was sent an alert, it did not just see an end"
    )
    assert not isinstance(told, ssl.SSLEOFError)


def test_without_an_authority_nothing_is_judged(authority: Authority, tmp_path: Path) -> None:
    leaf = authority.issue(["n1"], [], kind="expired")
    with serving(over_tls(server_context(leaf, tmp_path))) as server:
        seen = looked(server)
    assert (seen.kind, seen.trusted, seen.reason) == (Outcome.TLS, None, None)
    assert seen.fingerprint == fingerprint(leaf.certificate_pem)


def test_a_demanded_client_certificate_is_offered_and_not_needed(
    authority: Authority, tmp_path: Path
) -> None:
    """With TLS 1.3 our side completes before the server can object."""
    own, client = authority.issue(["n1"], []), authority.issue(["chaoskit"], [])
    clients: list[bytes] = []
    context = server_context(own, tmp_path, demands=authority)
    with serving(over_tls(context, clients=clients)) as server:
        with_it = looked(server, authority, credential=client)
        without = looked(server, authority)
    for seen in (with_it, without):
        assert (seen.kind, seen.trusted) == (Outcome.TLS, True)
        assert seen.fingerprint == fingerprint(own.certificate_pem)
    assert clients == [ssl.PEM_cert_to_DER_cert(client.certificate_pem.decode())]


def test_an_older_server_that_demands_a_certificate_is_still_tls(
    authority: Authority, tmp_path: Path
) -> None:
    own = authority.issue(["n1"], [])
    context = server_context(own, tmp_path, demands=authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(over_tls(context)) as server:
        refused = looked(server, authority)
        assert (refused.kind, refused.reason) == (Outcome.TLS, Distrust.OTHER)
        assert (refused.fingerprint, refused.trusted) == (None, None)
        assert looked(server, authority, credential=authority.issue(["c"], [])).trusted


def test_an_alert_is_tls() -> None:
    with serving(saying(bytes.fromhex("15030300020228"))) as server:  # fatal handshake_failure
        seen = looked(server)
    assert (seen.kind, seen.reason) == (Outcome.TLS, Distrust.OTHER)


def test_tls_that_breaks_off_halfway_is_tls() -> None:
    def handler(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(bytes.fromhex("160303007a"))
        connection.shutdown(socket.SHUT_WR)

    with serving(handler, closing) as server:
        seen = looked(server)
    assert (seen.kind, seen.reason) == (Outcome.TLS, Distrust.OTHER)


def test_distrust_stands_when_the_server_goes_away_after_it(
    authority: Authority, tmp_path: Path
) -> None:
    tls = over_tls(server_context(authority.issue(["n1"], [], kind="expired"), tmp_path))
    with serving(tls, closing) as server:
        seen = looked(server, authority)
    assert (seen.kind, seen.trusted, seen.reason) == (Outcome.TLS, False, Distrust.EXPIRED)
    assert seen.fingerprint is None


def test_a_slow_network_has_the_whole_time_for_the_second_handshake(
    authority: Authority, tmp_path: Path, later: Later
) -> None:
    """Only the first answer is due in a third of the time: here each dial takes a fifth of it."""
    leaf = authority.issue(["n1"], [], kind="expired")

    def connect(target: tuple[str, int], limit_s: float) -> socket.socket:
        later.by_s += LONG_S / 5
        return socket.create_connection(target, limit_s)

    with serving(over_tls(server_context(leaf, tmp_path))) as server:
        seen = look(
            "127.0.0.1",
            server.port,
            timeout_s=LONG_S,
            server_name="n1",
            authority_pem=authority.certificate_pem,
            connect=connect,
        )
    assert (seen.reason, seen.fingerprint) == (
        Distrust.EXPIRED,
        fingerprint(leaf.certificate_pem),
    )


def test_a_black_hole_after_the_hello_is_a_time_out() -> None:
    # a question in plaintext, which is asked when the first handler is late, gets no answer
    with serving(plaintext_only(saying(bytes.fromhex("160303007a")), b"")) as server:
        assert looked(server, timeout_s=0.3).kind is Outcome.TIMED_OUT


# --- plaintext


@pytest.mark.parametrize(
    "on_hello",
    [saying(HTTP_ANSWER), speaking_first, closing, resetting, silent],
    ids=["complains", "speaks first", "closes", "resets", "is silent"],
)
@pytest.mark.usefixtures("hasty")
def test_plaintext_is_told_whatever_it_does_with_a_hello(
    authority: Authority, on_hello: Handler
) -> None:
    with serving(plaintext_only(on_hello)) as server:
        seen = looked(server, authority)
    assert seen.kind is Outcome.PLAINTEXT
    assert (seen.fingerprint, seen.trusted, seen.reason) == (None, None, None)


@pytest.mark.usefixtures("hasty")
def test_a_tls_server_that_was_paused_is_not_called_plaintext(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS servers answer a plain GET with a plaintext complaint (Go's and nginx do)."""
    assert handshake.GRACE_S > 0.02, "a thread's turn"
    monkeypatch.setattr(handshake, "GRACE_S", LONG_S / 3)  # this machine may be slow
    tls = over_tls(server_context(authority.issue(["n1"], []), tmp_path))
    complained = threading.Event()

    def paused(connection: socket.socket) -> None:
        assert complained.wait(LONG_S)
        threading.Event().wait(0.02)
        tls(connection)

    def complaining(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HTTP_ANSWER)
        complained.set()
        until_closed(connection)

    with serving(paused, complaining) as server:
        seen = looked(server, authority)
    assert (seen.kind, seen.trusted) == (Outcome.TLS, True)


@pytest.mark.usefixtures("hasty")
def test_tls_over_a_slow_link_is_not_called_plaintext(
    authority: Authority, tmp_path: Path, later: Later
) -> None:
    """Every answer takes a third of the time, that to a plain GET too."""
    tls = over_tls(server_context(authority.issue(["n1"], []), tmp_path))
    asked, greeted = threading.Event(), threading.Event()

    def slowly(connection: socket.socket) -> None:
        if connection.recv(1, socket.MSG_PEEK) == bytes([CLIENT_HELLO]):
            assert asked.wait(LONG_S)
            greeted.set()
            tls(connection)
        else:
            later.by_s += LONG_S / 3  # on the clock of the probe
            asked.set()
            assert greeted.wait(LONG_S)
            saying(HTTP_ANSWER)(connection)

    with serving(slowly) as server:
        seen = looked(server, authority)
    assert (seen.kind, seen.trusted) == (Outcome.TLS, True)
    assert asked.is_set()


@pytest.mark.usefixtures("hasty")
def test_tls_that_answers_late_is_heard_beside_a_silent_question(
    authority: Authority, tmp_path: Path
) -> None:
    tls = over_tls(server_context(authority.issue(["n1"], []), tmp_path))
    asked = threading.Event()

    def paused(connection: socket.socket) -> None:
        assert asked.wait(LONG_S)
        tls(connection)

    def swallowing(connection: socket.socket) -> None:
        asked.set()
        until_closed(connection)

    with serving(paused, swallowing) as server:
        seen = looked(server, authority)
    assert (seen.kind, seen.trusted) == (Outcome.TLS, True)
    assert seen.took_s < LONG_S / 2, "the question is given up, not waited for"


@pytest.mark.usefixtures("hasty")
def test_a_slow_complaint_gives_a_slow_hello_more_time(
    authority: Authority, tmp_path: Path, later: Later
) -> None:
    tls = over_tls(server_context(authority.issue(["n1"], []), tmp_path))
    complained = threading.Event()

    def slower(connection: socket.socket) -> None:
        assert complained.wait(LONG_S)
        threading.Event().wait(4 * handshake.GRACE_S)
        tls(connection)

    def slow(connection: socket.socket) -> None:
        connection.recv(65536)
        later.by_s += LONG_S / 3  # on the clock of the probe the complaint takes that long
        connection.sendall(HTTP_ANSWER)
        complained.set()
        until_closed(connection)

    with serving(slower, slow) as server:
        assert looked(server, authority).trusted


def test_tls_that_came_back_meanwhile_is_not_called_plaintext(
    authority: Authority, tmp_path: Path
) -> None:
    tls = over_tls(server_context(authority.issue(["n1"], []), tmp_path))
    for broken in (closing, resetting):
        with serving(broken, saying(HTTP_ANSWER), tls) as server:
            seen = looked(server, authority)
        assert (seen.kind, seen.trusted) == (Outcome.TLS, True)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("on_hello", [closing, silent])
def test_a_server_that_answers_plaintext_with_an_alert_is_tls(on_hello: Handler) -> None:
    with serving(plaintext_only(on_hello, bytes.fromhex("1503010002020a"))) as server:
        seen = looked(server)
    assert (seen.kind, seen.reason) == (Outcome.TLS, Distrust.OTHER)


def test_a_server_of_one_connection_at_a_time_is_not_blocked_by_ours(authority: Authority) -> None:
    turn = threading.Lock()

    def in_turn(connection: socket.socket) -> None:
        with turn:
            plaintext_only(closing)(connection)

    with serving(in_turn) as server:
        assert looked(server, authority).kind is Outcome.PLAINTEXT


# --- neither


@pytest.mark.parametrize(
    ("handler", "kind", "asked"),
    [
        (closing, Outcome.CLOSED, Outcome.CLOSED),
        (resetting, Outcome.RESET, Outcome.RESET),
        (saying(b"x"), Outcome.PLAINTEXT, Outcome.ANSWERED),
    ],
)
def test_a_port_that_accepts_is_told_by_what_follows(
    handler: Handler, kind: Outcome, asked: Outcome
) -> None:
    with serving(handler) as server:
        assert looked(server).kind is kind
        assert dial("127.0.0.1", server.port, timeout_s=LONG_S).kind is Outcome.ACCEPTED
        assert ask("127.0.0.1", server.port, b"GET /\r\n\r\n", timeout_s=LONG_S).kind is asked


class Patience:
    """Sockets that never say anything, and a clock that only waiting for them puts forward."""

    DIAL_S = 0.05

    POLLIN = select.POLLIN

    def __init__(self) -> None:
        self.waited_s = 0.0
        self.wait_s: float | None = None

    def __call__(self) -> float:
        return self.waited_s

    def connect(self, target: tuple[str, int], timeout_s: float) -> Any:
        assert timeout_s >= self.DIAL_S
        self.waited_s += self.DIAL_S
        return self

    def settimeout(self, timeout_s: float) -> None:
        self.wait_s = timeout_s

    def sendall(self, data: bytes) -> None:
        pass

    def recv(self, size_bytes: int) -> bytes:
        assert self.wait_s is not None, "a wait without an end"
        self.waited_s += self.wait_s
        raise TimeoutError

    def poll(self, *timeout_ms: float) -> Any:
        """Both select.poll, without an argument, and its poller's."""
        self.waited_s += sum(timeout_ms) / 1000
        return [] if timeout_ms else self

    def register(self, *_: object) -> None:
        pass

    shutdown = register

    def close(self) -> None:
        pass


@pytest.mark.parametrize("timeout_s", [0.4, 7.0])
def test_a_silent_port_is_waited_for_exactly_as_long_as_asked(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, timeout_s: float
) -> None:
    for probe in (dial, ask, look):
        patience = Patience()
        for module in (exchange, handshake):
            monkeypatch.setattr(module, "monotonic", patience)
        monkeypatch.setattr(exchange, "select", patience)
        more: dict[Callable[..., Any], dict[str, Any]] = {
            dial: {},
            ask: {"request": b"x"},
            look: {"server_name": "n1", "authority_pem": authority.certificate_pem},
        }
        seen = probe("127.0.0.1", 9, timeout_s=timeout_s, connect=patience.connect, **more[probe])
        if probe is dial:
            assert (seen.kind, seen.took_s) == (Outcome.ACCEPTED, patience.DIAL_S)
            left_s = patience.waited_s - patience.DIAL_S
            assert left_s == pytest.approx(exchange.FAREWELL_S), "for it to close too"
        else:
            assert seen.kind is Outcome.TIMED_OUT
            assert seen.took_s == pytest.approx(timeout_s)
            assert patience.waited_s <= timeout_s + exchange.FAREWELL_S + 1e-6


def test_a_silent_server_is_told_from_one_that_ends() -> None:
    with serving(silent) as server:
        assert looked(server, timeout_s=0.4).kind is Outcome.TIMED_OUT
        answer = ask("127.0.0.1", server.port, b"GET /\r\n\r\n", timeout_s=0.4)
        assert answer.kind is Outcome.TIMED_OUT
        assert answer.took_s > 0.35


def all_three(port: int, timeout_s: float, connect: Connect) -> set[Outcome]:
    target = ("127.0.0.1", port)
    return {
        dial(*target, timeout_s=timeout_s, connect=connect).kind,
        ask(*target, b"x", timeout_s=timeout_s, connect=connect).kind,
        look(
            *target, timeout_s=timeout_s, server_name="n1", authority_pem=None, connect=connect
        ).kind,
    }


def test_a_closed_port_refuses() -> None:
    with socket.socket() as bound:  # nobody else's, and not listening
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert all_three(port, LONG_S, socket.create_connection) == {Outcome.REFUSED}


def test_a_full_queue_swallows_the_dial() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as filler:
        filler.connect(full.getsockname())
        port = full.getsockname()[1]
        assert all_three(port, 0.2, socket.create_connection) == {Outcome.TIMED_OUT}


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EHOSTUNREACH, Outcome.UNREACHABLE),
        (errno.ENETUNREACH, Outcome.UNREACHABLE),
        (errno.ETIMEDOUT, Outcome.TIMED_OUT),
        (errno.ECONNRESET, Outcome.RESET),
    ],
)
def test_the_kernel_says_what_it_met(number: int, kind: Outcome) -> None:
    def connect(target: tuple[str, int], timeout_s: float) -> socket.socket:
        raise OSError(number, "as the kernel says")

    assert all_three(9, LONG_S, connect) == {kind}


def test_our_own_failure_is_not_an_outcome() -> None:
    def connect(target: tuple[str, int], timeout_s: float) -> socket.socket:
        raise OSError(errno.EMFILE, "no descriptor left")

    with pytest.raises(ProbeFailed, match="from here"):
        dial("127.0.0.1", 9, timeout_s=LONG_S, connect=connect)


def test_names_are_refused() -> None:
    with pytest.raises(ValueError, match="localhost"):
        dial("localhost", 9, timeout_s=1.0)


def test_a_broken_authority_or_credential_is_our_own_failure(authority: Authority) -> None:
    with pytest.raises(ProbeFailed):
        look("127.0.0.1", 9, timeout_s=1, server_name="n1", authority_pem=b"-----BEGIN")
    mixed = Credential(authority.issue(["a"], []).certificate_pem, b"no key")
    with pytest.raises(ProbeFailed):
        look(
            "127.0.0.1",
            9,
            timeout_s=1,
            server_name="n1",
            authority_pem=None,
            credential=mixed,
        )


# --- manners


def test_connections_are_made_by_the_caller_in_its_thread() -> None:
    """The thread may have entered another network namespace."""
    threads: list[int] = []

    def connect(target: tuple[str, int], timeout_s: float) -> socket.socket:
        threads.append(threading.get_ident())
        assert 0 < timeout_s <= LONG_S
        return socket.create_connection(target, timeout_s)

    with serving(plaintext_only(closing)) as server:
        assert all_three(server.port, LONG_S, connect) >= {Outcome.PLAINTEXT, Outcome.ACCEPTED}
    assert len(threads) >= 4
    assert set(threads) == {threading.get_ident()}


@pytest.mark.engine
def test_a_probe_sees_the_network_of_its_thread() -> None:
    """In a new network namespace even loopback is down; the thread ends with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    met: list[Outcome] = []

    def elsewhere() -> None:
        assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        met.append(dial("127.0.0.1", server.port, timeout_s=LONG_S).kind)
        met.append(looked(server).kind)

    with serving(closing) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(elsewhere).result(timeout=10)
        assert dial("127.0.0.1", server.port, timeout_s=LONG_S).kind is Outcome.ACCEPTED
    assert met == [Outcome.UNREACHABLE, Outcome.UNREACHABLE]


def until_left(connection: socket.socket) -> None:
    """Read to the end, then see whether a reset follows the FIN."""
    until_closed(connection)
    poller = select.poll()
    poller.register(connection.fileno(), 0)  # errors and hang-ups are always reported
    if poller.poll(50):
        raise ConnectionResetError("the probe closed on unread bytes")


def test_a_probe_leaves_without_a_reset(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A close on unread bytes sends RST, and the kernel's count of resets is evidence."""
    for module in (exchange, handshake):  # a server's thread may be late; all of them hang up
        monkeypatch.setattr(module, "FAREWELL_S", LONG_S)
    greeting = b"x" * 20_000
    context = server_context(authority.issue(["n1"], []), tmp_path)

    def tls(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as session:
            session.sendall(greeting)
            until_left(session)

    with serving(tls) as server:
        assert looked(server, authority).trusted
        assert looked(server).fingerprint
    assert server.failures == []
    with serving(tls) as server:
        assert looked(server, authority, server_name="n2").fingerprint
    assert not [failure for failure in server.failures if isinstance(failure, ConnectionError)]

    def complaining(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HTTP_ANSWER + 20 * greeting)
        until_left(connection)

    with serving(complaining) as server:
        assert looked(server, authority).kind is Outcome.PLAINTEXT
        assert ask("127.0.0.1", server.port, b"x", timeout_s=LONG_S).kind is Outcome.ANSWERED
    assert server.failures == []

    def speaking(connection: socket.socket) -> None:
        connection.sendall(greeting)
        until_left(connection)

    with serving(speaking) as server:
        dial("127.0.0.1", server.port, timeout_s=LONG_S)
    assert server.failures == []


def test_leaving_takes_no_longer_than_the_other_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "FAREWELL_S", LONG_S)

    def require_quick(probe: Callable[[], object]) -> None:
        began_s = monotonic()
        probe()
        assert monotonic() - began_s < LONG_S / 2

    with serving(saying(HTTP_ANSWER)) as server:
        require_quick(lambda: looked(server))  # it closes when we do

    release = threading.Event()

    def black_hole(connection: socket.socket) -> None:
        assert release.wait(2 * LONG_S)

    with serving(black_hole) as server:
        # who was silent is not waited for again
        require_quick(lambda: ask("127.0.0.1", server.port, b"x", timeout_s=0.2))
        release.set()


def test_what_it_took_ends_with_the_outcome(monkeypatch: pytest.MonkeyPatch, later: Later) -> None:
    """Leaving gently waits for the other side to close; that is no part of what was measured."""
    release = threading.Event()
    leave = Probe.__exit__

    def leaving(probe: Probe, *why: object) -> None:
        later.by_s += 1000.0
        leave(probe, *why)

    monkeypatch.setattr(Probe, "__exit__", leaving)

    def lingering(connection: socket.socket) -> None:
        connection.sendall(HTTP_ANSWER)
        assert release.wait(2 * LONG_S)

    with serving(lingering) as server:
        place = ("127.0.0.1", server.port)
        took_s = [
            dial(*place, timeout_s=LONG_S).took_s,
            ask(*place, b"x", timeout_s=LONG_S).took_s,
            looked(server).took_s,
        ]
        release.set()
    assert later.by_s == 3000.0
    assert max(took_s) < LONG_S


class LateAsker:
    """
    A probe whose question leaves our machine four seconds late, and is answered in the same moment.
    """

    ends_s = 100.0

    def __init__(self) -> None:
        self.now_s = 10.0
        self.waited_until_s = 0.0

    def dial(self) -> str:
        return "beside"

    def send(self, *_: object) -> None:
        self.now_s += 4.0

    def readable(self, connections: list[str], until_s: float) -> bool:
        if len(connections) == 1 and until_s:
            self.waited_until_s = until_s
        return len(connections) == 2 or until_s > 0

    def receive(self, *_: object) -> bytes:
        return HTTP_ANSWER

    def took_s(self) -> float:
        return self.now_s


def test_a_hello_has_the_time_that_the_question_beside_it_took_to_be_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asker = LateAsker()
    monkeypatch.setattr(handshake, "monotonic", lambda: asker.now_s)
    hello = cast("Any", SimpleNamespace(connection="hello"))
    assert handshake._ask_beside(cast("Any", asker), hello) is None
    assert asker.waited_until_s == 14.0 + 4.0
