"""
Files that lose their last name while they are open, behind a faulty mount.

Owns: the hidden names that libfuse gives them (it renames instead of unlinking, since it reaches
open files by name), and that none of these outlives its last close. Refuses: nothing. Rules:
hidden names are not listed and do not keep a directory from being removed; those that a killed
daemon left go at the next start, as a file system's recovery removes orphans. libfuse alone would
leave some behind: where a last close overtakes the renaming, it forgets the hidden name.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from chaoskit.storage_syscalls import Syscalls

HIDDEN_PREFIX = ".fuse_hidden"
"""As libfuse's hidden_name() in lib/fuse.c has it."""


def is_hidden(path: str) -> bool:
    """Whether a path, or a name, is one of libfuse's hidden ones."""
    return path.rpartition("/")[2].startswith(HIDDEN_PREFIX)


def recover(backing: Path) -> None:
    """Remove what was unlinked but still open when an earlier daemon was killed."""
    for directory, _directories, names in os.walk(backing):
        for name in filter(is_hidden, names):
            (Path(directory) / name).unlink()


def remove_directory(backing: int, path: str) -> None:
    """Remove a directory that holds hidden names at most: those files live on without a name."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=backing)
    try:
        with os.scandir(handle) as entries:
            names = [entry.name for entry in entries]
        if all(map(is_hidden, names)):
            for name in names:
                os.unlink(name, dir_fd=handle)
    finally:
        os.close(handle)
    os.rmdir(path, dir_fd=backing)


class OpenFiles:
    """How often each inode is open; thread-safe, one a mount."""

    def __init__(self, backing: int, syscalls: Syscalls) -> None:
        self._backing = backing
        self._syscalls = syscalls
        self._renaming = threading.Lock()
        self._counts: dict[int, int] = {}

    def opened(self, descriptor: int) -> int:
        """Count a descriptor that was opened; the same descriptor."""
        inode = os.fstat(descriptor).st_ino
        with self._renaming:
            self._counts[inode] = self._counts.get(inode, 0) + 1
        return descriptor

    def close(self, descriptor: int) -> None:
        """Close it, and remove its hidden name if it was the last."""
        inode = os.fstat(descriptor).st_ino
        with self._renaming:
            self._counts[inode] -= 1
            if self._counts[inode] == 0:
                del self._counts[inode]
                place = Path(f"/proc/self/fd/{descriptor}").readlink()
                if is_hidden(place.name):
                    place.unlink(missing_ok=True)
        os.close(descriptor)

    def rename(self, old: str, new: str, flags: int) -> None:
        """Rename below the backing directory; hiding a file that is no longer open unlinks it."""
        with self._renaming:
            if is_hidden(new) and self._inode(old) not in self._counts:
                os.unlink(old, dir_fd=self._backing)
            else:
                self._syscalls.rename(self._backing, old, new, flags)

    def _inode(self, path: str) -> int:
        return os.stat(path, dir_fd=self._backing, follow_symlinks=False).st_ino
