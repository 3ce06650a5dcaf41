"""Rounds without a spare signer: in time, late, and where none was owed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.invariant import Violation
from chaoskit.verdict import Kind
from suites.incidents.limping import any_threshold_makes_rounds_in_time
from suites.incidents.signing import every_running_member_contributes
from tests.beacon_tape import BeaconTape

PROMISE = any_threshold_makes_rounds_in_time(late_s=3)
LEFT = ("n1", "n2", "n3")


def judged(tape: BeaconTape) -> Sequence[Violation]:
    return list(PROMISE.judge(tape.history()))


def spared(*, ended: int = 2) -> BeaconTape:
    """Five members in time, of which `ended` end at 10 s; three are a threshold."""
    tape = BeaconTape()
    tape.info(0.1)
    tape.level(1, 10)
    for node in ("n5", "n4")[:ended]:
        tape.state(10.0, node, "stopped")
    return tape


def waited(until_s: float, *, ended: int = 2) -> BeaconTape:
    """Round 16 is due at 15 s: it and those after it are shown at `until_s`, at once."""
    tape = spared(ended=ended)
    tape.level(11, 15, nodes=LEFT)
    tape.sample(until_s, "n1", 18)
    tape.level(20, 24, nodes=LEFT)
    return tape


def test_rounds_in_time_and_one_that_is_late() -> None:
    assert PROMISE.kind is Kind.LIVENESS
    assert judged(waited(17.9)) == []
    (found,) = judged(waited(18.1))
    assert found.text == (
        "round 16 was due at 15.000 s and there 3.100 s later, while exactly a threshold ran, "
        "n1 n2 n3"
    )
    assert found.span_s == pytest.approx((15.0, 18.1))
    assert found.excusable


def limping(*, mute: str = "n1") -> BeaconTape:
    """A round every other second; nobody takes the partials of one."""
    tape = spared()
    for number in range(11, 19):
        for node in LEFT:
            failing = [one for one in LEFT if one != node] if node == mute else []
            tape.sample(10.3 + 2 * (number - 11), node, number, failing=failing)
    return tape


def test_a_chain_that_limps_is_late_round_after_round_and_never_halts() -> None:
    found = judged(limping())
    assert [int(one.text.split()[1]) for one in found] == list(range(14, 23))
    assert all("nobody took a partial of n1 all the while" in one.text for one in found)
    assert not any(one.excusable for one in found), "no stall makes peers refuse every partial"
    assert "there 3.300 s later" in found[0].text
    assert "there never" in found[-1].text
    halts = every_running_member_contributes(within_s=8)
    assert list(halts.judge(limping().history())) == []


def test_what_was_never_tried_is_not_known() -> None:
    with pytest.raises(Inconclusive, match="no round came due"):
        judged(waited(18.1, ended=1))
    tape = BeaconTape()
    tape.info(0.1)
    tape.level(1, 5)  # five behind when the others end
    for node in ("n4", "n5"):
        tape.state(10.0, node, "stopped")
    tape.level(25, 25, nodes=LEFT)
    with pytest.raises(Inconclusive):
        judged(tape)
