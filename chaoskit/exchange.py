"""
Exchanges of bytes with one TCP port, bounded in time, whose every end is a word.

Owns: the connections of one probe, and what became of them. Refuses: names (an address is an IP; a
resolver would leave the caller's network namespace, or wait for it), and raising for anything the
other side does beyond `Ended`. Only a failure on our own side, such as no free file descriptor,
raises ProbeFailed.

Rules: sockets are made in the calling thread, which may have entered a container's network
namespace. A probe leaves gently (FIN, then read what is left): closing on unread bytes would send
a reset, and resets are counted as evidence.
"""

from __future__ import annotations

import errno
import ipaddress
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import Self

from chaoskit.clock import monotonic
from chaoskit.errors import ChaosError

Connect = Callable[[tuple[str, int], float], socket.socket]
"""Makes a connected TCP socket to (IP, port) within so many seconds, or raises OSError."""

CHUNK_BYTES = 65_536
LONGEST_EXCHANGE = 64  # chunks
FAREWELL_S = 0.1


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


class Ended(Exception):
    """The other side, or the time, ended an exchange before what was awaited had come."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome)


class Probe:
    """
    The connections of one probe to `port` of `address` (an IP), for `timeout_s` seconds in all.

    Leaving its `with` hangs up on all of them, which may take FAREWELL_S more. Raises ValueError
    for a name in place of an IP.
    """

    def __init__(self, address: str, port: int, timeout_s: float, connect: Connect) -> None:
        self._target = (str(ipaddress.ip_address(address)), port)
        self._connect = connect
        self._open: list[socket.socket] = []
        self._given_up: list[socket.socket] = []
        self.began_s = monotonic()
        self.ends_s = self.began_s + timeout_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for connection in self._open:
                self.hang_up(connection)
            until_s = monotonic() + FAREWELL_S
            for connection in tuple(self._open):  # an end takes it out of the list
                with suppress(Ended):  # gone, or silent: the probe has what it came for
                    for _chunk in range(LONGEST_EXCHANGE):
                        self.receive(connection, until_s)
        finally:
            for connection in self._open + self._given_up:
                connection.close()

    def took_s(self) -> float:
        """Seconds since the probe began."""
        return monotonic() - self.began_s

    def dial(self) -> socket.socket:
        """Open a connection. Raises Ended."""
        with _outcomes():
            connection = self._connect(self._target, _left_s(self.ends_s))
        self._open.append(connection)
        return connection

    def send(self, connection: socket.socket, data: bytes, until_s: float) -> None:
        """Send all of `data`. Raises Ended."""
        with self._exchanging(connection):
            connection.settimeout(_left_s(until_s))
            connection.sendall(data)

    def receive(self, connection: socket.socket, until_s: float) -> bytes:
        """Receive at least one byte, at most CHUNK_BYTES. Raises Ended."""
        with self._exchanging(connection):
            connection.settimeout(_left_s(until_s))
            data = connection.recv(CHUNK_BYTES)
            if not data:
                raise Ended(Outcome.CLOSED)
        return data

    def readable(self, connections: Sequence[socket.socket], until_s: float) -> bool:
        """Wait until one of them has bytes, an end or an error to read; False when none has."""
        poller = select.poll()
        for connection in connections:
            poller.register(connection, select.POLLIN)
        return bool(poller.poll(max(0.0, until_s - monotonic()) * 1000))

    def hang_up(self, connection: socket.socket) -> None:
        """Send FIN now; what is left to read is read when the probe leaves."""
        with suppress(OSError):  # the other side was faster
            connection.shutdown(socket.SHUT_WR)

    @contextmanager
    def _exchanging(self, connection: socket.socket) -> Iterator[None]:
        """A connection whose exchange ended is not waited for once more when the probe leaves."""
        try:
            with _outcomes():
                yield
        except Ended:
            if connection in self._open:
                self._open.remove(connection)
                self._given_up.append(connection)
            raise


def _left_s(until_s: float) -> float:
    left_s = until_s - monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


@contextmanager
def _outcomes() -> Iterator[None]:
    """Turn what the other side did into Ended, and our own failures into ProbeFailed."""
    try:
        yield
    except TimeoutError:
        raise Ended(Outcome.TIMED_OUT) from None
    except ConnectionRefusedError:
        raise Ended(Outcome.REFUSED) from None
    except ConnectionError:  # reset, aborted, or a pipe that broke under our bytes
        raise Ended(Outcome.RESET) from None
    except OSError as error:
        if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN):
            raise Ended(Outcome.UNREACHABLE) from None
        raise ProbeFailed(f"cannot probe from here: {error}") from error
