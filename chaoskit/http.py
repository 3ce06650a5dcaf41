"""
JSON over HTTP to a node, for observers and clients.

Owns: one pool of kept-alive connections with a time-out on every call, what went wrong as a word,
and an observer made of a path and a function (`observe_json`). Refuses: retries, redirects, proxies
from the environment, and status codes as exceptions: a node that answers 503 has answered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from chaoskit.system import Endpoint, Observation, Unobserved

_OK = 200


class NoAnswer(Exception):
    """No HTTP answer came: `cause` is refused, timed_out, closed, or garbled (no JSON)."""

    def __init__(self, cause: str, url: str) -> None:
        super().__init__(f"{url}: {cause}")
        self.cause = cause


class HttpClient:
    """A client with a time-out of `timeout_s` for the connection and for the answer."""

    def __init__(self, timeout_s: float) -> None:
        self._pool = urllib3.PoolManager(
            num_pools=4,
            timeout=urllib3.Timeout(connect=timeout_s, read=timeout_s),
            retries=False,
        )

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

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    def _request(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            answer = self._pool.request(method, url, body=body)
        except NewConnectionError as error:  # which is a ConnectTimeoutError too
            raise NoAnswer("refused", url) from error
        except (ConnectTimeoutError, ReadTimeoutError) as error:
            raise NoAnswer("timed_out", url) from error
        except ProtocolError as error:
            raise NoAnswer("closed", url) from error
        except HTTPError as error:
            raise NoAnswer("closed", url) from error
        return answer.status, answer.data


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
