"""
A tap on the links between nodes: in which mode connections are opened on them, and which ones live.

Owns: hearing the packets that pass between nodes and their proxy, and recording for each connection
of a node's when it was opened, whether it came to stand, that it still carried something, and its
end. Refuses: changing anything, keeping what it hears, and backends without a network of their own
(NotApplicable). It needs no word of a node's: whoever says that he speaks TLS is heard doing it.

Rules: a tap is put to the test when it begins and when it ends: what we say on each whole link has
to be heard (`hearing`), else ChaosError. One `connection` event when it stands or has failed to,
then one a second at most while it carries answers, and one at its end. Packets that the kernel
dropped before they were heard make what was not heard unknown: ChaosError.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

from chaoskit import clock
from chaoskit.cluster import Cluster
from chaoskit.conversation import Conversation, Mode, Segment, segment_of
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.hearing import Hearing
from chaoskit.history import EventType, Recorder
from chaoskit.mesh import Link
from chaoskit.watching import Watchers

_DEVICE = "eth0"  # of the proxy between the nodes, in its own network
_EVERY_PROTOCOL = 0x0003  # ETH_P_ALL: else what leaves is not heard
_PACKETS, _STATISTICS = 263, 6  # SOL_PACKET, PACKET_STATISTICS
_PACKET_BYTES_AT_MOST = 65_535
_BUFFER_FORCED, _BUFFER_BYTES = 33, 8 * 1024 * 1024  # SO_RCVBUFFORCE: past the host's limit
_OPEN_TIMEOUT_S = 5.0
_POLL_S = 0.1
_SAID_EVERY_S = 1.0
_REMEDY = "see the connections in the history"

_Key = tuple[str, int, str]
"""The address and port of who opened it, and the link's address."""


@dataclass(slots=True)
class _Heard:
    """A connection, and what was recorded of it."""

    number: int
    source: str
    target: str
    opened_s: float | None
    said: Conversation
    stood: bool = False
    turns: int = 0
    told_s: float = 0.0


@dataclass(slots=True)
class Ledger:
    """
    Makes events out of segments.

    `links` maps the address of a link to its source and target, `port` is what is dialled there.
    """

    links: Mapping[str, tuple[str, str]]
    port: int
    recorder: Recorder
    _open: dict[_Key, _Heard] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def take(self, segment: Segment) -> None:
        """Note one segment; what is not on a link is passed over."""
        if segment.target[1] == self.port and segment.target[0] in self.links:
            key = (*segment.source, segment.target[0])
            asks = True
        elif segment.source[1] == self.port and segment.source[0] in self.links:
            key = (*segment.target, segment.source[0])
            asks = False
        else:
            return
        heard = self._heard(key, segment, asks=asks)
        if heard is None:
            return
        if segment.data:
            (heard.said.ask if asks else heard.said.answer)(segment.data)
            self._tell(heard)
        if segment.ends:
            self._end(self._open.pop(key))

    def _heard(self, key: _Key, segment: Segment, *, asks: bool) -> _Heard | None:
        if segment.opens and asks:
            self._open.pop(key, None)  # the port is used anew
        elif key in self._open or segment.ends or not segment.data:
            return self._open.get(key)
        source, target = self.links[key[2]]
        opened_s = round(self.recorder.now_s(), 6) if segment.opens else None
        made = _Heard(
            next(self._numbers), source, target, opened_s, Conversation(opened_s is not None)
        )
        self._open[key] = made
        return made

    def _tell(self, heard: _Heard) -> None:
        if not heard.said.stands:
            return
        now_s = self.recorder.now_s()
        if not heard.stood:
            heard.stood = True
            self._record(heard, "stands", "ok")
        elif heard.said.turns > heard.turns and now_s - heard.told_s >= _SAID_EVERY_S:
            self._record(heard, "carries", "info")
        else:
            return
        heard.turns, heard.told_s = heard.said.turns, now_s

    def _end(self, heard: _Heard) -> None:
        if heard.stood:
            self._record(heard, "ended", "info")
        elif heard.said.mode is not None and heard.said.from_its_start:
            self._record(heard, "failed", "fail")

    def _record(self, heard: _Heard, what: str, kind: EventType) -> None:
        value = {
            "number": heard.number,
            "source": heard.source,
            "target": heard.target,
            "event": what,
            "mode": heard.said.mode,
            "met": heard.said.met,
            "opened_s": heard.opened_s,
        }
        self.recorder.record("chaoskit", "connection", value, kind=kind)


@contextmanager
def tapped(cluster: Cluster) -> Iterator[None]:
    """
    Hear the links of a cluster for the length of the block.

    Raises NotApplicable where the proxy has no network of its own, ChaosError when the kernel let
    packets go unheard, or what we say ourselves is not heard.
    """
    if not cluster.backend.counts_packets:
        raise NotApplicable(f"the {cluster.backend.name} backend has no network to listen in")
    links = {one.address: (one.source, one.target) for one in cluster.mesh.links.values()}
    ledger = Ledger(links, cluster.wire.linked_port().number, cluster.recorder)
    hearing, watchers = Hearing(cluster), Watchers(end_timeout_s=_OPEN_TIMEOUT_S)
    with cluster.backend.inside_proxy(_listening, timeout_s=_OPEN_TIMEOUT_S) as listening:
        watchers.begin("tap", lambda: _listen(listening, ledger, hearing, watchers))
        try:
            _put_to_the_test(hearing, watchers)
            yield
            _put_to_the_test(hearing, watchers)
        finally:
            watchers.end()
            lost = _lost(listening)
    watchers.raise_failure(_REMEDY)
    if lost:
        raise ChaosError(f"{lost} packets on the links went unheard: what they opened is not known")


def overheard(cluster: Cluster, link: Link, *, timeout_s: float) -> Mode | None:
    """
    In which mode the source of a link speaks on it, by what it says there next, or went on to say;
    None when nothing within this time told.

    Raises NotApplicable where the proxy has no network of its own.
    """
    if not cluster.backend.counts_packets:
        raise NotApplicable(f"the {cluster.backend.name} backend has no network to listen in")
    where = (link.address, cluster.wire.linked_port().number)
    said: dict[tuple[str, int], Conversation] = {}
    until_s = clock.monotonic() + timeout_s
    with cluster.backend.inside_proxy(_listening, timeout_s=_OPEN_TIMEOUT_S) as listening:
        while clock.monotonic() < until_s:
            with suppress(TimeoutError):
                segment = segment_of(listening.recv(_PACKET_BYTES_AT_MOST))
                if segment is None or segment.target != where:
                    continue
                if segment.opens:
                    said[segment.source] = Conversation(from_its_start=True)
                one = said.setdefault(segment.source, Conversation(from_its_start=False))
                if segment.data:
                    one.ask(segment.data)
                if one.mode is not None:
                    return one.mode
    return None


def _put_to_the_test(hearing: Hearing, watchers: Watchers) -> None:
    try:
        hearing.demand()
    except ChaosError:
        watchers.raise_failure(_REMEDY)  # what ended the tap says more than its silence
        raise


def _listening() -> socket.socket:
    """A socket that gets a copy of every packet of the device, from its IP header on."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_EVERY_PROTOCOL))
    made.setsockopt(socket.SOL_SOCKET, _BUFFER_FORCED, _BUFFER_BYTES)
    made.bind((_DEVICE, _EVERY_PROTOCOL))
    made.settimeout(_POLL_S)
    return made


def _listen(listening: socket.socket, ledger: Ledger, hearing: Hearing, watchers: Watchers) -> None:
    while not watchers.told_to_stop():
        with suppress(TimeoutError):
            segment = segment_of(listening.recv(_PACKET_BYTES_AT_MOST))
            if segment is not None:
                ledger.take(segment)
                hearing.take(segment)


def _lost(listening: socket.socket) -> int:
    _, lost = struct.unpack("II", listening.getsockopt(_PACKETS, _STATISTICS, 8))
    return int(lost)
