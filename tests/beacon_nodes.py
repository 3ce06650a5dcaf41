"""
Beacon nodes on loopback for tests: dealt groups, daemons of this process, and child processes.

`python -m tests.beacon_nodes FOLDER HOST:PORT` runs one node until SIGTERM: its first line on
stdout says the control port. Ports come from the kernel, and stay reserved until a node takes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nodes import bls
from nodes.beacon import layout
from nodes.beacon.clocking import Clock, SystemClock
from nodes.beacon.dealer import VINTAGES, Dealt, deal, leave
from nodes.beacon.eventlog import Log, to_stderr
from nodes.beacon.group import DEFAULT_ID
from nodes.beacon.meters import Meters
from nodes.beacon.options import Dialling, Options
from nodes.beacon.process import Daemon
from nodes.beacon.releases import SURFACES

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at, all different."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            taken = stack.enter_context(socket.socket())
            taken.bind((HOST, 0))
            ports.append(taken.getsockname()[1])
        return ports


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
    addresses = addresses or [f"{HOST}:{port}" for port in free_ports(count)]
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
        surface=SURFACES["v2.1.4"],
        private_listen=None,
        control_port=0,
        certificate=None,
        dialling=Dialling.PLAINTEXT,
        trusted=None,
        beacon_id=None,
        check_versions=True,
        verbose=False,
    )
    return replace(options, **changed)  # type: ignore[arg-type]


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
    daemon = Daemon(options, Meters(options.surface.calls), clock or SystemClock(), log)
    await daemon.start()
    try:
        yield daemon, lines
    finally:
        await daemon.stop()


async def _child(folder: Path, listen: str) -> int:
    options = options_for(folder, private_listen=listen)
    log = Log("", "beacon/tests.py", verbose=False, write=to_stderr)
    daemon = Daemon(options, Meters(options.surface.calls), SystemClock(), log)
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
        found = (network.get(number) for number in range(1, network.last().round + 1))
        yield [beacon.signature for beacon in found if beacon is not None]


if __name__ == "__main__":
    sys.exit(asyncio.run(_child(Path(sys.argv[1]), sys.argv[2])))
