"""
The harness's handle on a faulty mount: what it confirms, what it bounds, and what it leaves
behind, which is nothing.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit import mounts, storage
from chaoskit.clock import monotonic, wait_until
from chaoskit.errors import NotApplicable, UsageError, WaitTimedOut
from chaoskit.storage_control import (
    PROBE_CALLER,
    SOCKET_NAME,
    Operation,
    OperationCount,
    StorageFailed,
    StorageRules,
    encode_request,
)

pytestmark = [pytest.mark.timeout(60)]

SLOW = StorageRules({Operation.FSYNC: 0.2, Operation.WRITE: 0.1})
FULL = StorageRules(full=True)


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory outside pytest's own, with back, disk and state in it."""
    with tempfile.TemporaryDirectory(prefix="chaoskit-test-") as directory:
        for name in ("back", "disk", "state"):
            (Path(directory) / name).mkdir()
        yield Path(directory)


def mounted(base: Path) -> storage.FaultyMount:
    return storage.mount(base / "back", base / "disk", base / "state", timeout_s=20)


@pytest.fixture
def mount(base: Path) -> Iterator[storage.FaultyMount]:
    made = mounted(base)
    try:
        yield made
    finally:
        made.unmount(timeout_s=10)


def state_of(process: Path) -> str:
    """The letter of a process or thread, Z when it is gone."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def gone(pid: int) -> bool:
    """Whether a process ended; a zombie, which its parent has not waited for, has ended."""
    return state_of(Path(f"/proc/{pid}")) == "Z"


def stop(pid: int) -> None:
    """SIGSTOP, and wait until it has reached every thread."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(
        lambda: {state_of(task) for task in Path(f"/proc/{pid}/task").iterdir()} == {"T"},
        what="a stopped daemon",
        timeout_s=30,
    )


def probes() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "storage-probe"]


def test_without_root_it_is_not_applicable(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "root" in storage.why_unavailable()
    with pytest.raises(NotApplicable, match="root"):
        mounted(base)
    assert not (base / "state" / "passthrough.log").exists()


def test_without_the_device_it_is_not_applicable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "access", lambda path, _mode: path != "/dev/fuse")
    assert "/dev/fuse" in storage.why_unavailable()


def test_nothing_is_mounted_where_nothing_is(base: Path) -> None:
    assert not mounts.at(base / "disk")
    assert storage.unmount_stale(base / "disk") is False


@pytest.mark.engine
@pytest.mark.parametrize("missing", ["back", "disk", "state"])
def test_directories_must_be_there(base: Path, missing: str) -> None:
    (base / missing).rmdir()
    with pytest.raises(UsageError, match=missing):
        mounted(base)


@pytest.mark.engine
def test_a_mount_point_is_used_once(base: Path, mount: storage.FaultyMount) -> None:
    with pytest.raises(StorageFailed, match="already"):
        mounted(base)
    assert mount.rules() == StorageRules()


@pytest.mark.engine
def test_a_daemon_that_cannot_start_is_reported_and_leaves_nothing(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSE_LIBRARY_PATH", "/not/there.so")
    with pytest.raises(StorageFailed, match=r"not/there\.so.*passthrough\.log"):
        mounted(base)
    assert not mounts.at(base / "disk")
    assert not (base / "state" / SOCKET_NAME).exists()


@pytest.mark.engine
def test_a_mount_that_does_not_come_in_time_leaves_nothing(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.FaultyMount, "serves", lambda _: False)  # however fast it is
    with pytest.raises(WaitTimedOut, match="disk"):
        storage.mount(base / "back", base / "disk", base / "state", timeout_s=0.001)
    assert not mounts.at(base / "disk")
    assert storage.unmount_stale(base / "disk") is False


@pytest.mark.engine
def test_the_mount_is_listed_as_ours_and_its_owner_is_the_backing_ones(base: Path) -> None:
    os.chown(base / "back", 10001, 10002)
    (base / "back").chmod(0o750)
    made = mounted(base)
    try:
        assert len(mounts.at(base / "disk")) == 1
        status = (base / "disk").stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (10001, 10002, 0o750)
        assert made.alive
        assert os.getsid(made.pid) == made.pid
    finally:
        made.unmount(timeout_s=10)
    assert not mounts.at(base / "disk")
    assert gone(made.pid)
    assert not made.alive
    assert [path.name for path in (base / "state").iterdir()] == ["passthrough.log"]
    made.unmount(timeout_s=10)  # again is no error


@pytest.mark.engine
def test_odd_and_long_paths(base: Path) -> None:
    odd = base / "a b\\c\n#,é" / ("long" * 30)
    odd.mkdir(parents=True)
    for name in ("back", "disk", "state"):
        (odd / name).mkdir()
    (base / "link").symlink_to(odd)
    made = mounted(base / "link")
    try:
        (odd / "disk" / "file").write_text("x")
        assert (odd / "back" / "file").read_text() == "x"
        assert len(mounts.at(odd / "disk")) == 1
    finally:
        made.unmount(timeout_s=10)
    assert not mounts.at(odd / "disk")


@pytest.mark.engine
def test_rules_are_read_back(mount: storage.FaultyMount) -> None:
    assert mount.rules() == StorageRules()
    for rules in (SLOW, FULL, StorageRules()):
        mount.set_rules(rules)
        assert mount.rules() == rules


@pytest.mark.engine
def test_rules_that_the_daemon_does_not_confirm_are_a_failure(
    mount: storage.FaultyMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "encode_request", lambda _rules: encode_request(None))
    with pytest.raises(StorageFailed, match="asked for"):
        mount.set_rules(SLOW)


@pytest.mark.engine
def test_probes_see_slowness(mount: storage.FaultyMount) -> None:
    assert mount.probe_sync_s(20) > 0
    assert mount.counters().total(PROBE_CALLER).delayed == 0
    mount.set_rules(SLOW)
    assert mount.probe_sync_s(20) >= 0.3
    mount.set_rules(StorageRules())
    mount.probe_sync_s(20)
    assert mount.counters().total(PROBE_CALLER).delayed == 2


@pytest.mark.engine
def test_probes_see_a_full_disk(mount: storage.FaultyMount) -> None:
    assert mount.probe_space(20) is False
    mount.set_rules(StorageRules({Operation.FSYNC: 0.2}, full=True))
    assert mount.probe_space(20) is True
    assert mount.probe_sync_s(20) >= 0.2
    mount.set_rules(StorageRules())
    assert mount.probe_space(20) is False


@pytest.mark.engine
def test_probes_are_counted_apart_and_leave_nothing(base: Path, mount: storage.FaultyMount) -> None:
    mount.probe_sync_s(20)
    mount.probe_space(20)
    counters = mount.counters()
    assert counters.count(PROBE_CALLER, Operation.FSYNC) == OperationCount(calls=1)
    assert counters.count(PROBE_CALLER, Operation.WRITE) == OperationCount(calls=2)
    for operation in (Operation.FSYNC, Operation.WRITE, Operation.OPEN):
        assert counters.count(0, operation) == OperationCount()
    assert list((base / "back").iterdir()) == []
    assert list((base / "disk").iterdir()) == []


@pytest.mark.engine
def test_probes_end_in_time_and_one_by_one_and_go_on_after_the_heal(
    mount: storage.FaultyMount,
) -> None:
    mount.set_rules(StorageRules({Operation.FSYNC: 60.0}))
    began = monotonic()
    with pytest.raises(WaitTimedOut, match="a sync of ours"):
        mount.probe_sync_s(0.1)
    with pytest.raises(WaitTimedOut, match="an earlier probe"):
        mount.probe_space(0.1)
    assert monotonic() - began < 20
    assert len(probes()) == 1
    mount.set_rules(StorageRules())
    assert mount.probe_sync_s(20) < 20


@pytest.mark.engine
def test_a_daemon_that_hangs_is_told_from_one_that_is_gone(
    base: Path, mount: storage.FaultyMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "ANSWER_TIMEOUT_S", 0.1)
    stop(mount.pid)
    assert mount.alive
    assert not mount.serves()
    with pytest.raises(StorageFailed, match="does not answer"):
        mount.rules()
    with pytest.raises(WaitTimedOut):
        mount.probe_sync_s(0.1)
    assert len(probes()) == 1
    mount.unmount(timeout_s=0.1)  # by SIGKILL, which a stopped process obeys
    assert not mounts.at(base / "disk")
    assert gone(mount.pid)
    wait_until(lambda: not probes(), what="the hanging probe's end", timeout_s=30)


@pytest.mark.engine
def test_a_killed_daemon_is_a_disk_that_is_gone(base: Path, mount: storage.FaultyMount) -> None:
    os.kill(mount.pid, signal.SIGKILL)
    wait_until(lambda: not mount.alive, what="the daemon's end", timeout_s=30)
    with pytest.raises(OSError, match="connected") as failed:
        (base / "disk" / "file").write_text("x")
    assert failed.value.errno == errno.ENOTCONN
    with pytest.raises(StorageFailed, match="is gone"):
        mount.rules()
    with pytest.raises(StorageFailed, match="connected"):
        mount.probe_sync_s(20)
    assert len(mounts.at(base / "disk")) == 1
    assert storage.unmount_stale(base / "disk") is True
    assert storage.unmount_stale(base / "disk") is False
    mount.unmount(timeout_s=10)
    assert not (base / "state" / SOCKET_NAME).exists()


@pytest.mark.engine
def test_a_stale_mount_is_taken_away_under_open_files_and_its_daemon_ends(base: Path) -> None:
    script = (
        "import sys, pathlib; from chaoskit import storage; b = pathlib.Path(sys.argv[1]);"
        "m = storage.mount(b / 'back', b / 'disk', b / 'state', timeout_s=20);"
        "(b / 'disk' / 'kept').write_text('x'); print(m.pid)"
    )
    harness = subprocess.run(
        [sys.executable, "-c", script, base],
        env=os.environ | {"PYTHONPATH": str(Path(storage.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=40,
        check=True,
    )
    pid = int(harness.stdout)
    assert not gone(pid)  # it outlives the harness that started it
    assert (base / "disk" / "kept").read_text() == "x"
    with (base / "disk" / "kept").open() as kept:
        assert storage.unmount_stale(base / "disk") is True
        wait_until(lambda: gone(pid), what="the daemon's end", timeout_s=30)
        with pytest.raises(OSError, match=r"connected|abort"):
            os.fsync(kept.fileno())
    assert not mounts.at(base / "disk")
    assert (base / "back" / "kept").read_text() == "x"


@pytest.mark.engine
def test_a_mount_that_is_not_ours_is_not_touched(base: Path) -> None:
    place = base / "disk"
    subprocess.run(["mount", "-t", "tmpfs", "foreign", place], check=True, timeout=20)
    try:
        (place / "theirs").touch()
        assert [mounted.is_ours for mounted in mounts.at(place)] == [False]
        assert storage.unmount_stale(place) is False
        assert (place / "theirs").exists()
    finally:
        subprocess.run(["umount", place], check=True, timeout=20)
