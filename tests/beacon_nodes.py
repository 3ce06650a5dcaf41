"""
Beacon nodes on loopback for tests: dealt groups, daemons of this process, and child processes.

`python -m tests.beacon_nodes FOLDER HOST:PORT` runs one node until SIGTERM: its first line on
stdout says the control port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from nodes import bls
from nodes.beacon import layout
from nodes.beacon.clocking import Clock, SystemClock
from nodes.beacon.dealer import VINTAGES, Dealt, deal, leave
from nodes.beacon.eventlog import Log, to_stderr
from nodes.beacon.group import DEFAULT_ID
from nodes.beacon.meters import Meters
from nodes.beacon.network import Network
from nodes.beacon.options import Options
from nodes.beacon.process import Daemon
from nodes.beacon.profiles import PROFILES
from nodes.beacon.releases import CALLS
from nodes.beacon.store import READ_ROUNDS_AT_MOST
from nodes.beacon.transport import Dialling
from nodes.beacon.wire import silence_library

HOST = "127.0.0.1"
REPOSITORY = Path(__file__).resolve().parent.parent
PATIENCE_S = 60.0  # nothing that a test waits for takes as long, on any machine


def free_addresses(count: int) -> list[str]:
    """
    Addresses that nobody listens at: a loopback host of their own, with ports from the kernel.

    Outgoing connections come from 127.0.0.1, so none takes such a port before its node does.
    """
    host = ".".join(["127", *(str(Random().randrange(1, 255)) for _ in range(3))])
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            taken = stack.enter_context(socket.socket())
            taken.bind((host, 0))
            found.append(f"{host}:{taken.getsockname()[1]}")
        return found


@dataclass(frozen=True)
class Members:
    """A dealt group on disk: a folder and an address each, in the order of their indices."""

    dealt: Dealt
    folders: tuple[Path, ...]

    @property
    def addresses(self) -> list[str]:
        return [member.identity.address for member in self.dealt.group.members]


def deal_members(
    root: Path,
    count: int,
    threshold: int,
    *,
    scheme: str = "pedersen-bls-chained",
    genesis_in_s: float = 2.0,
    period_s: int = 1,
    catchup_period_s: float = 0.0,
    beacon_id: str = DEFAULT_ID,
    addresses: Sequence[str] = (),
    now_s: float | None = None,
) -> Members:
    """Deal a group whose genesis is soon, and leave each member's files in a folder of its own."""
    addresses = addresses or free_addresses(count)
    dealt = deal(
        bls.SCHEMES[scheme],
        addresses,
        threshold=threshold,
        period_s=period_s,
        catchup_period_s=catchup_period_s,
        genesis_s=int((time.time() if now_s is None else now_s) + genesis_in_s + 0.999),
        beacon_id=beacon_id,
        vintage=VINTAGES["v2"],
    )
    folders = []
    for pair, share in dealt.members:
        folder = root / pair.identity.address.replace(":", "-")
        leave(layout.Network(folder, beacon_id), dealt.group, pair, share)
        folders.append(folder)
    return Members(dealt, tuple(folders))


def options_for(folder: Path, **changed: object) -> Options:
    """A v2.1.4 in plaintext with a control port of the kernel's choice."""
    options = Options(
        folder=folder,
        profile=PROFILES["v2.1.4"],
        private_listen=None,
        control_port=0,
        certificate=None,
        dialling=Dialling.PLAINTEXT,
        trusted=None,
        beacon_id=None,
        check_versions=True,
        verbose=False,
        alarm_s=60.0,
    )
    return replace(options, **changed)  # type: ignore[arg-type]


QUIET = Log("", "beacon/tests.py", verbose=False, write=lambda _: None)


@dataclass
class Lines:
    """A log in memory."""

    lines: list[str]

    def records(self, **wanted: object) -> list[dict[str, object]]:
        found = [json.loads(line) for line in self.lines]
        return [one for one in found if wanted.items() <= one.items()]


@contextlib.asynccontextmanager
async def running(
    options: Options, clock: Clock | None = None
) -> AsyncIterator[tuple[Daemon, Lines]]:
    """A node in this process."""
    lines = Lines([])
    log = Log("", "beacon/tests.py", verbose=options.verbose, write=lines.lines.append)
    daemon = Daemon(options, Meters(CALLS[options.surface.line]), clock or SystemClock(), log)
    await daemon.start()
    try:
        yield daemon, lines
    finally:
        await daemon.stop()


async def until(what: str, holds: Callable[[], bool]) -> None:
    """Wait until something holds; fails after PATIENCE_S with what was waited for."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S:g} s: {what}") from None


class MovedClock:
    """A clock that stands until a test moves it; several nodes may share one."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s
        self._waiting: set[asyncio.Event] = set()

    def now_s(self) -> float:
        return self._now_s

    async def wait(self, event: asyncio.Event, until_s: float | None) -> None:
        if until_s is not None and until_s <= self._now_s:
            return
        self._waiting.add(event)
        try:
            await event.wait()
        finally:
            self._waiting.discard(event)

    def move_to(self, now_s: float) -> None:
        self._now_s = now_s
        for event in self._waiting:
            event.set()


class Child:
    """A node in a process of its own; `log` collects its stderr."""

    def __init__(self, folder: Path, address: str, log: Path) -> None:
        self._arguments = [sys.executable, "-m", "tests.beacon_nodes", str(folder), address]
        self._log = log
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._arguments, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            self.control_port = int(await self.process.stdout.readline() or b"0")
        assert self.control_port, self._log.read_text()

    async def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


async def _child(folder: Path, listen: str) -> int:
    options = options_for(folder, private_listen=listen)
    log = Log("", "beacon/tests.py", verbose=False, write=to_stderr)
    daemon = Daemon(options, Meters(CALLS[options.surface.line]), SystemClock(), log)
    await daemon.start()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.request_end)
    sys.stdout.write(f"{daemon.control_port}\n")
    sys.stdout.flush()
    code = await daemon.ended()
    await daemon.stop()
    return code


def chains_of(daemons: Sequence[Daemon], beacon_id: str = DEFAULT_ID) -> Iterator[list[bytes]]:
    """Each node's signatures, from round 1 on."""
    for daemon in daemons:
        network = next(one for one in daemon.networks() if one.beacon_id == beacon_id)
        assert isinstance(network, Network)
        last = network.last().round
        assert last <= READ_ROUNDS_AT_MOST
        yield [beacon.signature for beacon in network.rounds.read(1, last)]


if __name__ == "__main__":
    silence_library()
    sys.exit(asyncio.run(_child(Path(sys.argv[1]), sys.argv[2])))
