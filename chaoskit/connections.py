"""
Kept connections to one HTTP server, for several requests at once and without a thread for each.

Owns: sending every request of a batch before the first answer is read, one connection for each, and
keeping the connections for the next batch. Refuses: retries, redirects, proxies of the environment,
and reading what an answer means: a status is a number here. No wait is longer than the time-out.

Why: a thread that waits for an answer must get the interpreter's lock back, and on a machine with
few cores that takes as long as the server. In a batch all but the first answer are there already.
"""

from __future__ import annotations

import json
import select
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from chaoskit.clock import monotonic

IDLE_LIMIT_S = 30.0  # a server that drops a connection after 60 idle seconds may do so as we write
AT_ONCE = 16
_SHORTEST_S = 0.001


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask: `path` begins with a slash, `document` is sent as JSON unless it is None."""

    method: str
    path: str
    document: object = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes


Outcome = Answer | OSError | HTTPException
"""An answer, or why none came; a TimeoutError when it did not come in time."""


@dataclass(slots=True)
class _Kept:
    """A connection that nobody uses now, and since when."""

    connection: HTTPConnection
    since_s: float

    def stale(self) -> bool:
        """Whether the server has closed it, or may be about to."""
        if self.connection.sock is None or monotonic() - self.since_s > IDLE_LIMIT_S:
            return True
        ready = select.poll()
        ready.register(self.connection.sock, select.POLLIN)
        return bool(ready.poll(0))


class Connections:
    """
    Connections to `host` and `port`; a batch of at most AT_ONCE requests may take `timeout_s`.

    A longer batch is cut up, and each part may take as long. Threads may share it.
    """

    def __init__(self, host: str, port: int, *, timeout_s: float) -> None:
        self._host, self._port = host, port
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._kept: list[_Kept] = []

    def ask(self, requests: Sequence[Request]) -> list[Outcome]:
        """
        Send all `requests` side by side and answer what came of each, in their order.

        After anything but an answer it is unknown whether the server has done what was asked.
        """
        outcomes: list[Outcome] = []
        for first in range(0, len(requests), AT_ONCE):
            outcomes += self._ask(requests[first : first + AT_ONCE])
        return outcomes

    def _ask(self, requests: Sequence[Request]) -> list[Outcome]:
        deadline_s = monotonic() + self._timeout_s
        sent = [self._send(request, deadline_s) for request in requests]
        return [
            self._receive(one, deadline_s) if isinstance(one, HTTPConnection) else one
            for one in sent
        ]

    def _send(self, request: Request, deadline_s: float) -> HTTPConnection | OSError:
        connection = self._take()
        connection.timeout = _left_s(deadline_s)
        body = None if request.document is None else json.dumps(request.document).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(_left_s(deadline_s))
            connection.request(request.method, request.path, body, headers)
        except OSError as error:
            connection.close()
            return error
        return connection

    def _receive(self, connection: HTTPConnection, deadline_s: float) -> Outcome:
        try:
            connection.sock.settimeout(_left_s(deadline_s))
            answer = connection.getresponse()
            found = Answer(answer.status, answer.read())
        except (OSError, HTTPException) as error:
            connection.close()
            return error
        with self._lock:
            self._kept.append(_Kept(connection, monotonic()))
        return found

    def _take(self) -> HTTPConnection:
        """The connection that was used last, if it is good still; else a new one."""
        with self._lock:
            while self._kept:
                kept = self._kept.pop()
                if not kept.stale():
                    return kept.connection
                kept.connection.close()
        return HTTPConnection(self._host, self._port)

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        with self._lock:
            kept, self._kept = self._kept, []
        for one in kept:
            one.connection.close()


def _left_s(deadline_s: float) -> float:
    """The rest of the time, never 0: a socket with time-out 0 does not wait at all."""
    return max(_SHORTEST_S, deadline_s - monotonic())
