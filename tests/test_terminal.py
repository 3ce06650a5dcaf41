"""A test that did not pass, in six lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chaoskit.errors import ChaosError, InvariantViolated
from chaoskit.experiment import Experiment
from chaoskit.fault import apply, inject
from chaoskit.invariant import Invariant, Violation
from chaoskit.terminal import failure_lines
from chaoskit.verdict import Kind
from tests.stand_in import Jam, StandIn, Turn, still, traffic

BROKEN = Invariant("it_broke", Kind.SAFETY, lambda _: (Violation("k1=v9\nis gone", (3,)),) * 3)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[StandIn]:
    made = StandIn(tmp_path, still(traffic=traffic(lambda _: {})))
    made.starts()
    yield made
    made.recorder.close()


def begun(cluster: StandIn) -> Experiment:
    experiment = Experiment(cluster.as_cluster, "t", "pytest t --chaos-seed 7f3a")
    experiment.begin()
    cluster.works()
    return experiment


def told(experiment: Experiment, *extra: Invariant) -> list[str]:
    with suppress(InvariantViolated):
        experiment.check(*extra)
    return failure_lines(experiment, "suites/test_x.py::t")


def test_six_lines_say_what_when_on_what_and_where_to_look(
    cluster: StandIn, tmp_path: Path
) -> None:
    experiment = begun(cluster)
    with inject(Jam("a", ("c",)), into=cluster.as_cluster):
        cluster.world.met += 1
    lines = told(experiment, BROKEN)
    fault, heal = (cluster.history().of(f)[-1].time_s for f in ("fault", "heal"))
    assert lines == [
        "FAIL  it_broke  suites/test_x.py::t",
        "  k1=v9 is gone (and 2 more)",
        f"  faults then  Jam a c ({fault:.3f} to {heal:.3f} s, felt)",
        "  nodes        a 1, b 1, c 1",
        f"  look         {tmp_path}/report.html",
        "  again        pytest t --chaos-seed 7f3a",
    ]
    assert not any("\n" in line for line in lines)


def test_what_was_done_in_another_test_is_not_shown(cluster: StandIn) -> None:
    with inject(Jam("a", ()), into=cluster.as_cluster):
        cluster.world.met += 1
    assert told(begun(cluster), BROKEN)[2] == "  faults then  none"


def test_a_fault_that_was_not_felt_and_changes_are_told(cluster: StandIn) -> None:
    experiment = begun(cluster)
    for node in ("a", "b"):
        with inject(Jam(node, ()), into=cluster.as_cluster):
            pass
    apply(Turn("c"), to=cluster.as_cluster)
    line = told(experiment)[2]
    assert "Jam a" not in line
    assert "Jam b (" in line
    assert "s, not felt); Turn c (" in line
    assert line.endswith("s, witnessed)")


def test_reasons_of_the_same_verdict_are_counted(cluster: StandIn) -> None:
    experiment = begun(cluster)
    experiment.end(ChaosError("the engine is gone:\n  line two"))
    lines = failure_lines(experiment, "t")
    assert lines[:2] == ["INFRA  harness  t", "  ChaosError: the engine is gone: line two"]


def test_a_test_that_was_not_judged_is_unknown(cluster: StandIn) -> None:
    lines = failure_lines(begun(cluster), "t")
    assert lines[:2] == ["UNKNOWN  check  t", "  nothing was judged"]
    assert len(lines) == 6
