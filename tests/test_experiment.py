"""A test's verdict: what was judged, together with how its body ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit.errors import ChaosError, InvariantViolated, NotApplicable, WaitTimedOut
from chaoskit.experiment import Experiment, summary, without_cluster, worst
from chaoskit.fault import NotEffective, inject
from chaoskit.invariant import Invariant, Violation
from chaoskit.judge import Outcome
from chaoskit.rundir import TestVerdict
from chaoskit.system import Operation, OutcomeUnknown
from chaoskit.verdict import Kind, Verdict
from tests.stand_in import Jam, StandIn, still, traffic

KEPT = Invariant("it_holds", Kind.SAFETY, lambda _: ())
BROKEN = Invariant("it_broke", Kind.SAFETY, lambda _: (Violation("there", (3,)),))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[StandIn]:
    made = StandIn(tmp_path, still(traffic=traffic(lambda _: {})))
    made.starts()
    yield made
    made.recorder.close()


def begun(cluster: StandIn, *, extra: tuple[Invariant, ...] = ()) -> Experiment:
    experiment = Experiment(cluster.as_cluster, "t", "pytest t", extra)
    experiment.begin()
    cluster.works()
    return experiment


def by(verdict: TestVerdict) -> list[tuple[Verdict, str]]:
    return [(reason.verdict, reason.by) for reason in verdict.reasons]


def test_a_test_in_which_all_was_kept_passes(cluster: StandIn) -> None:
    experiment = begun(cluster)
    experiment.check(KEPT)
    verdict = experiment.end(None)
    assert (verdict.verdict, verdict.reasons) == (Verdict.PASS, ())
    assert (verdict.test, verdict.again) == ("t", "pytest t")
    names = {promise.name: promise.outcome for promise in verdict.promises}
    assert {"no_fork", "no_rollback", "no_unexpected_exit", "it_holds"} <= names.keys()
    assert set(names.values()) == {Outcome.KEPT}
    first, last = (cluster.history().events[index] for index in verdict.scope)
    assert (first.f, first.value["event"]) == ("scope", "start")
    assert (last.f, last.value["event"]) == ("scope", "end")
    assert summary(verdict) == f"{len(names)} promises"


def test_a_broken_promise_ends_the_test(cluster: StandIn) -> None:
    experiment = begun(cluster)
    with pytest.raises(InvariantViolated, match="FAIL: t"):
        experiment.check(BROKEN)
    verdict = experiment.end(InvariantViolated("FAIL: t"))
    assert by(verdict) == [(Verdict.FAIL, "it_broke")]
    assert summary(verdict) == "it_broke: there"


def test_the_systems_own_promises_are_judged(tmp_path: Path) -> None:
    cluster = StandIn(tmp_path, still(invariants=(BROKEN,)))
    cluster.starts()
    with pytest.raises(InvariantViolated, match="FAIL"):
        begun(cluster).check()
    cluster.recorder.close()


def test_a_fault_that_was_not_felt_makes_it_invalid(cluster: StandIn) -> None:
    experiment = begun(cluster)
    with inject(Jam("a", ()), into=cluster.as_cluster):
        pass
    with pytest.raises(InvariantViolated, match="INVALID"):
        experiment.check()
    assert experiment.end(InvariantViolated("")).verdict is Verdict.INVALID


def test_a_test_without_check_is_unknown(cluster: StandIn) -> None:
    verdict = begun(cluster).end(None)
    assert by(verdict) == [(Verdict.UNKNOWN, "check")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotEffective("no probe saw it"), (Verdict.INVALID, "inject")),
        (NotApplicable("no storage"), (Verdict.UNKNOWN, "inject")),
        (WaitTimedOut("the leader", 5.0), (Verdict.UNKNOWN, "await")),
        (ChaosError("the engine is gone"), (Verdict.INFRA, "harness")),
        (KeyError("a bug of the test"), (Verdict.INFRA, "harness")),
        (KeyboardInterrupt(), (Verdict.INFRA, "harness")),
    ],
)
def test_how_the_body_ended_is_part_of_the_verdict(
    cluster: StandIn, error: BaseException, reason: tuple[Verdict, str]
) -> None:
    verdict = begun(cluster).end(error)
    assert by(verdict) == [reason]
    assert verdict.verdict is reason[0]


def test_a_broken_promise_counts_whatever_ended_the_body(cluster: StandIn) -> None:
    experiment = begun(cluster, extra=(BROKEN,))
    verdict = experiment.end(WaitTimedOut("the leader", 5.0))
    assert verdict.verdict is Verdict.FAIL


def test_an_error_after_the_check_is_not_forgotten(cluster: StandIn) -> None:
    experiment = begun(cluster)
    experiment.check()
    assert experiment.end(ChaosError("the engine is gone")).verdict is Verdict.INFRA


def test_a_thread_that_died_ends_its_test_and_still_has_a_verdict(cluster: StandIn) -> None:
    experiment = begun(cluster)
    cluster.failure = ChaosError("the observer of a ended by KeyError: 'progress'")
    with pytest.raises(ChaosError, match="the observer of a"):
        experiment.check()
    verdict = experiment.end(cluster.failure)
    assert by(verdict) == [(Verdict.INFRA, "harness")]
    assert "the observer of a ended by KeyError" in verdict.reasons[0].text


def test_packets_round_the_proxy_are_the_harness_s_failure(cluster: StandIn) -> None:
    experiment = begun(cluster)
    cluster.bypass = 2
    with pytest.raises(InvariantViolated, match="INFRA"):
        experiment.check()


def test_the_load_ends_before_the_last_readings_and_each_node_is_read(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(operation: Operation) -> dict[str, object]:
        asked.append(operation.f)
        if len(asked) == 2:
            raise OutcomeUnknown("timed_out")
        return {"values": {}}

    snapshot = Operation("snapshot", {})
    cluster = StandIn(tmp_path, still(traffic=traffic(answer, snapshot=snapshot)))
    cluster.starts()
    experiment = begun(cluster)
    experiment.check()
    assert cluster.world.log == ["end load"]
    read = [(event.type, event.value["node"]) for event in cluster.history().of("snapshot")]
    assert [one for one in read if one[0] != "invoke"] == [("ok", "a"), ("fail", "b"), ("ok", "c")]
    cluster.recorder.close()


def test_nodes_that_do_not_come_level_do_not_hold_it_up(
    cluster: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaoskit.experiment._LEVEL_TIMEOUT_S", 0.05)
    cluster.level = False
    begun(cluster).check()


def test_each_scope_is_judged_for_itself(cluster: StandIn) -> None:
    first = begun(cluster)
    cluster.sees("a", 7)
    cluster.sees("a", 3)
    with pytest.raises(InvariantViolated):
        first.check()
    assert by(first.end(InvariantViolated(""))) == [(Verdict.FAIL, "no_rollback")]
    second = Experiment(cluster.as_cluster, "u", "pytest u")
    second.begin()
    for node in cluster.nodes:
        for progress in (8, 9):
            cluster.sees(node, progress)
    value = {"op": 9, "node": "a", "key": "k", "value": "9"}
    cluster.recorder.record("client 1", "put", value, kind="invoke")
    cluster.recorder.record("client 1", "put", value, kind="ok")
    second.check()
    assert second.end(None).verdict is Verdict.PASS


def test_the_worst_of_several(cluster: StandIn) -> None:
    passed = begun(cluster)
    passed.check()
    verdict = passed.end(None)
    assert worst([]) is Verdict.UNKNOWN
    assert worst([verdict]) is Verdict.PASS
    second = Experiment(cluster.as_cluster, "u", "pytest u")
    second.begin()
    assert worst([verdict, second.end(None)]) is Verdict.UNKNOWN


def test_asked_again_it_answers_the_same(cluster: StandIn) -> None:
    experiment = begun(cluster)
    first = experiment.end(WaitTimedOut("the leader", 5.0))
    assert experiment.end(None) is first
    ends = [e for e in cluster.history().of("scope") if e.value["event"] == "end"]
    assert len(ends) == 1


def test_a_load_that_broke_while_it_ended_is_the_harness_s_failure(cluster: StandIn) -> None:
    experiment = begun(cluster)

    def ends() -> None:
        cluster.failure = ChaosError("a client of the load ended by KeyError")
        cluster.is_level = lambda: True  # type: ignore[method-assign]

    cluster.end_load = ends  # type: ignore[method-assign]
    with pytest.raises(ChaosError, match="a client of the load"):
        experiment.check()
    assert experiment.end(cluster.failure).verdict is Verdict.INFRA


def test_a_test_without_a_cluster_has_a_verdict(cluster: StandIn) -> None:
    error = ChaosError("the engine is gone")
    verdict = without_cluster("t", cluster.recorder, "pytest t", error)
    assert by(verdict) == [(Verdict.INFRA, "cluster")]
    (noted,) = cluster.history().of("note")
    assert verdict.scope == (noted.index, noted.index)
