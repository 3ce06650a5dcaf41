"""
Beacon members in a simulated network: seeded, in virtual time, thousands of rounds a second.

Owns: delay, loss, cuts, black holes, kills, crashes between two effects and restarts around real
cores; a stand-in for BLS that is a threshold scheme as well (Shamir over a small field); and the
invariants that hold at each store: the next round and no other, one signature a round, a signature
that verifies, no round before its time. A node's store is what survives it.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from nodes import bls
from nodes.beacon.core import Core, Place, genesis
from nodes.beacon.errors import InvalidPartial
from nodes.beacon.group import Group
from nodes.beacon.messages import (
    Answer,
    Beacon,
    Broadcast,
    Effect,
    Event,
    Kept,
    PartialArrived,
    Started,
    Store,
    StreamClose,
    StreamNew,
    StreamStored,
    SyncArrived,
    SyncAsked,
    SyncEnded,
    SyncFailed,
    SyncFrom,
    SyncLeft,
    SyncStop,
    Tick,
)
from nodes.beacon.rounds import Schedule
from nodes.beacon.share import Share
from nodes.beacon.signing import GroupSigning, Signing

_PRIME = 2**61 - 1
GENESIS_S = 1_000_000
SEED = bytes(32)


class FastGroup:
    """The secrets of a whole group, in a field of 61 bits: fast, and no cryptography at all."""

    def __init__(self, threshold: int, indices: Iterable[int], *, chained: bool, seed: int) -> None:
        random = Random(seed)
        self.coefficients = [random.randrange(1, _PRIME) for _ in range(threshold)]
        self.chained = chained
        self.shares = {index: self._value_at(index + 1) for index in indices}
        self._weights: dict[tuple[int, ...], list[int]] = {}

    def _value_at(self, variable: int) -> int:
        total = 0
        for coefficient in reversed(self.coefficients):
            total = (total * variable + coefficient) % _PRIME
        return total

    def message(self, round_number: int, previous: bytes) -> int:
        """What a round hashes to."""
        data = round_number.to_bytes(8, "big") + (previous if self.chained else b"")
        return int.from_bytes(hashlib.blake2b(data, digest_size=7).digest(), "big") + 1

    def signature(self, round_number: int, previous: bytes) -> bytes:
        """The one signature that a round has."""
        value = self.coefficients[0] * self.message(round_number, previous) % _PRIME
        return value.to_bytes(8, "big")

    def weights(self, indices: tuple[int, ...]) -> list[int]:
        """Lagrange's, at zero."""
        known = self._weights.get(indices)
        if known is None:
            known = []
            for one in indices:
                above = below = 1
                for other in indices:
                    if other != one:
                        above = above * (other + 1) % _PRIME
                        below = below * (other - one) % _PRIME
                known.append(above * pow(below, -1, _PRIME) % _PRIME)
            self._weights[indices] = known
        return known


class FastSigning:
    """One member's view of a FastGroup."""

    def __init__(self, group: FastGroup, index: int) -> None:
        self._group = group
        self._index = index
        self.chained = group.chained
        self.threshold = len(group.coefficients)

    def sign(self, round_number: int, previous_signature: bytes) -> bytes:
        """Our own partial."""
        return self._partial(self._index, round_number, previous_signature)

    def index_of(self, partial: bytes) -> int:
        """Whose partial it says to be."""
        if len(partial) != 10:
            raise InvalidPartial(f"{len(partial)} bytes")
        return int.from_bytes(partial[:2], "big")

    def verify_partial(self, round_number: int, previous_signature: bytes, partial: bytes) -> bool:
        """Whether it is."""
        index = self.index_of(partial)
        return partial == self._partial(index, round_number, previous_signature)

    def recover(self, partials: Iterable[bytes]) -> bytes:
        """Lagrange, as with BLS: from fewer than the threshold, or a bad one, comes nonsense."""
        chosen = {int.from_bytes(one[:2], "big"): one for one in partials}
        indices = tuple(sorted(chosen))[: self.threshold]
        total = sum(
            weight * int.from_bytes(chosen[index][2:], "big")
            for index, weight in zip(indices, self._group.weights(indices), strict=True)
        )
        return (total % _PRIME).to_bytes(8, "big")

    def verify(self, round_number: int, previous_signature: bytes, signature: bytes) -> bool:
        """Whether this is the round's signature."""
        return signature == self._group.signature(round_number, previous_signature)

    def _partial(self, index: int, round_number: int, previous: bytes) -> bytes:
        value = self._group.shares[index] * self._group.message(round_number, previous) % _PRIME
        return index.to_bytes(2, "big") + value.to_bytes(8, "big")


@dataclass
class Node:
    """A process that may be down, and its store, which stays."""

    name: str
    make: Callable[[Beacon], Core]
    store: list[Beacon]
    skew_s: float = 0.0
    core: Core | None = None
    life: int = 0
    wake_s: float | None = None
    stored_at_s: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


@dataclass
class Stream:
    """A sync over the network: who asked, in which life and attempt, and who serves."""

    client: Node
    client_life: int
    attempt: int
    server: Node
    server_life: int
    ready_s: float
    open: bool = True


class World:
    """Nodes, a network between them, and time."""

    def __init__(
        self,
        random: Random,
        schedule: Schedule,
        makers: Mapping[str, Callable[[Beacon], Core]],
        *,
        seed: bytes,
        check: Callable[[Beacon, bytes], bool],
    ) -> None:
        self.random = random
        self.schedule = schedule
        self.now_s = float(schedule.genesis_s)
        self.nodes = {
            name: Node(name, make, [genesis(seed)], stored_at_s=[0.0])
            for name, make in makers.items()
        }
        self.delay_s = (0.001, 0.02)
        self.loss = 0.0
        self.crash = 0.0
        self.crashes = 0
        self.early_s = 0.0
        self.cut: set[tuple[str, str]] = set()
        self.black_hole = False
        self.mute: set[str] = set()
        self.made: dict[int, bytes] = {0: seed}
        self.events = 0
        self.failed_syncs = 0
        self._check = check
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._streams: dict[int, Stream] = {}

    # ---- what tests do -----------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start a process that is down, on the store that it has."""
        node = self.nodes[name]
        assert node.core is None
        node.life += 1
        node.core = node.make(node.store[-1])
        node.wake_s = None
        self._feed(node, node.life, Started())

    def kill(self, name: str) -> None:
        """End a process; its streams break."""
        node = self.nodes[name]
        node.core = None
        for number, stream in list(self._streams.items()):
            if node in (stream.client, stream.server):
                self._break(number)

    def split(self, *sides: Iterable[str]) -> None:
        """Cut every link between the sides, both ways."""
        side_of = {name: number for number, side in enumerate(sides) for name in side}
        self.cut = {
            (one, other) for one in side_of for other in side_of if side_of[one] != side_of[other]
        }

    def heal(self) -> None:
        """Undo cuts, loss, and the chance of a crash."""
        self.cut = set()
        self.loss = 0.0
        self.crash = 0.0

    def run(self, until_s: float) -> None:
        """Let time pass up to this time."""
        queue = self._queue
        while queue and queue[0][0] <= until_s:
            self.now_s, _, action = heapq.heappop(queue)
            action()
        self.now_s = until_s

    def run_rounds(self, count: int) -> None:
        """Let so many periods pass, to shortly before a round's time."""
        self.run(self.schedule.next_time(self.now_s) + (count - 0.05) * self.schedule.period_s)

    def lasts(self) -> dict[str, int]:
        """Each node's last stored round."""
        return {name: node.store[-1].round for name, node in self.nodes.items()}

    @property
    def current(self) -> int:
        """The round whose time it is."""
        return self.schedule.current_round(self.now_s)

    # ---- time and network --------------------------------------------------------------------

    def _at(self, time_s: float, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._queue, (time_s, self._order, action))

    def _arrival_s(self) -> float:
        low, high = self.delay_s
        return self.now_s + low + (high - low) * self.random.random()

    def _passes(self, source: Node, target: Node) -> bool:
        if (source.name, target.name) in self.cut:
            return False
        return not (self.loss and self.random.random() < self.loss)

    def _feed(self, node: Node, life: int, event: Event) -> None:
        if node.core is None or node.life != life:
            return
        self.events += 1
        effects = node.core.handle(event, self.now_s + node.skew_s)
        for effect in effects:
            if self.crash and self.random.random() < self.crash:
                self.crashes += 1
                self.kill(node.name)
                return
            self._carry_out(node, effect)
        wake_s = node.core.wake_s
        if wake_s is not None and wake_s != node.wake_s:
            node.wake_s = wake_s
            self._at(max(wake_s - node.skew_s, self.now_s), lambda: self._wake(node, life, wake_s))

    def _wake(self, node: Node, life: int, wake_s: float) -> None:
        if node.life == life and node.wake_s == wake_s:
            node.wake_s = None
            self._feed(node, life, Tick())

    def _carry_out(self, node: Node, effect: Effect) -> None:  # noqa: PLR0912 - one case each
        match effect:
            case Broadcast() if node.name in self.mute:
                pass  # it dials nobody; others dial it
            case Broadcast(partial, targets):
                event = PartialArrived(partial)
                for name in targets:
                    target = self.nodes[name]
                    if self._passes(node, target):
                        self._later(target, event)
            case Store(beacon):
                self._stored(node, beacon)
            case SyncFrom():
                self._open(node, effect)
            case SyncStop(attempt):
                for number, stream in list(self._streams.items()):
                    if (stream.client, stream.client_life, stream.attempt) == (
                        node,
                        node.life,
                        attempt,
                    ):
                        self._close(number)
            case StreamStored(number, first, last):
                assert last < len(node.store), f"{node.name} announces what it has not stored"
                for beacon in node.store[first : last + 1]:
                    self._send(number, beacon)
            case StreamNew(numbers, beacon):
                assert node.store[-1] == beacon, f"{node.name} announces what it has not stored"
                for number in numbers:
                    self._send(number, beacon)
            case StreamClose(number):
                self._break(number)
            case SyncFailed():
                self.failed_syncs += 1
            case Answer():
                if effect.refusal is not None:
                    node.answers.append(effect)
            case Kept():
                pass

    def _later(self, node: Node, event: Event) -> None:
        life = node.life
        self._at(self._arrival_s(), lambda: self._feed(node, life, event))

    def _stored(self, node: Node, beacon: Beacon) -> None:
        last = node.store[-1]
        assert beacon.round == last.round + 1, f"{node.name}: {last.round}, then {beacon.round}"
        known = self.made.setdefault(beacon.round, beacon.signature)
        assert known == beacon.signature, f"{node.name}: a fork at round {beacon.round}"
        assert self._check(beacon, last.signature), f"{node.name}: {beacon.round} does not verify"
        due_s = self.schedule.time_of(beacon.round) - self.early_s
        assert self.now_s >= due_s, f"{node.name}: round {beacon.round} before its time"
        node.store.append(beacon)
        node.stored_at_s.append(self.now_s)

    # ---- syncs -------------------------------------------------------------------------------

    def _open(self, client: Node, effect: SyncFrom) -> None:
        server = self.nodes[effect.peer]
        number = self._order = self._order + 1
        stream = Stream(client, client.life, effect.attempt, server, server.life, self.now_s)
        self._streams[number] = stream
        mute = client.name in self.mute
        if mute or server.core is None or not self._passes(client, server):
            if mute or not self.black_hole:
                self._break(number)
            return
        asked = SyncAsked(number, client.name, effect.from_round)
        self._later(server, asked)

    def _send(self, number: int, beacon: Beacon) -> None:
        stream = self._streams.get(number)
        if stream is None or not stream.open:
            return
        if not self._passes(stream.server, stream.client):
            if not self.black_hole:
                self._break(number)
            else:
                stream.open = False
            return
        event = SyncArrived(stream.attempt, None, beacon)
        # What was sent first arrives first.
        stream.ready_s = max(stream.ready_s, self._arrival_s())
        self._at(stream.ready_s, lambda: self._feed(stream.client, stream.client_life, event))

    def _break(self, number: int) -> None:
        """The connection is lost: both ends learn of it."""
        stream = self._streams.get(number)
        if stream is None:
            return
        self._close(number)
        ready_s = max(stream.ready_s, self._arrival_s())
        ended = SyncEnded(stream.attempt)
        self._at(ready_s, lambda: self._feed(stream.client, stream.client_life, ended))

    def _close(self, number: int) -> None:
        stream = self._streams.pop(number)
        left = SyncLeft(number)
        self._at(self._arrival_s(), lambda: self._feed(stream.server, stream.server_life, left))


def fast_world(
    *,
    seed: int,
    members: int,
    threshold: int,
    period_s: int = 3,
    catchup_period_s: float = 1.0,
    chained: bool = True,
) -> World:
    """Members n0, n1, ... of one group with the fast signatures, none started."""
    random = Random(seed)
    schedule = Schedule(GENESIS_S, period_s)
    names = {index: f"n{index}" for index in range(members)}
    group = FastGroup(threshold, names, chained=chained, seed=seed)

    def maker(index: int) -> Callable[[Beacon], Core]:
        place = Place("default", schedule, catchup_period_s, names, index)
        signing: Signing = FastSigning(group, index)

        def make(last: Beacon) -> Core:
            return Core(place, signing, last=last, random=Random(random.getrandbits(32)))

        return make

    def check(beacon: Beacon, previous: bytes) -> bool:
        return beacon.signature == group.signature(beacon.round, previous)

    world = World(
        random,
        schedule,
        {name: maker(index) for index, name in names.items()},
        seed=SEED,
        check=check,
    )
    world.now_s = GENESIS_S - 1.0
    return world


def real_world(group: Group, shares: Iterable[Share]) -> World:
    """The members of a group, by address, with its real signatures; none started."""
    addresses = {member.index: member.identity.address for member in group.members}

    def maker(share: Share) -> Callable[[Beacon], Core]:
        place = Place(group.id, group.schedule, group.catchup_period_s, addresses, share.index)
        signing = GroupSigning(group, share)
        return lambda last: Core(place, signing, last=last, random=Random(share.index))

    def check(beacon: Beacon, previous: bytes) -> bool:
        message = group.scheme.digest(beacon.round, previous)
        return bls.verify(group.scheme, group.chain().public_key, message, beacon.signature)

    makers = {addresses[share.index]: maker(share) for share in shares}
    world = World(Random(1), group.schedule, makers, seed=group.genesis_seed, check=check)
    world.now_s = group.genesis_s - 0.5
    return world
