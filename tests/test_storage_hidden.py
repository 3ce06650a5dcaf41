"""
Files that lose their last name while open: the name that libfuse hides them under never outlives
them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit.storage_hidden import OpenFiles, is_hidden, recover, remove_directory
from chaoskit.storage_syscalls import Syscalls

HIDDEN = ".fuse_hidden0000000100000001"


@pytest.fixture
def backing(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def opened(files: OpenFiles, path: Path) -> int:
    return files.opened(os.open(path, os.O_RDWR | os.O_CREAT))


def test_hidden_names_are_told_by_their_last_part() -> None:
    assert is_hidden(HIDDEN)
    assert is_hidden(f"a/{HIDDEN}")
    assert not is_hidden("file")
    assert not is_hidden(f"{HIDDEN}/file")


def test_a_hidden_name_goes_with_the_last_close(tmp_path: Path, backing: int) -> None:
    files = OpenFiles(backing, Syscalls())
    (tmp_path / "directory").mkdir()
    one = opened(files, tmp_path / "directory" / "file")
    two = opened(files, tmp_path / "directory" / "file")
    files.rename("directory/file", f"directory/{HIDDEN}", 0)
    files.rename("directory", "renamed", 0)
    files.close(one)
    assert names(tmp_path / "renamed") == [HIDDEN]
    files.close(two)
    assert names(tmp_path / "renamed") == []


def test_a_file_closed_before_it_is_hidden_is_unlinked(tmp_path: Path, backing: int) -> None:
    files = OpenFiles(backing, Syscalls())
    files.close(opened(files, tmp_path / "file"))
    files.rename("file", HIDDEN, 0)
    assert names(tmp_path) == []


def test_other_closes_and_renames_remove_nothing(tmp_path: Path, backing: int) -> None:
    files = OpenFiles(backing, Syscalls())
    file = opened(files, tmp_path / "file")
    files.rename("file", "other", 0)
    files.close(file)
    files.rename("other", "third", 0)
    assert names(tmp_path) == ["third"]


def test_a_hidden_name_that_libfuse_removed_itself_is_no_error(
    tmp_path: Path, backing: int
) -> None:
    files = OpenFiles(backing, Syscalls())
    file = opened(files, tmp_path / HIDDEN)
    (tmp_path / HIDDEN).unlink()
    files.close(file)
    assert names(tmp_path) == []


def test_a_directory_of_hidden_names_can_be_removed(tmp_path: Path, backing: int) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / HIDDEN).touch()
    (tmp_path / "directory" / "file").touch()
    with pytest.raises(OSError, match="not empty"):
        remove_directory(backing, "directory")
    assert names(tmp_path / "directory") == [HIDDEN, "file"]
    (tmp_path / "directory" / "file").unlink()
    remove_directory(backing, "directory")
    assert names(tmp_path) == []


def test_what_a_killed_daemon_left_is_recovered(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / HIDDEN).touch()
    (tmp_path / "directory" / "file").touch()
    (tmp_path / HIDDEN).touch()
    recover(tmp_path)
    assert names(tmp_path) == ["directory"]
    assert names(tmp_path / "directory") == ["file"]
