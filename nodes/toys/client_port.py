"""
The port for clients: a little HTTP/1.1 with JSON bodies.

Owns: requests, replies, keep-alive. Refuses: what a path means; that is `answer`'s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

BODY_LIMIT_BYTES = 1024 * 1024
HEADERS_LIMIT = 64

Answerer = Callable[[str, str, Any], Awaitable[tuple[HTTPStatus, Mapping[str, Any]]]]


class ClientPort:
    """Serves connections; `answer(method, path, body)` gives a status and a JSON object."""

    def __init__(self, answer: Answerer) -> None:
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the client closes it or errs."""
        try:
            while line := await reader.readline():
                status, reply = await self._one(line, reader)
                close = status is HTTPStatus.BAD_REQUEST
                body = json.dumps(reply).encode()
                head = (
                    f"HTTP/1.1 {status.value} {status.phrase}\r\n"
                    f"Date: {formatdate(usegmt=True)}\r\n"
                    "Content-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\n"
                    f"Connection: {'close' if close else 'keep-alive'}\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
                if close:
                    return
        except (OSError, EOFError, ValueError):
            pass
        finally:
            writer.close()

    async def _one(
        self, line: bytes, reader: asyncio.StreamReader
    ) -> tuple[HTTPStatus, Mapping[str, Any]]:
        try:
            method, path, _ = line.decode("ascii").split()
            headers = await self._headers(reader)
            size_bytes = int(headers.get("content-length", "0"))
            if size_bytes > BODY_LIMIT_BYTES:
                return HTTPStatus.BAD_REQUEST, {"error": f"more than {BODY_LIMIT_BYTES} bytes"}
            data = await reader.readexactly(size_bytes)
            body = json.loads(data) if data else None
        except ValueError as error:
            return HTTPStatus.BAD_REQUEST, {"error": f"not a request: {error}"}
        return await self._answer(method, path, body)

    async def _headers(self, reader: asyncio.StreamReader) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(HEADERS_LIMIT):
            line = (await reader.readline()).decode("latin-1").strip()
            if not line:
                return headers
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        raise ValueError(f"more than {HEADERS_LIMIT} headers")
