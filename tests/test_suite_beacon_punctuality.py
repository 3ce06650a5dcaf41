"""What a beacon owes in time: kept, and broken by rounds that differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Invariant, Violation
from chaoskit.verdict import Kind
from suites.beacon.punctuality import catch_up_bound_s, networks_keep_time, rounds_keep_time
from tests.beacon_tape import NODES, BeaconTape, due_s

KEEP_TIME = rounds_keep_time(catchup_period_s=0)


def judged(invariant: Invariant, history: History) -> Sequence[Violation]:
    return list(invariant.judge(history))


def begun() -> BeaconTape:
    tape = BeaconTape()
    tape.info(0.05)
    return tape


def test_the_bound_is_above_what_real_members_needed() -> None:
    # halts of 20 rounds at a period of 3 s and a catch-up period of 1 s took 38 to 48 s
    assert 48 < catch_up_bound_s(20, period_s=3, catchup_period_s=1) < 120
    # 60 rounds at a period of 1 s and none: 14.4 s
    assert 15 < catch_up_bound_s(60, period_s=1, catchup_period_s=0) < 120
    assert catch_up_bound_s(0, period_s=1, catchup_period_s=0) == pytest.approx(6.0)


def test_late_rounds_that_come_no_quicker_than_new_ones_never_end() -> None:
    assert math.isinf(catch_up_bound_s(20, period_s=1, catchup_period_s=1))


def test_rounds_in_time_keep_time() -> None:
    assert KEEP_TIME.kind is Kind.LIVENESS
    tape = begun()
    tape.level(1, 20)
    assert judged(KEEP_TIME, tape.history()) == []


@pytest.mark.parametrize(("late_s", "found"), [(2.9, 0), (3.2, 1)])
def test_a_round_that_is_late_is_found(late_s: float, found: int) -> None:
    tape = begun()
    tape.level(1, 9)
    late = tape.sample(due_s(10) + late_s, "n1", 10)
    tape.level(14, 20)
    violations = judged(KEEP_TIME, tape.history())
    named = [one for one in violations if late in one.events]
    assert len(named) == found
    if found:
        assert "round 10 was due at 9.000 s and there at 12.200 s" in named[0].text
        assert named[0].span_s == pytest.approx((9.0, 12.2)), "a stall before cannot be to blame"


def test_a_chain_that_stops_for_good_is_found() -> None:
    tape = begun()
    tape.level(1, 9)
    for tenth in range(90, 200):
        tape.sample(tenth / 10, "n1", 9)
    violations = judged(KEEP_TIME, tape.history())
    assert [one.text.split()[1] for one in violations[:2]] == ["10", "11"]
    assert "there never" in violations[0].text
    assert violations[0].span_s == pytest.approx((9.0, 12.0))


def halt(*, from_s: float, to_s: float) -> BeaconTape:
    """Rounds in time, then three members are down."""
    tape = begun()
    tape.level(1, int(from_s))
    for node in NODES[:3]:
        tape.state(from_s, node, "stopped")
    for node in NODES[:3]:
        tape.state(to_s, node, "running")
    return tape


def test_below_the_threshold_nothing_is_owed_and_catching_up_has_its_time() -> None:
    tape = halt(from_s=10, to_s=20)
    tape.level(32, 50)
    assert judged(KEEP_TIME, tape.history()) == []


def test_a_group_that_never_comes_level_is_found() -> None:
    tape = halt(from_s=10, to_s=20)
    for number in range(21, 70):  # one round a second, and ten behind for ever
        tape.sample(due_s(number) + 0.3, "n1", number - 10)
    violations = judged(KEEP_TIME, tape.history())
    assert violations
    bound_s = catch_up_bound_s(11, period_s=1, catchup_period_s=0)
    first_s = float(violations[0].text.split(" due at ")[1].split()[0])
    assert 20 + bound_s - 2 <= first_s <= 20 + bound_s + 2


def test_a_group_that_is_level_again_owes_at_once() -> None:
    tape = halt(from_s=10, to_s=20)
    tape.level(26, 28)  # level at 26 s, long before the bound
    tape.level(34, 40)
    violations = judged(KEEP_TIME, tape.history())
    assert {one.text.split()[1] for one in violations} == {"29", "30", "31"}


def test_a_group_that_was_level_again_and_then_not_looked_at_was_seen_to_recover() -> None:
    tape = halt(from_s=10, to_s=20)
    tape.level(22, 22)
    assert judged(KEEP_TIME, tape.history()) == []


def test_a_history_that_ends_too_soon_is_no_evidence() -> None:
    tape = begun()
    tape.level(1, 2)
    with pytest.raises(Inconclusive):
        judged(KEEP_TIME, tape.history())


# -- networks ----------------------------------------------------------------------------------


def two_networks(other: Sequence[int]) -> BeaconTape:
    """The default network in time, `second` at these rounds, second by second."""
    tape = BeaconTape()
    for number, second in enumerate(other, start=1):
        tape.sample(float(number), "n1", number, rounds={"default": number, "second": second})
    return tape


def test_a_network_that_stands_still_is_found() -> None:
    promise = networks_keep_time("second", bound_s=3)
    assert promise.name == "second_keep_time"
    assert judged(promise, two_networks(range(1, 11)).history()) == []
    stands = [1, 2, 3, 4, 4, 4, 4, 4, 9, 10]
    (violation,) = judged(promise, two_networks(stands).history())
    assert "second stood at round 4 from 4.000 to 9.000 s" in violation.text
    assert judged(networks_keep_time("default", bound_s=3), two_networks(stands).history()) == []


def test_a_network_that_stands_still_to_the_end_is_found() -> None:
    promise = networks_keep_time("second", bound_s=3)
    (violation,) = judged(promise, two_networks([1, 2, 3, 3, 3, 3, 3]).history())
    assert "from 3.000 to 7.000 s" in violation.text


def test_a_network_beside_one_that_stands_still_needs_one_that_does() -> None:
    promise = networks_keep_time("default", bound_s=3, while_stands="second")
    assert judged(promise, two_networks([1, 2, 3, 3, 3, 3, 3]).history()) == []
    with pytest.raises(Inconclusive, match="second never stood for 3 s"):
        judged(promise, two_networks([1, 2, 3, 4, 4, 4, 4]).history())


def test_a_network_that_nobody_showed_is_no_evidence() -> None:
    with pytest.raises(Inconclusive, match="third"):
        judged(networks_keep_time("third", bound_s=3), two_networks([1, 2]).history())
