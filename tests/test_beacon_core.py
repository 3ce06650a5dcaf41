"""The beacon's core, event by event; and with real members' shares, the rounds that they made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.beacon_vectors import FOLDERS, MEMBERS, Folder

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes import bls
from nodes.beacon import layout
from nodes.beacon.cache import PARTIALS_OF_ONE_MEMBER, ROUNDS_AHEAD, PartialCache
from nodes.beacon.core import Core, Place, genesis
from nodes.beacon.errors import (
    BeaconError,
    FutureRound,
    InvalidPartial,
    NoBeaconStored,
    OwnIndex,
    PartialRefused,
    StreamReplaced,
    TooManyStreams,
    UnknownIndex,
)
from nodes.beacon.group import Group, read_group
from nodes.beacon.messages import (
    Answer,
    Beacon,
    Broadcast,
    Effect,
    Event,
    Kept,
    Partial,
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
from nodes.beacon.serving import STREAMS_AT_MOST
from nodes.beacon.share import Share, read_share
from nodes.beacon.signing import GroupSigning
from nodes.beacon.transitions import TRANSITIONS, Phase, Step, Trigger, phase_of
from tests.beacon_simulation import GENESIS_S, SEED, FastGroup, FastSigning, World, real_world

PERIOD_S = 3
ADDRESSES = {0: "n0:1", 1: "n1:1", 2: "n2:1", 3: "n3:1", 7: "n7:1"}
_Effect = TypeVar("_Effect", bound=Effect)


class Bench:
    """One core, member 0 of five with threshold three, and the group's secrets."""

    def __init__(self, *, last: Beacon | None = None, chained: bool = True) -> None:
        self.group = FastGroup(3, ADDRESSES, chained=chained, seed=5)
        self.schedule = Schedule(GENESIS_S, PERIOD_S)
        self.chain = [genesis(SEED)]
        for number in range(1, 60):
            previous = self.chain[-1].signature if chained else b""
            signature = self.group.signature(number, previous)
            self.chain.append(Beacon(number, previous, signature))
        place = Place("default", self.schedule, 1.0, ADDRESSES, 0)
        signing = FastSigning(self.group, 0)
        self.core = Core(place, signing, last=last or self.chain[0], random=Random(3))

    def partial(self, index: int, number: int, previous: bytes | None = None) -> Partial:
        upon = self.chain[number - 1].signature if previous is None else previous
        return Partial(number, upon, FastSigning(self.group, index).sign(number, upon))

    def during(self, number: int) -> float:
        return self.schedule.time_of(number) + 0.5

    def handle(self, event: Event, now_s: float) -> Sequence[Effect]:
        return self.core.handle(event, now_s)

    def send(self, index: int, number: int, now_s: float) -> Sequence[Effect]:
        return self.handle(PartialArrived(self.partial(index, number)), now_s)


def only(kind: type[_Effect], effects: Sequence[Effect]) -> list[_Effect]:
    return [effect for effect in effects if isinstance(effect, kind)]


# ---- real members ------------------------------------------------------------------------------


def recorded(folder: Folder) -> tuple[Group, list[Share]]:
    """A recorded network's group, and its four members' shares."""
    group = read_group(*layout.read(folder.path / MEMBERS[0] / "drand_group.toml"))
    return group, [
        read_share(*layout.read(folder.path / member / "dist_key.private")) for member in MEMBERS
    ]


def world_of(folder: Folder) -> World:
    """The four members of a recorded network as cores of ours."""
    return real_world(*recorded(folder))


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_with_real_shares_the_rounds_come_out_bit_for_bit(folder: Folder) -> None:
    world = world_of(folder)
    for name in world.nodes:
        world.start(name)
    world.run_rounds(8)
    published = folder.published["beacons"]
    assert [beacon["round"] for beacon in published] == list(range(1, 9))
    for node in world.nodes.values():
        made = node.store[1:9]
        assert [beacon.signature.hex() for beacon in made] == [
            beacon["signature"] for beacon in published
        ]
        assert [beacon.previous_signature.hex() for beacon in made] == [
            beacon.get("previous_signature", "") for beacon in published
        ]
        assert [bls.randomness(beacon.signature).hex() for beacon in made] == [
            beacon["randomness"] for beacon in published
        ]


def test_a_real_member_that_was_down_catches_up_to_the_same_rounds() -> None:
    folder = FOLDERS[0]
    world = world_of(folder)
    late, *others = world.nodes
    for name in others:
        world.start(name)
    world.run_rounds(6)
    world.start(late)
    world.run_rounds(2)
    assert set(world.lasts().values()) == {8}
    signatures = [beacon.signature.hex() for beacon in world.nodes[late].store[1:]]
    assert signatures == [beacon["signature"] for beacon in folder.published["beacons"]]


MUTATIONS = ("bit", "index", "cut", "longer", "round", "upon", "infinity", "another's")


@given(folder=st.sampled_from(FOLDERS), how=st.sampled_from(MUTATIONS), seed=st.integers(0, 2**32))
@settings(max_examples=150)
def test_a_real_partial_that_was_changed_is_refused_and_costs_no_round(
    folder: Folder, how: str, seed: int
) -> None:
    draw = Random(seed)
    group, shares = recorded(folder)
    signings = {share.index: GroupSigning(group, share) for share in shares}
    addresses = {member.index: member.identity.address for member in group.members}
    place = Place(group.id, group.schedule, 1.0, addresses, 0)
    core = Core(place, signings[0], last=genesis(group.genesis_seed), random=draw)
    now_s = group.genesis_s + 0.5
    core.handle(Started(), group.genesis_s - 1)
    core.handle(Tick(), now_s)
    index = draw.choice([1, 2, 3])
    good = signings[index].sign(1, group.genesis_seed)
    changed, upon, number = bytearray(good), group.genesis_seed, 1
    match how:
        case "bit":
            changed[draw.randrange(len(good))] ^= 1 << draw.randrange(8)
        case "index":
            changed[:2] = draw.choice([0, 4, 255, 65535, index % 3 + 1]).to_bytes(2, "big")
        case "cut":
            del changed[draw.randrange(len(good)) :]
        case "longer":
            changed += bytes(draw.randrange(1, 200))
        case "round":
            number = 2
        case "upon":
            upon = draw.randbytes(32)
        case "infinity":
            changed[2:] = b"\xc0" + bytes(len(good) - 3)
        case _:
            changed[2:] = signings[index % 3 + 1].sign(1, group.genesis_seed)[2:]
    effects = core.handle(PartialArrived(Partial(number, upon, bytes(changed))), now_s)
    if how == "upon" and not group.scheme.chained:
        assert only(Kept, effects) != [], "nothing covers it there"
    else:
        [answer] = effects
        assert isinstance(answer, Answer)
        assert isinstance(answer.refusal, PartialRefused)
    stored = []
    for other in (1, 2, 3):
        whole = Partial(1, group.genesis_seed, signings[other].sign(1, group.genesis_seed))
        stored += only(Store, core.handle(PartialArrived(whole), now_s))
    assert [effect.beacon.signature.hex() for effect in stored] == [
        folder.published["beacons"][0]["signature"]
    ]


# ---- the table ---------------------------------------------------------------------------------


def test_the_table_has_a_line_for_every_case() -> None:
    assert set(TRANSITIONS) == {(phase, trigger) for phase in Phase for trigger in Trigger}


def test_nothing_is_signed_before_genesis_or_ahead_of_the_clock() -> None:
    signs = {Step.SIGN_NEXT, Step.SIGN_AGAIN}
    for trigger in Trigger:
        for phase in (Phase.EARLY, Phase.AHEAD):
            assert not signs & set(TRANSITIONS[phase, trigger])
        assert Step.SIGN_NEXT not in TRANSITIONS[Phase.IN_STEP, trigger]


@pytest.mark.parametrize(
    ("last", "now_s", "phase"),
    [
        (0, GENESIS_S - 0.01, Phase.EARLY),
        (0, GENESIS_S, Phase.DUE),
        (1, GENESIS_S, Phase.IN_STEP),
        (1, GENESIS_S + PERIOD_S - 0.01, Phase.IN_STEP),
        (2, GENESIS_S, Phase.AHEAD),
        (0, GENESIS_S + PERIOD_S, Phase.BEHIND),
    ],
)
def test_the_phase_is_the_last_round_against_the_clock(
    last: int, now_s: float, phase: Phase
) -> None:
    assert phase_of(last, Schedule(GENESIS_S, PERIOD_S), now_s) is phase


# ---- rounds ------------------------------------------------------------------------------------


def test_a_partial_is_broadcast_once_at_each_rounds_time() -> None:
    bench = Bench()
    assert bench.handle(Started(), GENESIS_S - 10.0) == []
    assert bench.core.wake_s == GENESIS_S
    assert bench.handle(Tick(), GENESIS_S - 0.01) == []
    sent = bench.handle(Tick(), GENESIS_S + 0.01)
    assert sent[0] == Broadcast(bench.partial(0, 1), ("n1:1", "n2:1", "n3:1", "n7:1"))
    assert only(Broadcast, sent[1:]) == []
    assert bench.handle(Tick(), GENESIS_S + 0.02) == []
    assert bench.core.wake_s == GENESIS_S + PERIOD_S
    assert bench.handle(Tick(), GENESIS_S + PERIOD_S - 0.01) == []
    assert len(only(Broadcast, bench.handle(Tick(), GENESIS_S + PERIOD_S))) == 1


def test_at_the_threshold_a_round_is_verified_stored_and_not_before() -> None:
    bench = Bench()
    bench.handle(Started(), GENESIS_S - 1)
    bench.handle(Tick(), GENESIS_S)
    assert only(Store, bench.send(3, 1, GENESIS_S + 0.1)) == []
    assert only(Store, bench.send(3, 1, GENESIS_S + 0.1)) == [], "one member counts once"
    effects = bench.send(7, 1, GENESIS_S + 0.2)
    assert only(Kept, effects) == [Kept(1, 7, 3, 3)]
    assert only(Store, effects) == [Store(bench.chain[1], aggregated=True)]
    assert bench.core.last == bench.chain[1]
    assert bench.send(2, 1, GENESIS_S + 0.3) == [Answer(None)]


def test_who_holds_the_round_already_sends_its_partial_for_it_again() -> None:
    bench = Bench(last=Bench().chain[5])
    bench.handle(Started(), bench.during(4))
    sent = only(Broadcast, bench.handle(Tick(), bench.during(5)))
    assert [effect.partial for effect in sent] == [bench.partial(0, 5)]


def test_a_clock_a_period_behind_the_others_signs_nothing_ahead_of_itself() -> None:
    bench = Bench(last=Bench().chain[6])
    bench.handle(Started(), bench.during(4))
    assert bench.handle(Tick(), bench.during(5)) == []


def test_a_pause_of_many_rounds_costs_one_partial_and_asks_for_a_sync() -> None:
    bench = Bench(last=Bench().chain[1])
    bench.handle(Started(), bench.during(1))
    effects = bench.handle(Tick(), bench.during(30))
    assert [effect.partial.round for effect in only(Broadcast, effects)] == [2]
    assert [effect.from_round for effect in only(SyncFrom, effects)] == [2]
    assert effects.index(only(Broadcast, effects)[0]) < effects.index(only(SyncFrom, effects)[0])


def test_a_clock_set_back_does_not_silence_the_member() -> None:
    bench = Bench()
    bench.handle(Started(), bench.during(50))
    assert not bench.core.is_due(bench.during(50))
    assert bench.core.is_due(bench.during(3)), "a Tick is not waited for until round 51 is due"
    bench.handle(Tick(), bench.during(3))
    assert bench.core.wake_s == bench.schedule.time_of(4)
    assert not bench.core.is_due(bench.during(3))
    assert only(Broadcast, bench.handle(Tick(), bench.during(4))) != []


def test_a_round_made_late_is_followed_after_the_catch_up_period_by_the_next() -> None:
    bench = Bench()
    now_s = bench.during(20)
    bench.handle(Started(), bench.during(19))
    bench.handle(Tick(), now_s)
    bench.send(1, 1, now_s)
    assert only(Store, bench.send(2, 1, now_s)) != []
    assert bench.core.wake_s == now_s + 1.0
    assert bench.handle(Tick(), now_s + 0.9) == []
    sent = only(Broadcast, bench.handle(Tick(), now_s + 1.0))
    assert [effect.partial for effect in sent] == [bench.partial(0, 2)]
    assert bench.core.wake_s == bench.schedule.time_of(21)


def test_catching_up_ends_with_the_current_round_not_one_before_it() -> None:
    bench = Bench(last=Bench().chain[8])
    now_s = bench.during(10)
    bench.handle(Started(), bench.during(9))
    bench.handle(Tick(), now_s)
    bench.send(1, 9, now_s)
    bench.send(2, 9, now_s)
    sent = only(Broadcast, bench.handle(Tick(), now_s + 1.0))
    assert [effect.partial.round for effect in sent] == [10]
    bench.send(1, 10, now_s + 1.1)
    assert only(Store, bench.send(2, 10, now_s + 1.1)) != []
    assert bench.core.wake_s == bench.schedule.time_of(11)


def test_a_synced_round_is_not_followed_by_one_of_ours() -> None:
    bench = Bench()
    effects = bench.handle(Started(), bench.during(20))
    [asked] = only(SyncFrom, effects)
    bench.handle(SyncArrived(asked.attempt, "default", bench.chain[1]), bench.during(20))
    assert bench.core.last == bench.chain[1]
    assert bench.core.wake_s == bench.schedule.time_of(21)


def test_partials_that_came_before_their_round_make_it_as_soon_as_it_is_next() -> None:
    bench = Bench()
    bench.handle(Started(), bench.during(10))
    now_s = bench.during(10)
    for number in (2, 3):
        for index in (1, 2, 3):
            assert only(Store, bench.send(index, number, now_s)) == []
    bench.send(1, 1, now_s)
    bench.send(2, 1, now_s)
    stored = [effect.beacon.round for effect in only(Store, bench.send(3, 1, now_s))]
    assert stored == [1, 2, 3]


def test_a_threshold_for_a_later_round_asks_for_a_sync() -> None:
    bench = Bench()
    bench.handle(Started(), GENESIS_S - 1)
    now_s = bench.during(3)
    bench.send(1, 3, now_s)
    bench.send(2, 3, now_s)
    effects = bench.send(3, 3, now_s)
    assert only(Store, effects) == []
    assert [effect.from_round for effect in only(SyncFrom, effects)] == [1]


def test_unchained_partials_count_whatever_they_say_of_the_round_before() -> None:
    bench = Bench(chained=False)
    bench.handle(Started(), GENESIS_S - 1)
    for index, previous in ((1, b""), (2, b"x"), (3, SEED)):
        effects = bench.handle(PartialArrived(bench.partial(index, 1, previous)), bench.during(1))
    assert [effect.beacon for effect in only(Store, effects)] == [bench.chain[1]]
    assert bench.core.last.previous_signature == b""


def test_a_synced_unchained_round_is_stored_without_what_it_says_of_the_one_before() -> None:
    bench = Bench(chained=False)
    asked = following(bench, bench.during(3))
    sent = Beacon(1, b"whatever", bench.chain[1].signature)
    effects = bench.handle(SyncArrived(asked.attempt, None, sent), bench.during(3))
    assert effects == [Store(bench.chain[1], aggregated=False)]


def test_a_recovered_signature_that_does_not_verify_is_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.handle(Started(), GENESIS_S - 1)
    monkeypatch.setattr(FastSigning, "recover", lambda *_: bytes(8))
    for index in (1, 2, 3):
        assert only(Store, bench.send(index, 1, bench.during(1))) == []
    monkeypatch.undo()
    for index in (1, 2, 3):
        effects = bench.send(index, 1, bench.during(1))
    assert only(Store, effects) == [Store(bench.chain[1], aggregated=True)]


def test_no_partial_outlives_its_round() -> None:
    bench = Bench()
    bench.handle(Started(), GENESIS_S - 1)
    for number in (1, 2):
        for index in (1, 2, 3):
            bench.send(index, number, bench.during(2))
    bench.send(7, 3, bench.during(2))
    assert bench.core.last == bench.chain[2]
    assert len(bench.core._cache) == 1


# ---- partials that are refused, in their order -------------------------------------------------


def refused(bench: Bench, partial: Partial, now_s: float) -> BeaconError | None:
    before = bench.core.last
    effects = bench.handle(PartialArrived(partial), now_s)
    assert bench.core.last == before
    assert only(Kept, effects) == []
    [answer] = effects
    assert isinstance(answer, Answer)
    return answer.refusal


def test_partials_are_checked_cheapest_first() -> None:
    bench = Bench(last=Bench().chain[4])
    bench.handle(Started(), bench.during(4))
    now_s = bench.during(5)
    good = bench.partial(1, 5)
    unknown = (9).to_bytes(2, "big") + good.partial[2:]

    # Each is wrong in all that is looked at later, too.
    future = refused(bench, Partial(7, b"", b"short"), now_s)
    assert isinstance(future, FutureRound)
    assert str(future) == "invalid round: 7 instead of 5"
    assert refused(bench, Partial(4, b"", b"short"), now_s) is None
    assert refused(bench, Partial(0, b"", b""), now_s) is None
    assert isinstance(refused(bench, Partial(5, b"", b"short"), now_s), InvalidPartial)
    stranger = refused(bench, Partial(5, b"", unknown), now_s)
    assert isinstance(stranger, UnknownIndex)
    assert str(stranger) == (
        "attempted to process beacon from node of index 9, but it was not in the group file"
    )
    assert isinstance(refused(bench, bench.partial(0, 5), now_s), OwnIndex)
    assert isinstance(refused(bench, Partial(5, b"", good.partial), now_s), InvalidPartial)
    swapped = bench.partial(2, 5).partial[:2] + good.partial[2:]
    assert isinstance(
        refused(bench, Partial(5, good.previous_signature, swapped), now_s), InvalidPartial
    )
    assert isinstance(refused(bench, bench.partial(1, 5, b"x" * 97), now_s), InvalidPartial)
    assert only(Kept, bench.send(1, 5, now_s)) == [Kept(5, 1, 1, 3)]


def test_the_next_round_is_taken_a_little_early_and_none_after_it() -> None:
    bench = Bench()
    bench.handle(Started(), GENESIS_S - 9)
    assert only(Kept, bench.send(1, 1, GENESIS_S - 9)) != []
    assert isinstance(refused(bench, bench.partial(1, 2), GENESIS_S - 0.1), FutureRound)
    assert only(Kept, bench.send(1, 2, GENESIS_S)) != []
    assert isinstance(refused(bench, bench.partial(1, 3), GENESIS_S), FutureRound)


def test_partials_far_ahead_of_the_last_round_are_not_kept() -> None:
    bench = Bench()
    bench.handle(Started(), bench.during(30))
    assert only(Kept, bench.send(1, ROUNDS_AHEAD, bench.during(30))) != []
    assert bench.send(1, ROUNDS_AHEAD + 1, bench.during(30)) == [Answer(None)]


def test_the_same_partial_again_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.handle(Started(), GENESIS_S - 1)
    looks = []
    verify = FastSigning.verify_partial

    def counted(self: FastSigning, number: int, previous: bytes, partial: bytes) -> bool:
        looks.append(number)
        return verify(self, number, previous, partial)

    monkeypatch.setattr(FastSigning, "verify_partial", counted)
    for _ in range(3):
        bench.send(1, 1, bench.during(1))
    assert looks == [1]
    altered = Partial(1, SEED, bench.partial(1, 1).partial[:-1] + b"\0")
    assert isinstance(refused(bench, altered, bench.during(1)), InvalidPartial)
    assert looks == [1, 1]


def test_one_members_nonsense_takes_no_others_place() -> None:
    cache = PartialCache()
    assert cache.add(1, b"", 2, b"honest") == 1
    assert cache.add(1, b"", 2, b"honest") == 0
    for number in range(3 * PARTIALS_OF_ONE_MEMBER):
        cache.add(1, number.to_bytes(2, "big"), 1, b"nonsense")
    assert len(cache) == PARTIALS_OF_ONE_MEMBER + 1
    assert cache.of(1, b"") == {2: b"honest"}
    assert cache.add(1, b"", 1, b"at last") == 2
    cache.drop_through(1)
    assert len(cache) == 0
    assert cache.add(2, b"", 1, b"again") == 1


# ---- being synced ------------------------------------------------------------------------------


def following(bench: Bench, now_s: float) -> SyncFrom:
    [asked] = only(SyncFrom, bench.handle(Started(), now_s))
    return asked


def test_a_sync_appends_what_verifies_and_ends_at_its_round() -> None:
    bench = Bench()
    now_s = bench.during(3)
    asked = following(bench, now_s)
    assert asked.from_round == 1
    for number in (1, 2, 3):
        effects = bench.handle(SyncArrived(asked.attempt, None, bench.chain[number]), now_s)
        assert effects == [Store(bench.chain[number], aggregated=False)]
    effects = bench.handle(SyncArrived(asked.attempt, "default", bench.chain[4]), now_s)
    assert effects == [Store(bench.chain[4], aggregated=False), SyncStop(asked.attempt)]
    assert bench.handle(SyncArrived(asked.attempt, None, bench.chain[5]), now_s) == []


@pytest.mark.parametrize(
    "wrong",
    [
        ("other", lambda bench: bench.chain[1]),
        (None, lambda bench: bench.chain[2]),
        (None, lambda _: Beacon(1, SEED, bytes(8))),
        (None, lambda bench: Beacon(1, b"x", bench.group.signature(1, b"x"))),
        (None, lambda _: Beacon(2**64 - 1, SEED, b"")),
    ],
    ids=["another network", "a gap", "no signature", "another chain", "the last of all"],
)
def test_a_peer_that_sends_something_else_is_left_for_the_next(
    wrong: tuple[str | None, Callable[[Bench], Beacon]],
) -> None:
    bench = Bench()
    now_s = bench.during(3)
    asked = following(bench, now_s)
    beacon_id, make = wrong
    stop, following_one = bench.handle(SyncArrived(asked.attempt, beacon_id, make(bench)), now_s)
    assert stop == SyncStop(asked.attempt)
    assert isinstance(following_one, SyncFrom)
    assert following_one.peer != asked.peer
    assert following_one.attempt != asked.attempt
    assert bench.core.last == bench.chain[0]
    assert bench.handle(SyncArrived(asked.attempt, None, bench.chain[1]), now_s) == []


def test_each_peer_is_tried_once_and_the_next_rounds_time_tries_again() -> None:
    bench = Bench()
    now_s = bench.during(3)
    asked = following(bench, now_s)
    peers = [asked.peer]
    for _ in range(3):
        [effect] = bench.handle(SyncEnded(asked.attempt), now_s)
        assert isinstance(effect, SyncFrom)
        asked = effect
        peers.append(asked.peer)
    assert sorted(peers) == ["n1:1", "n2:1", "n3:1", "n7:1"]
    assert bench.handle(SyncEnded(asked.attempt), now_s) == [SyncFailed(4)]
    assert bench.handle(SyncEnded(asked.attempt), now_s) == []
    assert only(SyncFrom, bench.handle(Tick(), bench.during(4))) != []


def test_a_sync_that_brings_nothing_is_replaced_after_two_periods() -> None:
    bench = Bench()
    asked = following(bench, bench.during(3))
    assert only(SyncFrom, bench.handle(Tick(), bench.during(4))) == []
    bench.handle(SyncArrived(asked.attempt, None, bench.chain[1]), bench.during(4))
    assert only(SyncFrom, bench.handle(Tick(), bench.during(5))) == []
    assert only(SyncFrom, bench.handle(Tick(), bench.during(6))) == []
    effects = bench.handle(Tick(), bench.during(7))
    assert only(SyncStop, effects) == [SyncStop(asked.attempt)]
    assert [effect.from_round for effect in only(SyncFrom, effects)] == [2]


def test_a_sync_from_before_the_clock_was_set_back_is_replaced_at_once() -> None:
    bench = Bench()
    asked = following(bench, bench.during(50))
    bench.handle(Tick(), bench.during(3))
    effects = bench.handle(Tick(), bench.during(4))
    assert only(SyncStop, effects) == [SyncStop(asked.attempt)]
    assert [effect.from_round for effect in only(SyncFrom, effects)] == [1]
    assert only(SyncFrom, bench.handle(Tick(), bench.during(5))) == []


def test_rounds_made_here_meanwhile_do_not_disturb_a_sync() -> None:
    bench = Bench()
    now_s = bench.during(3)
    asked = following(bench, now_s)
    for index in (1, 2, 3):
        bench.send(index, 1, now_s)
    assert bench.core.last == bench.chain[1]
    assert bench.handle(SyncArrived(asked.attempt, None, bench.chain[1]), now_s) == []
    arrived = bench.handle(SyncArrived(asked.attempt, None, bench.chain[2]), now_s)
    assert arrived == [Store(bench.chain[2], aggregated=False)]


def test_an_unchained_sync_has_no_gap_either() -> None:
    bench = Bench(chained=False)
    asked = following(bench, bench.during(3))
    effects = bench.handle(SyncArrived(asked.attempt, None, bench.chain[2]), bench.during(3))
    assert effects[0] == SyncStop(asked.attempt)
    assert bench.core.last == bench.chain[0]


def test_nothing_is_synced_before_genesis_or_ahead_of_the_clock() -> None:
    bench = Bench()
    assert bench.handle(Started(), GENESIS_S - 1) == []
    bench = Bench(last=Bench().chain[5])
    assert bench.handle(Started(), bench.during(4)) == []


# ---- serving others ----------------------------------------------------------------------------


def test_a_stream_sends_what_is_stored_then_what_is_new_without_a_gap() -> None:
    bench = Bench(last=Bench().chain[5])
    bench.handle(Started(), bench.during(5))
    now_s = bench.during(6)
    assert bench.handle(SyncAsked(1, "peer", 3), now_s) == [StreamStored(1, 3, 5)]
    assert bench.handle(SyncAsked(2, "client", 0), now_s) == []
    bench.send(1, 6, now_s)
    bench.send(2, 6, now_s)
    effects = bench.send(3, 6, now_s)
    [stored], [new] = only(Store, effects), only(StreamNew, effects)
    assert new == StreamNew((1, 2), bench.chain[6])
    assert effects.index(stored) < effects.index(new)
    bench.handle(SyncLeft(1), now_s)
    bench.handle(SyncLeft(1), now_s)
    for index in (1, 2, 3):
        effects = bench.send(index, 7, bench.during(7))
    assert only(StreamNew, effects) == [StreamNew((2,), bench.chain[7])]


def test_a_request_beyond_the_last_round_is_refused() -> None:
    bench = Bench(last=Bench().chain[5])
    bench.handle(Started(), bench.during(5))
    for from_round in (6, 2**64 - 1, -1):
        [effect] = bench.handle(SyncAsked(1, "peer", from_round), bench.during(5))
        assert isinstance(effect, StreamClose)
        assert isinstance(effect.refusal, NoBeaconStored)
        assert str(effect.refusal).endswith(f"5 < {from_round}")


def test_an_address_has_one_stream_and_all_together_have_a_bound() -> None:
    bench = Bench(last=Bench().chain[5])
    now_s = bench.during(5)
    bench.handle(SyncAsked(1, "peer", 5), now_s)
    replaced, stored = bench.handle(SyncAsked(2, "peer", 5), now_s)
    assert isinstance(replaced, StreamClose)
    assert replaced.stream == 1
    assert isinstance(replaced.refusal, StreamReplaced)
    assert stored == StreamStored(2, 5, 5)
    for number in range(STREAMS_AT_MOST - 1):
        assert bench.handle(SyncAsked(10 + number, f"peer {number}", 0), now_s) == []
    [effect] = bench.handle(SyncAsked(9, "one more", 0), now_s)
    assert isinstance(effect, StreamClose)
    assert isinstance(effect.refusal, TooManyStreams)
    [replaced] = bench.handle(SyncAsked(9, "peer 0", 0), now_s)
    assert isinstance(replaced, StreamClose)
    assert isinstance(replaced.refusal, StreamReplaced)


def test_we_are_a_member_of_our_network() -> None:
    with pytest.raises(ValueError, match="index 5"):
        Place("default", Schedule(GENESIS_S, 1), 0.0, ADDRESSES, 5)
