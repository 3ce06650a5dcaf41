"""
A node in memory, and what real releases were recorded to answer: for tests of HTTP and metrics.

The node is honest and small: rounds are what a test appends, and whoever waits for one gets it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from tests.beacon_vectors import VECTORS

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes.beacon.group import Group, read_group
from nodes.beacon.messages import Beacon
from nodes.beacon.surface_view import ConnectionState

SURFACE = VECTORS / "drand" / "surface"


class MemoryNetwork:
    """One network; rounds are appended by the test, in any order."""

    def __init__(self, group: Group, beacons: Sequence[Beacon] = ()) -> None:
        self.group: Group | None = group
        self.beacon_id = group.id
        self.streams = 0
        self._stored = {beacon.round: beacon for beacon in beacons}
        self._genesis = Beacon(0, b"", group.genesis_seed)
        self._changed = asyncio.Condition()
        self.waiting = 0

    def last(self) -> Beacon:
        return self._stored[max(self._stored)] if self._stored else self._genesis

    async def get(self, round_number: int) -> Beacon | None:
        return self._stored.get(round_number)

    async def wait_for(self, round_number: int, timeout_s: float) -> Beacon | None:
        self.waiting += 1
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: round_number in self._stored)
        except TimeoutError:
            return None
        finally:
            self.waiting -= 1
        return self._stored[round_number]

    async def append(self, beacon: Beacon) -> None:
        async with self._changed:
            self._stored[beacon.round] = beacon
            self._changed.notify_all()


class MemoryNode:
    """A node of these networks."""

    def __init__(self, *networks: MemoryNetwork, address: str = "127.0.0.1:33010") -> None:
        self.address = address
        self.started_s = 1_795_249_702.5
        self.peers: dict[str, ConnectionState] = {}
        self._networks = networks

    def networks(self) -> Sequence[MemoryNetwork]:
        return self._networks

    def connections(self) -> Mapping[str, ConnectionState]:
        return self.peers


# ---- recordings --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded exchange: the request's path, and status, headers and body of the answer."""

    path: str
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def date_s(self) -> float:
        """When it was answered, to the second."""
        return parsedate_to_datetime(self.headers["Date"]).timestamp()


def exchange(path: Path) -> Recorded:
    """The exchange in a recording."""
    request, _, answer = path.read_bytes().partition(b"\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    method, target = request.decode().split()
    assert method == "GET"
    version, code, reason = status.split(" ", 2)
    assert version == "HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines)
    return Recorded(target, int(code), reason, headers, body[: int(headers["Content-Length"])])


def exchanges(release: str) -> dict[str, Recorded]:
    """Every exchange recorded of a release, by its file's name."""
    found = {path.name: exchange(path) for path in sorted((SURFACE / release).glob("http-*.txt"))}
    assert len(found) == 8
    return found


def recorded_group(release: str) -> Group:
    """The group of the network that was recorded."""
    said = (SURFACE / release / "show-group.txt").read_text()
    match = re.search(r"created\n(.*?)\n\n\nHash", said, re.DOTALL)
    assert match
    return read_group("show-group.txt", match[1])


def recorded_beacon(recorded: Recorded) -> Beacon:
    """The round in a recorded answer."""
    fields = json.loads(recorded.body)
    return Beacon(
        fields["round"],
        bytes.fromhex(fields["previous_signature"]),
        bytes.fromhex(fields["signature"]),
    )


def recorded_network(release: str) -> MemoryNetwork:
    """The recorded network, with the rounds that were recorded of it."""
    answers = exchanges(release)
    beacons = [
        recorded_beacon(answers[name]) for name in ("http-public-1.txt", "http-public-latest.txt")
    ]
    return MemoryNetwork(recorded_group(release), beacons)
