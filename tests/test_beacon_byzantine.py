"""
Members that lie: wrong partials, replays, others' indices, forged chains; the honest bear them.

A BLS signature is unique, so nobody can sign a round in two ways. What a member with a genuine
share can do is here: sign what nobody asked for, send what it heard under other names, and serve a
chain that is none. There are fewer of them than the threshold, and a threshold of others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.beacon_vectors import FOLDERS

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes.beacon.cache import PARTIALS_OF_ONE_MEMBER
from nodes.beacon.core import Core, genesis
from nodes.beacon.messages import (
    Beacon,
    Broadcast,
    Effect,
    Event,
    Partial,
    PartialArrived,
    SyncAsked,
)
from nodes.beacon.serving import STREAMS_AT_MOST
from nodes.beacon.signing import GroupSigning, Signing
from tests.beacon_simulation import SEED, FastGroup, FastSigning, World, fast_world
from tests.conftest import TABLE
from tests.test_beacon_core import recorded, world_of

MEMBERS, THRESHOLD, LIARS = 7, 4, 2
_HEARD_AT_MOST = 200
LIES = (
    "wrong",
    "upon another",
    "flood",
    "replay",
    "another's name",
    "its name",
    "later",
    "silent",
    "honest",
)


class Liar:
    """In a core's place: whatever it hears it lies, by a random of its own; it stores nothing."""

    def __init__(
        self,
        world: World,
        name: str,
        index: int,
        signing: Signing,
        *,
        random: Random,
        flood: int,
    ) -> None:
        self._world = world
        self._name = name
        self._index = index
        self._signing = signing
        self._random = random
        self._flood = flood
        self._heard: list[Partial] = []
        self.wake_s: float | None = None
        self.told: set[str] = set()

    def handle(self, event: Event, now_s: float) -> Sequence[Effect]:
        """Lie four times a round, and to whoever asks for rounds."""
        self.wake_s = now_s + self._world.schedule.period_s / 4
        match event:
            case PartialArrived(partial):
                self._heard.append(partial)
                del self._heard[:-_HEARD_AT_MOST]
                return ()
            case SyncAsked(stream):
                for beacon in self._forged(event.from_round):
                    self._world._send(stream, beacon)
                return ()
        self._ask()
        lies = self._lies(self._random.choice(LIES))
        return [Broadcast(one, (self._random.choice(self._others()),)) for one in lies] + [
            Broadcast(one, self._others()) for one in lies[:5]
        ]

    def _others(self) -> tuple[str, ...]:
        return tuple(name for name in self._world.nodes if name != self._name)

    def _last(self) -> Beacon:
        """The newest round that anybody has: it knows all."""
        return max((node.store[-1] for node in self._world.nodes.values()), key=lambda b: b.round)

    def _lies(self, kind: str) -> list[Partial]:
        self.told.add(kind)
        random, last = self._random, self._last()
        following, upon = last.round + 1, last.signature
        own = self._index.to_bytes(2, "big")
        body = self._signing.sign(following, upon)[2:]
        heard = random.choice(self._heard) if self._heard else Partial(following, upon, own + body)
        name = random.randrange(MEMBERS).to_bytes(2, "big")
        lies: list[Partial] = []
        match kind:
            case "wrong":
                lies = [Partial(following, upon, own + random.randbytes(len(body)))]
            case "upon another":
                other = random.choice([random.randbytes(8), SEED, b"", heard.previous_signature])
                lies = [Partial(following, other, self._signing.sign(following, other))]
            case "flood":
                # Each of them is genuine: its share signed it.
                others = [random.randbytes(8) for _ in range(self._flood)]
                signed = [self._signing.sign(following, other) for other in others]
                pairs = zip(others, signed, strict=True)
                lies = [Partial(following, other, one) for other, one in pairs]
            case "replay":
                moved = random.choice([heard.round, following, following + 1, 2**64 - 1])
                lies = [heard, Partial(moved, heard.previous_signature, heard.partial)]
            case "another's name":
                lies = [Partial(following, upon, name + body)]
            case "its name":
                lies = [Partial(heard.round, heard.previous_signature, own + heard.partial[2:])]
            case "later":
                later = following + random.choice([1, 2, 3, 1000])
                lies = [Partial(later, upon, self._signing.sign(later, upon))]
            case "honest":
                lies = [Partial(following, upon, own + body)]
        return lies

    def _forged(self, first: int) -> list[Beacon]:
        """What it serves of a chain: another one, one with a gap, its beginning, or nothing."""
        random = self._random
        made = self._world.made
        whole = [
            Beacon(number, made[number - 1] if self._signing.chained else b"", made[number])
            for number in range(max(1, first), self._last().round + 1)
        ]
        match random.randrange(6):
            case 0:
                return [Beacon(first + one, random.randbytes(8), bytes(8)) for one in range(3)]
            case 1:
                return whole[1:]
            case 2:
                forged = [Beacon(one.round, one.previous_signature, bytes(8)) for one in whole]
                return whole[:2] + forged[2:]
            case 3:
                return whole[::-1]
            case 4:
                return whole
            case _:
                return []

    def _ask(self) -> None:
        """Ask somebody for rounds, from anywhere on, under a name of its choice."""
        random = self._random
        node = self._world.nodes[random.choice(self._others())]
        first = random.choice([0, 1, self._last().round, 2**63, -1])
        asked = SyncAsked(-random.randrange(1, 10**6), f"liar {random.randrange(10**6)}", first)
        self._world._later(node, asked)


def lying(
    world: World, signing_of: Callable[[int], Signing], seed: int, *, count: int, flood: int
) -> list[Liar]:
    """Put liars in the place of the last members of a world, and start everybody."""
    liars: list[Liar] = []
    for index, name in list(enumerate(world.nodes))[-count:]:
        random = Random(seed + index)
        liar = Liar(world, name, index, signing_of(index), random=random, flood=flood)
        liars.append(liar)
        world.nodes[name].make = lambda _, liar=liar: liar  # type: ignore[misc]
    for name in world.nodes:
        world.start(name)
    return liars


def bears(seed: int, *, chained: bool, rounds: int) -> list[Liar]:
    """Rounds are made by the honest in time; whoever was away comes back among liars."""
    world = fast_world(seed=seed, members=MEMBERS, threshold=THRESHOLD, chained=chained)
    group = FastGroup(THRESHOLD, range(MEMBERS), chained=chained, seed=seed)
    flood = 2 * PARTIALS_OF_ONE_MEMBER
    liars = lying(world, lambda index: FastSigning(group, index), seed, count=LIARS, flood=flood)
    honest = list(world.nodes)[:-LIARS]
    for _ in range(rounds):
        world.run_rounds(1)
        assert {world.lasts()[name] for name in honest} == {world.current}
        _are_bounded(world, honest)
    for away in honest[:3]:
        world.kill(away)
        world.run_rounds(5)
        assert {world.lasts()[name] for name in honest if name != away} == {world.current}
        world.start(away)
        # A liar that answers a sync with nothing costs three rounds' times; there are two of them.
        world.run_rounds(3 * LIARS + 3)
        assert world.lasts()[away] >= world.current - 1
        _are_bounded(world, honest)
    return liars


def _are_bounded(world: World, honest: Sequence[str]) -> None:
    for name in honest:
        core = world.nodes[name].core
        assert isinstance(core, Core)
        assert len(core._cache) <= MEMBERS * PARTIALS_OF_ONE_MEMBER
        assert len(core._serving) <= STREAMS_AT_MOST


@given(seed=st.integers(0, 2**32), chained=st.booleans())
@settings(max_examples=8)
def test_fewer_liars_than_a_threshold_cost_no_round(*, seed: int, chained: bool) -> None:
    bears(seed, chained=chained, rounds=6)


@pytest.mark.nightly
@given(seed=st.integers(0, 2**32), chained=st.booleans())
@settings(max_examples=500, derandomize=False)
def test_fewer_liars_than_a_threshold_cost_no_round_all_night(*, seed: int, chained: bool) -> None:
    bears(seed, chained=chained, rounds=40)


def test_every_lie_is_told(record_property: Callable[[str, object], None]) -> None:
    told = set().union(*(liar.told for liar in bears(1, chained=True, rounds=30)))
    assert told == set(LIES)
    record_property(f"{TABLE}beacon: lies of simulated members", ", ".join(sorted(told)))


def test_with_real_shares_a_liar_costs_no_round_and_forges_none() -> None:
    """One of four lies, with its genuine share; the three others make the published rounds."""
    folder = next(one for one in FOLDERS if one.release == "v2.1.4" and one.scheme == "chained")
    group, shares = recorded(folder)
    by_index = {share.index: share for share in shares}
    world = world_of(folder)
    lying(world, lambda index: GroupSigning(group, by_index[index]), seed=2, count=1, flood=5)
    world.run_rounds(8)
    published = [beacon["signature"] for beacon in folder.published["beacons"]]
    for node in list(world.nodes.values())[:-1]:
        assert node.store[0] == genesis(group.genesis_seed)
        assert [beacon.signature.hex() for beacon in node.store[1:9]] == published
