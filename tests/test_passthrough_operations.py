"""
What each call of a faulty mount does to the directory behind it, called as libfuse would, without
a mount and without root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaoskit.passthrough_operations import PassedOperations
from chaoskit.storage_control import (
    PROBE_CALLER,
    PROBE_NAME,
    Operation,
    OperationCount,
    StorageRules,
)
from chaoskit.storage_gate import Gate
from chaoskit.storage_syscalls import Syscalls

BLOCK = 4096
PROBE = f"/{PROBE_NAME}"


@dataclass
class Opened:
    """The part of libfuse's fuse_file_info that the operations use."""

    flags: int
    fh: int = -1


class Files:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.gate = Gate()
        self.root = os.open(path, os.O_RDONLY)
        context = (os.getuid(), os.getgid(), os.getpid())
        self.calls = PassedOperations(self.root, self.gate, Syscalls(), lambda: context)

    def create(self, name: str, flags: int = os.O_RDWR | os.O_EXCL, mode: int = 0o600) -> Opened:
        file = Opened(flags)
        assert self.calls.create(name, mode, file) == 0
        return file

    def count(self, operation: Operation, caller: int | None = None) -> OperationCount:
        who = os.getuid() if caller is None else caller
        return self.gate.snapshot()[1].count(who, operation)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    made = Files(tmp_path)
    yield made
    os.close(made.root)


def code(work: Callable[[], object]) -> str:
    with pytest.raises(OSError, match=r".") as failed:
        work()
    return errno.errorcode[failed.value.errno or 0]


def test_creating_keeps_modes_and_exclusion(files: Files) -> None:
    files.calls.release(None, files.create("/new", mode=0o4711))
    assert stat.S_IMODE((files.path / "new").stat().st_mode) == 0o4711
    assert code(lambda: files.create("/new")) == "EEXIST"
    again = files.create("/new", os.O_RDWR, mode=0o777)  # somebody else was faster: theirs
    files.calls.release(None, again)
    assert stat.S_IMODE((files.path / "new").stat().st_mode) == 0o4711


def test_writes_go_where_the_kernel_says_also_in_append_mode(files: Files) -> None:
    file = files.create("/log", os.O_WRONLY | os.O_APPEND | os.O_EXCL)
    assert files.calls.write(None, b"abcdef", 0, file) == 6
    assert files.calls.write(None, b"X", 2, file) == 1
    assert (files.path / "log").read_bytes() == b"abXdef"
    files.calls.release(None, file)


def test_symbolic_links_are_not_followed(files: Files) -> None:
    (files.path / "target").write_text("x")
    (files.path / "name").symlink_to("target")
    assert code(lambda: files.calls.open("/name", Opened(os.O_RDONLY))) == "ELOOP"
    assert code(lambda: files.calls.truncate("/name", 0, None)) == "ELOOP"
    assert stat.S_ISLNK(files.calls.getattr("/name", None)["st_mode"])


def test_status_is_complete(files: Files) -> None:
    (files.path / "file").write_bytes(bytes(3 * BLOCK))
    expected = (files.path / "file").stat()
    found = files.calls.getattr("/file", None)
    for field in ("st_mode", "st_ino", "st_nlink", "st_size", "st_blocks", "st_uid", "st_gid"):
        assert found[field] == getattr(expected, field), field
    assert found["st_mtime"] == expected.st_mtime_ns
    file = Opened(os.O_RDONLY)
    files.calls.open("/file", file)
    assert files.calls.getattr("/file", file) == found
    files.calls.release(None, file)


def test_hidden_names_are_not_listed(files: Files) -> None:
    (files.path / "directory").mkdir()
    hidden = files.path / "directory" / ".fuse_hidden0000000100000001"
    hidden.touch()
    (files.path / "directory" / "file").touch()
    handle = files.calls.opendir("/directory")
    listed = {name: attributes for name, attributes, _offset in files.calls.readdir(None, handle)}
    files.calls.releasedir(None, handle)
    assert listed.keys() == {".", "..", "file"}
    assert listed["file"]["st_ino"] == (files.path / "directory" / "file").stat().st_ino


def test_devices_and_whiteouts_are_refused(files: Files) -> None:
    device = stat.S_IFBLK | 0o600
    assert code(lambda: files.calls.mknod("/device", device, os.makedev(8, 0))) == "EPERM"
    (files.path / "a").touch()
    assert code(lambda: files.calls.rename("/a", "/b", 4)) == "EINVAL"
    assert [path.name for path in files.path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        (Operation.OPEN, lambda calls: calls.create("/n", 0o600, Opened(os.O_RDWR))),
        (Operation.METADATA, lambda calls: calls.mkdir("/n", 0o700)),
        (Operation.METADATA, lambda calls: calls.symlink("/n", "content")),
        (Operation.METADATA, lambda calls: calls.mknod("/n", stat.S_IFIFO | 0o600, 0)),
    ],
)
def test_a_full_disk_makes_nothing_new(
    files: Files, operation: Operation, call: Callable[[PassedOperations], int]
) -> None:
    files.gate.set_rules(StorageRules(full=True))
    assert code(lambda: call(files.calls)) == "ENOSPC"
    assert list(files.path.iterdir()) == []
    assert files.count(operation) == OperationCount(calls=1, refused=1)
    files.gate.set_rules(StorageRules())
    call(files.calls)
    assert [path.name for path in files.path.iterdir()] == ["n"]


def test_a_full_disk_takes_writes_into_what_is_allocated(files: Files) -> None:
    file = files.create("/wal")
    files.calls.fallocate(None, 0, 0, 2 * BLOCK, file)
    files.gate.set_rules(StorageRules(full=True))
    assert files.calls.write(None, bytes(BLOCK), BLOCK, file) == BLOCK
    assert files.calls.write(None, bytes(2 * BLOCK), BLOCK, file) == BLOCK
    assert code(lambda: files.calls.write(None, b"x", 2 * BLOCK, file)) == "ENOSPC"
    assert code(lambda: files.calls.fallocate(None, 0, 0, 3 * BLOCK, file)) == "ENOSPC"
    files.calls.fallocate(None, 0, 0, 2 * BLOCK, file)
    files.calls.truncate("/wal", 9 * BLOCK, file)
    assert (files.path / "wal").stat().st_size == 9 * BLOCK
    assert files.count(Operation.WRITE) == OperationCount(calls=3, refused=1)
    assert files.calls.statfs("/")["f_bavail"] == 0
    files.gate.set_rules(StorageRules())
    assert files.calls.write(None, b"x", 2 * BLOCK, file) == 1
    assert files.calls.statfs("/")["f_bavail"] > 0
    files.calls.release(None, file)


def test_the_probe_has_no_name_and_is_counted_apart(files: Files) -> None:
    files.gate.set_rules(StorageRules(full=True))
    file = Opened(os.O_RDWR)
    files.calls.create(PROBE, 0o600, file)
    assert list(files.path.iterdir()) == []
    assert code(lambda: files.calls.getattr(PROBE, None)) == "ENOENT"
    assert code(lambda: files.calls.write(None, bytes(BLOCK), 0, file)) == "ENOSPC"
    files.calls.fsync(None, 0, file)
    files.calls.release(None, file)
    assert files.count(Operation.WRITE, PROBE_CALLER) == OperationCount(calls=1, refused=1)
    assert files.count(Operation.FSYNC, PROBE_CALLER) == OperationCount(calls=1)
    assert set(files.gate.snapshot()[1].by_caller) == {PROBE_CALLER}


def test_a_number_that_was_the_probes_is_the_next_files_own(files: Files) -> None:
    probe = Opened(os.O_RDWR)
    files.calls.open(PROBE, probe)
    files.calls.release(None, probe)
    file = files.create("/file")
    assert file.fh == probe.fh
    files.calls.fsync(None, 1, file)
    files.calls.release(None, file)
    assert files.count(Operation.FSYNC) == OperationCount(calls=1)
    assert files.count(Operation.FSYNC, PROBE_CALLER) == OperationCount()
