"""
`start`: run a node until it is told to end.

Owns: what a command line asks of the node, and what is served beside it: HTTP, and metrics.
Refuses: flags that contradict each other, addresses and ports that are none, databases that there
are not, and what the node itself refuses; CommandFailed, and nothing is left running.

Rules: SIGTERM and SIGINT end the node orderly, with 0. A metrics port that is taken is told and
done without, as with drand; a public one that is taken ends the start.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from nodes.beacon.clocking import SystemClock
from nodes.beacon.commands_context import Context
from nodes.beacon.commands_words import CommandFailed
from nodes.beacon.errors import BeaconError
from nodes.beacon.eventlog import LibraryLines, Log, to_stderr
from nodes.beacon.http_server import listening
from nodes.beacon.http_sites import MetricsSite, PublicSite
from nodes.beacon.meters import Meters
from nodes.beacon.options import PORT_AT_MOST, Certificate, Options
from nodes.beacon.process import Daemon
from nodes.beacon.releases import CALLS
from nodes.beacon.startup_keys import prepare


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where something is served."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command line asks for: the node, and where HTTP and metrics are served, if at all."""

    options: Options
    public: Endpoint | None
    metrics: Endpoint | None


def start(context: Context) -> int:
    """Run the node; answers its exit code."""
    wanted = read(context)
    return asyncio.run(_run(context, wanted))


def read(context: Context) -> Wanted:
    """What the command line asks for; raises CommandFailed."""
    given = context.given
    transport = context.surface.transport
    insecure = given.on("tls-disable")
    if transport.ends_tls and insecure and (given.is_set("tls-cert") or given.is_set("tls-key")):
        raise CommandFailed(
            "option 'tls-disable' used with 'tls-cert' or 'tls-key': combination is not valid"
        )
    if given.text("db") != "bolt":
        raise CommandFailed(
            f"--db {given.text('db')[:40]}: this node keeps rounds in its own database, "
            "for which bolt stands"
        )
    if not given.text("private-listen"):
        raise CommandFailed("can't instantiate drand daemon private listen address cannot be empty")
    certificate = None
    if transport.ends_tls and not insecure:
        if not (given.is_set("tls-cert") and given.is_set("tls-key")):
            raise CommandFailed(
                "can't instantiate drand daemon: wanted --tls-cert and --tls-key, or --tls-disable"
            )
        certificate = Certificate(Path(given.text("tls-cert")), Path(given.text("tls-key")))
    port = given.text("control")
    if not port.isdecimal() or int(port) > PORT_AT_MOST:
        raise CommandFailed(f"--control: {port[:40]!r} is no port")
    try:
        options = Options(
            folder=context.folder(),
            profile=context.profile,
            private_listen=given.text("private-listen"),
            control_port=int(port),
            certificate=certificate,
            dialling=transport.dialling(built_insecure=context.conn_insecure),
            trusted=context.trusted(with_folder=not insecure),
            beacon_id=context.network() if given.is_set("id") else None,
            check_versions=context.environment.get("DISABLE_VERSION_CHECK") != "1",
            verbose=given.on("verbose"),
            alarm_s=context.alarm_s,
        )
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    return Wanted(
        options,
        _endpoint(given.text("public-listen"), "--public-listen", None),
        _endpoint(given.text("metrics"), "--metrics", "127.0.0.1"),
    )


def _endpoint(text: str, flag: str, host: str | None) -> Endpoint | None:
    if not text:
        return None
    before, colon, port = text.rpartition(":")
    if not colon and host is not None:
        before = host
    elif not colon:
        raise CommandFailed(f"{flag}: {text[:80]!r} is no host:port")
    if not port.isdecimal() or len(port) > 5 or int(port) > PORT_AT_MOST:
        raise CommandFailed(f"{flag}: {text[:80]!r} has no port from 0 to {PORT_AT_MOST}")
    return Endpoint(before.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 - as Go's listeners


async def _run(context: Context, wanted: Wanted) -> int:
    surface, options = context.surface, wanted.options
    meters, clock = Meters(CALLS[surface.line]), SystemClock()
    log = Log("", "beacon/commands_start.py", options.verbose, to_stderr)
    logging.getLogger("aiohttp").addHandler(LibraryLines(log.of("library")))
    daemon = Daemon(options, meters, clock, log)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.request_end)
    try:
        prepare(options.folder, options.beacon_id, options.profile)
        await daemon.start()
    except (BeaconError, OSError) as error:
        raise CommandFailed(f"couldn't load existing beacons: {error}") from error
    try:
        async with AsyncExitStack() as stack:
            public = PublicSite(surface, daemon, meters, clock.now_s)
            metrics = MetricsSite(surface, daemon, meters)
            if wanted.public is not None:
                where = wanted.public
                server = listening(public, where.host, where.port, _tls(options))
                try:
                    await stack.enter_async_context(server)
                except OSError as error:
                    raise CommandFailed(f"can't instantiate drand daemon {error}") from error
            if wanted.metrics is not None:
                where = wanted.metrics
                try:
                    await stack.enter_async_context(
                        listening(metrics, where.host, where.port, None)
                    )
                except OSError as error:
                    log.warn("metrics are not served", err=str(error))
            return await daemon.ended()
    finally:
        await daemon.stop()


def _tls(options: Options) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate.chain, options.certificate.key)
    except (OSError, ssl.SSLError) as error:
        raise CommandFailed(f"{options.certificate.chain}: {error}") from error
    return context
