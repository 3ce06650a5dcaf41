"""
Flapping links: what joins two nodes goes down and comes up again, over and over.

Seen in: a failing optic or cable, a port that renegotiates, a route that two routers withdraw and
announce in turn. In the field it ends when the part is replaced. Refuses: to draw; when the links
go down is fixed in its fields, and `flaps` draws that from a seed, for a plan to keep.

Down is refusing every dial and ending what is open, on both links at once. Each change is looked at
by dials of ours until it is seen or the next one comes; one that was not seen spoils the fault. On
a machine so slow that no dial has ended by then the next one waits, for some seconds at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import ClassVar, Self

from chaoskit import clock
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.fault import Witness, target
from chaoskit.linkevidence import cannot_pass, packets_met
from chaoskit.mesh import refused
from chaoskit.sighting import Probe, Sighting
from chaoskit.watching import Watchers

_WITHIN_S = 10.0
_LATE_AT_MOST_S = 5.0
_LOOK_AGAIN_S, _IDLE_S = 0.02, 0.5
_END_TIMEOUT_S = 10.0
_DOWN_AND_UP = 2


@dataclass(frozen=True, slots=True)
class FlappingLinks:
    """
    The links between `one` and `other` are down at each of `downs`: (from, for how long), seconds.

    They count from the injection, the first from 0; after the last the links stay up.
    """

    NEEDS: ClassVar = ("packet counters or peers that tell of failures", "a linked port")
    PROOF: ClassVar = "a dial of ours sees each time that they go down and up; dials refused there"

    one: str = target()
    other: str = target()
    downs: tuple[tuple[float, float], ...] = ((0.0, 1.0), (2.0, 1.0), (4.0, 1.0))

    def __post_init__(self) -> None:
        downs = tuple((float(from_s), float(for_s)) for from_s, for_s in self.downs)
        object.__setattr__(self, "downs", downs)  # from a plan's file they come as lists
        if len(downs) < 2 or downs[0][0] != 0 or any(for_s <= 0 for _, for_s in downs):
            raise ValueError(f"downs {downs}: two or more, the first from 0, each for some time")
        if any(from_s + for_s >= next_s for (from_s, for_s), (next_s, _) in pairwise(downs)):
            raise ValueError(f"downs {downs}: each begins when the one before is over")

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Take both links down and up by the schedule, from a thread of its own."""
        links = cluster.mesh.between([self.one], [self.other])
        for link in links:
            if cluster.mesh.tampered_with(link.name):
                raise NotApplicable(f"another fault lies on {link.name}: whose doing is a change?")
        met = packets_met(cluster, {link.name: refused() for link in links})
        looks = [cannot_pass(cluster, link, refused()) for link in links]
        with _Flapper(cluster, looks, self.downs) as flapper:
            yield Witness(
                probes=[flapper.seen_flapping(one) for one in looks],
                meters=[met],
                within_s=self.downs[0][1] + _WITHIN_S,
            )


class _Flapper:
    """
    Takes the links on which `looks` look down and up for the length of the block.

    The first time down is done on entering. Counted are changes that were made, and by link those
    that its look saw before the next one came, and those that it did not.
    """

    def __init__(
        self, cluster: Cluster, looks: Sequence[Probe], downs: Sequence[tuple[float, float]]
    ) -> None:
        self._cluster = cluster
        self._looks = looks
        self._downs = downs
        self._shapes = {one.link: refused() for one in looks}
        self._made = 0
        self._seen = dict.fromkeys(self._shapes, 0)
        self._missed = dict.fromkeys(self._shapes, 0)
        self._over = False
        self._begun_s = 0.0
        self._watchers = Watchers(end_timeout_s=_END_TIMEOUT_S)
        self._down = ExitStack()

    def __enter__(self) -> Self:
        self._go_down()
        self._begun_s = clock.monotonic()
        self._watchers.begin(f"flapping {' '.join(self._shapes)}", self._flap)
        return self

    def __exit__(self, *_: object) -> None:
        self._watchers.end()
        self._over = True
        self._down.close()
        self._watchers.raise_failure("see the links in the history")

    def seen_flapping(self, look: Probe) -> Probe:
        """
        Seen once the link was seen to go down and to come up, unless a change came and went unseen.
        When all is over: seen while nothing passes.
        """

        def seen() -> Sighting:
            if self._over:
                return look.look()
            times, missed = self._seen[look.link], self._missed[look.link]
            detail = f"{times} of {self._made} changes were seen, {missed} missed"
            return Sighting(times >= _DOWN_AND_UP and not missed, detail)

        return Probe(f"each change of {look.link}", seen, look.link)

    def _flap(self) -> None:
        ends_s = [from_s for from_s, _ in self._downs[1:]] + [math.inf]
        for number, ((from_s, for_s), next_s) in enumerate(zip(self._downs, ends_s, strict=True)):
            if number:
                self._go_down()
            if self._look_until(from_s + for_s, present=True):
                return
            self._made += 1
            self._down.close()
            if self._look_until(next_s, present=False):
                return

    def _go_down(self) -> None:
        self._made += 1
        self._down.enter_context(self._cluster.mesh.shaped(self._shapes))

    def _look_until(self, until_s: float, *, present: bool) -> bool:
        """Look at the last change, once at least, until the next is due; whether to stop."""
        unseen = undecided = list(self._looks)
        left_s = math.inf
        while left_s > (-_LATE_AT_MOST_S if undecided else 0):
            if unseen:
                with self._cluster.meters.discounting(always=True):
                    met = {one.link: self._meets(one) for one in unseen}
                for one in [one for one in unseen if met[one.link] is present]:
                    self._seen[one.link] += 1
                undecided = [one for one in undecided if met[one.link] is None]
                unseen = [one for one in unseen if met[one.link] is not present]
            left_s = self._begun_s + until_s - clock.monotonic()
            pause_s = min(max(0.0, left_s), _LOOK_AGAIN_S if unseen else _IDLE_S)
            if self._watchers.told_to_stop(within_s=pause_s):
                return True
        for one in unseen:
            self._missed[one.link] += 1
        return False

    def _meets(self, look: Probe) -> bool | None:
        """Whether the link is down; None where a dial says neither."""
        try:
            return look.look().present
        except ChaosError:
            return None


def flaps(
    *, period_s: float, duty: float, jitter_s: float, times: int, random: Random
) -> tuple[tuple[float, float], ...]:
    """
    Draw `downs`: `times` of them, one a period, each for the share `duty` of it.

    Both ends of each are moved by up to `jitter_s` seconds, but the very first. Raises ValueError
    where two could meet, or there are fewer than two.
    """
    down_s = duty * period_s
    if times < 2 or not 0 <= 2 * jitter_s < min(down_s, period_s - down_s):
        raise ValueError(f"{times} times {down_s:g} of {period_s:g} s, moved by {jitter_s:g} s")
    drawn = []
    for number in range(times):
        from_s = number * period_s + (random.uniform(-jitter_s, jitter_s) if number else 0.0)
        until_s = number * period_s + down_s + random.uniform(-jitter_s, jitter_s)
        drawn.append((round(from_s, 3), round(until_s - from_s, 3)))
    return tuple(drawn)
