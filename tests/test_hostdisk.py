"""The host's disk: a real sync, the longest since it was asked last, and one that hangs."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from chaoskit import clock
from chaoskit.hostdisk import HostDisk


def test_a_sync_takes_time_and_needs_no_more_space_each_time(tmp_path: Path) -> None:
    disk = HostDisk(tmp_path)
    (file,) = tmp_path.iterdir()
    before = file.stat().st_size
    disk.sync()
    assert disk.worst_s() > 0
    assert disk.worst_s() == 0.0  # none since
    disk.sync()
    assert file.stat().st_size == before


def test_the_longest_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = HostDisk(tmp_path)
    now_s = 0.0
    takes_s = iter([0.1, 2.0, 0.3])

    def slow(_: int) -> None:
        nonlocal now_s
        now_s += next(takes_s)

    monkeypatch.setattr(clock, "monotonic", lambda: now_s)
    monkeypatch.setattr(os, "fdatasync", slow)
    for _ in range(3):
        disk.sync()
    assert disk.worst_s() == 2.0


def test_a_sync_that_hangs_is_seen_while_it_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = HostDisk(tmp_path)
    begun, end = threading.Event(), threading.Event()
    now_s = 0.0

    def hangs(_: int) -> None:
        begun.set()
        end.wait(30)

    monkeypatch.setattr(clock, "monotonic", lambda: now_s)
    monkeypatch.setattr(os, "fdatasync", hangs)
    thread = threading.Thread(target=disk.sync)
    thread.start()
    assert begun.wait(30)
    now_s = 4.0
    assert disk.worst_s() == 4.0
    now_s = 5.0
    end.set()
    thread.join(30)
    assert disk.worst_s() == 5.0  # all of it, though most was told before


def test_a_disk_that_refuses_is_raised_and_its_time_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = HostDisk(tmp_path)

    def refuses(_: int) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(os, "fdatasync", refuses)
    with pytest.raises(OSError, match="input/output"):
        disk.sync()
    assert disk.worst_s() > 0
