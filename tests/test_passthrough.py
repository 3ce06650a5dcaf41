"""
The daemon of a faulty mount, as the programs that use the mount meet it: a faithful file system,
until it is told not to be.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaoskit import mounts, storage
from chaoskit.clock import monotonic, wait_until
from chaoskit.storage_control import (
    PROBE_CALLER,
    PROBE_NAME,
    SCHEMA,
    SOCKET_NAME,
    Operation,
    OperationCount,
    StorageFailed,
    StorageRules,
    decode_state,
)
from chaoskit.storage_syscalls import Syscalls

pytestmark = [pytest.mark.engine, pytest.mark.timeout(60)]

NODE = 10001
BLOCK = 4096
FULL = StorageRules(full=True)
HEALTHY = StorageRules()


class Disk:
    """A mount, and the directory behind it."""

    def __init__(self, base: Path) -> None:
        self.backing, self.path, self.state = (base / name for name in ("back", "disk", "state"))
        for directory in (self.backing, self.path, self.state):
            directory.mkdir()
        self.mount = storage.mount(self.backing, self.path, self.state, timeout_s=20)

    def again(self) -> None:
        self.mount = storage.mount(self.backing, self.path, self.state, timeout_s=20)

    def shell(self, script: str) -> str:
        """Run a script in the mount as the node's user, as a container would; its output."""
        done = subprocess.run(
            ["sh", "-euc", script],
            cwd=self.path,
            user=NODE,
            group=NODE,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def count(self, operation: Operation, caller: int = 0) -> OperationCount:
        return self.mount.counters().count(caller, operation)


@pytest.fixture
def disk() -> Iterator[Disk]:
    with tempfile.TemporaryDirectory(prefix="chaoskit-test-") as base:
        Path(base).chmod(0o755)
        made = Disk(Path(base))
        try:
            yield made
        finally:
            made.mount.unmount(timeout_s=10)


@contextlib.contextmanager
def opened(path: Path, flags: int, mode: int = 0o600) -> Iterator[int]:
    descriptor = os.open(path, flags, mode)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def close_dead(descriptor: int) -> None:
    """Close a file whose daemon is gone: the number is free again, but the kernel complains."""
    with contextlib.suppress(OSError):
        os.close(descriptor)


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def started(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def sleepers(disk: Disk, count: int) -> None:
    wait_until(
        lambda: disk.mount.counters().sleeping == count,
        what=f"{count} sleeping calls",
        timeout_s=30,
        last=lambda: str(disk.mount.counters()),
    )


def refused(work: Callable[[], object]) -> bool:
    try:
        work()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return True
    return False


# A faithful file system.


def test_sqlite_in_wal_mode_commits_and_reads_on(disk: Disk) -> None:
    with (
        contextlib.closing(sqlite3.connect(disk.path / "db")) as writer,
        contextlib.closing(sqlite3.connect(disk.path / "db")) as reader,
    ):
        assert writer.execute("pragma journal_mode=wal").fetchone() == ("wal",)
        writer.execute("pragma synchronous=full")
        writer.execute("create table t (n integer)")
        for number in range(30):
            with writer:
                writer.execute("insert into t values (?)", (number,))
            assert reader.execute("select max(n) from t").fetchone() == (number,)
        assert (disk.path / "db-shm").exists()  # shared by mmap
        assert writer.execute("pragma wal_checkpoint(truncate)").fetchone()[0] == 0
        assert writer.execute("pragma integrity_check").fetchone() == ("ok",)
    assert disk.count(Operation.FSYNC).calls >= 30
    with contextlib.closing(sqlite3.connect(disk.backing / "db")) as behind:
        assert behind.execute("select count(*) from t").fetchone() == (30,)


def test_a_file_renamed_over_while_open_keeps_its_old_readers(disk: Disk) -> None:
    (disk.path / "db").write_bytes(b"old")
    (disk.path / "new").write_bytes(b"newer")
    with opened(disk.path / "db", os.O_RDONLY) as old:
        (disk.path / "new").rename(disk.path / "db")
        assert os.pread(old, 10, 0) == b"old"
        assert os.fstat(old).st_size == 3
        assert (disk.path / "db").read_bytes() == b"newer"
        assert names(disk.path) == ["db"]
    wait_until(lambda: names(disk.backing) == ["db"], what="the old file gone", timeout_s=30)


def test_an_open_file_can_be_unlinked_and_used(disk: Disk) -> None:
    with opened(disk.path / "temporary", os.O_RDWR | os.O_CREAT) as file:
        (disk.path / "temporary").unlink()
        os.pwrite(file, b"still here", 0)
        os.ftruncate(file, 5)
        os.fsync(file)
        assert os.fstat(file).st_size == 5
        assert names(disk.path) == []
    wait_until(lambda: not names(disk.backing), what="nothing left", timeout_s=30)


def test_files_opened_closed_and_unlinked_in_a_hurry_leave_nothing(disk: Disk) -> None:
    for round_ in range(8):
        (disk.path / "d").mkdir()
        kept = os.open(disk.path / "d" / "kept", os.O_RDWR | os.O_CREAT)
        (disk.path / "d" / "kept").unlink()

        def hurry(round_: int = round_) -> None:
            for number in range(10):
                file = disk.path / "d" / f"{threading.get_ident()}-{round_}-{number}"
                with opened(file, os.O_RDWR | os.O_CREAT) as descriptor:
                    os.pwrite(descriptor, b"x", 0)
                file.unlink()  # while its close is still under way

        for thread in [started(hurry) for _ in range(4)]:
            thread.join(timeout=20)
        wait_until(lambda: len(names(disk.backing / "d")) == 1, what="one kept", timeout_s=30)
        (disk.path / "d").rmdir()
        assert os.pwrite(kept, b"still", 0) == 5
        os.close(kept)
        assert names(disk.backing) == []


def test_a_shared_map_sees_writes_and_writes_through(disk: Disk) -> None:
    with opened(disk.path / "map", os.O_RDWR | os.O_CREAT) as file:
        os.ftruncate(file, 2 * BLOCK)
        with mmap.mmap(file, 2 * BLOCK) as mapped:
            os.pwrite(file, b"written", BLOCK)
            assert mapped[BLOCK : BLOCK + 7] == b"written"
            mapped[0:6] = b"mapped"
            mapped.flush()
        assert (disk.backing / "map").read_bytes()[:6] == b"mapped"


def test_what_a_user_makes_is_its_own_with_the_mode_it_asked_for(disk: Disk) -> None:
    disk.backing.chmod(0o777)
    disk.shell(
        """
        umask 027
        echo secret > file; mkdir directory; ln -s file name; mkfifo pipe
        install -m 0600 /dev/null exact; install -m 4711 /dev/null setuid
        echo more >> file; cat file > copy; chmod 0400 copy
        """
    )
    expected = {
        "file": (stat.S_IFREG, 0o640),
        "directory": (stat.S_IFDIR, 0o750),
        "name": (stat.S_IFLNK, 0o777),
        "pipe": (stat.S_IFIFO, 0o640),
        "exact": (stat.S_IFREG, 0o600),
        "setuid": (stat.S_IFREG, 0o4711),
        "copy": (stat.S_IFREG, 0o400),
    }
    for name, (kind, mode) in expected.items():
        for side in (disk.path, disk.backing):
            status = (side / name).lstat()
            assert (status.st_uid, status.st_gid) == (NODE, NODE), name
            assert (stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)) == (kind, mode), name
    assert {entry.name for entry in os.scandir(disk.path)} == expected.keys()
    assert [entry.name for entry in os.scandir(disk.path) if entry.is_dir()] == ["directory"]


def test_no_umask_of_the_daemons_is_in_the_way(disk: Disk) -> None:
    disk.backing.chmod(0o777)
    disk.shell("umask 0; mkdir directory; mkfifo pipe; touch file")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in disk.backing.iterdir()}
    assert modes == {"directory": 0o777, "pipe": 0o666, "file": 0o666}


def test_a_directory_with_a_group_gives_it_to_what_is_made_in_it(disk: Disk) -> None:
    disk.backing.chmod(0o777)
    os.chown(disk.backing, 0, 20002)
    disk.backing.chmod(0o2777)
    disk.shell("echo x > file; mkdir directory")
    for name in ("file", "directory"):
        assert ((disk.backing / name).stat().st_uid, (disk.backing / name).stat().st_gid) == (
            NODE,
            20002,
        )
    assert (disk.backing / "directory").stat().st_mode & stat.S_ISGID


def test_permissions_hold(disk: Disk) -> None:
    (disk.path / "private").write_text("x")
    (disk.path / "private").chmod(0o600)
    disk.shell("! cat private 2>&1; ! touch new 2>&1; ! chmod 0666 private 2>&1")
    disk.backing.chmod(0o777)
    disk.shell("! mknod device c 1 3 2>&1")


def test_devices_are_refused(disk: Disk) -> None:
    with pytest.raises(PermissionError):
        os.mknod(disk.path / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))


def test_appending_truncating_and_direct_writes(disk: Disk) -> None:
    file = disk.path / "file"
    with (
        opened(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as one,
        opened(file, os.O_WRONLY | os.O_APPEND) as two,
    ):
        for _ in range(10):
            os.write(one, b"one.")
            os.write(two, b"two.")
    assert file.read_bytes() == b"one.two." * 10
    with opened(file, os.O_RDWR | os.O_TRUNC) as truncated:
        assert os.fstat(truncated).st_size == 0
    with opened(file, os.O_RDWR | os.O_DIRECT) as direct, mmap.mmap(-1, BLOCK) as aligned:
        aligned[:] = b"d" * BLOCK
        assert os.writev(direct, [aligned]) == BLOCK
        assert os.preadv(direct, [aligned], 0) == BLOCK
    assert (disk.backing / "file").read_bytes() == b"d" * BLOCK
    with pytest.raises(FileExistsError), opened(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY):
        pass
    os.truncate(file, 7)
    assert file.read_bytes() == b"d" * 7


def test_a_synchronous_write_is_a_write_and_a_sync(disk: Disk) -> None:
    with opened(disk.path / "log", os.O_WRONLY | os.O_CREAT | os.O_DSYNC) as log:
        os.write(log, b"x")
        os.write(log, b"y")
    assert disk.count(Operation.FSYNC).calls == 2


def test_times_are_exact_and_can_be_kept(disk: Disk) -> None:
    file = disk.path / "file"
    file.touch()
    os.utime(file, ns=(1_000_000_001, 2_000_000_002))
    assert (file.stat().st_atime_ns, file.stat().st_mtime_ns) == (1_000_000_001, 2_000_000_002)
    subprocess.run(["touch", "-m", "-d", "@5.5", file], check=True, timeout=10)
    status = (disk.backing / "file").stat()
    assert (status.st_atime_ns, status.st_mtime_ns) == (1_000_000_001, 5_500_000_000)


def test_names_links_and_renames(disk: Disk) -> None:
    (disk.path / "a").write_text("a")
    (disk.path / "b").write_text("b")
    with opened(disk.path, os.O_RDONLY) as directory:
        with pytest.raises(FileExistsError):
            Syscalls().rename(directory, "a", "b", 1)  # RENAME_NOREPLACE
        Syscalls().rename(directory, "a", "b", 2)  # RENAME_EXCHANGE
        assert ((disk.path / "a").read_text(), (disk.path / "b").read_text()) == ("b", "a")
        os.fsync(directory)
    assert disk.count(Operation.FSYNC).calls == 1
    os.link(disk.path / "a", disk.path / "c")
    assert (disk.path / "c").stat().st_ino == (disk.backing / "a").stat().st_ino
    assert (disk.path / "c").stat().st_nlink == 2
    (disk.path / "s").symlink_to("nowhere/at all")
    assert (disk.path / "s").readlink() == Path("nowhere/at all")
    (disk.path / "d").mkdir()
    (disk.path / "d" / "e").mkdir()
    with pytest.raises(OSError, match="not empty"):
        (disk.path / "d").rmdir()
    (disk.path / "d" / "e").rmdir()
    (disk.path / "d").rmdir()
    odd = os.fsdecode(b"not utf-8 \xff \\ \n")
    (disk.path / odd).touch()
    assert names(disk.path) == sorted(["a", "b", "c", "s", odd])
    assert names(disk.path) == names(disk.backing)


def test_preallocating_takes_blocks(disk: Disk) -> None:
    with opened(disk.path / "wal", os.O_RDWR | os.O_CREAT) as wal:
        os.posix_fallocate(wal, 0, 16 * BLOCK)
        assert (os.fstat(wal).st_size, os.fstat(wal).st_blocks * 512) == (16 * BLOCK, 16 * BLOCK)
        Syscalls().allocate(wal, 1, 0, 32 * BLOCK)  # FALLOC_FL_KEEP_SIZE
        assert os.fstat(wal).st_size == 16 * BLOCK
    assert (disk.backing / "wal").stat().st_blocks * 512 == 32 * BLOCK


# Delays.

ACTS: dict[Operation, Callable[[Disk, int], object]] = {
    Operation.FSYNC: lambda _disk, file: os.fsync(file),
    Operation.WRITE: lambda _disk, file: os.pwrite(file, b"x", 0),
    Operation.READ: lambda _disk, file: os.preadv(file, [mmap.mmap(-1, BLOCK)], 0),
    Operation.OPEN: lambda disk, _file: os.close(os.open(disk.path / "file", os.O_RDONLY)),
    Operation.METADATA: lambda disk, _file: os.statvfs(disk.path),
}


@pytest.mark.parametrize("slow", Operation)
def test_a_delay_holds_its_own_operation_and_no_other(disk: Disk, slow: Operation) -> None:
    (disk.path / "file").write_bytes(bytes(BLOCK))
    with (
        opened(disk.path / "file", os.O_RDWR | os.O_DIRECT) as direct,
        opened(disk.path / "file", os.O_RDWR) as buffered,
    ):
        disk.mount.set_rules(StorageRules({slow: 0.2}))
        for operation, act in ACTS.items():
            before = disk.count(operation)
            began = monotonic()
            act(disk, direct if operation is Operation.READ else buffered)
            took_s = monotonic() - began
            after = disk.count(operation)
            assert after.calls > before.calls, operation
            assert (after.delayed > before.delayed) is (operation is slow), operation
            if operation is slow:
                assert took_s >= 0.2
        disk.mount.set_rules(HEALTHY)


def test_a_delayed_sync_stalls_nobody_else_and_its_heal_is_immediate(disk: Disk) -> None:
    (disk.path / "other").write_bytes(b"other")
    file = os.open(disk.path / "slow", os.O_RDWR | os.O_CREAT)
    disk.mount.set_rules(StorageRules({Operation.FSYNC: 60.0}))
    sync = started(lambda: os.fsync(file))
    sleepers(disk, 1)
    with opened(disk.path / "other", os.O_RDWR) as other:
        os.pwrite(other, b"o", 0)
        assert os.pread(other, 5, 0) == b"other"
    (disk.path / "third").write_text("made while another call sleeps")
    assert disk.mount.counters().sleeping == 1
    assert sync.is_alive()
    disk.mount.set_rules(HEALTHY)
    sync.join(timeout=10)
    assert not sync.is_alive()
    began = monotonic()
    os.fsync(file)
    os.close(file)
    assert monotonic() - began < 30
    assert disk.count(Operation.FSYNC) == OperationCount(calls=2, delayed=1)


def test_many_calls_sleep_at_once_and_a_read_gets_by(disk: Disk) -> None:
    (disk.path / "file").write_text("content")
    files = [os.open(disk.path / str(number), os.O_RDWR | os.O_CREAT) for number in range(40)]
    disk.mount.set_rules(StorageRules({Operation.FSYNC: 60.0}))
    syncs = [started(lambda file=file: os.fsync(file)) for file in files]  # type: ignore[misc]
    sleepers(disk, 40)
    assert (disk.path / "file").read_text() == "content"
    disk.mount.set_rules(HEALTHY)
    for sync, file in zip(syncs, files, strict=True):
        sync.join(timeout=10)
        assert not sync.is_alive()
        os.close(file)


# A full disk.


def test_a_full_disk_refuses_what_needs_space_and_says_so(disk: Disk) -> None:
    (disk.path / "old").write_bytes(b"x" * 100)
    disk.mount.set_rules(FULL)
    space = os.statvfs(disk.path)
    assert (space.f_bfree, space.f_bavail, space.f_ffree, space.f_favail) == (0, 0, 0, 0)
    assert space.f_blocks == os.statvfs(disk.backing).f_blocks
    assert refused((disk.path / "new").touch)
    assert refused((disk.path / "directory").mkdir)
    assert refused(lambda: (disk.path / "name").symlink_to("old"))
    assert refused(lambda: os.mkfifo(disk.path / "pipe"))
    with opened(disk.path / "old", os.O_RDWR) as old:
        assert refused(lambda: os.pwrite(old, b"x", 2 * BLOCK))
        assert refused(lambda: os.posix_fallocate(old, 0, 4 * BLOCK))
    assert names(disk.backing) == ["old"]
    assert (disk.backing / "old").stat().st_size == 100
    total = disk.mount.counters().total(0)
    assert total.refused == 6
    disk.mount.set_rules(HEALTHY)
    (disk.path / "new").write_bytes(bytes(3 * BLOCK))
    assert os.statvfs(disk.path).f_bavail > 0
    assert disk.mount.counters().total(0).refused == 6


def test_a_full_disk_allows_what_needs_none(disk: Disk) -> None:
    with opened(disk.path / "wal", os.O_RDWR | os.O_CREAT) as wal:
        os.posix_fallocate(wal, 0, 16 * BLOCK)  # preallocated, never written
        Syscalls().allocate(wal, 1, 0, 17 * BLOCK)  # one more, beyond the end of the file
        disk.mount.set_rules(FULL)
        assert os.pwrite(wal, b"w" * 3 * BLOCK, 5 * BLOCK) == 3 * BLOCK
        os.fsync(wal)
        assert os.pwrite(wal, b"e" * BLOCK, 16 * BLOCK) == BLOCK
        assert os.pwrite(wal, b"s" * 2 * BLOCK, 16 * BLOCK) == BLOCK  # short, where they end
        assert refused(lambda: os.pwrite(wal, b"n", 17 * BLOCK))
        os.posix_fallocate(wal, 0, 17 * BLOCK)  # is there already
        os.ftruncate(wal, 99 * BLOCK)  # a hole
        assert refused(lambda: os.pwrite(wal, b"n", 50 * BLOCK))
        os.ftruncate(wal, BLOCK)
    os.link(disk.path / "wal", disk.path / "second")
    (disk.path / "second").rename(disk.path / "third")
    (disk.path / "third").unlink()
    assert (disk.path / "wal").stat().st_size == BLOCK
    assert disk.mount.counters().total(0).refused == 2


def test_a_short_append_fits_into_the_last_block_only(disk: Disk) -> None:
    file = disk.path / "log"
    file.write_bytes(b"x" * (BLOCK - 10))
    disk.mount.set_rules(FULL)
    with opened(file, os.O_WRONLY | os.O_APPEND) as log:
        assert os.write(log, b"y" * 30) == 10
        assert refused(lambda: os.write(log, b"z"))
    assert (disk.backing / "log").stat().st_size == BLOCK


def test_a_mapped_write_into_a_hole_fails_at_the_sync(disk: Disk) -> None:
    with opened(disk.path / "map", os.O_RDWR | os.O_CREAT) as file:
        os.ftruncate(file, BLOCK)
        with mmap.mmap(file, BLOCK) as mapped:
            disk.mount.set_rules(FULL)
            mapped[0:1] = b"x"
            assert refused(mapped.flush)
        disk.mount.set_rules(HEALTHY)


# Counters.


def test_callers_are_told_apart(disk: Disk) -> None:
    disk.backing.chmod(0o777)
    (disk.path / "ours").write_text("x")
    ours = disk.count(Operation.WRITE)
    assert disk.count(Operation.WRITE, NODE) == OperationCount()
    disk.mount.set_rules(StorageRules({Operation.FSYNC: 0.01}))
    disk.shell("for n in 1 2 3; do dd if=/dev/zero of=f$n bs=512 count=1 conv=fsync 2>&1; done")
    disk.mount.set_rules(FULL)
    disk.shell("! echo x 2>&1 > f4")
    assert disk.count(Operation.WRITE) == ours
    assert disk.count(Operation.WRITE, NODE) == OperationCount(calls=3)
    assert disk.count(Operation.FSYNC, NODE) == OperationCount(calls=3, delayed=3)
    assert disk.count(Operation.OPEN, NODE) == OperationCount(calls=4, refused=1)


def test_the_probe_file_leaves_no_trace_and_is_nobodys_call(disk: Disk) -> None:
    ours = disk.mount.counters().total(0)
    with opened(disk.path / PROBE_NAME, os.O_RDWR | os.O_CREAT) as probe:
        os.pwrite(probe, bytes(BLOCK), 0)
        os.fsync(probe)
        assert names(disk.backing) == []
        assert names(disk.path) == []
        kept = disk.mount.counters()
    assert kept.count(PROBE_CALLER, Operation.FSYNC).calls == 1
    assert kept.count(PROBE_CALLER, Operation.WRITE).calls == 1
    for operation in (Operation.FSYNC, Operation.WRITE, Operation.OPEN):
        assert kept.count(0, operation) == OperationCount()
    assert kept.total(0).calls - ours.calls == kept.count(0, Operation.METADATA).calls


# The control socket.


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"not json",
        b'{"schema":99,"set":null}',
        f'{{"schema":{SCHEMA},"set":{{"delays":{{"fsync":-1}},"full":false}}}}'.encode(),
        f'{{"schema":{SCHEMA},"set":{{"delays":{{"sync":1}},"full":false}}}}'.encode(),
        b"[" * 100_000,
        b" " * 140_000,
    ],
)
def test_a_corrupt_request_is_refused_and_the_old_rules_stay(
    disk: Disk, request_bytes: bytes
) -> None:
    rules = StorageRules({Operation.FSYNC: 0.5}, full=True)
    disk.mount.set_rules(rules)
    with (
        opened(disk.state, os.O_RDONLY) as state,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client,
    ):
        client.settimeout(20)
        client.connect(f"/proc/self/fd/{state}/{SOCKET_NAME}")
        client.send(request_bytes)
        with pytest.raises(StorageFailed, match="refused"):
            decode_state(client.recv(1_000_000))
    assert disk.mount.rules() == rules


def test_a_client_that_says_nothing_does_not_block_the_others_for_long(disk: Disk) -> None:
    with (
        opened(disk.state, os.O_RDONLY) as state,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent,
    ):
        silent.connect(f"/proc/self/fd/{state}/{SOCKET_NAME}")
        assert disk.mount.rules() == HEALTHY


def test_the_control_socket_is_ours_alone(disk: Disk) -> None:
    assert stat.S_IMODE((disk.state / SOCKET_NAME).stat().st_mode) == 0o600


# Its end.


def test_sigterm_wakes_sleepers_unmounts_and_leaves_nothing(disk: Disk) -> None:
    file = os.open(disk.path / "file", os.O_RDWR | os.O_CREAT)
    disk.mount.set_rules(StorageRules({Operation.FSYNC: 60.0}))
    outcome: list[OSError | None] = []

    def sync() -> None:
        try:
            os.fsync(file)
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    thread = started(sync)
    sleepers(disk, 1)
    os.kill(disk.mount.pid, signal.SIGTERM)
    wait_until(lambda: not disk.mount.alive, what="the daemon's end", timeout_s=30)
    thread.join(timeout=10)
    close_dead(file)
    assert outcome == [None]
    assert not mounts.at(disk.path)
    assert not (disk.state / SOCKET_NAME).exists()
    assert names(disk.backing) == ["file"]


def test_files_unlinked_while_open_are_gone_after_a_daemon_was_killed(disk: Disk) -> None:
    (disk.path / "d").mkdir()
    file = os.open(disk.path / "d" / "file", os.O_RDWR | os.O_CREAT)
    (disk.path / "d" / "file").unlink()
    assert len(names(disk.backing / "d")) == 1
    os.kill(disk.mount.pid, signal.SIGKILL)
    wait_until(lambda: not disk.mount.alive, what="the daemon's end", timeout_s=30)
    storage.unmount_stale(disk.path)
    close_dead(file)
    disk.again()
    assert names(disk.backing / "d") == []
    (disk.path / "d").rmdir()
