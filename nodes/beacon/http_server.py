"""
The listener of the node's HTTP interfaces: the one module that uses aiohttp.

Owns: sockets, requests and responses. Refuses: what is no HTTP, with aiohttp's own answer and not
a word in the log: whoever reaches the port could fill it.

Rules: an answer has the headers that it names, a date and a length, and no other. A client that
leaves ends what is being waited for on its behalf.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from aiohttp import http_exceptions, web

from nodes.beacon.http_conditions import Conditions
from nodes.beacon.http_sites import Request, Site

_CONDITIONS = ("If-Match", "If-None-Match", "If-Range", "Range")
_CLOSE_S = 0.1
"""How long requests that are being answered are waited for when the listener is closed."""


@asynccontextmanager
async def listening(
    site: Site, host: str, port: int, tls: ssl.SSLContext | None
) -> AsyncIterator[int]:
    """Serve a site while entered; gives the port, which is chosen where 0 is asked for."""

    @web.middleware
    async def dispatch(
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],  # noqa: ARG001
    ) -> web.StreamResponse:
        conditions = Conditions(
            _seconds(lambda: request.if_modified_since),
            _seconds(lambda: request.if_unmodified_since),
            _seconds(lambda: request.if_range),
            *(request.headers.get(name, "") for name in _CONDITIONS),
        )
        answer = await site.answer(Request(request.method, request.rel_url.raw_path, conditions))
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    # One of its own below the library's: what is left out here is left out for nobody else.
    logger = logging.Logger("aiohttp.beacon")
    logger.parent = logging.getLogger("aiohttp")
    logger.addFilter(_is_no_bad_request)
    application = web.Application(middlewares=[dispatch])
    application.on_response_prepare.append(_only_our_headers)
    runner = web.AppRunner(
        application,
        access_log=None,
        handler_cancellation=True,
        logger=logger,
        shutdown_timeout=_CLOSE_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _seconds(read: Callable[[], datetime | None]) -> float | None:
    """The date of a header; one that is none, or beyond what a clock shows, is as if not there."""
    try:
        date = read()
    except (OverflowError, ValueError):
        return None
    return None if date is None else date.timestamp()


def _is_no_bad_request(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, http_exceptions.HttpProcessingError)


async def _only_our_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name in ("Server", "Content-Type"):
        value = response.headers.get(name, "")
        if value.startswith("Python/") or value == "application/octet-stream":
            del response.headers[name]
