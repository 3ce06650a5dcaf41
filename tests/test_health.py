"""A disk over its limit becomes a limit event, and its node is not healthy until it is under it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from chaoskit import clock
from chaoskit.errors import ChaosError, WaitTimedOut
from chaoskit.fitness import FitnessWatch
from chaoskit.health import SYNC_LIMIT_S, disk_watch
from chaoskit.history import Recorder
from chaoskit.quorate import timelines
from chaoskit.storage import FaultyMount, mount
from chaoskit.storage_control import Operation, StorageFailed, StorageRules
from tests.stand_in import StandIn


class Disk:
    """A mount as the watch sees it; `sync` and `space` are what the probes come to."""

    def __init__(self) -> None:
        self.sync: float | Exception = 0.001
        self.full = False
        self.probed = 0

    def probe_sync_s(self, *, timeout_s: float) -> float:
        self.probed += 1
        if isinstance(self.sync, Exception):
            raise self.sync
        return min(self.sync, timeout_s)

    def probe_space(self, *, timeout_s: float) -> bool:
        return self.full


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "history.jsonl")
    yield made
    made.close()


def watch(recorder: Recorder, disk: Disk) -> FitnessWatch:
    return disk_watch(cast("Any", {"n1": disk}), recorder)


def said(recorder: Recorder) -> list[tuple[bool, bool]]:
    return [(one.value["over"], one.value["full"]) for one in recorder.history().of("limit")]


def test_every_change_is_said_once(recorder: Recorder) -> None:
    disk = Disk()
    looking = watch(recorder, disk)
    for took in (0.01, SYNC_LIMIT_S, SYNC_LIMIT_S, SYNC_LIMIT_S - 0.001, 0.01):
        disk.sync = took
        looking.look("n1")
    assert said(recorder) == [(True, False), (False, False)]
    event = recorder.history().of("limit")[0]
    assert event.process == "n1"
    assert event.value["probe"] == "disk"
    assert event.value["value_s"] == event.value["limit_s"] == SYNC_LIMIT_S


@pytest.mark.parametrize(
    ("sync", "full", "over"),
    [
        (0.001, True, (True, True)),
        (WaitTimedOut("a sync", SYNC_LIMIT_S), False, (True, False)),
        (StorageFailed("no space"), False, (True, True)),
    ],
    ids=["full", "never back", "refused"],
)
def test_a_disk_that_cannot_be_written_is_over_too(
    recorder: Recorder, sync: float | Exception, *, full: bool, over: tuple[bool, bool]
) -> None:
    disk = Disk()
    disk.sync, disk.full = sync, full
    watch(recorder, disk).look("n1")
    assert said(recorder) == [over]


def test_whoever_is_over_is_not_healthy_until_under(tmp_path: Path) -> None:
    cluster = StandIn(tmp_path)
    try:
        cluster.starts()
        disk = Disk()
        looking = disk_watch(cast("Any", {"b": disk}), cluster.recorder)
        for took in (SYNC_LIMIT_S, 0.001):
            disk.sync = took
            looking.look("b")
            clock.pause(0.01)
        cluster.starts()
        (timeline, *_) = timelines(cluster.history())
        healthy = [frozenset(one.healthy) for one in timeline.intervals]
    finally:
        cluster.recorder.close()
    everybody = frozenset("abc")
    begun = healthy[healthy.index(everybody) :]
    assert begun[:3] == [everybody, everybody - {"b"}, everybody]


def test_probes_go_on_and_a_failure_is_raised(recorder: Recorder) -> None:
    disk = Disk()
    with watch(recorder, disk) as looking:
        clock.wait_until(lambda: disk.probed >= 2, what="two probes", timeout_s=30)
        looking.raise_failure()
        disk.sync = OSError("the mount is gone")
        clock.wait_until(
            lambda: looking._watchers.failure, what="the end of the watch", timeout_s=30
        )
        with pytest.raises(ChaosError, match=r"disk-.* ended by OSError: the mount is gone"):
            looking.raise_failure()


@pytest.mark.engine
def test_on_a_real_mount(tmp_path: Path, recorder: Recorder) -> None:
    for name in ("back", "disk", "state"):
        (tmp_path / name).mkdir()
    mounted: FaultyMount = mount(
        tmp_path / "back", tmp_path / "disk", tmp_path / "state", timeout_s=20
    )
    try:
        looking = disk_watch({"n1": mounted}, recorder)
        looking.look("n1")
        assert said(recorder) == []
        mounted.set_rules(StorageRules(full=True))
        looking.look("n1")
        mounted.set_rules(StorageRules({Operation.FSYNC: SYNC_LIMIT_S + 0.2}))
        looking.look("n1")
        mounted.set_rules(StorageRules())
        looking.look("n1")
    finally:
        mounted.unmount(timeout_s=20)
    assert said(recorder) == [(True, True), (False, False)]
