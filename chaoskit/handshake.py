"""
Probes of ours: what a port does when it is dialled, asked, or greeted with TLS.

Owns: three probes (`dial`, `ask`, `look`) and the words for their outcomes. Refuses: names (an
address is an IP; a resolver would leave the caller's network namespace, or wait for it), and
raising for anything the other side does: that is an outcome. Only a failure on our own side, such
as no free file descriptor, raises ProbeFailed.

Rules: sockets are made in the calling thread, which may have entered a container's network
namespace; `timeout_s` bounds the whole probe; TLS is told from plaintext by the bytes that come
back, and distrust by OpenSSL's verification code, never by a text. A probe leaves gently (FIN, then
read what is left): closing on unread bytes would send a reset, and resets are counted as evidence.
"""

from __future__ import annotations

import errno
import hashlib
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chaoskit.certificates import Credential, not_after
from chaoskit.clock import monotonic
from chaoskit.errors import ChaosError

Connect = Callable[[tuple[str, int], float], socket.socket]
"""Makes a connected TCP socket to (IP, port) within so many seconds, or raises OSError."""

CHUNK_BYTES = 65_536
LONGEST_EXCHANGE = 64
FAREWELL_S = 0.1
PLAIN_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
TLS_ALERT, TLS_HANDSHAKE = 0x15, 0x16  # content types that a server may begin with (RFC 8446 5.1)


class ProbeFailed(ChaosError):
    """A probe failed on our own side; says nothing about the one probed."""


class Outcome(StrEnum):
    """What a probe met: the first two come from `dial` and `ask`, the next two from `look`."""

    ACCEPTED = "accepted"
    ANSWERED = "answered"
    TLS = "tls"
    PLAINTEXT = "plaintext"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    RESET = "reset"
    CLOSED = "closed"
    UNREACHABLE = "unreachable"


class Distrust(StrEnum):
    """Why a served certificate is not trusted, or why no handshake came about."""

    UNKNOWN_AUTHORITY = "unknown_authority"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_NAME = "wrong_name"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Dial:
    """How a dial or a question ended, and how long until that was known."""

    kind: Outcome
    took_s: float


@dataclass(frozen=True, slots=True)
class Serving:
    """
    What a port serves.

    With TLS: the SHA-256 `fingerprint` of the leaf (64 hex digits) and when it expires, both None
    when the server ended the handshake before it could be kept (TLS 1.2 that demands a client's
    certificate and got none); `trusted` tells whether it verified under the authority given, for
    the name given; None without an authority. `reason` is set when it did not, or when a TLS
    server refused the handshake.
    """

    kind: Outcome
    took_s: float
    fingerprint: str | None = None
    not_after: datetime | None = None
    trusted: bool | None = None
    reason: Distrust | None = None


def dial(
    address: str, port: int, *, timeout_s: float, connect: Connect = socket.create_connection
) -> Dial:
    """Open a TCP connection: accepted, refused, timed_out, reset or unreachable."""
    probe = _Probe(address, port, timeout_s, connect)
    try:
        with probe.connected():
            return Dial(Outcome.ACCEPTED, probe.took_s())
    except _Ended as end:
        return Dial(end.outcome, probe.took_s())


def ask(
    address: str,
    port: int,
    request: bytes,
    *,
    timeout_s: float,
    connect: Connect = socket.create_connection,
) -> Dial:
    """
    Connect, send `request`, await a first byte: answered, closed, or as `dial` when it fails.

    Tells a black hole behind a proxy that accepts (timed_out) from a dead one (closed). Any answer
    counts, also that of a TLS server that refuses plaintext.
    """
    probe = _Probe(address, port, timeout_s, connect)
    try:
        _first_answer(probe, request, probe.ends_s)
        return Dial(Outcome.ANSWERED, probe.took_s())
    except _Ended as end:
        return Dial(end.outcome, probe.took_s())


def look(
    address: str,
    port: int,
    *,
    timeout_s: float,
    server_name: str,
    authority_pem: bytes | None,
    credential: Credential | None = None,
    connect: Connect = socket.create_connection,
) -> Serving:
    """
    Find out what the port serves: TLS and with which certificate, plaintext, or nothing.

    `server_name` (a name or an IP) is sent as SNI and is what the certificate has to be for.
    `credential` is offered to servers that ask for one; without it a TLS 1.3 handshake completes on
    our side all the same (the server's rejection comes after it), and that is what counts here.

    The handshake is done with the authority and, where that one is not satisfied, once more without
    verification. A port that closes on a TLS hello, or is silent for a third of `timeout_s`, is
    asked in plaintext; when it answers that, after silence, it gets another TLS hello (it may have
    been paused, and TLS servers often answer plaintext with a plaintext complaint).
    """
    unverified = _context(None, credential)
    verified = _context(authority_pem, credential) if authority_pem else None
    probe = _Probe(address, port, timeout_s, connect)

    def greet(answer_by_s: float) -> Serving:
        return _greet(probe, verified, unverified, server_name, answer_by_s)

    try:
        return greet(probe.began_s + timeout_s / 3)
    except _Ended as end:
        met = end
    if met.outcome not in (Outcome.CLOSED, Outcome.RESET, Outcome.TIMED_OUT) or not met.accepted:
        return Serving(met.outcome, probe.took_s())
    try:
        answer = _first_answer(probe, PLAIN_REQUEST, probe.ends_s)
    except _Ended:
        return Serving(met.outcome, probe.took_s())
    if _is_tls(answer):
        return Serving(Outcome.TLS, probe.took_s(), reason=Distrust.OTHER)
    if met.outcome is Outcome.TIMED_OUT:
        try:
            return greet(min(monotonic() + timeout_s / 6, probe.ends_s))
        except _Ended:
            pass  # silent for TLS a second time, and fluent in plaintext
    return Serving(Outcome.PLAINTEXT, probe.took_s())


class _Ended(Exception):
    """The other side, or the time, ended an exchange before what was awaited had come."""

    def __init__(self, outcome: Outcome, *, accepted: bool) -> None:
        self.outcome = outcome
        self.accepted = accepted
        super().__init__(outcome)


class _Plaintext(Exception):
    """A TLS hello was answered with something else."""


class _TlsRefused(Exception):
    """A TLS server ended the handshake."""


class _Probe:
    """One probe's target, its time, and its way to connect."""

    def __init__(self, address: str, port: int, timeout_s: float, connect: Connect) -> None:
        self.target = (str(ipaddress.ip_address(address)), port)
        self.connect = connect
        self.began_s = monotonic()
        self.ends_s = self.began_s + timeout_s

    def took_s(self) -> float:
        return monotonic() - self.began_s

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """A connection that is left gently, unless the exchange ended it."""
        with _outcomes(accepted=False):
            connection = self.connect(self.target, _left_s(self.ends_s))
        try:
            yield connection
        except _Ended:
            raise
        except BaseException:
            _farewell(connection)
            raise
        else:
            _farewell(connection)
        finally:
            connection.close()


def _left_s(until_s: float) -> float:
    left_s = until_s - monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


@contextmanager
def _outcomes(*, accepted: bool) -> Iterator[None]:
    """Turn what the other side did into _Ended, and our own failures into ProbeFailed."""
    try:
        yield
    except TimeoutError:
        raise _Ended(Outcome.TIMED_OUT, accepted=accepted) from None
    except ConnectionRefusedError:
        raise _Ended(Outcome.REFUSED, accepted=accepted) from None
    except ConnectionError:  # reset, aborted, or a pipe that broke under our bytes
        raise _Ended(Outcome.RESET, accepted=accepted) from None
    except OSError as error:
        if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN):
            raise _Ended(Outcome.UNREACHABLE, accepted=accepted) from None
        raise ProbeFailed(f"cannot probe from here: {error}") from error


def _send(connection: socket.socket, data: bytes, until_s: float) -> None:
    with _outcomes(accepted=True):
        connection.settimeout(_left_s(until_s))
        connection.sendall(data)


def _receive(connection: socket.socket, until_s: float) -> bytes:
    """At least one byte, at most CHUNK_BYTES."""
    with _outcomes(accepted=True):
        connection.settimeout(_left_s(until_s))
        data = connection.recv(CHUNK_BYTES)
    if not data:
        raise _Ended(Outcome.CLOSED, accepted=True)
    return data


def _first_answer(probe: _Probe, request: bytes, until_s: float) -> bytes:
    with probe.connected() as connection:
        _send(connection, request, until_s)
        return _receive(connection, until_s)


def _farewell(connection: socket.socket) -> None:
    """Send FIN and read what is left, for closing on unread bytes would send a reset."""
    until_s = monotonic() + FAREWELL_S
    with suppress(OSError, _Ended):  # gone, or silent: the probe has what it came for
        connection.shutdown(socket.SHUT_WR)
        for _ in range(LONGEST_EXCHANGE):
            _receive(connection, until_s)


def _is_tls(answer: bytes) -> bool:
    """Whether these first bytes of an answer begin a TLS record of a server."""
    return answer[0] in (TLS_ALERT, TLS_HANDSHAKE) and answer[1:2] in (b"", b"\x03")


def _greet(
    probe: _Probe,
    verified: ssl.SSLContext | None,
    unverified: ssl.SSLContext,
    server_name: str,
    answer_by_s: float,
) -> Serving:
    """What a TLS hello meets; raises _Ended when nothing said whether TLS is served."""
    trusted: bool | None = None
    reason: Distrust | None = None
    leaf: bytes | None = None
    try:
        if verified is not None:
            try:
                leaf = _handshake(probe, verified, server_name, answer_by_s)
                trusted = True
            except ssl.SSLCertVerificationError as error:
                trusted, reason = False, _reason(error.verify_code)
                answer_by_s = probe.ends_s
        if leaf is None:
            leaf = _handshake(probe, unverified, server_name, answer_by_s)
    except _Plaintext:
        return Serving(Outcome.PLAINTEXT, probe.took_s())
    except (_TlsRefused, ssl.SSLError):
        reason = reason or Distrust.OTHER
    except _Ended:
        if trusted is None:
            raise  # else it does serve TLS, and only the fingerprint was missed
    if leaf is None:
        return Serving(Outcome.TLS, probe.took_s(), trusted=trusted, reason=reason)
    digest = hashlib.sha256(leaf).hexdigest()
    return Serving(Outcome.TLS, probe.took_s(), digest, not_after(leaf), trusted, reason)


def _reason(verify_code: int) -> Distrust:
    """What OpenSSL's X509_V_ERR_* (include/openssl/x509_vfy.h) means to us."""
    match verify_code:
        case 2 | 18 | 19 | 20 | 21:  # no issuer known, here or in the chain; self-signed
            return Distrust.UNKNOWN_AUTHORITY
        case 7:  # bad signature: another authority with the same name
            return Distrust.UNKNOWN_AUTHORITY
        case 9:
            return Distrust.NOT_YET_VALID
        case 10:
            return Distrust.EXPIRED
        case 62 | 64:  # host name, IP address
            return Distrust.WRONG_NAME
        case _:
            return Distrust.OTHER


def _handshake(
    probe: _Probe, context: ssl.SSLContext, server_name: str, answer_by_s: float
) -> bytes:
    """
    Shake hands and return the server's leaf (DER).

    Raises _Ended when the server said nothing by `answer_by_s` or the time ran out, _Plaintext,
    _TlsRefused, or ssl.SSLError.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    answered = False
    with probe.connected() as connection:
        for _ in range(LONGEST_EXCHANGE):
            try:
                session.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                _send_last(connection, outgoing)
                raise
            else:
                _send_last(connection, outgoing)
                leaf = session.getpeercert(binary_form=True)
                assert leaf, "without anonymous ciphers a server always shows a certificate"
                return leaf
            until_s = probe.ends_s if answered else answer_by_s
            try:
                _send(connection, outgoing.read(), until_s)
                answer = _receive(connection, until_s)
            except _Ended as end:
                if answered and end.outcome is not Outcome.TIMED_OUT:
                    raise _TlsRefused from end
                raise
            if not answered and not _is_tls(answer):
                raise _Plaintext
            answered = True
            incoming.write(answer)
    raise _TlsRefused


def _send_last(connection: socket.socket, outgoing: ssl.MemoryBIO) -> None:
    """Our last words of a handshake: Finished, or the alert that says why not."""
    with suppress(_Ended):  # the verdict stands without them
        _send(connection, outgoing.read(), monotonic() + FAREWELL_S)


def _context(authority_pem: bytes | None, credential: Credential | None) -> ssl.SSLContext:
    """A client that verifies under the authority, or (None) takes what comes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if authority_pem is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(cadata=authority_pem.decode())
        if credential is not None:
            # It has to be a file; this one is in memory, so that the key never meets a disk.
            descriptor = os.memfd_create("credential")
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                file.write(credential.certificate_pem + credential.key_pem)
                context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except ssl.SSLError as error:
        raise ProbeFailed(f"not a usable certificate or key: {error}") from error
    return context
