"""The toys' core in a simulated network: the honest one keeps its promises, each broken one not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest

from nodes.toys import leadership
from nodes.toys.behaviours import Variant
from nodes.toys.core import Core
from nodes.toys.log import restored
from nodes.toys.messages import (
    Append,
    AppendReply,
    Asked,
    Ballot,
    BallotReply,
    Effect,
    Fit,
    Keep,
    Operation,
    Outcome,
    Received,
    Send,
)
from tests.toys_simulation import Attempt, World, linearizable

NODES = ("n1", "n2", "n3", "n4", "n5")


def loaded(world: World, until_s: float, clients: int = 4, keys: int = 6) -> None:
    for _ in range(clients):
        world.client(until_s, keys)


def troubled(world: World, until_s: float) -> Callable[[], None]:
    """Random faults, one after the other, each healed in part or not before the next."""
    names = list(world.places)

    def trouble() -> None:
        if world.now_s >= until_s:
            world.heal()
            return
        name, other = world.random.sample(names, 2)
        match world.random.randrange(8):
            case 0:
                world.isolate(name)
            case 1:
                world.cuts.add((name, other))
            case 2:
                side = set(world.random.sample(names, len(names) // 2))
                world.cuts |= {(a, b) for a in names for b in names if (a in side) != (b in side)}
            case 3:
                world.kill(name)
            case 4:
                world.places[name].paused = world.places[name].core is not None
            case 5:
                world.loss = world.random.choice((0.02, 0.2))
            case 6:
                world.cuts.clear()
            case _:
                world.heal()
        world.later(world.random.expovariate(1 / 0.4), trouble)

    return trouble


def churning(world: World, until_s: float) -> Callable[[], None]:
    """Leaders that reach few followers and die young, voters that blink, one-way cuts, loss."""
    names = list(world.places)

    def churn() -> None:
        if world.now_s >= until_s:
            world.heal()
            return
        name, other = world.random.sample(names, 2)
        leaders = [one for one in names if (core := world.places[one].core) and core.leader == one]
        leader = world.random.choice(leaders or names)
        match world.random.randrange(6):
            case 0:
                reached = world.random.choice(names)
                world.cuts |= {(leader, one) for one in names if one != reached}
            case 1:
                world.kill(leader)
            case 2:
                world.kill(name)
                world.restart(name)
            case 3:
                world.cuts |= {(name, other), (leader, other)}
            case 4:
                world.loss = world.random.choice((0.0, 0.3))
                world.cuts.clear()
            case _:
                world.heal()
        world.later(world.random.expovariate(1 / 0.05), churn)

    return churn


def explained(world: World) -> dict[str, bool]:
    of_key: dict[str, list[Attempt]] = {}
    for attempt in world.attempts:
        of_key.setdefault(attempt.operation.key, []).append(attempt)
    return {key: linearizable(attempts) for key, attempts in of_key.items()}


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("seed", range(6))
def test_an_honest_cluster_agrees_and_is_linearizable_whatever_befalls_it(
    seed: int, size: int
) -> None:
    world = World(NODES[:size], seed, {})
    loaded(world, 14.0)
    world.later(0.5, troubled(world, 10.0))
    world.run(20.0)
    assert world.violations == []
    assert all(explained(world).values())
    outcomes = Counter(attempt.outcome for attempt in world.attempts)
    assert outcomes[Outcome.DONE] > 100
    late = [one for one in world.attempts if one.asked_s > 13.0]
    assert late[-1].outcome is Outcome.DONE, "nothing is served after the heal"
    heights = {place.core.status()["progress"] for place in world.places.values() if place.core}
    assert heights == {max(world.digests)}, "not all have caught up"
    sent = world.sent
    world.run(3600.0)
    assert world.sent == sent, "an idle cluster spoke"


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("seed", range(10))
def test_an_honest_cluster_agrees_under_churn_and_two_entries_at_a_time(
    seed: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "ENTRIES_AT_ONCE", 2)
    world = World(NODES[:size], seed, {})
    loaded(world, 12.0, clients=6, keys=10)
    world.later(0.3, churning(world, 10.0))
    world.run(16.0)
    assert world.violations == []
    assert all(explained(world).values())
    heights = {place.core.status()["progress"] for place in world.places.values() if place.core}
    assert heights == {max(world.digests)}, "not all have caught up"


def core(name: str, records: Sequence[tuple[Any, ...]]) -> Core:
    return Core(
        name,
        NODES[:3],
        behaviour=Variant.HONEST.behaviour,
        random=Random(1),
        durable=restored([list(record) for record in records]),
        first_number=0,
    )


def records(effects: Sequence[Effect]) -> list[tuple[Any, ...]]:
    return [effect.record for effect in effects if isinstance(effect, Keep)]


def sent(effects: Sequence[Effect], target: str) -> Any:
    (message,) = (one.message for one in effects if isinstance(one, Send) and one.target == target)
    return message


PUT = ("put", "k", "v", None)
OLD = (("term", 1, ""), ("entry", 1, 1, *PUT), ("entry", 2, 1, *PUT), ("entry", 3, 1, *PUT))


def test_a_vote_is_remembered_over_a_restart() -> None:
    voter = core("n1", ())
    effects = voter.handle(Received("n2", Ballot(1, 1, 0, 0, trial=False, lost=())), 0.0)
    assert sent(effects, "n2").granted
    again = core("n1", records(effects))
    effects = again.handle(Received("n3", Ballot(1, 1, 0, 0, trial=False, lost=())), 0.0)
    assert not sent(effects, "n3").granted


def test_a_follower_takes_no_entry_as_agreed_that_the_leader_did_not_show_it() -> None:
    follower = core("n1", OLD)
    effects = follower.handle(Received("n2", Append(1, 2, 1, 1, (), 3)), 0.0)
    assert sent(effects, "n2").fit is Fit.MATCHED
    assert follower.status()["progress"] == 1


def test_a_late_append_takes_nothing_away_and_a_foreign_one_nothing_that_was_agreed() -> None:
    follower = core("n1", (*OLD, ("agreed", 2)))
    put = Operation(*PUT)
    effects = follower.handle(Received("n2", Append(1, 1, 0, 0, ((1, put),), 0)), 0.0)
    assert sent(effects, "n2").fit is Fit.MATCHED
    assert records(effects) == []
    follower.handle(Received("n2", Append(2, 1, 3, 1, (), 3)), 0.0)
    assert follower.status()["progress"] == 3, "the tail was cut off"
    effects = follower.handle(Received("n3", Append(3, 2, 1, 1, ((2, put),), 2)), 0.0)
    assert sent(effects, "n3").fit is Fit.DIVERGED
    assert not [record for record in records(effects) if record[0] == "entry"]


def test_an_entry_of_an_older_term_is_not_agreed_by_counting_copies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Figure 8 of the paper: a majority may hold it and a later leader still cut it off."""
    monkeypatch.setattr(leadership, "ENTRIES_AT_ONCE", 1)
    leader = core("n1", OLD)
    trial = sent(leader.handle(Asked(1, Operation(*PUT)), 0.0), "n2")
    vote = sent(
        leader.handle(Received("n2", BallotReply(trial.number, 1, granted=True, leader="")), 0.0),
        "n2",
    )
    effects = leader.handle(
        Received("n2", BallotReply(vote.number, 2, granted=True, leader="")), 0.0
    )
    append = sent(effects, "n2")
    assert append.previous_index == 3
    behind = AppendReply(append.number, 2, Fit.BEHIND, 2)
    append = sent(leader.handle(Received("n2", behind), 0.0), "n2")
    assert len(append.entries) == 1
    matched = AppendReply(append.number, 2, Fit.MATCHED, 3)
    append = sent(leader.handle(Received("n2", matched), 0.0), "n2")
    assert leader.status()["progress"] == 0, "three old entries on a majority are not agreed"
    matched = AppendReply(append.number, 2, Fit.MATCHED, 4)
    leader.handle(Received("n2", matched), 0.0)
    assert leader.status()["progress"] == 4


def test_a_node_that_knows_a_leader_sends_a_candidate_there_until_it_has_tried() -> None:
    follower = core("n1", ())
    follower.handle(Received("n2", Append(1, 1, 0, 0, (), 0)), 0.0)
    effects = follower.handle(Received("n3", Ballot(1, 2, 0, 0, trial=True, lost=())), 0.0)
    reply = sent(effects, "n3")
    assert (reply.granted, reply.leader) == (False, "n2")
    effects = follower.handle(Received("n3", Ballot(2, 2, 0, 0, trial=True, lost=("n2",))), 0.0)
    assert sent(effects, "n3").granted
    assert records(effects) == []


def leader_of(world: World) -> str:
    (name,) = (
        one for one, place in world.places.items() if place.core and place.core.leader == one
    )
    return name


@pytest.mark.parametrize("variant", Variant)
def test_without_a_fault_every_variant_keeps_its_promises(variant: Variant) -> None:
    world = World(NODES[:3], 1, dict.fromkeys(NODES[:3], variant))
    loaded(world, 5.0)
    world.run(8.0)
    assert world.violations == []
    assert all(explained(world).values())
    assert {attempt.outcome for attempt in world.attempts} == {Outcome.DONE}


def broken(variant: Variant, seed: int, fault: Callable[[World], None]) -> World:
    """A world with n1 of a variant and the leader; after 2 s a fault, healed after 5 s."""
    world = World(NODES[:3], seed, {"n1": variant})
    world.ask("n1", Operation(*PUT), lambda: None)
    world.run(0.5)
    assert leader_of(world) == "n1"
    loaded(world, 8.0)
    world.later(1.5, lambda: fault(world))
    world.later(4.5, world.heal)
    world.run(12.0)
    return world


def cut_off(world: World) -> None:
    world.isolate("n1")


def blink(world: World) -> None:
    for number in range(3):
        world.later(0.1 * number, lambda: world.kill("n1"))
        world.later(0.1 * number, lambda: world.restart("n1"))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("variant", "fault", "sentence"),
    [
        (Variant.FORKS, cut_off, "has another entry"),
        (Variant.LIES, cut_off, "has another entry"),
        (Variant.FORGETS, blink, "n1 went back"),
    ],
)
def test_a_broken_variant_breaks_its_promise_under_a_fault_and_an_honest_one_does_not(
    variant: Variant, fault: Callable[[World], None], sentence: str, seed: int
) -> None:
    world = broken(variant, seed, fault)
    assert any(sentence in violation for violation in world.violations)
    honest = broken(Variant.HONEST, seed, fault)
    assert honest.violations == []
    assert all(explained(honest).values())


def test_a_node_that_hangs_never_serves_again_after_a_peer_was_lost() -> None:
    def lose_a_peer(world: World) -> None:
        world.kill("n3")

    world = broken(Variant.HANGS, 1, lose_a_peer)
    hanging = world.places["n1"].core
    assert hanging is not None
    assert hanging.blocked
    late = [one for one in world.attempts if one.asked_s > 5.0]
    assert {one.outcome for one in late if one.node == "n1"} == {Outcome.UNKNOWN}
    assert Outcome.DONE in {one.outcome for one in late if one.node != "n1"}
    assert world.violations == []


def test_below_the_quorum_an_honest_node_acknowledges_nothing_and_a_lying_leader_does() -> None:
    for variant, expected in ((Variant.HONEST, 0), (Variant.LIES, 5)):
        world = World(NODES[:3], 1, {"n1": variant})
        world.ask("n1", Operation(*PUT), lambda: None)
        world.run(0.5)
        world.isolate("n1")
        before = len(world.attempts)
        for number in range(5):
            world.ask("n1", Operation("put", "k", f"below {number}"), lambda: None)
        world.run(5.0)
        done = [one for one in world.attempts[before:] if one.outcome is Outcome.DONE]
        assert len(done) == expected


@pytest.mark.parametrize("way", ["killed", "paused", "cut off"])
@pytest.mark.parametrize("seed", range(5))
def test_one_busy_node_finds_another_leader_though_the_third_still_believes_in_the_lost_one(
    way: str, seed: int
) -> None:
    world = World(NODES[:3], seed, {})
    world.ask("n1", Operation(*PUT), lambda: None)
    world.run(0.5)
    match way:
        case "killed":
            world.kill("n1")
        case "paused":
            world.places["n1"].paused = True
        case _:
            world.isolate("n1")
    for number in range(4):
        world.ask("n2", Operation("put", "k", f"v{number}"), lambda: None)
        world.run(world.now_s + 2.0)
    assert world.attempts[-1].outcome is Outcome.DONE
    unknown = [one for one in world.attempts if one.outcome is not Outcome.DONE]
    assert len(unknown) <= 1, "only the operation that met the lost leader may suffer"


@pytest.mark.parametrize("way", ["all killed", "the leader killed"])
@pytest.mark.parametrize("seed", range(5))
def test_a_node_whose_log_is_behind_is_served_by_one_that_had_nothing_to_do(
    way: str, seed: int
) -> None:
    world = World(NODES[:3], seed, {})
    world.ask("n1", Operation(*PUT), lambda: None)
    world.run(0.5)
    world.isolate("n2")
    world.ask("n1", Operation("put", "k", "what n2 lacks"), lambda: None)
    world.run(1.0)
    for name in world.places if way == "all killed" else ["n1"]:
        world.kill(name)
    world.heal()
    if way == "the leader killed":
        world.kill("n1")
    world.ask("n2", Operation("get", "k"), lambda: None)
    world.run(3.0)
    assert [one.outcome for one in world.attempts] == [Outcome.DONE] * 3
    assert world.attempts[-1].result == {"value": "what n2 lacks"}
    assert world.violations == []
