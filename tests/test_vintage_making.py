"""A vintage made of real processes, and a cluster that goes on where it ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit.errors import InvariantViolated, UsageError
from chaoskit.experiment import Experiment
from chaoskit.session import Session
from chaoskit.setting import Setting
from chaoskit.verdict import leading
from chaoskit.vintage import Left, Store, Vintage, default_folder
from chaoskit.vintage_making import make, parse_settings
from suites.toys.system import toys
from tests.fakes import opened
from tests.stand_in import still

SYSTEM = toys(3)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with opened(tmp_path, backend="process") as one:
        yield one


def made(session: Session) -> Vintage:
    return make(session, SYSTEM, release="1", settings={}, progress=10, timeout_s=20)


def test_a_cluster_goes_on_where_the_vintage_ended(session: Session) -> None:
    vintage = made(session)
    assert Store(default_folder()).find(vintage.name) == vintage
    assert set(vintage.left.progress) == set(SYSTEM.nodes)
    floor = min(one or 0 for one in vintage.left.progress.values())
    assert floor >= 10
    setting = Setting("1", load_per_s=20.0, vintage=vintage.name)
    with session.cluster(SYSTEM, setting) as cluster:
        experiment = Experiment(cluster, "goes on", "again")
        experiment.begin()
        cluster.experiment = experiment
        seen = {node: one.progress for node, one in cluster.latest().items() if one}
        assert all((progress or 0) >= floor for progress in seen.values()), seen
        with cluster.loaded(20.0):
            cluster.await_progress(by=5, timeout_s=10)
            cluster.check()
        assert experiment.end(None).verdict.value == "PASS"
    started = session.recorder.history().of("cluster")
    told = [one.value["vintage"] for one in started if one.value["event"] == "started"]
    assert told == [None, vintage.told()]


def test_what_was_decided_before_and_is_gone_is_a_rollback(
    session: Session, tmp_path: Path
) -> None:
    lost = {name: tmp_path / "lost" / name for name in SYSTEM.nodes}
    for folder in lost.values():
        folder.mkdir(parents=True)
    shown = dict.fromkeys(SYSTEM.nodes, 1_000_000)
    left = Left("toys", "1", "", "2026-11-21", {}, shown)
    vintage = Store(default_folder()).add(left, lost)
    setting = Setting("1", load_per_s=20.0, vintage=vintage.name)
    with session.cluster(SYSTEM, setting) as cluster:
        experiment = Experiment(cluster, "forgets", "again")
        experiment.begin()
        cluster.experiment = experiment
        with cluster.loaded(20.0):
            cluster.await_progress(by=2, timeout_s=10)
            with pytest.raises(InvariantViolated):
                cluster.check()
        judged = experiment.end(None)
    first = leading(judged.reasons)
    assert first is not None
    assert first.by == "no_rollback"
    assert "went back from progress 1000000" in first.text


def test_data_of_another_system_are_refused(session: Session) -> None:
    vintage = made(session)
    with pytest.raises(UsageError, match="was left by toys 1: still cannot start on it"):
        session.cluster(still(), Setting("1", vintage=vintage.name))


@pytest.mark.parametrize("given", ["peer_tls", "colour=red", "=on", ""])
def test_a_setting_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="sets nothing of toys; its settings: peer_tls"):
        parse_settings(toys(3, secure=True), [given])


def test_settings_are_read_as_they_are_written() -> None:
    assert parse_settings(toys(3, secure=True), ["peer_tls=off"]) == {"peer_tls": "off"}
