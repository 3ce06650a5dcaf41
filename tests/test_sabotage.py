"""
Each fault with its actuators made to lie: never PASS, and the verdict says what is missing.

One test a fault and way (`make sabotage` prints the table), on real clusters. By day each fault is
honest and does nothing, and goes elsewhere and is not healed unless another one is looked at by the
same probe; what is late, raises half-way or raises as it heals depends on the actuator, and is done
once for each. The nightly has every fault in every way.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from chaoskit import fault
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, InvariantViolated
from chaoskit.experiment import Experiment, summary
from chaoskit.fault import apply, inject
from chaoskit.rundir import TestVerdict
from chaoskit.sighting import Probe
from chaoskit.targets import resolved
from chaoskit.verdict import Verdict
from faults import flapping_links
from faults.flapping_links import FlappingLinks
from tests.sabotage import Way, sabotaged
from tests.toy_clusters import (
    CASES,
    DEALT,
    LOAD_PER_S,
    STEADY_TIMEOUT_S,
    TERMINATED,
    Bench,
    Case,
    bench,
)

__all__ = ["bench"]
pytestmark = pytest.mark.engine

FELT_TIMEOUT_S = 60.0
PAIR = 2
OWING_ROUNDS, ROUNDS_OWED = (TERMINATED, DEALT), 4
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
# One that was started just before is waited for as well, this long and not as a first start is.
UP_AGAIN_S = {"terminated": 25.0, "dealt": 45.0}  # of a toy 10

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


# What depends on the actuator, or on the probe, and not on the fault: by day once each, of a fault
# that has them; all of it nightly. Each fault is honest and does nothing at least.
VARIANTS = ("Split-dropped", "WrongCertificate-expired", "WrongCertificate-wrong_name")
RESTARTING = ("MisconfiguredProxy", "LeftBehind", "StaleIdentity")
LOOKED_AT_ALIKE = ("Split-refused", "Bridge-refused", "OneWay", "NarrowLink")
BY_DAY: Mapping[Way, Collection[str]] = {
    Way.LATE: ("Isolate-refused", "Kill", "SlowStorage", "WrongClock", "TlsMismatch"),
    Way.HALF_WAY: (
        "Isolate-refused",
        "Kill",
        "Upgrade",
        "SlowStorage",
        "TlsMismatch",
        "OverwrittenKey",
        "OperatorError",
        "WrongClock",
    ),
}


def _by_day(case: Case, way: Way) -> bool:
    if case.name in VARIANTS:  # of a fault that does nothing, and more, in its first variant
        return way is Way.HONEST
    if case.name in (*RESTARTING, *LOOKED_AT_ALIKE):
        return way in {Way.HONEST, Way.NOTHING}
    return case.name in BY_DAY.get(way, (case.name,))


def _cells() -> Iterator[Any]:
    for case in CASES:
        for way in WAYS_OF_FAULTS if case.heals else WAYS_OF_CHANGES:
            if way is Way.FAILING_HEAL and case.name not in FAILING_HEALS:
                continue
            marks = [pytest.mark.xdist_group(f"{case.kind} {case.name}")]
            marks += [] if _by_day(case, way) else [pytest.mark.nightly]
            yield pytest.param(case, way, id=f"{case.name}-{way}", marks=marks)


CELLS = list(_cells())


def experiment_on(cluster: Cluster, case: Case, way: Way) -> TestVerdict:
    """
    One whole test, judged as a suite's test is.

    A link is used by the one of its two ends that leads. Between two nodes the load begins when the
    fault is in force: toys say nothing until then, and none of them can take over beforehand.
    """
    thing, targets = resolved(case.thing, cluster)
    load = cluster.loaded(LOAD_PER_S)
    late = case.heals and len(targets) == PAIR
    experiment = Experiment(cluster, f"{case.name} {way}", "make sabotage")
    experiment.begin()
    cluster.experiment = experiment
    error: Exception | None = None
    with (
        sabotaged(cluster, case.actuator, way, targets=case.hits or targets, calls=case.calls),
        ExitStack() as begun,
    ):
        try:
            if not late:
                begun.enter_context(load)
            if case.heals:
                with inject(thing, into=cluster) as injected:
                    if late:
                        begun.enter_context(load)
                    injected.await_felt(timeout_s=FELT_TIMEOUT_S)
            else:
                apply(thing, to=cluster)
            if way is Way.HONEST and case.heals:
                cluster.await_steady_state(timeout_s=STEADY_TIMEOUT_S)
                if case.kind in OWING_ROUNDS:  # a test too short to owe one proves nothing
                    cluster.await_progress(by=ROUNDS_OWED, timeout_s=STEADY_TIMEOUT_S)
            cluster.check()
        except (ChaosError, InvariantViolated, OSError) as ended:
            error = ended
        verdict = experiment.end(error)
    cluster.experiment = None
    return verdict


def look_for_an_end(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a heal, for so long; an onset, which is real, has all the time that it may take."""
    real, on_their_way_up_s = fault._look_whether_gone, fault._on_their_way_up_s

    def look(cluster: Cluster, number: int, probes: Sequence[Probe], _: float) -> None:
        real(cluster, number, probes, NO_HEAL_S[kind])

    def up_s(cluster: Cluster, probes: Sequence[Probe]) -> float:
        longer_s = cluster.system.start_timeout_s - UP_AGAIN_S.get(kind, 10.0)
        return on_their_way_up_s(cluster, probes) - longer_s

    monkeypatch.setattr(fault, "_on_their_way_up_s", up_s)
    monkeypatch.setattr(fault, "_look_whether_gone", look)


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
        look_for_an_end(case.kind, monkeypatch)
        if isinstance(case.thing, FlappingLinks):  # never seen: it does not come up, either
            monkeypatch.setattr(flapping_links, "_WITHIN_S", NO_HEAL_S[case.kind])
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
