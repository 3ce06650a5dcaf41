"""The rows' own promises, each on a history that keeps it and on one that differs by one event."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Invariant, Violation
from suites.incidents.upgrades import the_way_back_is_open, upgraded_members_contribute
from suites.incidents.writes import (
    calibration,
    puts_stay_near_the_calibrated,
    writes_are_answered_after_the_heal,
    writes_return_after_the_heal,
)
from tests.tape import Tape


def judged(invariant: Invariant, history: History) -> Sequence[Violation]:
    return list(invariant.judge(history))


def change(tape: Tape, time_s: float, identity: int, node: str, to: str) -> None:
    """An upgrade of a node that begins at `time_s` and is done half a second later."""
    fields = {"node": node, "to": to}
    tape.add(
        time_s,
        "chaoskit",
        "change",
        "invoke",
        id=identity,
        change="Upgrade",
        fields=fields,
        targets=[node],
    )
    tape.state(time_s + 0.1, node, "stopped")
    tape.state(time_s + 0.4, node, "running")
    tape.add(time_s + 0.5, "chaoskit", "change", "ok", id=identity)


def exited(tape: Tape, time_s: float, node: str) -> int:
    return tape.state(time_s, node, "exited", signalled=False)


def seen(tape: Tape, time_s: float, node: str, version: str, *, ready: bool = True) -> int:
    value: dict[str, Any] = {"ready": ready, "version": version, "progress": 1, "took_s": 0.01}
    return tape.add(time_s, node, "observe", "ok", **value)


def paused(tape: Tape, time_s: float, end_s: float, node: str) -> None:
    """A node that stands still from time_s, and whose heal begins at end_s."""
    tape.fault(time_s, 7, [node], name="Pause")
    tape.state(time_s + 0.01, node, "paused")


def resumed(tape: Tape, time_s: float, node: str) -> None:
    tape.evidence(time_s, 7, "heal", "invoke")
    tape.state(time_s + 0.05, node, "running")
    tape.evidence(time_s + 0.06, 7, "heal", "ok")


# -- upgraded_members_contribute ---------------------------------------------------------------

CONTRIBUTE = upgraded_members_contribute(label="2", version="2.0", within_s=5.0)


def upgraded(
    *, version: str = "2.0", put_s: float = 3.0, kind: str = "ok", resume_s: float = 8.0
) -> Tape:
    """Node b goes to release 2 at 1 s; c stands still from 2 s on; a put is asked at `put_s`."""
    tape = Tape()
    change(tape, 1.0, 1, "b", "2")
    seen(tape, 1.8, "b", version)
    paused(tape, 2.0, resume_s, "c")
    invoked = tape.invoke(put_s, 1, "put", node="a", key="k", value="v")
    if kind == "ok":
        tape.answer(put_s + 0.1, invoked, "ok", revision=2)
    elif kind == "info":
        tape.answer(put_s + 2.0, invoked, "info")
    resumed(tape, resume_s, "c")
    tape.observe(12.0, "a")
    return tape


def test_a_member_that_took_part_contributed() -> None:
    assert judged(CONTRIBUTE, upgraded().history()) == []


@pytest.mark.parametrize(
    "tape",
    [upgraded(version="1.0"), upgraded(kind="info"), upgraded(kind="none")],
    ids=["never at the version", "no answer", "no end"],
)
def test_a_member_that_did_not_take_part_is_found(tape: Tape) -> None:
    (found,) = judged(CONTRIBUTE, tape.history())
    assert "b, at 2 since 1.500 s" in found.text
    assert found.excusable


def test_an_answer_that_needs_no_quorum_is_no_contribution() -> None:
    tape = Tape()
    change(tape, 1.0, 1, "b", "2")
    seen(tape, 1.8, "b", "2.0")
    paused(tape, 2.0, 8.0, "c")
    tape.operation(3.0, "get", key="k", consistency="serializable")
    tape.operation(4.0, "get", "info", key="k", consistency="linearizable")
    resumed(tape, 8.0, "c")
    tape.observe(12.0, "a")
    assert len(judged(CONTRIBUTE, tape.history())) == 1


def test_an_answer_after_the_others_may_be_back_is_no_contribution() -> None:
    tape = upgraded(kind="none", resume_s=8.0)
    late = tape.invoke(7.9, 2, "put", node="a", key="k", value="w")
    tape.answer(8.02, late, "ok", revision=3)
    tape.events.sort(key=lambda event: event.time_s)
    assert len(judged(CONTRIBUTE, tape.history())) == 1


def test_a_member_that_ended_by_itself_is_found_without_more_ado() -> None:
    tape = Tape()
    change(tape, 1.0, 1, "b", "2")
    gone = exited(tape, 1.7, "b")
    (found,) = judged(CONTRIBUTE, tape.history())
    assert gone in found.events
    assert not found.excusable
    with pytest.raises(Inconclusive):
        judged(CONTRIBUTE, tape.history(without=[gone]))


def test_what_was_not_tried_is_not_known() -> None:
    with pytest.raises(Inconclusive, match="no member went to 2"):
        judged(CONTRIBUTE, Tape().history())
    with pytest.raises(Inconclusive, match="not tried"):
        judged(CONTRIBUTE, upgraded(kind="none", resume_s=4.0).history())


def test_a_member_that_went_on_to_another_release_is_judged_until_then() -> None:
    tape = upgraded(kind="info")
    assert judged(CONTRIBUTE, tape.history())
    tape = Tape()
    change(tape, 1.0, 1, "b", "2")
    seen(tape, 1.8, "b", "2.0")
    change(tape, 2.0, 2, "b", "1")
    paused(tape, 3.0, 8.0, "c")
    tape.operation(3.5, "put", key="k", value="v", result={"revision": 2})
    resumed(tape, 8.0, "c")
    with pytest.raises(Inconclusive):
        judged(CONTRIBUTE, tape.history())


# -- the_way_back_is_open ----------------------------------------------------------------------

OPEN = the_way_back_is_open(label="1", version="1.0", within_s=5.0)


def gone_back(*, back_s: float = 3.0, version: str = "1.0", ready: bool = True) -> Tape:
    tape = Tape()
    change(tape, 1.0, 1, "b", "1")
    seen(tape, back_s, "b", version, ready=ready)
    tape.observe(10.0, "a")
    return tape


def test_the_way_back_is_open() -> None:
    assert judged(OPEN, gone_back().history()) == []


@pytest.mark.parametrize(
    "tape",
    [gone_back(back_s=7.0), gone_back(version="2.0"), gone_back(ready=False)],
    ids=["late", "still new", "not ready"],
)
def test_a_way_back_that_is_closed(tape: Tape) -> None:
    (found,) = judged(OPEN, tape.history())
    assert "no way back" in found.text


def test_every_way_back_that_was_tried_counts() -> None:
    tape = gone_back()
    change(tape, 11.0, 2, "b", "2")
    change(tape, 12.0, 3, "b", "1")
    gone = exited(tape, 12.6, "b")
    change(tape, 13.0, 4, "b", "2")
    (found,) = judged(OPEN, tape.history())
    assert gone in found.events
    assert not found.excusable
    with pytest.raises(Inconclusive, match="not given"):
        judged(OPEN, tape.history(without=[gone]))


def test_no_way_back_was_tried() -> None:
    with pytest.raises(Inconclusive, match="no member went back"):
        judged(OPEN, Tape().history())


# -- writes_return_after_the_heal --------------------------------------------------------------

RETURN = writes_return_after_the_heal(within_s=5.0)


def healed(*kinds: str, healed_s: float = 2.0, end_s: float = 10.0) -> Tape:
    """Healed at 2 s; then a write a second that comes out as given."""
    tape = Tape()
    tape.fault(1.0, 1, ["a"])
    tape.evidence(1.9, 1, "heal", "invoke")
    tape.evidence(healed_s, 1, "heal", "ok")
    for second, kind in enumerate(kinds, start=3):
        invoked = tape.invoke(float(second), 1, "put", node="a", key="k", value=f"{second}")
        if kind == "ok":
            tape.answer(second + 0.1, invoked, "ok", revision=second)
        elif kind == "fail":
            tape.answer(second + 0.1, invoked, "info", cause="status 429")
        elif kind == "info":
            tape.answer(second + 0.1, invoked, "info", cause="timed_out")
    tape.observe(end_s, "a")
    return tape


def test_one_write_in_time_is_service() -> None:
    assert judged(RETURN, healed("fail", "fail", "ok").history()) == []


def test_refused_writes_are_no_service_and_no_stall() -> None:
    (found,) = judged(RETURN, healed("fail", "info", "fail").history())
    assert "status 429" in found.text
    assert not found.excusable


def test_late_writes_are_no_service_but_a_stall_may_be_to_blame() -> None:
    (found,) = judged(RETURN, healed("info", "info", "none", "none", "none", "ok").history())
    assert found.excusable


def test_reads_are_no_service() -> None:
    tape = healed("fail")
    tape.operation(6.0, "get", key="k", consistency="linearizable")
    tape.observe(10.0, "a")
    assert len(judged(RETURN, tape.history())) == 1


@pytest.mark.parametrize("tape", [healed(), healed("fail", end_s=4.0), Tape()])
def test_without_writes_for_the_bound_or_a_heal_nothing_is_known(tape: Tape) -> None:
    with pytest.raises(Inconclusive):
        judged(RETURN, tape.history())


# -- writes_are_answered_after_the_heal --------------------------------------------------------


def test_every_write_of_the_others_is_quick_after_the_heal() -> None:
    promise = writes_are_answered_after_the_heal(("a",), for_s=3.0, within_s=1.0)
    assert judged(promise, healed("ok", "ok", "ok", "none").history()) == []
    assert len(judged(promise, healed("ok", "info", "ok").history())) == 1
    elsewhere = writes_are_answered_after_the_heal(("b",), for_s=3.0, within_s=1.0)
    with pytest.raises(Inconclusive):
        judged(elsewhere, healed("ok").history())
    tape = healed("ok")
    slow = tape.invoke(4.0, 1, "put", node="a", key="k", value="x")
    tape.answer(5.1, slow, "ok", revision=9)
    assert len(judged(promise, tape.history())) == 1


@pytest.mark.parametrize(
    ("sync_s", "others", "violations"), [(0.49, 1, 1), (0.5, 1, 0), (0.5, 0, 1)]
)
def test_a_write_that_waited_for_the_disk_of_all_does_not_decide_alone(
    sync_s: float, others: int, violations: int
) -> None:
    tape = healed(*["ok"] * others, healed_s=2.0, end_s=20.0)
    slow = tape.invoke(4.0, 1, "put", node="a", key="k", value="x")
    tape.answer(5.1, slow, "ok", revision=9)
    for at_s, synced_s in ((3.4, 0.003), (4.4, sync_s), (5.4, 0.003)):
        tape.add(at_s, "chaoskit", "machine", over=False, waiting=0.1, steal=0.0, sync_s=synced_s)
    promise = writes_are_answered_after_the_heal(("a",), for_s=3.0, within_s=1.0)
    assert len(judged(promise, tape.history())) == violations


def test_writes_that_wait_for_somebody_elses_term_are_no_victims_of_a_stall() -> None:
    promise = writes_are_answered_after_the_heal(("a",), for_s=3.0, within_s=1.0)
    for term, excusable in ((2, True), (9, False)):
        tape = healed("ok", healed_s=2.0, end_s=20.0)
        tape.observe(1.95, "a", term=1)
        slow = tape.invoke(4.0, 1, "put", node="a", key="k", value="x")
        tape.answer(5.5, slow, "ok", revision=9)
        tape.observe(6.0, "a", term=1, role="without a leader")
        tape.observe(6.2, "a", term=term, role="leader")
        tape.observe(6.3, "a", term=99, role="leader")
        (found,) = judged(promise, tape.history())
        assert found.excusable is excusable


# -- puts_stay_near_the_calibrated -------------------------------------------------------------


def slowed(
    took_s: float,
    *,
    puts: int = 30,
    slow: Collection[int] | None = None,
    over_s: Sequence[float] = (),
    waiting: float = 0.95,
    sync_s: float = 0.003,
    median_s: float = 0.01,
) -> Tape:
    """
    Calibrated; a fault from 10 s on; a put a second meanwhile: all take `took_s`, or those that
    are `slow` do.

    `over_s` says in which seconds of the fault the machine was over its limits, or its disk took
    `sync_s` to sync.
    """
    tape = Tape()
    tape.add(9.0, "chaoskit", "calibration", puts=50, median_s=median_s)
    tape.fault(10.0, 1, ["a"], name="SlowStorage")
    tape.evidence(10.1, 1, "effective", "ok")
    for number in range(puts):
        invoked = tape.invoke(10.5 + number, 1, "put", node="a", key="k", value=f"{number}")
        put_s = took_s if slow is None or number in slow else median_s
        tape.answer(10.5 + number + put_s, invoked, "ok", revision=number)
        over = number in over_s
        tape.add(
            11.4 + number,
            "chaoskit",
            "machine",
            over=over,
            waiting=waiting if over else 0.1,
            steal=0.0,
            proxy_lag_s=0.003,
            sync_s=sync_s if over else 0.003,
        )
    tape.evidence(15.0 + puts, 1, "heal", "invoke")
    return tape


def near() -> Invariant:
    return puts_stay_near_the_calibrated(delay_s=0.2)


def test_ten_times_is_the_limit() -> None:
    assert judged(near(), slowed(0.09).history()) == []
    (found,) = judged(near(), slowed(0.11).history())
    assert "11 times" in found.text


def test_a_stall_excuses_the_median_only_where_it_touched_it() -> None:
    (some,) = judged(near(), slowed(0.2, over_s=[3, 4]).history())
    assert not some.excusable
    (most,) = judged(near(), slowed(0.2, over_s=range(20)).history())
    assert most.excusable


@pytest.mark.parametrize(("waiting", "excusable"), [(0.89, False), (0.91, True)])
def test_a_machine_on_which_all_takes_less_than_ten_times_as_long_excuses_no_ten_times(
    waiting: float, *, excusable: bool
) -> None:
    (found,) = judged(near(), slowed(0.2, over_s=range(30), waiting=waiting).history())
    assert found.excusable is excusable


@pytest.mark.parametrize(("stalled", "kept"), [(range(15, 25), True), (range(15, 19), False)])
def test_the_puts_decide_that_no_stall_touched(stalled: range, *, kept: bool) -> None:
    tape = slowed(0.2, slow=range(8, 25), over_s=stalled)
    assert [one.excusable for one in judged(near(), tape.history())] == ([] if kept else [False])


@pytest.mark.parametrize(("sync_s", "kept"), [(0.2, True), (0.19, False)])
def test_a_second_in_which_the_disk_of_all_was_as_slow_as_the_fault_decides_nothing(
    sync_s: float, *, kept: bool
) -> None:
    tape = slowed(0.2, slow=range(8, 25), over_s=range(15, 25), waiting=0.1, sync_s=sync_s)
    assert [one.excusable for one in judged(near(), tape.history())] == ([] if kept else [False])


def test_less_than_half_of_the_puts_excuse_and_do_not_decide() -> None:
    tape = slowed(0.2, puts=60, slow=range(25, 60), over_s=range(25, 60))
    (found,) = judged(near(), tape.history())
    assert found.excusable


def test_a_limit_that_the_fault_itself_keeps_proves_nothing() -> None:
    with pytest.raises(Inconclusive, match="calibrated at 20"):
        judged(near(), slowed(0.15, median_s=0.02).history())
    assert judged(near(), slowed(0.15, median_s=0.019).history()) == []
    (found,) = judged(near(), slowed(0.25, median_s=0.02).history())
    assert "12 times" in found.text  # over even that limit


def test_few_puts_or_no_calibration_prove_nothing() -> None:
    with pytest.raises(Inconclusive):
        judged(near(), slowed(0.2, puts=19).history())
    tape = slowed(0.2)
    with pytest.raises(Inconclusive):
        judged(near(), tape.history(without=[tape.events[4].index]))


def test_a_calibration_is_the_median_of_acknowledged_puts() -> None:
    found = calibration(slowed(0.05, puts=25).history())
    assert found["puts"] == 25
    assert found["median_s"] == pytest.approx(0.05)
    with pytest.raises(Inconclusive):
        calibration(slowed(0.05, puts=19).history())
