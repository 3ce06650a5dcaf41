"""
The beacon's core in a simulated network: no fork, no rollback, no round early, and it comes back.

The invariants of safety are asserted by the simulation at every store; here is what is done to it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.beacon_vectors import FOLDERS

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes.beacon.messages import Partial, PartialArrived
from tests.beacon_simulation import World, fast_world
from tests.test_beacon_core import world_of

PERIOD_S = 3
CATCHUP_S = 1.0


def started(world: World) -> World:
    for name in world.nodes:
        world.start(name)
    return world


def in_step(world: World) -> bool:
    return set(world.lasts().values()) == {world.current}


# ---- a network that is well --------------------------------------------------------------------


@pytest.mark.parametrize("chained", [True, False], ids=["chained", "unchained"])
@pytest.mark.parametrize(("members", "threshold"), [(1, 1), (4, 3), (5, 3), (12, 7)])
def test_every_round_is_made_by_everyone_within_moments_of_its_time(
    *, members: int, threshold: int, chained: bool
) -> None:
    world = fast_world(seed=1, members=members, threshold=threshold, chained=chained)
    started(world).run_rounds(50)
    assert in_step(world)
    for node in world.nodes.values():
        late_s = [
            at_s - world.schedule.time_of(beacon.round)
            for beacon, at_s in zip(node.store[1:], node.stored_at_s[1:], strict=True)
        ]
        assert max(late_s) < 0.1
        assert node.answers == []


def test_thousands_of_rounds_take_no_more_events_each_than_a_few(
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = started(fast_world(seed=1, members=5, threshold=3))
    began = time.process_time()
    world.run_rounds(3000)
    taken_s = time.process_time() - began
    assert in_step(world)
    with capsys.disabled():
        print(  # noqa: T201 - a figure for whoever reads the run
            f"\n5 members: {3000 / taken_s:.0f} rounds, {world.events / taken_s:.0f} events "
            "a CPU second"
        )
    # Of five members each wakes and sends four partials, whatever came before; each starts once.
    assert world.events <= 3000 * 5 * (1 + 4) + 5


def test_who_is_down_costs_no_round_while_a_threshold_is_up() -> None:
    world = started(fast_world(seed=2, members=5, threshold=3))
    world.run_rounds(3)
    world.kill("n0")
    world.run_rounds(10)
    world.kill("n1")
    world.run_rounds(10)
    assert {world.lasts()[name] for name in ("n2", "n3", "n4")} == {world.current}
    world.kill("n2")
    before = world.lasts()
    world.run_rounds(10)
    assert world.lasts() == before, "below the threshold nothing is made"
    world.start("n0")
    world.run_rounds(12)
    assert {world.lasts()[name] for name in ("n0", "n3", "n4")} == {world.current}


@pytest.mark.parametrize("chained", [True, False], ids=["chained", "unchained"])
def test_one_side_of_a_split_goes_on_and_the_other_follows_after_the_heal(
    *,
    chained: bool,
) -> None:
    world = started(fast_world(seed=3, members=5, threshold=3, chained=chained))
    world.run_rounds(3)
    world.split(["n0", "n1"], ["n2", "n3", "n4"])
    world.run_rounds(100)
    lasts = world.lasts()
    assert {lasts["n2"], lasts["n3"], lasts["n4"]} == {world.current}
    assert max(lasts["n0"], lasts["n1"]) <= 4
    world.heal()
    world.run_rounds(3)
    assert in_step(world)


def test_who_was_down_for_a_thousand_rounds_is_back_within_two() -> None:
    world = started(fast_world(seed=4, members=4, threshold=3))
    world.run_rounds(2)
    world.kill("n3")
    world.run_rounds(1000)
    world.start("n3")
    world.run_rounds(2)
    assert in_step(world)


def test_a_crash_between_any_two_effects_leaves_a_chain_to_go_on_with() -> None:
    world = started(fast_world(seed=11, members=5, threshold=3))
    world.crash = 0.01
    for _ in range(200):
        world.run_rounds(1)
        for name, node in world.nodes.items():
            if node.core is None:
                world.start(name)
    assert world.crashes > 50
    recovers(world, CATCHUP_S)


# ---- catching up -------------------------------------------------------------------------------


def halted(seed: int, rounds: int, catchup_period_s: float) -> World:
    world = fast_world(seed=seed, members=4, threshold=3, catchup_period_s=catchup_period_s)
    started(world).run_rounds(3)
    world.split(["n0", "n1"], ["n2", "n3"])
    world.run_rounds(rounds)
    assert max(world.lasts().values()) <= 4
    world.heal()
    return world


@pytest.mark.parametrize("rounds", [5, 20, 60])
def test_a_halted_chain_catches_up_in_the_time_that_the_catch_up_period_gives(
    rounds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    world = halted(5, rounds, CATCHUP_S)
    missing = world.current - max(world.lasts().values())
    began_s = world.now_s
    bound_s = 1.5 * missing * CATCHUP_S / (1 - CATCHUP_S / PERIOD_S) + 5 * PERIOD_S
    while not in_step(world) and world.now_s < began_s + bound_s:
        world.run_rounds(1)
    taken_s = world.now_s - began_s
    assert in_step(world), f"{world.current - min(world.lasts().values())} behind"
    formula_s = missing * CATCHUP_S / (1 - CATCHUP_S / PERIOD_S)
    with capsys.disabled():
        print(  # noqa: T201 - a figure for whoever reads the run
            f"\nhalted for {missing} rounds: {taken_s:.1f} s; {formula_s:.1f} s by the formula"
        )
    assert taken_s > 0.9 * formula_s - PERIOD_S, "no faster than the period allows"


def test_with_a_catch_up_period_as_long_as_the_period_a_halt_is_never_made_good() -> None:
    world = halted(6, 20, float(PERIOD_S))
    world.run_rounds(5)
    behind = world.current - max(world.lasts().values())
    world.run_rounds(200)
    assert world.current - max(world.lasts().values()) == behind > 10


def test_with_no_catch_up_period_a_halt_is_made_good_within_two_rounds() -> None:
    world = halted(7, 60, 0.0)
    world.run_rounds(2)
    assert in_step(world)


@pytest.mark.parametrize("seed", range(5))
def test_half_of_the_diallers_mute_a_chain_makes_one_round_a_tick_and_stays_behind(
    seed: int,
) -> None:
    """Who aggregates sends to nobody, and who sends gets the round by a sync: row A11."""
    world = fast_world(seed=seed, members=4, threshold=3)
    started(world).run_rounds(5)
    names = list(world.nodes)
    world.split(*([name] for name in names))
    world.run_rounds(8)
    world.heal()
    world.mute = set(names[:2])
    world.run_rounds(4)
    behind = world.current - min(world.lasts().values())
    assert behind >= 8
    made = world.lasts()
    world.run_rounds(40)
    assert world.lasts() == {name: last + 40 for name, last in made.items()}
    world.mute = set()
    world.run_rounds(behind)
    assert in_step(world)


@pytest.mark.parametrize("seed", range(5))
def test_one_dialler_mute_and_no_spare_a_chain_limps_and_never_halts(seed: int) -> None:
    """Who is mute makes each round for itself; the others fetch it a tick or more later: row C4."""
    world = fast_world(seed=seed, members=4, threshold=3)
    names = list(world.nodes)
    world.mute = {names[0]}
    started(world).run_rounds(6)
    assert in_step(world)
    world.kill(names[1])
    world.run_rounds(2)
    for _ in range(30):
        before = world.current - world.lasts()[names[0]]
        world.run_rounds(1)
        behind = world.current - world.lasts()[names[0]]
        assert 1 <= before <= behind <= before + 1


@pytest.mark.parametrize("black_hole", [False, True], ids=["refused", "black hole"])
def test_syncs_get_past_peers_that_refuse_or_swallow_them(
    *,
    black_hole: bool,
) -> None:
    world = started(fast_world(seed=8, members=5, threshold=3))
    world.run_rounds(2)
    world.kill("n0")
    world.run_rounds(50)
    world.black_hole = black_hole
    # n0 hears of everybody by n4 alone.
    world.cut = {(one, "n0") for one in ("n1", "n2", "n3")} | {
        ("n0", one) for one in ("n1", "n2", "n3")
    }
    world.start("n0")
    # A peer that swallows the request costs three rounds' times before the next one is asked, and
    # each time n0 has caught up it asks anew: three such peers, nine rounds.
    allowed = 10 if black_hole else 1
    for _ in range(5):
        world.run_rounds(11)
        assert world.lasts()["n0"] >= world.current - allowed


# ---- members that err --------------------------------------------------------------------------


def test_clocks_that_differ_by_less_than_a_period_cost_no_round() -> None:
    world = fast_world(seed=9, members=5, threshold=3)
    for node, skew_s in zip(world.nodes.values(), (-1.2, -0.4, 0.0, 0.4, 1.2), strict=True):
        node.skew_s = skew_s
    world.early_s = 0.0  # the third clock to reach a round's time is the true one
    started(world).run_rounds(100)
    assert min(world.lasts().values()) >= world.current - 1


def test_fewer_than_a_threshold_of_fast_clocks_make_no_round_early() -> None:
    world = fast_world(seed=10, members=5, threshold=3)
    for name in ("n0", "n1"):
        world.nodes[name].skew_s = 100.0 * PERIOD_S
    started(world).run_rounds(50)
    assert {world.lasts()[name] for name in ("n2", "n3", "n4")} == {world.current}


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20)
def test_nonsense_from_anyone_costs_nothing(seed: int) -> None:
    world = started(fast_world(seed=seed, members=4, threshold=3))
    random = world.random
    sent = 0
    for _ in range(20):
        world.run_rounds(1)
        node = random.choice(list(world.nodes.values()))
        last = random.choice(list(world.nodes.values())).store[-1]
        for _ in range(10):
            index = random.choice([0, 1, 2, 3, 9, 65535])
            body = random.choice([random.randbytes(8), last.signature, b"", bytes(97)])
            number = max(0, last.round + random.choice([-1, 0, 1, 2, 5, 2**40, 2**63]))
            upon = random.choice([last.signature, b"", random.randbytes(32)])
            partial = Partial(number, upon, index.to_bytes(2, "big") + body)
            world._later(node, PartialArrived(partial))
            sent += 1
    world.run_rounds(1)
    assert in_step(world)
    assert sum(len(node.answers) for node in world.nodes.values()) > sent / 3


# ---- whatever happens --------------------------------------------------------------------------

MEMBERS = 5
THRESHOLD = 3
NAMES = tuple(f"n{index}" for index in range(MEMBERS))


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens, and for how many rounds it is left alone after that."""

    kind: str
    amount: int
    rounds: int


ACTS = st.lists(
    st.builds(
        Act,
        st.sampled_from(
            ["split", "one way", "heal", "kill", "start", "loss", "delay", "hole", "crash"]
        ),
        st.integers(0, 31),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=12,
)


def perform(world: World, act: Act) -> None:
    chosen = [name for number, name in enumerate(NAMES) if act.amount >> number & 1]
    rest = [name for name in NAMES if name not in chosen]
    one = NAMES[act.amount % MEMBERS]
    match act.kind:
        case "split":
            world.split(chosen, rest)
        case "one way":
            world.cut = {(source, target) for source in chosen for target in rest}
        case "heal":
            world.heal()
        case "kill" if world.nodes[one].core is not None:
            world.kill(one)
        case "start" if world.nodes[one].core is None:
            world.start(one)
        case "loss":
            world.loss = act.amount / 40
        case "delay":
            world.delay_s = (0.001, 0.002 + act.amount / 8)
        case "crash":
            world.crash = act.amount / 3000
        case "hole":
            world.black_hole = bool(act.amount % 2)


def quorate(world: World) -> list[str]:
    """
    The members that hold the current round and reach each other both ways, if they are a threshold.

    Who is one round behind is not counted: it is synced at the next round's time, and signs after.
    """
    if world.loss or world.crash or world.delay_s[1] > 0.3:
        return []
    up = [
        name
        for name, node in world.nodes.items()
        if node.core is not None and node.store[-1].round == world.current
    ]
    cut = world.cut
    for name in up:
        side = [other for other in up if (name, other) not in cut and (other, name) not in cut]
        whole = all((one, other) not in cut for one in side for other in side)
        if whole and len(side) >= THRESHOLD:
            return side
    return []


def survives(acts: list[Act], seed: int, catchup_period_s: float, *, chained: bool) -> World:
    world = fast_world(
        seed=seed,
        members=MEMBERS,
        threshold=THRESHOLD,
        catchup_period_s=catchup_period_s,
        chained=chained,
    )
    started(world).run_rounds(2)
    for act in acts:
        # Partials on their way are let arrive, so that what is in step now says what is owed.
        settled = world.delay_s
        perform(world, act)
        owed = quorate(world) if settled == world.delay_s else []
        if act.rounds:
            world.run_rounds(act.rounds)
            for name in owed:
                assert world.lasts()[name] == world.current, f"{name} is late after {act}"
    recovers(world, catchup_period_s)
    return world


def recovers(world: World, catchup_period_s: float) -> None:
    """Undo everything: within the bound of a halted chain all are in step, and stay so."""
    world.heal()
    world.black_hole = False
    world.delay_s = (0.001, 0.02)
    for name, node in world.nodes.items():
        if node.core is None:
            world.start(name)
    missing = world.current - max(world.lasts().values())
    allowed_s = 1.5 * missing * catchup_period_s / (1 - catchup_period_s / PERIOD_S)
    deadline_s = world.now_s + allowed_s + 8 * PERIOD_S
    while not in_step(world) and world.now_s < deadline_s:
        world.run_rounds(1)
    assert in_step(world), f"{world.lasts()} at {world.current}"
    world.run_rounds(3)
    assert in_step(world)
    for node in world.nodes.values():
        assert [beacon.round for beacon in node.store] == list(range(world.current + 1))


@given(
    acts=ACTS,
    seed=st.integers(0, 2**32),
    catchup_period_s=st.sampled_from([0.0, 0.5, 1.0]),
    chained=st.booleans(),
)
@settings(max_examples=120)
def test_whatever_happens_nothing_forks_and_everything_comes_back(
    *, acts: list[Act], seed: int, catchup_period_s: float, chained: bool
) -> None:
    survives(acts, seed, catchup_period_s, chained=chained)


@pytest.mark.nightly
@given(
    acts=ACTS,
    seed=st.integers(0, 2**32),
    catchup_period_s=st.sampled_from([0.0, 0.5, 1.0]),
    chained=st.booleans(),
)
@settings(max_examples=5000, derandomize=False)
def test_whatever_happens_all_night(
    *, acts: list[Act], seed: int, catchup_period_s: float, chained: bool
) -> None:
    survives(acts, seed, catchup_period_s, chained=chained)


def test_with_real_signatures_a_split_and_a_restart_end_in_one_chain() -> None:
    folder = next(one for one in FOLDERS if one.scheme == "rfc9380")
    world = started(world_of(folder))
    one, two, three, four = world.nodes
    world.run_rounds(2)
    world.split([one, two], [three, four])
    world.run_rounds(2)
    world.kill(one)
    world.heal()
    world.start(one)
    world.run_rounds(4)
    assert min(world.lasts().values()) >= world.current - 1
    published = [beacon["signature"] for beacon in folder.published["beacons"]]
    for node in world.nodes.values():
        signatures = [beacon.signature.hex() for beacon in node.store[1:]]
        assert signatures[: len(published)] == published[: len(signatures)]
