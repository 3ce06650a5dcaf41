"""
A network of three nodes started by our own command line, each a process, and that command line.

Also the recordings of real command lines, and what of a text is the same in every run.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.beacon_memory import SURFACE
from tests.beacon_nodes import HOST, REPOSITORY, free_addresses

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes.beacon import commands, commands_dealer
from nodes.beacon.releases import Line, Surface

START_S = 60.0  # on a machine that does much else; who has died is seen at once
_BANNER = re.compile(r"drand \S+ \(date unknown, commit none\)")


@dataclass(frozen=True, slots=True)
class Done:
    """What a command line printed, and how it ended."""

    code: int
    text: str


def drand(release: str, *arguments: str, answer: str = "", **environment: str) -> Done:
    """Run a command line of ours in this process."""
    printed: list[str] = []
    before = ("--as-release", release, "--conn-insecure")
    code = commands.run((*before, *arguments), environment, printed.append, lambda: answer)
    return Done(code, "".join(printed))


@dataclass(frozen=True, slots=True)
class Member:
    """A node that runs: its folder, its addresses (the control port alone is one), its process."""

    name: str
    folder: Path
    address: str
    control: str
    public: str
    metrics: str
    process: subprocess.Popen[bytes]


def free_port() -> str:
    """A port of 127.0.0.1 that nobody listens at, and that no outgoing connection is given."""
    random = Random()
    for _ in range(100):
        port = random.randrange(10_000, 30_000)
        with socket.socket() as taken, contextlib.suppress(OSError):
            taken.bind((HOST, port))
            return str(port)
    raise AssertionError("no port is free")


@contextlib.contextmanager
def member(surface: Surface, folder: Path, address: str) -> Iterator[Member]:
    """Start a node on a folder; it is stopped when left."""
    control = free_port()
    public, metrics = free_addresses(2)
    command = [sys.executable, "-m", "nodes.beacon", "--conn-insecure", "start"]
    command += ["--folder", str(folder), "--control", control, "--metrics", metrics]
    command += ["--private-listen", address]
    command += ["--public-listen", public]
    if surface.line is Line.V1:
        command.append("--tls-disable")
    environment = {**os.environ, "DRAND_AS_RELEASE": surface.release}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield Member(folder.name, folder, address, control, public, metrics, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(START_S)
        finally:
            process.kill()
            process.wait(START_S)


@contextlib.contextmanager
def network(surface: Surface, folder: Path) -> Iterator[tuple[Member, ...]]:
    """Three members, threshold two, period one second, as they were recorded; rounds are made."""
    addresses = {str(number): address for number, address in enumerate(free_addresses(3), 1)}
    dealing = ["--as-left-by", surface.release, "--folder", str(folder)]
    for name, address in addresses.items():
        dealing += ["--node", f"{name}={address}"]
    dealing += ["--threshold", "2", "--period", "1s", "--genesis-in", "1s"]
    dealing += ["--catchup-period", "0s" if surface.line is Line.V1 else "1s"]
    assert commands_dealer.main(dealing) == 0
    with contextlib.ExitStack() as stack:
        members = tuple(
            stack.enter_context(member(surface, folder / name, address))
            for name, address in addresses.items()
        )
        for one in members:
            awaited(surface, one, r"LastRound: ([2-9]|\d\d)")
            linked(surface, one, members)
        yield members


def awaited(surface: Surface, one: Member, status: str) -> str:
    """The status of a member once it matches; fails when it does not for START_S."""
    limit_s = time.monotonic() + START_S
    while time.monotonic() < limit_s:
        done = drand(surface.release, "util", "status", "--control", one.control)
        if done.code == 0 and re.search(status, done.text):
            return done.text
        assert one.process.poll() is None, (one.folder / "output").read_text()[-2000:]
    raise AssertionError(
        f"no {status!r}: {done.text}\n{(one.folder / 'output').read_text()[-2000:]}"
    )


def linked(surface: Surface, one: Member, members: tuple[Member, ...]) -> None:
    """Wait until a member reaches all others: whoever was dialled too early is dialled again."""
    others = [other.address for other in members if other is not one]
    limit_s = time.monotonic() + START_S
    while time.monotonic() < limit_s:
        done = drand(surface.release, "util", "remote-status", "--control", one.control, *others)
        # Each of the others was reached, and reaches the third.
        if done.text.count("-> OK") >= len(others) and " NO STATUS" not in done.text:
            return
    raise AssertionError(f"{one.address} does not reach all: {done.text}")


# ---- recordings --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecordedLine:
    """A recorded command line: its arguments, what it printed, and its exit code."""

    arguments: tuple[str, ...]
    text: str
    code: int


def recorded_line(release: str, name: str) -> RecordedLine:
    """A recorded command line, by its file's name."""
    text = (SURFACE / release / f"{name}.txt").read_text()
    match = re.fullmatch(r"\$ drand ([^\n]*)\n(.*)\nexit: (\d+)\n?", text, re.DOTALL)
    assert match, name
    return RecordedLine(tuple(match[1].split()), match[2], int(match[3]))


def shape(text: str) -> str:
    """
    What of a text is the same in every run.

    Addresses, ports, numbers and values in hexadecimal (by length) are replaced, what gRPC says of
    a connection is left out, for which Go and Python have words of their own, and so is the line of
    the log that v2 begins with. Lines about members are sorted: real releases list them as a map.
    """
    text = "\n".join(
        line for line in text.splitlines() if not re.match(r"20\d\d-.*\t(INFO|WARN)\t", line)
    )
    text = re.sub(r"[0-9a-f]{32,}", lambda match: f"<{len(match[0]) // 2} bytes>", text)
    text = re.sub(r"(desc = ).*", r"\1<why>", text)
    text = re.sub(r"127\.\d+\.\d+\.\d+:\d+", "<address>", text)
    text = re.sub(r"(?<![\w.<])/?\S*/(multibeacon/)", r"<folder>/\1", text)
    text = re.sub(r"(port|LastRound:|_time\"?:?|Time =|Index =) \d+", r"\1 <number>", text)
    blocks = re.split(r"(?m)^(?=Status of beacon)", text)
    lines = [line.rstrip() for block in blocks for line in block.splitlines()]
    return "\n".join(lines).strip()
