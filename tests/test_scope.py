"""A run cut into its tests: each slice is judged as the whole run would be in that time."""

from __future__ import annotations

import pytest

from chaoskit.evidence import faults_were_felt
from chaoskit.invariant import Invariant
from chaoskit.quorate import timelines
from chaoskit.scope import judge_scope, scopes
from chaoskit.standing import no_rollback
from chaoskit.verdict import Kind, Verdict
from tests.tape import Tape

KEPT = Invariant("it_holds", Kind.SAFETY, lambda _: ())


def test_scopes_in_the_order_of_their_beginning() -> None:
    tape = Tape()
    tape.scope(1.0, "start", test="one")
    tape.observe(1.5, "a")
    tape.scope(2.0, "end", test="one")
    tape.observe(2.5, "a", 77)
    tape.scope(3.0, "start", test="two")
    tape.observe(3.5, "b")
    tape.scope(4.0, "end", test="two")
    tape.scope(5.0, "start", test="three")
    tape.observe(5.5, "c")
    one, two, three = scopes(tape.history())
    assert [(s.test, s.cluster, s.ended) for s in (one, two, three)] == [
        ("one", "c1", True),
        ("two", "c1", True),
        ("three", "c1", False),
    ]
    assert [e.process for e in one.history.of("observe")] == ["a"]
    assert [(e.process, e.value["progress"]) for e in two.history.of("observe")] == [
        ("a", 77),
        ("b", 1),
    ]
    assert [e.index for e in two.history] == sorted(e.index for e in two.history)


def test_a_slice_knows_what_held_when_it_began() -> None:
    tape = Tape()
    tape.part(1.0, ["a"], ["b", "c"], cut=True)
    tape.link(1.5, "a", "b", cut=False)
    tape.handshake(2.0, "b", "c", good=False)
    tape.limit(2.0, "c", over=True)
    tape.limit(2.1, "c", over=False, probe="clock")
    tape.state(3.0, "a", "stopped")
    tape.state(3.5, "a", "running")
    tape.scope(5.0, "start")
    tape.add(7.0, "chaoskit", "note", text="")
    tape.link(8.0, "b", "a", cut=False)
    tape.add(9.0, "chaoskit", "note", text="")
    tape.scope(10.0, "end")
    whole = tape.history()
    (scope,) = scopes(whole)
    (sliced,) = timelines(scope.history)
    (full,) = timelines(whole)
    assert sliced == full
    assert len(sliced.intervals) == 2
    assert len(scope.history) < len(whole)


def test_a_cluster_that_starts_forgets_the_last_one_of_its_nodes() -> None:
    tape = Tape()
    tape.part(1.0, ["a"], ["b", "c"], cut=True)
    tape.observe(1.5, "a", 99)
    tape.fault(1.6, 1, ["a"])
    tape.cluster(2.0, event="stopped")
    tape.cluster(3.0, name="c2")
    for node in "abc":
        tape.state(3.0, node, "running")
    tape.observe(3.5, "a", 2)
    tape.scope(5.0, "start", cluster="c2")
    tape.observe(6.0, "a", 3)
    tape.scope(7.0, "end", cluster="c2")
    (scope,) = scopes(tape.history())
    assert [one.margin for one in timelines(scope.history)[0].intervals] == [1]
    assert list(no_rollback.judge(scope.history)) == []
    assert faults_were_felt(scope.history) == ()


@pytest.mark.parametrize(("incarnation", "broken"), [(1, 1), (2, 0)])
def test_a_rollback_to_before_the_slice_is_seen(incarnation: int, broken: int) -> None:
    tape = Tape()
    tape.observe(1.0, "a", 9)
    tape.observe(1.5, "a", 2)
    tape.state(2.0, "a", "running", incarnation=incarnation)
    tape.scope(3.0, "start")
    tape.observe(4.0, "a", 3)
    tape.observe(4.5, "a", 4)
    tape.scope(5.0, "end")
    (scope,) = scopes(tape.history())
    assert len(no_rollback.judge(scope.history)) == broken


def test_a_fault_still_in_force_is_carried_over_with_its_evidence() -> None:
    tape = Tape()
    tape.fault(1.0, 1, ["a"])
    tape.evidence(1.1, 1, "effective", probe="p", again=False)
    tape.fault(1.2, 2, ["b"])
    tape.evidence(1.3, 2, "heal")
    tape.scope(2.0, "start")
    tape.evidence(3.0, 1, "felt", meter="m", before=0, after=1)
    tape.evidence(3.1, 1, "effective", probe="p", again=True)
    tape.evidence(3.2, 1, "heal", "invoke")
    tape.evidence(3.3, 1, "heal")
    tape.evidence(3.4, 1, "absent", probe="p")
    tape.scope(4.0, "end")
    (scope,) = scopes(tape.history())
    assert [e.value["id"] for e in scope.history.of("fault")] == [1]
    assert faults_were_felt(scope.history) == ()


def test_a_fault_that_was_refused_is_over() -> None:
    tape = Tape()
    tape.fault(1.0, 1, ["a"])
    tape.add(1.1, "chaoskit", "fault", "fail", id=1, cause="no secure port")
    tape.scope(2.0, "start")
    tape.scope(4.0, "end")
    (scope,) = scopes(tape.history())
    assert scope.history.of("fault") == []
    assert faults_were_felt(scope.history) == ()


@pytest.mark.parametrize(("ended", "verdict"), [(True, Verdict.PASS), (False, Verdict.UNKNOWN)])
def test_a_test_that_the_runs_end_cut_off_is_unknown(ended: bool, verdict: Verdict) -> None:  # noqa: FBT001
    tape = Tape()
    tape.scope(1.0, "start")
    tape.observe(2.0, "a")
    if ended:
        tape.scope(3.0, "end")
    (scope,) = scopes(tape.history())
    assert judge_scope(scope, [KEPT]).verdict is verdict


def test_two_tests_on_two_clusters_side_by_side() -> None:
    tape = Tape()
    tape.cluster(0.5, ["x", "y", "z"], name="c2")
    tape.state(0.6, "x", "running")
    tape.link(0.7, "x", "y", cut=True)
    tape.scope(1.0, "start", test="one", cluster="c1")
    tape.scope(1.5, "start", test="one", cluster="c2")
    tape.scope(2.0, "end", test="one", cluster="c1")
    tape.scope(2.5, "end", test="one", cluster="c2")
    first, second = scopes(tape.history())
    assert [one.cluster for one in timelines(first.history)] == ["c1"]
    assert [one.cluster for one in timelines(second.history)] == ["c2"]
    assert [event.process for event in first.history.of("state")] == ["a", "b", "c"]
    assert [event.f for event in second.history][:3] == ["cluster", "state", "link"]
