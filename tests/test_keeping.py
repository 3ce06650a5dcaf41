"""`--chaos-keep=failed` on plain processes: a failed cluster serves on, until its time is over."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from chaoskit import clock, identity, journal
from chaoskit.http import HttpClient
from chaoskit.ownership import mark
from chaoskit.session import SCRATCH_ROOT
from chaoskit.sweep import remove_run, sweep
from chaoskit.toxiproxy import server_binary
from tests.fakes import REPOSITORY

pytest_plugins = ("pytester",)
SUITE = """
import pytest
from suites.toys.system import toys

@pytest.fixture
def three(chaos_cluster):
    return chaos_cluster(toys(3))

def test_fails(three):
    three.await_progress(by=10, timeout_s=60)
    assert three.nodes == "something else"
"""
CONFTEST = """
import sys
sys.path.insert(0, {root!r})
import chaoskit.pytest_plugin
chaoskit.pytest_plugin._KEEP_S = {keep_s}
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Journals of its own, and our proxy's server on PATH: pytester has a home of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{server_binary().parent}{os.pathsep}{os.environ['PATH']}")
    folder = journal.default_folder()
    yield folder
    for one in journal.read_all(folder) if folder.exists() else ():  # only after a failure
        remove_run(one.run, folder, None)


def fails(pytester: pytest.Pytester, *, keep_s: float, keep: str = "failed") -> tuple[str, str]:
    """Run the failing test; answers its run and what pytest said."""
    pytester.makeconftest(CONFTEST.format(root=str(REPOSITORY), keep_s=keep_s))
    pytester.makepyfile(test_suite=SUITE)
    done = pytester.runpytest_subprocess(
        *("-p", "no:cacheprovider", "--chaos-backend=process", f"--chaos-keep={keep}"), timeout=120
    )
    done.assert_outcomes(failed=1)
    return (pytester.path / "runs" / "latest").readlink().name, done.stdout.str()


def left(run: str) -> tuple[int, int]:
    """How many processes and folders there are of a run, its keeper not counted."""
    keepers = {one.keeper for one in journal.read_all(journal.default_folder())}
    processes = [one for one in identity.marked(mark(run)) if one not in keepers]
    return len(processes), len(list(SCRATCH_ROOT.glob(f"*{run}*")))


def spared(state: Path, run: str) -> str:
    """Why a sweep leaves a run alone; it may see those of others beside it."""
    found = {one.run: one.why for one in sweep(state, None, lock_timeout_s=10).spared}
    return found[run]


@pytest.mark.timeout(180)
def test_a_failed_cluster_serves_on_and_a_sweep_removes_it_when_its_time_is_over(
    state: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, said = fails(pytester, keep_s=3600.0)
    assert f"end it: chaoskit down {run}" in said
    places = re.findall(r"c1 n\d  \S+  (http://\S+)", said)
    assert len(places) == 3
    client = HttpClient(20.0)

    def says(url: str, document: dict[str, str]) -> object:
        """Its answer; a toy on a busy machine may refuse, and is asked again."""

        def answer() -> tuple[object] | None:
            code, said = client.post(url, document)
            return (said,) if code == 200 else None

        return clock.wait_until(answer, what=url, timeout_s=60)[0]

    says(f"{places[0]}/put", {"key": "k", "value": "v"})
    assert says(f"{places[2]}/get", {"key": "k"}) == {"value": "v"}
    client.close()
    assert left(run) == (3 + 2, 1), "nodes and proxies, and their folder"

    (record,) = journal.read_all(state)
    assert record.keeper is not None
    assert spared(state, run) == f"process {record.keeper.pid} is at work with it"
    os.kill(record.keeper.pid, signal.SIGKILL)
    keeper = record.keeper
    clock.wait_until(
        lambda: keeper.standing() is identity.Standing.DEAD, what="its keeper's end", timeout_s=30
    )
    assert spared(state, run).startswith("kept until ")
    assert left(run) == (5, 1)

    later = clock.utc_now() + timedelta(seconds=3700)
    monkeypatch.setattr(clock, "utc_now", lambda: later)
    report = sweep(state, None, lock_timeout_s=10)
    assert run in [one.run for one in report.cleared]
    assert left(run) == (0, 0)
    assert not journal.read_all(state)


@pytest.mark.timeout(180)
def test_its_keeper_removes_it_when_its_time_is_over(
    state: Path, pytester: pytest.Pytester
) -> None:
    run, _ = fails(pytester, keep_s=2.0)
    clock.wait_until(lambda: left(run) == (0, 0), what="the keeper", timeout_s=30)
    clock.wait_until(lambda: not journal.read_all(state), what="its journal's end", timeout_s=30)


@pytest.mark.timeout(180)
def test_without_the_option_nothing_stays(state: Path, pytester: pytest.Pytester) -> None:
    run, said = fails(pytester, keep_s=3600.0, keep="never")
    assert "kept" not in said
    assert left(run) == (0, 0)
    assert not journal.read_all(state)
