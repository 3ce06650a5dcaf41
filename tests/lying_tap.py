"""
A tap that lies: the switch of its sabotage, which chaoskit itself does not have.

Owns: what becomes of each segment between the packet and whoever reads it. Loaded as a plugin of
pytest (`-p tests.lying_tap`) it lets the tap of a whole run lie, in the way that LYING_TAP names.

| lie | the tap |
| --- | --- |
| none | reports what it hears |
| nothing | hears nothing |
| elsewhere | reports what is said on one link as said on the next |
| beheaded | loses the first segment of each direction of a connection |
| late | reports a segment 3 s after it came |
| one_way | hears nothing of what those say who were dialled |
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import pytest

from chaoskit import tap
from chaoskit.cluster import Cluster
from chaoskit.conversation import Segment, segment_of
from chaoskit.hearing import Hearing

LATE_S = 3.0
VARIABLE = "LYING_TAP"


class Lie(StrEnum):
    """In what way the tap lies."""

    NONE = "none"
    NOTHING = "nothing"
    ELSEWHERE = "elsewhere"
    BEHEADED = "beheaded"
    LATE = "late"
    ONE_WAY = "one_way"


LIES = [one for one in Lie if one is not Lie.NONE]


@dataclass
class LyingTap:
    """Reads packets as `segment_of` does, and lies about them; `links`: addresses of all links."""

    lie: Lie
    links: Sequence[str]
    now_s: Callable[[], float]
    _begun: set[Any] = field(default_factory=set)
    _held: deque[tuple[float, Segment]] = field(default_factory=deque)

    def segment_of(self, packet: bytes) -> Segment | None:
        """The segment in a packet, or what is told in its stead."""
        segment = segment_of(packet)
        return None if segment is None else self.told(segment)

    def told(self, segment: Segment) -> Segment | None:
        """What is told of a segment; None for nothing."""
        tell: Mapping[Lie, Callable[[Segment], Segment | None]] = {
            Lie.NONE: lambda one: one,
            Lie.NOTHING: lambda _: None,
            Lie.ELSEWHERE: self._elsewhere,
            Lie.BEHEADED: self._beheaded,
            Lie.LATE: self._late,
            Lie.ONE_WAY: lambda one: None if one.source[0] in self.links else one,
        }
        return tell[self.lie](segment)

    def _elsewhere(self, segment: Segment) -> Segment:
        source, target = (
            (self._next(address), port) for address, port in (segment.source, segment.target)
        )
        return replace(segment, source=source, target=target)

    def _beheaded(self, segment: Segment) -> Segment:
        way = (segment.source, segment.target)
        if segment.opens:
            self._begun.discard(way)
        elif segment.data and way not in self._begun:
            self._begun.add(way)
            return replace(segment, data=b"")
        return segment

    def _late(self, segment: Segment) -> Segment | None:
        self._held.append((self.now_s(), segment))
        due = self.now_s() - self._held[0][0] >= LATE_S
        return self._held.popleft()[1] if due else None

    def _next(self, address: str) -> str:
        if address not in self.links:
            return address
        return self.links[(self.links.index(address) + 1) % len(self.links)]


@contextmanager
def lying(lie: Lie, links: Sequence[str], now_s: Callable[[], float]) -> Iterator[None]:
    """Let every tap that begins within the block lie."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tap, "segment_of", LyingTap(lie, links, now_s).segment_of)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Let the taps of a test lie, in the way that the environment names."""
    lie = Lie(os.environ.get(VARIABLE, Lie.NONE))

    def begins(cluster: Cluster) -> Hearing:
        links = [one.address for one in cluster.mesh.links.values()]
        liar = LyingTap(lie, links, cluster.recorder.now_s)
        patch.setattr(tap, "segment_of", liar.segment_of)
        return Hearing(cluster)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chaoskit.tap.Hearing", begins)
        yield
