"""A saved run judged again: by today's promises, by its history, and never better than it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chaoskit.contribution import runs_release
from chaoskit.errors import ChaosError, InvariantViolated, UsageError, WaitTimedOut
from chaoskit.experiment import Experiment, without_cluster
from chaoskit.fault import inject
from chaoskit.history import Recorder, read
from chaoskit.invariant import Invariant, Violation
from chaoskit.liveness import recovered_within
from chaoskit.recheck import as_it_is, judged_again, recheck
from chaoskit.redaction import Redactor
from chaoskit.rehearsed import Rehearsed
from chaoskit.rundir import RunFolder, create_run
from chaoskit.system import Release, System
from chaoskit.verdict import Kind, Verdict, decide
from tests.stand_in import Jam, StandIn, still, traffic

STILL = still(traffic=traffic(lambda _: {}))


class Run:
    """A run folder, and a stand-in that writes its history into it."""

    def __init__(self, root: Path) -> None:
        self.folder: RunFolder = create_run(
            root,
            seed="7f3a",
            system="still",
            command="pytest",
            started=datetime(2026, 11, 21, tzinfo=UTC),
            redactor=Redactor(),
        )
        self.cluster = StandIn(root, STILL)
        self.cluster.recorder.close()
        self.cluster.recorder = Recorder(self.folder.history)
        self.cluster.starts()

    def begin(self, test: str = "t") -> Experiment:
        experiment = Experiment(self.cluster.as_cluster, test, f"pytest {test}")
        experiment.begin()
        self.cluster.works()
        return experiment

    def end(
        self, experiment: Experiment, *extra: Invariant, error: Exception | None = None
    ) -> None:
        if error is None:
            try:
                experiment.check(*extra)
            except InvariantViolated as violated:
                error = violated
        self.folder.add(experiment.end(error))
        self.folder.finish()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made = Run(tmp_path)
    yield made
    made.cluster.recorder.close()


def again(run: Run, system: System = STILL) -> tuple[Verdict, list[str]]:
    def staged(_: str) -> Rehearsed:
        return Rehearsed(system, owed=lambda new: (came_to(new),))

    return recheck("latest", runs=run.folder.path.parent, load=lambda _: system, rehearsed=staged)


def came_to(release: Release) -> Invariant:
    """A promise of whoever comes to a release, by one name for all of them."""
    return Invariant("came_well", Kind.SAFETY, lambda _: (Violation(release.label, (3,)),))


def test_what_a_rehearsal_s_step_owes_is_judged_again_of_the_release_it_went_to(run: Run) -> None:
    new = STILL.releases[0]
    run.end(run.begin(), runs_release("a", new), replace(came_to(new), judge=lambda _: ()))
    _, lines = again(run)
    assert not any(f"came_well: {new.label}" in line for line in lines), "it was no rehearsal"
    (run.folder.path / "rehearsal.json").write_text("{}")
    _, lines = again(run)
    assert any(f"came_well: {new.label}" in line for line in lines)


def test_a_run_that_passed_passes_again(run: Run) -> None:
    run.end(run.begin())
    assert again(run) == (Verdict.PASS, ["PASS     t"])


def test_a_promise_made_since_is_judged(run: Run) -> None:
    run.end(run.begin())
    broken = Invariant("it_broke", Kind.SAFETY, lambda _: (Violation("there", (3,)),))
    better = still(traffic=STILL.traffic, invariants=(broken,))
    assert again(run, better) == (
        Verdict.FAIL,
        ["FAIL     t   was PASS   it_broke: there"],
    )


def test_a_promise_that_was_wrong_is_judged_anew(run: Run) -> None:
    wrong = Invariant("it_broke", Kind.SAFETY, lambda _: (Violation("there", (3,)),))
    run.cluster.system = still(traffic=STILL.traffic, invariants=(wrong,))
    run.end(run.begin())
    right = Invariant("it_broke", Kind.SAFETY, lambda _: ())
    mended = still(traffic=STILL.traffic, invariants=(right,))
    assert again(run, mended) == (Verdict.PASS, ["PASS     t   was FAIL"])


def test_recovery_that_the_test_asked_for_is_judged_again(run: Run) -> None:
    experiment = run.begin()
    with inject(Jam("a", ()), into=run.cluster.as_cluster):
        run.cluster.world.met += 1
    run.end(experiment, recovered_within(0.001))
    verdict, lines = again(run)
    assert verdict is not Verdict.PASS
    assert "recovered_within" in lines[0]
    assert "   was " not in lines[0]


def test_a_promise_of_the_test_s_own_is_unknown(run: Run) -> None:
    run.end(run.begin(), Invariant("my_own", Kind.SAFETY, lambda _: ()))
    verdict, lines = again(run)
    assert verdict is Verdict.UNKNOWN
    assert lines[0].startswith("UNKNOWN  t   was PASS   my_own: a promise of the test's own")


def test_how_the_body_ended_is_not_forgotten(run: Run) -> None:
    run.end(run.begin(), error=WaitTimedOut("the leader", 5.0))
    verdict, lines = again(run)
    assert verdict is Verdict.UNKNOWN
    assert lines == ["UNKNOWN  t   await: the test gave up: waited 5 s for the leader"]


def test_a_test_that_had_no_cluster_is_not_forgotten(run: Run) -> None:
    run.end(run.begin())
    error = ChaosError("the engine is gone")
    run.folder.add(without_cluster("u", run.cluster.recorder, "pytest u", error))
    verdict, lines = again(run)
    assert verdict is Verdict.INFRA
    assert lines == ["PASS     t", "INFRA    u   cluster: ChaosError: the engine is gone"]


def test_a_test_on_two_clusters_is_judged_on_both(run: Run) -> None:
    experiment = run.begin()
    run.cluster.sees("a", 9)
    run.cluster.sees("a", 1)  # a rollback, on the first cluster
    run.end(experiment)
    run.cluster.name = "c2"
    run.cluster.starts()
    second = run.begin()
    run.end(second)
    assert again(run)[0] is Verdict.FAIL


def test_every_test_has_its_line_and_the_worst_counts(run: Run) -> None:
    run.end(run.begin("one"))
    experiment = Experiment(run.cluster.as_cluster, "two", "pytest two")
    experiment.begin()
    run.end(experiment)
    verdict, lines = again(run)
    assert verdict is Verdict.UNKNOWN
    assert [line.split()[:2] for line in lines] == [["PASS", "one"], ["UNKNOWN", "two"]]


@pytest.mark.parametrize("f", ["effective", "felt", "heal", "absent", "observe", "put", "fault"])
def test_a_saved_run_from_which_one_event_was_taken_cannot_pass(run: Run, f: str) -> None:
    experiment = run.begin()
    with inject(Jam("a", ()), into=run.cluster.as_cluster):
        run.cluster.world.met += 1
    run.end(experiment)
    path = run.folder.history
    whole = read(path)
    assert again(run)[0] is Verdict.PASS
    begun = next(event.index for event in whole.of("scope"))
    taken = [event for event in whole.of(f) if event.index > begun]
    assert taken
    for event in taken:
        reasons = judged_again(whole.without(event.index), as_it_is(lambda _: STILL))["t"]
        assert decide(reasons) is not Verdict.PASS, event
    header, *lines = path.read_text().splitlines()
    del lines[taken[0].index]
    path.write_text("\n".join([header, *lines]) + "\n")
    assert again(run)[0] is not Verdict.PASS


def test_a_run_without_tests_is_unknown(run: Run) -> None:
    assert again(run)[0] is Verdict.UNKNOWN


def test_a_run_cut_off_in_a_test_is_unknown(run: Run) -> None:
    run.begin()
    verdict, lines = again(run)
    assert verdict is Verdict.UNKNOWN
    assert "the run stopped before t ended" in lines[0]


def corrupt(run: Run, **more: Any) -> None:
    path = run.folder.path / "verdicts.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


def test_what_is_no_run_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        recheck(
            "2020-01-01", runs=tmp_path, load=lambda _: STILL, rehearsed=as_it_is(lambda _: STILL)
        )
    run.end(run.begin())
    corrupt(run, schema=99)
    with pytest.raises(UsageError, match="schema"):
        again(run)
    run.folder.history.write_text("")
    with pytest.raises(UsageError, match="an empty file"):
        again(run)
