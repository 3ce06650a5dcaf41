"""
The beacon's core in a simulated network, judged by the very promises of the suite.

What members stored, who was up and which links were cut becomes a history as the harness writes
one; the suite's invariants find nothing in it, whatever was done, and what is altered they find.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Invariant
from suites.beacon.invariants import (
    PROMISES,
    every_signature_verifies,
    no_round_is_missing,
    one_signature_a_round,
)
from suites.beacon.punctuality import rounds_keep_time
from tests.beacon_vectors import FOLDERS

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes.beacon.messages import Beacon, StreamClose, SyncAsked
from tests.beacon_simulation import SEED, World, fast_world
from tests.conftest import TABLE
from tests.tape import Tape
from tests.test_beacon_core import recorded, world_of
from tests.test_beacon_simulation import CATCHUP_S, Act, perform, recovers, started

PERIOD_S = 3
THRESHOLD = 3
_SAMPLE_S = 0.5


class Record:
    """What a run of a world looked like from outside; `look` after each thing that was done."""

    def __init__(self, world: World, chain: dict[str, Any]) -> None:
        self.world = world
        self._chain = chain
        self._begun_s = world.now_s
        self._cut: set[tuple[str, str]] = set()
        self._up = dict.fromkeys(world.nodes, False)
        self._said: list[tuple[float, Callable[[Tape, float], object]]] = []
        self._ups: dict[str, list[tuple[float, bool]]] = {name: [] for name in world.nodes}

    def look(self) -> None:
        """Note what has changed of links and processes."""
        world = self.world
        for name, node in world.nodes.items():
            up = node.core is not None
            if up != self._up[name]:
                self._up[name] = up
                self._ups[name].append((world.now_s, up))
                self._say(lambda tape, at, n=name, u=up: tape.state(at, n, _STATES[u]))
        for source, target in sorted(self._cut ^ world.cut):
            cut = (source, target) in world.cut
            self._say(lambda tape, at, s=source, t=target, c=cut: tape.link(at, s, t, cut=c))
        self._cut = set(world.cut)

    def _say(self, add: Callable[..., object], at_s: float | None = None) -> None:
        self._said.append((self.world.now_s if at_s is None else at_s, add))

    def _was_up(self, name: str, time_s: float) -> bool:
        return next((up for at_s, up in reversed(self._ups[name]) if at_s <= time_s), False)

    def undo(self) -> None:
        """Undo whatever was done, and let everyone come level."""
        self.world.heal()
        for name, node in self.world.nodes.items():
            if node.core is None:
                self.world.start(name)
        self.look()
        recovers(self.world, CATCHUP_S)

    def history(self) -> History:
        """The run as a history: each round as it was stored, samples between, and all at last."""
        world = self.world
        said = list(self._said)
        for name, node in world.nodes.items():
            stored = list(zip(node.store[1:], node.stored_at_s[1:], strict=True))
            said += [(at_s, _shown(name, beacon)) for beacon, at_s in stored]
            at_s, number = self._begun_s, 0
            while at_s < world.now_s:
                while number < len(stored) and stored[number][1] <= at_s:
                    number += 1
                if number and self._was_up(name, at_s):
                    said.append((at_s, _shown(name, stored[number - 1][0])))
                at_s += _SAMPLE_S
        tape = Tape(
            tuple(world.nodes), quorum=THRESHOLD, driven=False, progress_bound_s=16.0, started=False
        )
        tape.cluster(0.0, tuple(world.nodes), quorum=THRESHOLD, driven=False, progress_bound_s=16.0)
        one = next(iter(world.nodes))
        tape.operation(0.0, "info", node=one, result=self._chain)
        for at_s, add in sorted(said, key=lambda each: each[0]):
            add(tape, at_s - self._begun_s)
        end_s = world.now_s - self._begun_s
        self._ask_ahead(tape, end_s)
        for name, node in world.nodes.items():
            signatures = [beacon.signature.hex() for beacon in node.store[1:]]
            kept = {"first": 1, "signatures": signatures, "unanswered": []}
            tape.operation(end_s, "snapshot", node=name, client=9, result=kept)
        return History(
            tape.history(), started_utc=datetime.fromtimestamp(self._begun_s, UTC).isoformat()
        )

    def _ask_ahead(self, tape: Tape, at_s: float) -> None:
        """Ask each member for a round that is not due, as others do that want to be synced."""
        for name, node in self.world.nodes.items():
            if node.core is None:
                continue
            asked = SyncAsked(-1, "client", self.world.current + 5)
            effects = node.core.handle(asked, self.world.now_s)
            assert [type(effect) for effect in effects] == [StreamClose]
            refused = {"cause": "status 404"}
            tape.operation(at_s, "ahead", "fail", node=name, by=5, result=refused)


_STATES = {True: "running", False: "stopped"}


def _shown(name: str, beacon: Beacon) -> Callable[[Tape, float], object]:
    def add(tape: Tape, at_s: float) -> object:
        return tape.observe(at_s, name, beacon.round, digest=beacon.signature.hex())

    return add


def found(history: History, promises: Sequence[Invariant]) -> dict[str, str]:
    """What each promise that is broken says first."""
    said = {}
    for promise in promises:
        try:
            violations = list(promise.judge(history))
        except Inconclusive:
            continue
        if violations:
            said[promise.name] = violations[0].text
    return said


def fast(seed: int, *, chained: bool) -> Record:
    world = fast_world(
        seed=seed, members=5, threshold=THRESHOLD, catchup_period_s=CATCHUP_S, chained=chained
    )
    chain = {
        "public_key": "00",
        "schemeID": "fast",
        "groupHash": SEED.hex(),
        "period": PERIOD_S,
        "genesis_time": world.schedule.genesis_s,
    }
    record = Record(world, chain)
    started(world)
    record.look()
    world.run_rounds(2)
    return record


# ---- whatever is done --------------------------------------------------------------------------

# Signatures of the fast scheme are verified by the simulation itself, at every store.
FAST_PROMISES = (
    *(one for one in PROMISES if one is not every_signature_verifies),
    rounds_keep_time(catchup_period_s=CATCHUP_S),
)
ACTS = st.lists(
    st.builds(
        Act,
        st.sampled_from(["split", "one way", "heal", "kill", "start"]),
        st.integers(0, 31),
        st.integers(1, 8),
    ),
    min_size=1,
    max_size=10,
)


def survives(acts: list[Act], seed: int, *, chained: bool) -> Record:
    record = fast(seed, chained=chained)
    for act in acts:
        perform(record.world, act)
        record.look()
        record.world.run_rounds(act.rounds)
    record.undo()
    assert found(record.history(), FAST_PROMISES) == {}
    return record


# n4 has a threshold of partials from one member after the other, across two splits
@example(acts=[Act("split", 5, 1), Act("kill", 1, 1), Act("split", 9, 2)], seed=0, chained=False)
@given(acts=ACTS, seed=st.integers(0, 2**32), chained=st.booleans())
@settings(max_examples=25)
def test_the_suites_promises_hold_whatever_is_done(
    *, acts: list[Act], seed: int, chained: bool
) -> None:
    survives(acts, seed, chained=chained)


@pytest.mark.nightly
@given(acts=ACTS, seed=st.integers(0, 2**32), chained=st.booleans())
@settings(max_examples=2000, derandomize=False)
def test_the_suites_promises_hold_all_night(*, acts: list[Act], seed: int, chained: bool) -> None:
    survives(acts, seed, chained=chained)


# ---- with evidence, and with defects -----------------------------------------------------------


def halted() -> Record:
    """A split and a kill that leave no threshold for ten rounds, and the way back."""
    record = fast(3, chained=True)
    world = record.world
    world.split(["n0", "n1"], ["n2", "n3", "n4"])
    world.kill("n4")
    record.look()
    world.run_rounds(10)
    record.undo()
    return record


def test_every_promise_is_judged_on_evidence(
    record_property: Callable[[str, object], None],
) -> None:
    history = halted().history()
    for promise in FAST_PROMISES:
        assert list(promise.judge(history)) == [], promise.name
    record_property(f"{TABLE}beacon: simulated, judged by", f"{len(FAST_PROMISES)} promises")


def test_a_fork_and_a_hole_are_found() -> None:
    record = halted()
    node = record.world.nodes["n2"]
    node.store[4] = replace(node.store[4], signature=b"another")
    assert one_signature_a_round.name in found(record.history(), FAST_PROMISES)


def test_a_round_made_without_a_threshold_and_one_too_early_are_found() -> None:
    record = halted()
    node = record.world.nodes["n0"]
    # As if n0 had made the rounds after the cut by itself, the last of them before its time.
    for number in range(5, 9):
        node.stored_at_s[number] = record.world.schedule.time_of(number) + 0.2
    node.stored_at_s[8] -= PERIOD_S
    names = found(record.history(), FAST_PROMISES)
    assert {"no_round_without_a_threshold", "no_round_before_its_time"} <= set(names)


def test_a_chain_that_stands_still_is_found() -> None:
    record = fast(4, chained=True)
    world = record.world
    # Killed for real, and in the record none of it: rounds are owed.
    world.kill("n0")
    world.kill("n1")
    world.kill("n2")
    world.run_rounds(8)
    assert "rounds_keep_time" in found(record.history(), FAST_PROMISES)


def test_real_signatures_keep_every_promise() -> None:
    folder = next(one for one in FOLDERS if one.release == "v2.1.4" and one.scheme == "chained")
    group, _ = recorded(folder)
    world = world_of(folder)
    info = group.chain()
    chain = {
        "public_key": info.public_key.hex(),
        "schemeID": info.scheme_name,
        "groupHash": info.group_hash.hex(),
        "period": info.period_s,
        "genesis_time": info.genesis_s,
    }
    record = Record(world, chain)
    started(world)
    record.look()
    one, two, *_ = world.nodes
    world.run_rounds(4)
    world.split([one, two], list(world.nodes)[2:])
    record.look()
    world.run_rounds(4)
    world.heal()
    world.kill(one)
    record.look()
    world.run_rounds(6)
    world.start(one)
    record.look()
    world.run_rounds(4)
    assert group.threshold == THRESHOLD
    history = record.history()
    for promise in PROMISES:
        assert list(promise.judge(history)) == [], promise.name
    node = world.nodes[two]
    node.store[5] = replace(node.store[5], signature=node.store[4].signature)
    assert every_signature_verifies.name in found(record.history(), PROMISES)
    assert no_round_is_missing.name not in found(record.history(), PROMISES)
