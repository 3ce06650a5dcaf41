"""
JSON over HTTP to a node, for observers and clients.

Owns: one pool of kept-alive connections with a time-out on every call, what went wrong as a word,
and an observer made of a path and a function (`observe_json`). Refuses: retries, redirects, proxies
from the environment, and status codes as exceptions: a node that answers 503 has answered. Over TLS
it takes whatever certificate is shown: who watches must see a node also while a fault lets it show
a wrong one, and whether it is to be trusted is for chaoskit.handshake.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from chaoskit.system import Endpoint, Observation, Told, Unobserved

_OK = 200


class NoAnswer(Exception):
    """
    No HTTP answer came: `cause` is refused, timed_out, closed, garbled (no JSON), or no_tls (what
    was asked over TLS does not speak it).
    """

    def __init__(self, cause: str, url: str) -> None:
        super().__init__(f"{url}: {cause}")
        self.cause = cause


class _Unverified(HTTPSConnection):
    """TLS with whoever answers; a class, since urllib3 wants one."""

    def connect(self) -> None:
        """Connect; nobody was verified, and nobody was to be: else urllib3 warns of each one."""
        super().connect()
        self.is_verified = True


class _UnverifiedPool(urllib3.HTTPSConnectionPool):
    """Connections over TLS to one server, whoever it is."""

    ConnectionCls = _Unverified

    def __init__(self, host: str, port: int, **options: Any) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(host, port, cert_reqs="CERT_NONE", ssl_context=context, **options)


class HttpClient:
    """A client with a time-out of `timeout_s` for the connection and for the answer."""

    def __init__(self, timeout_s: float) -> None:
        self._pool = urllib3.PoolManager(
            num_pools=4,
            timeout=urllib3.Timeout(connect=timeout_s, read=timeout_s),
            retries=False,
        )
        self._pool.pool_classes_by_scheme = {
            "http": urllib3.HTTPConnectionPool,
            "https": _UnverifiedPool,
        }

    def get(self, url: str) -> tuple[int, dict[str, Any]]:
        """GET; answers the status and the JSON document. Raises NoAnswer."""
        status, body = self._request("GET", url, None)
        return status, _document(body, url)

    def post(self, url: str, document: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """POST a JSON document; answers the status and the JSON document. Raises NoAnswer."""
        status, body = self._request("POST", url, json.dumps(document).encode())
        return status, _document(body, url)

    def text(self, url: str) -> tuple[int, str]:
        """GET; answers the status and the body as text. Raises NoAnswer."""
        status, body = self._request("GET", url, None)
        return status, body.decode(errors="replace")

    def date(self, url: str) -> float | None:
        """HEAD; the Unix time in the answer's Date, whole seconds, if any. Raises NoAnswer."""
        said = self._answer("HEAD", url, None).headers.get("Date")
        try:
            return None if said is None else parsedate_to_datetime(said).timestamp()
        except ValueError:
            return None

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    def _request(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        answer = self._answer(method, url, body)
        return answer.status, answer.data

    def _answer(self, method: str, url: str, body: bytes | None) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(method, url, body=body)
        except NewConnectionError as error:  # which is a ConnectTimeoutError too
            raise NoAnswer("refused", url) from error
        except (ConnectTimeoutError, ReadTimeoutError) as error:
            raise NoAnswer("timed_out", url) from error
        except SSLError as error:
            raise NoAnswer("no_tls", url) from error
        except ProtocolError as error:
            raise NoAnswer("closed", url) from error
        except HTTPError as error:
            raise NoAnswer("closed", url) from error


def _document(body: bytes, url: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise NoAnswer("garbled", url) from error
    return document if isinstance(document, dict) else {"answer": document}


def observe_json(
    port: str, path: str, read: Callable[[dict[str, Any]], Observation]
) -> Callable[[Endpoint, float], Observation]:
    """
    Make a System's `observe`: GET `path` on `port` of the node, and `read` its JSON document.

    A status other than 200, or a document without what `read` looks up, is a sample that failed.
    """

    def observe(endpoint: Endpoint, timeout_s: float) -> Observation:
        client = HttpClient(timeout_s)
        try:
            status, document = client.get(endpoint.url(port, path))
            if status != _OK:
                raise Unobserved(f"status {status}")
            return read(document)
        except NoAnswer as error:
            raise Unobserved(error.cause) from error
        except LookupError as error:
            raise Unobserved("error") from error
        finally:
            client.close()

    return observe


def ask_date(port: str, path: str) -> Callable[[Endpoint, float], Told]:
    """Make a Clock's `ask`: HEAD `path` on `port` of the node; an answer has a Date (RFC 9110)."""

    def ask(endpoint: Endpoint, timeout_s: float) -> Told:
        client = HttpClient(timeout_s)
        try:
            said_s = client.date(endpoint.url(port, path))
        except NoAnswer as error:
            raise Unobserved(error.cause) from error
        finally:
            client.close()
        if said_s is None:
            raise Unobserved("error")
        return Told(said_s, said_s + 1.0)

    return ask
