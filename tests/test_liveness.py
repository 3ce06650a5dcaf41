"""Coming back after the last heal, and the windows of faults and recovery."""

from __future__ import annotations

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.liveness import caught_up, fault_windows, heal_times, heals, recovered_within
from chaoskit.verdict import Kind
from tests.tape import Tape


def story(*, back_s: float | None, ready: bool = True, progress: int = 10) -> Tape:
    """A fault from 2 to 5 s; a and b are well; c answers nothing from 2 s on until `back_s`."""
    tape = Tape()
    tape.fault(2.0, 1, ["c"], name="Kill")
    tape.observe(4.9, "a", 10)
    tape.evidence(5.0, 1, "heal", "invoke")
    tape.evidence(5.0, 1, "heal", "ok")
    for tick in range(51, 120):
        time_s = tick / 10
        for node in "ab":
            tape.observe(time_s, node, 10 + tick)
        if back_s is not None and time_s >= back_s:
            tape.observe(time_s, "c", progress, ready=ready)
        else:
            tape.no_answer(time_s, "c")
    return tape


def test_recovered_within() -> None:
    promise = recovered_within(2.0)
    assert (promise.name, promise.kind) == ("recovered_within_2_s", Kind.LIVENESS)
    assert list(promise.judge(story(back_s=6.9).history())) == []
    (late,) = promise.judge(story(back_s=8.0).history())
    assert "c was back after 3.000 s" in late.text
    (never,) = promise.judge(story(back_s=None).history())
    assert "c was back not at all" in never.text
    assert "timed_out" in never.text


def test_one_sample_makes_the_difference() -> None:
    tape = story(back_s=None)
    at = next(e for e in tape.events if e.process == "c" and e.type == "fail" and e.time_s > 6)
    answer = {"ready": True, "progress": 10, "took_s": 0.01}
    tape.events[at.index] = type(at)(at.index, at.time_s, "c", "ok", "observe", answer)
    assert list(recovered_within(2.0).judge(tape.history())) == []


@pytest.mark.parametrize(("ready", "progress"), [(False, 10), (True, 9)])
def test_back_is_ready_and_level(ready: bool, progress: int) -> None:  # noqa: FBT001
    history = story(back_s=6.0, ready=ready, progress=progress).history()
    assert len(recovered_within(2.0).judge(history)) == 1
    assert caught_up(history, heals(history)[-1]) == {
        "a": pytest.approx(0.1),
        "b": pytest.approx(0.1),
        "c": None,
    }


def test_a_sample_that_began_before_the_heal_does_not_count() -> None:
    tape = story(back_s=None)
    at = next(e for e in tape.events if e.process == "c" and e.type == "fail")
    answer = {"ready": True, "progress": 10, "took_s": 0.2}
    tape.events[at.index] = type(at)(at.index, at.time_s, "c", "ok", "observe", answer)
    assert len(recovered_within(2.0).judge(tape.history())) == 1


def test_the_last_heal_counts_and_a_change_is_one() -> None:
    tape = story(back_s=8.0)
    tape.add(11.95, "chaoskit", "change", "ok", id=2)
    tape.add(14.0, "chaoskit", "note", text="end")
    with pytest.raises(Inconclusive):
        recovered_within(2.0).judge(tape.history())
    for node in "abc":
        tape.observe(13.0, node, 1000)
    assert list(recovered_within(2.0).judge(tape.history())) == []
    assert heal_times(tape.history()) == (5.0,)


def test_a_node_that_we_keep_down_is_not_waited_for() -> None:
    for signalled in (True, False):
        tape = Tape()
        tape.state(1.0, "c", "exited", signalled=signalled)
        tape.evidence(5.0, 1, "heal", "ok")
        for tick in range(51, 120):
            for node in "ab":
                tape.observe(tick / 10, node)
            tape.no_answer(tick / 10, "c")
        assert len(recovered_within(2.0).judge(tape.history())) == (not signalled)


def test_no_evidence() -> None:
    with pytest.raises(Inconclusive, match="nothing was healed"):
        recovered_within(2.0).judge(Tape().history())
    tape = story(back_s=None)
    tape.gap(12.0, "c", 6.0)
    with pytest.raises(Inconclusive, match="not observed all through"):
        recovered_within(2.0).judge(tape.history())
    with pytest.raises(Inconclusive, match="the history ends"):
        recovered_within(20.0).judge(story(back_s=None).history())
    unsampled = [e.index for e in story(back_s=6.0).events if e.process == "c" and e.time_s > 5]
    with pytest.raises(Inconclusive):
        recovered_within(2.0).judge(story(back_s=6.0).history(without=unsampled))


def test_fault_windows_reach_to_the_steady_state() -> None:
    tape = Tape()
    tape.cluster(1.0, event="steady")
    tape.fault(2.0, 1, ["a"])
    tape.fault(3.0, 2, ["b"])
    tape.evidence(4.0, 1, "heal", "invoke")
    tape.evidence(4.5, 1, "heal", "ok")
    tape.cluster(4.7, event="steady")
    tape.evidence(5.0, 2, "heal", "ok")
    tape.cluster(6.0, event="steady")
    tape.cluster(7.0, event="steady")
    tape.add(8.0, "chaoskit", "change", "invoke", id=3, change="Upgrade", targets=["a"])
    tape.add(9.0, "chaoskit", "change", "ok", id=3)
    tape.add(11.0, "chaoskit", "note", text="end")
    assert fault_windows(tape.history()) == ((2.0, 6.0), (8.0, 11.0))
    assert fault_windows(Tape().history()) == ()
