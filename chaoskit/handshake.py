"""
Probes of ours: what a port does when it is dialled, asked, or greeted with TLS.

Owns: three probes (`dial`, `ask`, `look`) and the words for what they met. Refuses: to judge
whether that is good. Whatever the other side does is an outcome; only a failure on our own side
raises ProbeFailed, and a name in place of an IP ValueError.

Rules: `timeout_s` bounds the whole probe (0.1 s more for leaving gently); `took_s` ends when the
outcome is known. TLS is told from plaintext by the bytes that come back, and distrust by OpenSSL's
verification code, never by a text.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chaoskit.certificates import Credential, not_after
from chaoskit.clock import monotonic
from chaoskit.exchange import (
    FAREWELL_S,
    LONGEST_EXCHANGE,
    Connect,
    Ended,
    Outcome,
    Probe,
    ProbeFailed,
)

__all__ = [
    "Connect",
    "Dial",
    "Distrust",
    "Outcome",
    "ProbeFailed",
    "Serving",
    "ask",
    "dial",
    "look",
]

PLAIN_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
TLS_ALERT, TLS_HANDSHAKE = 0x15, 0x16  # content types that a server may begin with (RFC 8446 5.1)
GRACE_S = 0.05


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
    when the server broke off the handshake (TLS 1.2 that demands a client's certificate and got
    none); `trusted` tells whether it verified under the authority and for the name given, None when
    that was not tried. `reason` is set when it did not, or when the server broke off.
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
    with Probe(address, port, timeout_s, connect) as probe:
        try:
            probe.dial()
            return Dial(Outcome.ACCEPTED, probe.took_s())
        except Ended as end:
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
    with Probe(address, port, timeout_s, connect) as probe:
        try:
            connection = probe.dial()
            probe.send(connection, request, probe.ends_s)
            probe.receive(connection, probe.ends_s)
            return Dial(Outcome.ANSWERED, probe.took_s())
        except Ended as end:
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
    verification.

    A port that closes on a TLS hello, or is silent for a third of `timeout_s`, is asked in
    plaintext besides. An answer to that alone does not make it plaintext, for TLS servers often
    answer plaintext with a plaintext complaint: a hello still waiting gets as long again as that
    answer took, and a hello that was closed on is repeated.
    """
    unverified = _context(None, credential)
    verified = _context(authority_pem, credential) if authority_pem else None
    with Probe(address, port, timeout_s, connect) as probe:
        for repeated in (False, True):
            try:
                hello = _Hello(probe, verified or unverified, server_name)
            except Ended as end:
                return Serving(end.outcome, probe.took_s())
            if not probe.readable([hello.connection], probe.began_s + timeout_s / 3):
                silence = _ask_beside(probe, hello)
                if silence:
                    return silence
            try:
                return _served(probe, hello, verified, unverified)
            except Ended as end:
                if repeated and end.outcome is not Outcome.TIMED_OUT:
                    break
                other = _ask_instead(probe, end.outcome)
                if other:
                    return other
        return Serving(Outcome.PLAINTEXT, probe.took_s())


def _ask_beside(probe: Probe, hello: _Hello) -> Serving | None:
    """Ask in plaintext while a hello waits; None once there is something to read for the hello."""
    try:
        connection = probe.dial()
        asked_s = monotonic()
        probe.send(connection, PLAIN_REQUEST, probe.ends_s)
        probe.readable([hello.connection, connection], probe.ends_s)
        if probe.readable([hello.connection], 0):
            return None
        answer = probe.receive(connection, probe.ends_s)
    except Ended:
        return None  # the hello has the rest of the time
    if _is_tls(answer):
        return Serving(Outcome.TLS, probe.took_s(), reason=Distrust.OTHER)
    answered_s = monotonic()
    grace_s = max(answered_s - asked_s, GRACE_S)
    if probe.readable([hello.connection], min(answered_s + grace_s, probe.ends_s)):
        return None
    return Serving(Outcome.PLAINTEXT, probe.took_s())


def _ask_instead(probe: Probe, met: Outcome) -> Serving | None:
    """Ask in plaintext after a hello met no answer; None when plaintext is answered in kind."""
    try:
        connection = probe.dial()
        probe.send(connection, PLAIN_REQUEST, probe.ends_s)
        answer = probe.receive(connection, probe.ends_s)
    except Ended:
        return Serving(met, probe.took_s())
    probe.hang_up(connection)
    if _is_tls(answer):
        return Serving(Outcome.TLS, probe.took_s(), reason=Distrust.OTHER)
    return None


def _is_tls(answer: bytes) -> bool:
    """Whether these first bytes of an answer begin a TLS record of a server."""
    return answer[0] in (TLS_ALERT, TLS_HANDSHAKE) and answer[1:2] in (b"", b"\x03")


def _served(
    probe: Probe, hello: _Hello, verified: ssl.SSLContext | None, unverified: ssl.SSLContext
) -> Serving:
    """What comes of a hello; raises Ended when nothing said whether TLS is served."""
    trusted: bool | None = None
    reason: Distrust | None = None
    leaf: bytes | None = None
    try:
        try:
            leaf = hello.finish()
            trusted = True if verified else None
        except ssl.SSLCertVerificationError as error:
            trusted, reason = False, _reason(error.verify_code)
            leaf = _Hello(probe, unverified, hello.server_name).finish()
    except _Plaintext:
        return Serving(Outcome.PLAINTEXT, probe.took_s())
    except (_TlsRefused, ssl.SSLError):
        reason = reason or Distrust.OTHER
    except Ended:
        if trusted is None:
            raise  # else it does serve TLS, and only the fingerprint was missed
    if leaf is None:
        return Serving(Outcome.TLS, probe.took_s(), trusted=trusted, reason=reason)
    took_s = probe.took_s()
    digest = hashlib.sha256(leaf).hexdigest()
    return Serving(Outcome.TLS, took_s, digest, not_after(leaf), trusted, reason)


def _reason(verify_code: int) -> Distrust:
    """What OpenSSL's X509_V_ERR_* (include/openssl/x509_vfy.h) means to us."""
    match verify_code:
        case 2 | 18 | 19 | 20 | 21 | 7:  # no known issuer, self-signed; 7: a namesake signed it
            return Distrust.UNKNOWN_AUTHORITY
        case 9:
            return Distrust.NOT_YET_VALID
        case 10:
            return Distrust.EXPIRED
        case 62 | 64:  # host name, IP address
            return Distrust.WRONG_NAME
        case _:
            return Distrust.OTHER


class _Plaintext(Exception):
    """A TLS hello was answered with something else."""


class _TlsRefused(Exception):
    """A TLS server ended the handshake."""


class _Hello:
    """A TLS hello that was sent, and the handshake that may follow. Raises Ended."""

    def __init__(self, probe: Probe, context: ssl.SSLContext, server_name: str) -> None:
        self.server_name = server_name
        self._probe = probe
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_name
        )
        self.connection = probe.dial()
        with suppress(ssl.SSLWantReadError):
            self._session.do_handshake()
        probe.send(self.connection, self._outgoing.read(), probe.ends_s)

    def finish(self) -> bytes:
        """
        Await the answer and complete the handshake; returns the server's leaf (DER).

        Raises Ended when nothing was said or the time ran out, _Plaintext, _TlsRefused, or
        ssl.SSLError.
        """
        answered = False
        for _ in range(LONGEST_EXCHANGE):
            try:
                answer = self._probe.receive(self.connection, self._probe.ends_s)
            except Ended as end:
                if answered and end.outcome is not Outcome.TIMED_OUT:
                    raise _TlsRefused from end
                raise
            if not answered and not _is_tls(answer):
                raise _Plaintext
            answered = True
            self._incoming.write(answer)
            try:
                self._session.do_handshake()
            except ssl.SSLWantReadError:
                self._say()
            except ssl.SSLError:
                self._say()  # the alert that says why not
                raise
            else:
                self._say()
                leaf = self._session.getpeercert(binary_form=True)
                assert leaf, "without anonymous ciphers a server always shows a certificate"
                return leaf
        raise _TlsRefused

    def _say(self) -> None:
        with suppress(Ended):  # what the server did instead shows when we read, or never matters
            words = self._outgoing.read()
            self._probe.send(self.connection, words, monotonic() + FAREWELL_S)


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
