"""
Each fault with its actuators made to lie: never PASS, and the verdict says what is missing.

One test a fault and way (`make sabotage` prints the table). Real clusters of toys; a cluster is
used again as long as it is found as it was made, and rebuilt otherwise.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chaoskit import clock
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, InvariantViolated
from chaoskit.experiment import Experiment, summary
from chaoskit.fault import apply, inject, resolved
from chaoskit.rundir import TestVerdict
from chaoskit.session import Choices, Session, open_session
from chaoskit.setting import Setting
from chaoskit.system import System
from chaoskit.verdict import Verdict
from faults.broken_connections import HalfOpenConnections, ResetConnections, SlowClose
from faults.full_disk import FullDisk
from faults.kill import Kill
from faults.partition import Bridge, Isolate, OneWay, Split
from faults.pause import Pause
from faults.reconfigure import Reconfigure
from faults.slow_link import NarrowLink, SlowLink
from faults.slow_storage import SlowStorage
from faults.tls_mismatch import TlsMismatch, WrongPort
from faults.upgrade import Upgrade
from faults.wrong_certificate import WrongCertificate
from suites.toys.system import toys
from tests.sabotage import Actuator, Way, sabotaged

pytestmark = pytest.mark.engine

REPOSITORY = Path(__file__).resolve().parent.parent
LOAD_PER_S = 40.0
FELT_TIMEOUT_S = 10.0
STEADY_TIMEOUT_S = 15.0
# Where nothing is done, the probes need not look for as long as a real onset may take; where only
# the heal is not done, they do, and a node that restarts takes the longest.
IN_VAIN_S = 0.8
NO_HEAL_S = {"plain": 1.5, "stored": 1.5, "secure": 4.0}

PLAIN, STORED, SECURE = "plain", "stored", "secure"
SYSTEMS: dict[str, System] = {PLAIN: toys(3), STORED: toys(3), SECURE: toys(3, secure=True)}


@dataclass(frozen=True)
class Case:
    """A fault or change, on which cluster, what carries it out, and in how many calls."""

    thing: Any
    kind: str
    actuator: Actuator
    calls: int = 2

    @property
    def name(self) -> str:
        flaw = getattr(self.thing, "flaw", "") or getattr(self.thing, "style", "")
        return type(self.thing).__name__ + (f"-{flaw}" if flaw else "")

    @property
    def heals(self) -> bool:
        return hasattr(self.thing, "inject")


LINK = ("leader", "follower")
CASES = [
    Case(Split(("follower",), style="refused"), PLAIN, Actuator.TOXIPROXY),
    Case(Split(("follower",), style="dropped"), PLAIN, Actuator.TOXIPROXY),
    Case(Isolate("leader"), PLAIN, Actuator.TOXIPROXY),
    Case(Bridge(*LINK), PLAIN, Actuator.TOXIPROXY),
    Case(OneWay("leader", ("follower",)), PLAIN, Actuator.TOXIPROXY),
    Case(SlowLink(*LINK, delay_s=0.1), PLAIN, Actuator.TOXIPROXY),
    Case(NarrowLink(*LINK), PLAIN, Actuator.TOXIPROXY),
    Case(ResetConnections(*LINK), PLAIN, Actuator.TOXIPROXY),
    Case(HalfOpenConnections(*LINK), PLAIN, Actuator.TOXIPROXY),
    Case(SlowClose(*LINK, delay_s=0.3), PLAIN, Actuator.TOXIPROXY),
    Case(Kill("follower"), PLAIN, Actuator.ENGINE, calls=1),
    Case(Pause("follower"), PLAIN, Actuator.ENGINE, calls=1),
    Case(Upgrade("follower", to="2"), PLAIN, Actuator.RECREATION, calls=1),
    Case(SlowStorage("follower", delay_s=0.1), STORED, Actuator.STORAGE, calls=1),
    Case(FullDisk("follower"), STORED, Actuator.STORAGE, calls=1),
    Case(WrongPort("leader", "follower"), SECURE, Actuator.TOXIPROXY, calls=1),
    Case(TlsMismatch("follower"), SECURE, Actuator.FILES, calls=1),
    Case(WrongCertificate("follower", "foreign_authority"), SECURE, Actuator.FILES, calls=1),
    Case(WrongCertificate("follower", "expired"), SECURE, Actuator.FILES, calls=1),
    Case(WrongCertificate("follower", "wrong_name"), SECURE, Actuator.FILES, calls=1),
    Case(Reconfigure("follower", {"peer_tls": "off"}), SECURE, Actuator.FILES, calls=1),
]
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
FAILING_HEALS = ("Isolate-refused", "Kill", "Pause", "SlowStorage", "TlsMismatch")


def _ways(case: Case) -> Iterator[Way]:
    for way in WAYS_OF_FAULTS if case.heals else WAYS_OF_CHANGES:
        if way is not Way.FAILING_HEAL or case.name in FAILING_HEALS:
            yield way


CELLS = [(case, way) for case in CASES for way in _ways(case)]


@dataclass
class Bench:
    """One cluster at a time, used again while it is found as it was made; and the table."""

    session: Session
    table: dict[tuple[str, Way], TestVerdict] = field(default_factory=dict)
    built: int = 0
    reused: int = 0
    _kind: str = ""
    _stack: ExitStack = field(default_factory=ExitStack)
    _cluster: Cluster | None = None
    _pristine: dict[str, str] = field(default_factory=dict)

    def cluster(self, kind: str) -> Cluster:
        """A cluster of this kind as it was made, with a leader."""
        held = self._cluster
        if held is not None and kind == self._kind and self._is_pristine(held):
            self.reused += 1
            return held
        self.close()
        setting = Setting(release="1", storage=kind == STORED, load_per_s=LOAD_PER_S)
        cluster = self._stack.enter_context(self.session.cluster(SYSTEMS[kind], setting))
        self._cluster, self._kind, self._pristine = cluster, kind, cluster.fingerprint()
        self.built += 1
        with cluster.loaded(LOAD_PER_S):
            self.await_leader(cluster)
        return cluster

    def await_leader(self, cluster: Cluster) -> None:
        """Toys elect one when they are asked."""

        def led() -> bool:
            seen = [one for one in cluster.latest().values() if one is not None]
            return "leader" in [one.role for one in seen] and len(seen) == len(cluster.nodes)

        clock.wait_until(led, what="a leader of the toys", timeout_s=STEADY_TIMEOUT_S)

    def _is_pristine(self, cluster: Cluster) -> bool:
        return not cluster.poisoned and cluster.fingerprint() == self._pristine

    def close(self) -> None:
        """Take the cluster down."""
        self._cluster = None
        self._stack.close()
        self._stack = ExitStack()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("sabotage")
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    choices = Choices(
        seed="7f3a",
        project=REPOSITORY,
        runs=folder,
        command="make sabotage",
        subnets="10.237.0.0/16",
    )
    try:
        with open_session(choices, system="toys", say=lambda _: None) as session:
            made = Bench(session)
            try:
                yield made
            finally:
                made.close()
    finally:
        if before is None:
            del os.environ["XDG_STATE_HOME"]
        else:
            os.environ["XDG_STATE_HOME"] = before


def experiment_on(cluster: Cluster, case: Case, way: Way) -> TestVerdict:
    """One whole test, judged as a suite's test is."""
    thing, targets = resolved(case.thing, cluster)
    experiment = Experiment(cluster, f"{case.name} {way}", "make sabotage")
    experiment.begin()
    cluster.experiment = experiment
    error: Exception | None = None
    with (
        sabotaged(cluster, case.actuator, way, targets=targets, calls=case.calls),
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


@pytest.mark.parametrize(("case", "way"), CELLS, ids=lambda one: getattr(one, "name", str(one)))
def test_a_lie_is_never_a_pass(
    bench: Bench, case: Case, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way in {Way.NOTHING, Way.ELSEWHERE, Way.LATE}:
        module = importlib.import_module(type(case.thing).__module__)
        monkeypatch.setattr(module, "_WITHIN_S", IN_VAIN_S)
    if way is Way.NO_HEAL:
        module = importlib.import_module(type(case.thing).__module__)
        monkeypatch.setattr(module, "_WITHIN_S", NO_HEAL_S[case.kind])
    cluster = bench.cluster(case.kind)
    verdict = experiment_on(cluster, case, way)
    bench.table[case.name, way] = verdict
    wanted, words = EXPECTED[way]
    if not case.heals and wanted is Verdict.INVALID:
        wanted, words = UNWITNESSED
    assert verdict.verdict is wanted, summary(verdict)
    assert words in summary(verdict) or words in str(verdict.reasons)


def test_the_table(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """Not a PASS where anything was sabotaged; printed for people."""
    lines = [
        f"{name:<34} {way:<13} {one.verdict:<8} {summary(one)[:110]}"
        for (name, way), one in bench.table.items()
    ]
    lines.append(f"clusters built {bench.built}, reused {bench.reused}")
    with capsys.disabled():
        print("\n" + "\n".join(lines))  # noqa: T201
    lies = [one for (_, way), one in bench.table.items() if way is not Way.HONEST]
    assert all(one.verdict is not Verdict.PASS for one in lies)
