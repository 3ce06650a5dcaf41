"""docs/writing-a-fault.md, executed: its example is effective, felt, healed and offered."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from chaoskit.cluster import Cluster
from chaoskit.errors import InvariantViolated, NotApplicable
from chaoskit.experiment import Experiment
from chaoskit.fault import Fault, inject
from chaoskit.liveness import recovered_within
from chaoskit.rundir import TestVerdict
from chaoskit.session import Choices, open_session
from chaoskit.setting import Setting
from chaoskit.verdict import Verdict
from suites.toys.system import toys
from tests.pages import read_page

ROOT = Path(__file__).parent.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example as an installed package of its own would offer it."""
    files = read_page("writing-a-fault.md").files
    (tmp_path / "stop.py").write_text(files["stop.py"])
    offered = tmp_path / "stop-1.0.dist-info"
    offered.mkdir()
    (offered / "METADATA").write_text("Metadata-Version: 2.1\nName: stop\nVersion: 1.0\n")
    (offered / "entry_points.txt").write_text(files["entry_points.txt"].replace('"', ""))
    return tmp_path


@pytest.fixture
def example(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class `Stop` of the page."""
    spec = util.spec_from_file_location("stop", folder / "stop.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "stop", module)
    spec.loader.exec_module(module)
    return module.Stop


def run(fault: Fault, cluster: Cluster, *, load_per_s: float) -> TestVerdict:
    """A test as a suite would write it, with its load."""
    experiment = Experiment(cluster, f"stop at {load_per_s:g}", "")
    experiment.begin()
    error: BaseException | None = None
    with cluster.loaded(load_per_s):
        try:
            with inject(fault, into=cluster) as fault_in_force:
                if load_per_s:
                    fault_in_force.await_felt(timeout_s=10)
                    cluster.await_progress(by=20, timeout_s=20)
            cluster.await_steady_state(timeout_s=20)
            experiment.check(recovered_within(20))
        except InvariantViolated as violated:
            error = violated
    return experiment.end(error)


@pytest.mark.engine
def test_it_is_felt_under_load_invalid_without_and_refuses_what_is_down(
    example: Any, tmp_path: Path
) -> None:
    choices = Choices(seed="7f3a", project=ROOT, runs=tmp_path / "runs", command="")
    said: list[str] = []
    with (
        open_session(choices, system="toys", say=said.append) as session,
        session.cluster(toys(), Setting(release="1")) as cluster,
    ):
        loaded = run(example("n2"), cluster, load_per_s=40)
        assert loaded.verdict is Verdict.PASS, loaded.reasons
        idle = run(example("n2"), cluster, load_per_s=0)
        assert idle.verdict is Verdict.INVALID, idle.reasons
        assert any("never felt" in one.text for one in idle.reasons), idle.reasons
        cluster.node("n3").stop()
        with pytest.raises(NotApplicable, match="n3 is stopped"):
            example("n3").inject(cluster).__enter__()
        cluster.node("n3").start()
    history = session.recorder.history()
    felt = [event.value for event in history.of("felt") if event.type == "ok"]
    assert [one["id"] for one in felt] == [1]


def test_it_is_offered_by_its_entry_point(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaoskit.cli", "faults"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("Stop ")]
    assert "fault" in row
    assert "the process is gone from /proc" in done.stdout.partition(row)[2].split("\n")[4]
