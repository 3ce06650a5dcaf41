"""System calls that Python's os has not, on real files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from chaoskit.storage_syscalls import Syscalls, allocated_prefix_bytes

KEEP_SIZE = 1
NOREPLACE = 1
EXCHANGE = 2
BLOCK = 4096


def _has_extents(path: Path) -> bool:
    """Whether the file system under `path` tells where in a file its blocks are."""
    file = path / "extents"
    with file.open("wb") as opened:
        Syscalls().allocate(opened.fileno(), KEEP_SIZE, 0, BLOCK)
        os.ftruncate(opened.fileno(), 2 * BLOCK)
        return allocated_prefix_bytes(opened.fileno(), 0, BLOCK) == BLOCK


def test_an_allocated_prefix_ends_where_the_first_hole_begins(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as file:
        descriptor = file.fileno()
        os.pwrite(descriptor, bytes(100), 0)
        os.pwrite(descriptor, bytes(BLOCK), 16 * BLOCK)
        os.fsync(descriptor)
        if not _has_extents(tmp_path):
            assert allocated_prefix_bytes(descriptor, 0, BLOCK) == 0
            return
        assert allocated_prefix_bytes(descriptor, 0, 50) == 50
        assert allocated_prefix_bytes(descriptor, 50, BLOCK) == BLOCK - 50
        assert allocated_prefix_bytes(descriptor, 0, 99 * BLOCK) == BLOCK
        assert allocated_prefix_bytes(descriptor, BLOCK, 99 * BLOCK) == 0
        assert allocated_prefix_bytes(descriptor, BLOCK, 10) == 0
        assert allocated_prefix_bytes(descriptor, 16 * BLOCK, 2 * BLOCK) == BLOCK
        assert allocated_prefix_bytes(descriptor, 40 * BLOCK, 1) == 0


def test_blocks_preallocated_and_never_written_are_allocated(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as file:
        descriptor = file.fileno()
        Syscalls().allocate(descriptor, 0, 0, 4 * BLOCK)
        assert os.fstat(descriptor).st_size == 4 * BLOCK
        assert allocated_prefix_bytes(descriptor, 0, 9 * BLOCK) == 4 * BLOCK
        os.truncate(descriptor, 64 * BLOCK)
        assert allocated_prefix_bytes(descriptor, 32 * BLOCK, BLOCK) == 0


def test_without_a_map_of_extents_a_sparse_file_counts_as_not_allocated() -> None:
    shared_memory = Path("/dev/shm")  # noqa: S108  # tmpfs, which has no FIEMAP
    file = shared_memory / f"chaoskit-test-{os.getpid()}"
    with file.open("w+b") as opened:
        file.unlink()
        descriptor = opened.fileno()
        os.pwrite(descriptor, bytes(2 * BLOCK), 0)
        assert allocated_prefix_bytes(descriptor, BLOCK, 4 * BLOCK) == BLOCK
        assert allocated_prefix_bytes(descriptor, 3 * BLOCK, BLOCK) == 0
        os.ftruncate(descriptor, 64 * BLOCK)
        assert allocated_prefix_bytes(descriptor, 0, BLOCK) == 0


def test_a_bad_descriptor_is_an_error_and_not_a_hole() -> None:
    with pytest.raises(OSError, match="descriptor") as failed:
        allocated_prefix_bytes(2**20, 0, 1)
    assert failed.value.errno == errno.EBADF


def test_renames_keep_their_flags(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileExistsError):
            Syscalls().rename(directory, "a", "b", NOREPLACE)
        Syscalls().rename(directory, "a", "b", EXCHANGE)
        assert ((tmp_path / "a").read_text(), (tmp_path / "b").read_text()) == ("b", "a")
        Syscalls().rename(directory, "a", "b", 0)
        assert (tmp_path / "b").read_text() == "b"
    finally:
        os.close(directory)


def test_unmounting_what_is_no_mount_fails(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r".") as failed:
        Syscalls().unmount(str(tmp_path), 0)
    assert failed.value.errno in (errno.EINVAL, errno.EPERM)
