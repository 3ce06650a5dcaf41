"""Members that run: who contributes, who starts on old keys, and whose scalar stays what it was."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.invariant import Invariant, Violation
from chaoskit.verdict import Kind
from suites.incidents.signing import (
    a_failing_or_repeated_command_never_changes_the_private_scalar,
    a_fault_in_one_network_leaves_the_others_on_time,
    a_member_with_valid_old_keys_starts_and_contributes,
    every_running_member_contributes,
    stands_of,
)
from tests.beacon_tape import BeaconTape
from tests.test_incident_invariants import change, exited

CONTRIBUTES = every_running_member_contributes(within_s=4)
OLD_KEYS = a_member_with_valid_old_keys_starts_and_contributes(
    label="2.0", version="2.1.3", within_s=4
)
LEFT = ("n1", "n2", "n3")


def judged(invariant: Invariant, tape: BeaconTape) -> Sequence[Violation]:
    return list(invariant.judge(tape.history()))


def spared(newest: int, *, mute: str = "", until_s: float = 20.0) -> BeaconTape:
    """Two of five end at 10 s, three are the threshold; rounds come up to `newest`."""
    tape = BeaconTape()
    tape.level(1, 10)
    for node in ("n4", "n5"):
        tape.state(10.0, node, "stopped")
    for number in range(11, int(until_s) + 1):
        shown = min(number, newest)
        for node in LEFT:
            failing = [mute] if mute not in ("", node) else []
            failing = [one for one in LEFT if one != node] if node == mute else failing
            tape.sample(number - 0.7, node, shown, failing=failing)
    tape.state(until_s, "n4", "running")
    tape.level(int(until_s) + 1, int(until_s) + 2)
    return tape


def test_a_threshold_that_makes_rounds_contributes() -> None:
    assert CONTRIBUTES.kind is Kind.LIVENESS
    assert judged(CONTRIBUTES, spared(20)) == []
    exact = [one for one in stands_of(spared(20).history()) if one.spare == 0]
    assert [(one.members, one.start_s, one.end_s) for one in exact] == [
        (frozenset(LEFT), 10.0, 20.0)
    ]


def test_a_threshold_that_makes_none_does_not_and_the_mute_one_is_named() -> None:
    (found,) = judged(CONTRIBUTES, spared(10, mute="n2"))
    assert "n1 n2 n3 ran from 10.000 to 20.000 s, 0 more than a threshold" in found.text
    assert found.text.endswith("nobody took the last partial of n2")
    assert found.span_s == pytest.approx((10.0, 20.0)), "a stall of the machine in it would excuse"
    (found,) = judged(CONTRIBUTES, spared(10))
    assert "nobody took" not in found.text
    assert len(judged(CONTRIBUTES, spared(13))) == 1
    assert judged(CONTRIBUTES, spared(13, until_s=15.0)) == []


@pytest.mark.parametrize(
    ("counts", "excusable"),
    [((3, 3), True), ((3, 9), False), ((9, 3), True)],  # the last: it was started anew meanwhile
)
def test_no_stall_refuses_partials(counts: tuple[int, int], *, excusable: bool) -> None:
    tape = spared(10, mute="n2")
    for event in tape.events:
        if event.f == "observe" and event.process == "n3" and event.time_s > 10:
            event.value["detail"]["denied"] = counts[event.time_s > 15]
    (found,) = judged(CONTRIBUTES, tape)
    assert found.excusable is excusable


def test_who_refuses_is_no_excuse_where_others_could_do_without_it() -> None:
    tape = BeaconTape()
    tape.level(1, 10)
    for second in range(11, 21):
        for node in ("n1", "n2", "n3", "n4", "n5"):
            tape.sample(second - 0.7, node, 10)
            tape.events[-1].value["detail"]["denied"] = second
    (found,) = judged(CONTRIBUTES, tape)
    assert "2 more than a threshold" in found.text
    assert found.excusable


PAIRS = (("n1", "n2"), ("n3", "n4"), ("n5",))


@pytest.mark.parametrize(
    ("sides", "silent", "excusable"),
    [
        (PAIRS, "", False),
        (PAIRS, "n5", True),  # who refuses nobody may have made one
        ((("n1", "n2", "n3"), ("n4", "n5")), "", True),  # three are a threshold
    ],
)
def test_sides_that_refuse_each_other_are_no_stall(
    sides: Sequence[Sequence[str]], silent: str, *, excusable: bool
) -> None:
    tape = BeaconTape()
    tape.level(1, 10)
    for second in range(11, 31):
        for side in sides:
            for node in side:
                others = [one for other in sides if other != side for one in other]
                tape.sample(second - 0.7, node, 10, failing=others)
                tape.events[-1].value["detail"]["denied"] = 0 if node == silent else second
    (found,) = judged(CONTRIBUTES, tape)
    assert found.excusable is excusable


OTHERS = a_fault_in_one_network_leaves_the_others_on_time("default", bound_s=6)


def lost(*, exits: bool, spared_too: bool = True, at_s: float = 9.0) -> BeaconTape:
    """No round after 10 s; at 9 s n1 and n2 end, and at 10 s n5 is stopped."""
    tape = BeaconTape()
    for node in ("n1", "n2", "n3", "n4", "n5"):
        tape.state(0.2, node, "running")
    tape.level(1, 10)
    for node in ("n1", "n2"):
        if exits:
            exited(tape, at_s, node)
        else:
            tape.state(at_s, node, "stopped")
    if spared_too:
        tape.state(10.0, "n5", "stopped")
    for second in range(11, 21):
        tape.sample(second - 0.7, "n3", 10)
    tape.events.sort(key=lambda one: one.time_s)
    return tape


def test_no_stall_ends_processes() -> None:
    assert OTHERS.kind is Kind.LIVENESS
    (found,) = judged(OTHERS, lost(exits=True))
    assert found.text.startswith("default stood at round 10 from ")
    assert not found.excusable
    for tape in (
        lost(exits=False),  # they were stopped by us
        lost(exits=True, spared_too=False),  # three of five are a threshold
        lost(exits=True, at_s=17.0),  # the network had stood for long before
    ):
        (found,) = judged(OTHERS, tape)
        assert found.excusable


def test_rounds_of_more_than_a_threshold_prove_nothing() -> None:
    tape = BeaconTape()
    tape.level(1, 10)
    with pytest.raises(Inconclusive, match="no more members ran than are a threshold"):
        judged(CONTRIBUTES, tape)
    # One round may have been made before: it proves nothing of those that are left.
    with pytest.raises(Inconclusive):
        judged(CONTRIBUTES, spared(11, until_s=13.0))


def upgraded(newest: int, *, ends: bool = False, ready: bool = True) -> BeaconTape:
    """N1 goes to 2.0 at 5 s; then as `spared`."""
    tape = BeaconTape()
    tape.level(1, 4)
    change(tape, 5.0, 1, "n1", "2.0")
    if ends:
        exited(tape, 6.0, "n1")
        return tape
    tape.level(6, 10, nodes=LEFT if ready else LEFT[1:])
    for node in ("n4", "n5"):
        tape.state(10.0, node, "stopped")
    for number in range(11, 20):
        for node in LEFT if ready else LEFT[1:]:
            tape.sample(number - 0.7, node, min(number, newest))
    return tape


def test_old_keys_that_are_loaded() -> None:
    assert OLD_KEYS.kind is Kind.LIVENESS
    assert judged(OLD_KEYS, upgraded(20)) == []


def test_old_keys_that_are_not() -> None:
    (found,) = judged(OLD_KEYS, upgraded(4, ends=True))
    assert "it did not start" in found.text
    assert not found.excusable
    (found,) = judged(OLD_KEYS, upgraded(20, ready=False))
    assert "not seen ready at 2.1.3 within 4 s" in found.text
    (found,) = judged(OLD_KEYS, upgraded(10))
    assert "when each needed it" in found.text


def test_old_keys_that_nobody_tried() -> None:
    with pytest.raises(Inconclusive, match="no member went to"):
        judged(OLD_KEYS, spared(20))
    tape = BeaconTape()
    change(tape, 5.0, 1, "n1", "2.0")
    tape.level(6, 12)
    with pytest.raises(Inconclusive, match="was not tried"):
        judged(OLD_KEYS, tape)


def noted(*digests: str, node: str = "n1") -> BeaconTape:
    tape = BeaconTape()
    for number, digest in enumerate(digests):
        tape.add(1.0 + number, node, "note", text="private scalar", scalar_digest=digest)
    return tape


def test_a_scalar_that_stays() -> None:
    assert a_failing_or_repeated_command_never_changes_the_private_scalar.kind is Kind.SAFETY
    assert (
        judged(a_failing_or_repeated_command_never_changes_the_private_scalar, noted("a", "a", "a"))
        == []
    )
    (found,) = judged(
        a_failing_or_repeated_command_never_changes_the_private_scalar, noted("a", "a", "b")
    )
    assert "n1's private scalar was another one at 3.000 s than at 2.000 s" in found.text
    for tape in (BeaconTape(), noted("a")):
        with pytest.raises(Inconclusive):
            judged(a_failing_or_repeated_command_never_changes_the_private_scalar, tape)
