"""A wrong clock is refused before its first change where it could not be set, or not be seen."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaoskit import clock, wallclock
from chaoskit.errors import InvariantViolated, NotApplicable
from chaoskit.experiment import Experiment, summary
from chaoskit.fault import Witness, inject
from chaoskit.history import Recorder
from chaoskit.nodelog import NodeLog
from chaoskit.setting import Setting
from chaoskit.system import Clock, Endpoint, Told, Unobserved
from chaoskit.verdict import Verdict
from chaoskit.wallclock import RIGHT, Skew, WallClock
from faults.wrong_clock import WrongClock
from suites.beacon.system import beacon
from suites.beacon.watching import stamp as beacon_stamp
from suites.toys.system import stamp as toys_stamp
from tests.fakes import opened
from tests.test_wallclock import asked, built

__all__ = ["built"]
GROUP = beacon(3, threshold=2, period_s=2)


class Rig:
    """A cluster of one node, which is a child of ours, loads the shim and tells the time."""

    def __init__(self, folder: Path, pid: int, clock_folder: Path) -> None:
        self.silent = False
        self.recorder = Recorder(folder / "history.jsonl")
        self.node: Any = SimpleNamespace(
            name="n1",
            pid=pid,
            folders=SimpleNamespace(clock=clock_folder),
            log=NodeLog(folder / "n1" / "log", self.recorder, lambda line: line),
        )
        self.system: Any = SimpleNamespace(clock=Clock(self._ask, beacon_stamp))
        self.cluster: Any = SimpleNamespace(
            system=self.system,
            recorder=self.recorder,
            require_running=lambda _: None,
            node=lambda _: self.node,
            endpoint=lambda name: Endpoint(name, "127.0.0.1", {}),
        )

    def _ask(self, endpoint: Endpoint, timeout_s: float) -> Told:
        if self.silent:
            raise Unobserved("refused")
        skew = WallClock(self.node.folders.clock).skew()
        now_s = clock.utc_now().timestamp()
        told_s = int(now_s + skew.at_s(now_s))
        return Told(told_s, told_s + 1.0)

    def refusal(self, fault: WrongClock) -> str:
        with pytest.raises(NotApplicable) as refused:
            fault.inject(self.cluster).__enter__()
        return str(refused.value)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    wallclock.furnish(tmp_path / "clock")
    with asked(tmp_path / "clock") as child:
        child.offsets()
        made = Rig(tmp_path, child.pid, tmp_path / "clock")
        yield made
        made.recorder.close()


@pytest.mark.parametrize("fault", [WrongClock("n1", 10.0), WrongClock("n1", 0.0, -0.5)], ids=str)
def test_it_is_set_for_the_length_of_the_block_also_when_that_raises(
    rig: Rig, fault: WrongClock
) -> None:
    settable = WallClock(rig.node.folders.clock)
    began_s = clock.utc_now().timestamp()

    def body(witness: Witness) -> None:
        skew = settable.skew()
        assert (skew.ahead_s, skew.drift_s_per_s) == (fault.ahead_s, fault.drift_s_per_s)
        assert began_s - 1.0 <= skew.since_s <= clock.utc_now().timestamp()
        assert witness.within_s == (5.0 if fault.ahead_s else 9.0)
        raise KeyError("the test's own")

    with pytest.raises(KeyError), fault.inject(rig.cluster) as witness:
        body(witness)
    assert settable.skew() == RIGHT


def _no_system(rig: Rig) -> None:
    rig.system.clock = None


def _no_folder(rig: Rig) -> None:
    rig.node.folders.clock = None


def _silent(rig: Rig) -> None:
    rig.silent = True


def _wrong_already(rig: Rig) -> None:
    WallClock(rig.node.folders.clock).set(Skew(3.0))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_system, "start the cluster with clocks=True"),
        (_no_folder, "start the cluster with clocks=True"),
        (_silent, "does not tell the time: refused"),
        (_wrong_already, "is wrong already"),
    ],
)
def test_what_cannot_be_set_or_seen_is_refused(
    rig: Rig, spoil: Callable[[Rig], None], said: str
) -> None:
    spoil(rig)
    assert said in rig.refusal(WrongClock("n1"))


def test_a_program_that_loads_no_shim_is_refused(rig: Rig) -> None:
    with subprocess.Popen(["sleep", "60"]) as static:
        rig.node.pid = static.pid
        assert "a static program" in rig.refusal(WrongClock("n1"))
        static.kill()


def test_a_step_too_small_to_be_seen_is_refused_and_a_drift_is_waited_for(rig: Rig) -> None:
    assert "1.9 s cannot be seen: n1 tells the time to 1 s" in rig.refusal(WrongClock("n1", 1.9))
    assert WallClock(rig.node.folders.clock).skew() == RIGHT
    with WrongClock("n1", -2.0).inject(rig.cluster) as witness:
        assert witness.probes[0].look().present


@pytest.mark.parametrize("values", [{"ahead_s": 0.0}, {"drift_s_per_s": 2.0}, {"ahead_s": 1e9}])
def test_no_clock_is_wrong_by_nothing_or_by_that_much(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"is right|at most"):
        WrongClock("n1", **values)


@pytest.mark.engine
@pytest.mark.nightly
def test_a_threshold_whose_clocks_are_ahead_makes_rounds_before_their_time(tmp_path: Path) -> None:
    """What no protocol of a threshold can keep: that the judge sees it is what is tested."""
    with (
        opened(tmp_path, backend="docker", subnets="10.238.0.0/16") as session,
        session.cluster(GROUP, Setting(release="v2.1.4", clocks=True)) as cluster,
    ):
        experiment = Experiment(cluster, "two of three clocks ahead", "pytest")
        experiment.begin()
        cluster.experiment = experiment
        with cluster.loaded(20.0), ExitStack() as stack:
            for name in ("n1", "n2"):
                fault = stack.enter_context(inject(WrongClock(name, 10.0), into=cluster))
            fault.await_felt(timeout_s=20)
            cluster.await_progress(by=5, timeout_s=30)
            stack.close()
            with pytest.raises(InvariantViolated):
                cluster.check()
        verdict = experiment.end(None)
    assert verdict.verdict is Verdict.FAIL, summary(verdict)
    broken = {one.name for one in verdict.promises if one.outcome == "broken"}
    assert "no_round_before_its_time" in broken, verdict.promises


def test_members_and_toys_stamp_their_lines() -> None:
    when = datetime(2026, 11, 21, 17, 0, 0, 123_000, tzinfo=UTC).timestamp()
    line = '{"level":"INFO","ts":"2026-11-21T17:00:00.123Z","msg":""}'
    assert beacon_stamp(line) == when
    assert toys_stamp("2026-11-21T17:00:00.123+00:00 n1 put k1: done") == when
    for other in ("", "Traceback", "[1]", '{"ts":1}', '{"ts":"soon"}', "17:00:00 n1 serves"):
        assert beacon_stamp(other) is None
        assert toys_stamp(other) is None
