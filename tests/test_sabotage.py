"""
Each fault with its actuators made to lie: never PASS, and the verdict says what is missing.

One test a fault and way (`make sabotage` prints the table), on real clusters.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, InvariantViolated
from chaoskit.experiment import Experiment, summary
from chaoskit.fault import apply, inject
from chaoskit.rundir import TestVerdict
from chaoskit.targets import resolved
from chaoskit.verdict import Verdict
from tests.sabotage import Way, sabotaged
from tests.toy_clusters import CASES, LOAD_PER_S, STEADY_TIMEOUT_S, Bench, Case, bench

__all__ = ["bench"]
pytestmark = pytest.mark.engine

FELT_TIMEOUT_S = 10.0
# Where nothing is done, the probes need not look for as long as a real onset may take; where only
# the heal is not done, they do, and a node that restarts takes the longest.
IN_VAIN_S = {"terminated": 6.0}  # until it is up, a member's proxy answers as a wrong one
NO_HEAL_S = {
    "plain": 1.5,
    "stored": 1.5,
    "clocked": 1.5,
    "secure": 6.0,
    "foreign": 2.0,
    "terminated": 8.0,
    "dealt": 4.0,
}

WAYS_OF_FAULTS = tuple(Way)
WAYS_OF_CHANGES = (Way.HONEST, Way.NOTHING, Way.ELSEWHERE, Way.HALF_WAY)

EXPECTED: dict[Way, tuple[Verdict, str]] = {
    Way.HONEST: (Verdict.PASS, ""),
    Way.NOTHING: (Verdict.INVALID, "was not seen to be effective"),
    Way.ELSEWHERE: (Verdict.INVALID, "was not seen to be effective"),
    Way.LATE: (Verdict.INVALID, "was not seen to be effective"),
    Way.HALF_WAY: (Verdict.INFRA, "sabotaged"),
    Way.NO_HEAL: (Verdict.INVALID, "was healed but not shown to be gone"),
    Way.FAILING_HEAL: (Verdict.INFRA, "its heal failed"),
}
UNWITNESSED = (Verdict.INVALID, "was not witnessed")
# A heal that raises ends the same way whatever the fault: once for each actuator.
FAILING_HEALS = ("Isolate-refused", "Kill", "Pause", "SlowStorage", "WrongClock", "TlsMismatch")


# What depends on the actuator more than on the fault: these in `make test`, all of them nightly.
VARIANTS = (
    "Split-dropped",
    "WrongCertificate-expired",
    "WrongCertificate-wrong_name",
    "MisconfiguredProxy",
    "LeftBehind",
    "StaleIdentity",
)
IN_FULL = (
    *FAILING_HEALS,
    "SlowLink",
    "WrongPort",
    "Restart",
    "Upgrade",
    "StaleKeys",
    "OverwrittenKey",
    "OperatorError",
    "Reconfigure",
)


def _cells() -> Iterator[Any]:
    for case in CASES:
        for way in WAYS_OF_FAULTS if case.heals else WAYS_OF_CHANGES:
            if way is Way.FAILING_HEAL and case.name not in FAILING_HEALS:
                continue
            later = way in {Way.LATE, Way.HALF_WAY} and case.name not in IN_FULL
            later |= case.name in VARIANTS and way not in {Way.HONEST, Way.NOTHING}
            marks = [pytest.mark.xdist_group(f"{case.kind} {case.name}")]
            marks += [pytest.mark.nightly] if later else []
            yield pytest.param(case, way, id=f"{case.name}-{way}", marks=marks)


CELLS = list(_cells())


def experiment_on(cluster: Cluster, case: Case, way: Way) -> TestVerdict:
    """One whole test, judged as a suite's test is."""
    thing, targets = resolved(case.thing, cluster)
    experiment = Experiment(cluster, f"{case.name} {way}", "make sabotage")
    experiment.begin()
    cluster.experiment = experiment
    error: Exception | None = None
    with (
        sabotaged(cluster, case.actuator, way, targets=case.hits or targets, calls=case.calls),
        cluster.loaded(LOAD_PER_S),
    ):
        try:
            if case.heals:
                with inject(thing, into=cluster) as injected:
                    injected.await_felt(timeout_s=FELT_TIMEOUT_S)
            else:
                apply(thing, to=cluster)
            if way is Way.HONEST and case.heals:
                cluster.await_steady_state(timeout_s=STEADY_TIMEOUT_S)
            cluster.check()
        except (ChaosError, InvariantViolated, OSError) as ended:
            error = ended
        verdict = experiment.end(error)
    cluster.experiment = None
    return verdict


@pytest.mark.parametrize(("case", "way"), CELLS)
def test_a_lie_is_never_a_pass(
    bench: Bench,
    case: Case,
    way: Way,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    if way in {Way.NOTHING, Way.ELSEWHERE, Way.LATE}:
        module = importlib.import_module(type(case.thing).__module__)
        monkeypatch.setattr(module, "_WITHIN_S", IN_VAIN_S.get(case.kind, 0.8))
    if way is Way.NO_HEAL:
        module = importlib.import_module(type(case.thing).__module__)
        monkeypatch.setattr(module, "_WITHIN_S", NO_HEAL_S[case.kind])
    cluster = bench.cluster(case.kind)
    verdict = experiment_on(cluster, case, way)
    record_property(
        "table sabotage",
        f"{case.name:<34} {way:<13} {verdict.verdict:<8} {summary(verdict)[:110]}",
    )
    wanted, words = EXPECTED[way]
    if not case.heals and wanted is Verdict.INVALID:
        wanted, words = UNWITNESSED
    assert verdict.verdict is wanted, summary(verdict)
    assert words in summary(verdict) or words in str(verdict.reasons)
