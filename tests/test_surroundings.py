"""What is around the nodes: all of it is watched for the length of the block, and then no more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit import surroundings
from chaoskit.clock import wait_until
from chaoskit.errors import ChaosError
from chaoskit.history import Recorder
from chaoskit.hostdisk import HostDisk
from chaoskit.surroundings import watched
from chaoskit.system import Clock, Endpoint, Told


class Echo:
    """One behind no proxy, that says whether it was closed."""

    made: list[Echo]

    def __init__(self, *_: object) -> None:
        self.closed = False
        self.made.append(self)

    def lag_s(self) -> float:
        return 0.0

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    Echo.made = []
    monkeypatch.setattr(surroundings, "ProxyEcho", Echo)
    made = Recorder(tmp_path / "history.jsonl")
    yield made
    made.close()


def names() -> set[str]:
    return {one.name for one in threading.enumerate()}


class Disk:
    """A node whose disk is probed, or cannot be."""

    has_storage = True

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.storage = self

    def probe_sync_s(self, *, timeout_s: float) -> float:
        if self.broken:
            raise ValueError("no disk")
        return timeout_s / 100

    def probe_space(self, *, timeout_s: float) -> bool:
        return timeout_s < 0


@pytest.fixture
def host_disk(tmp_path: Path) -> HostDisk:
    return HostDisk(tmp_path)


def around(
    recorder: Recorder, host_disk: HostDisk, nodes: dict[str, Any], clock: Clock | None = None
) -> Any:
    def pid(_: str) -> int:
        raise ChaosError("on another host")

    return watched(
        nodes,
        {name: Endpoint(name, "127.0.0.1", {}) for name in nodes},
        recorder,
        backend=cast("Any", SimpleNamespace(pid=pid)),
        proxy=cast("Any", None),
        disk=host_disk,
        clock=clock,
    )


def test_machine_disks_and_clocks_are_watched_and_then_no_more(
    recorder: Recorder, host_disk: HostDisk
) -> None:
    nodes: dict[str, Any] = {"a": Disk(), "b": SimpleNamespace(has_storage=False)}
    clock = Clock(lambda *_: Told(0.0, 1e12), lambda *_: None)
    with around(recorder, host_disk, nodes, clock) as watches:
        assert {"machine", "disk", "disk-a", "clock-a", "clock-b"} <= names()
        assert "disk-b" not in names()
        wait_until(lambda: recorder.history().of("machine"), what="a measurement", timeout_s=30)
        for one in watches:
            one.raise_failure()
    assert not {"machine", "disk", "disk-a", "clock-a", "clock-b"} & names()
    assert [one.closed for one in Echo.made] == [True]


def test_clocks_are_left_alone_where_none_is_given(recorder: Recorder, host_disk: HostDisk) -> None:
    with around(recorder, host_disk, {"a": Disk()}):
        assert "clock-a" not in names()


def test_a_watch_that_ended_is_raised(recorder: Recorder, host_disk: HostDisk) -> None:
    def ended() -> bool:
        try:
            for one in watches:
                one.raise_failure()
        except ChaosError as error:
            return "ValueError: no disk" in str(error)
        return False

    with around(recorder, host_disk, {"a": Disk(broken=True)}) as watches:
        wait_until(ended, what="the disk's watch to end", timeout_s=30)
