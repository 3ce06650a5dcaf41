"""
The file system of a faulty mount: every call is passed on to a backing directory, through a gate
that can delay or refuse it.

Owns: what each call does. Refuses: device nodes, extended attributes and locks of its own (the
kernel keeps locks). Knows nothing of FUSE but the shape of its calls, so it runs without a mount.
Rules:

* What a caller creates belongs to that caller, with the mode it asked for; permissions are the
  kernel's to check (default_permissions).

* Delays come before the work. The kernel itself holds a file's lock during its fsync, so a delayed
  fsync also holds back writes to that one file, and to no other.

* A full disk has no free block and no free inode. Refused: creating files, directories, symbolic
  links and special files, and fallocate and writes where no block is allocated yet; a write that
  begins in allocated blocks is cut short where they end. Allowed, as on ext4 and XFS: overwriting,
  preallocated blocks even beyond the end of the file, rename, hard link, unlink, and truncate,
  which upwards only makes a hole. Freed space is gone at once: somebody else fills it.
  Memory-mapped writes into holes fail at the next sync and not with SIGBUS, since the kernel asks
  us only then.

* Append and direct I/O are the kernel's work (it sends plain offsets); a synchronous write arrives
  as a write and a sync. Nothing is buffered here.

* The harness's probe file has no name below the backing directory and takes no inode of it (so a
  full disk refuses its writes, not its opening); it is counted as PROBE_CALLER.

* A file that is unlinked while open has a hidden name until it is closed: see
  chaoskit.storage_hidden. A directory that is removed while open can be read no more.

Extended attributes stay out because a file system that has them is asked for one before each
write. flush has nothing to do, so the kernel is not made to ask.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from chaoskit.storage_control import PROBE_CALLER, PROBE_NAME, Operation
from chaoskit.storage_gate import Gate
from chaoskit.storage_hidden import HIDDEN_PREFIX, OpenFiles, is_hidden, remove_directory
from chaoskit.storage_syscalls import (
    FALLOC_FL_COLLAPSE_RANGE,
    FALLOC_FL_PUNCH_HOLE,
    RENAME_WHITEOUT,
    Syscalls,
    allocated_prefix_bytes,
)

_STRIPPED_FLAGS = (
    os.O_APPEND | os.O_DIRECT | os.O_CREAT | os.O_EXCL | os.O_NOCTTY | os.O_SYNC | os.O_DSYNC
)
_STATUS_FIELDS = (
    "st_mode",
    "st_ino",
    "st_nlink",
    "st_uid",
    "st_gid",
    "st_size",
    "st_blocks",
    "st_blksize",
    "st_rdev",
)
_SPACE_FIELDS = ("f_bsize", "f_frsize", "f_blocks", "f_files", "f_flag", "f_namemax")
_FREE_FIELDS = ("f_bfree", "f_bavail", "f_ffree", "f_favail")


class FileInfo(Protocol):
    """
    The part of libfuse's fuse_file_info that is used: open flags, and the handle, which is the
    backing file's descriptor.
    """

    flags: int
    fh: int


class PassedOperations:
    """
    The operations, as mfusepy calls them (raw_fi): a path is absolute below the mount, or None
    where an open file says it all; an OSError's errno is the answer.
    """

    use_ns = True
    flag_nopath = True
    flag_nullpath_ok = True

    def __init__(
        self,
        backing: int,
        gate: Gate,
        syscalls: Syscalls,
        context: Callable[[], tuple[int, int, int]],
    ) -> None:
        self._backing = backing
        self._gate = gate
        self._syscalls = syscalls
        self._context = context
        self._probes: set[int] = set()
        self._files = OpenFiles(backing, syscalls)

    # The gate.

    def _enter(self, operation: Operation, path: str | None = None, handle: int = -1) -> int:
        if handle in self._probes or path == f"/{PROBE_NAME}":
            caller = PROBE_CALLER
        else:
            caller, _gid, _pid = self._context()
        self._gate.enter(caller, operation)
        return caller

    def _enter_allocating(self, operation: Operation) -> None:
        caller = self._enter(operation)
        if self._gate.full:
            self._gate.refuse(caller, operation)

    def _about(self, path: str | None, file: FileInfo | None) -> int | None:
        """Count a metadata call; the open file's descriptor, if there is one."""
        self._enter(Operation.METADATA, path, file.fh if file else -1)
        return file.fh if file else None

    # Files.

    def open(self, path: str, file: FileInfo) -> int:
        """Open a file that is there; the handle is the backing file's descriptor."""
        self._enter(Operation.OPEN, path)
        if path == f"/{PROBE_NAME}":
            file.fh = self._open_probe()
            return 0
        flags = file.flags & ~_STRIPPED_FLAGS | os.O_NOFOLLOW
        file.fh = self._files.opened(os.open(_below(path), flags, dir_fd=self._backing))
        return 0

    def create(self, path: str, mode: int, file: FileInfo) -> int:
        """Open, and make the file if it is not there."""
        if path == f"/{PROBE_NAME}":
            return self.open(path, file)
        self._enter_allocating(Operation.OPEN)
        flags = file.flags & ~_STRIPPED_FLAGS | os.O_NOFOLLOW | os.O_CREAT
        try:
            descriptor = os.open(_below(path), flags | os.O_EXCL, mode, dir_fd=self._backing)
        except FileExistsError:
            if file.flags & os.O_EXCL:
                raise
            descriptor = os.open(_below(path), flags & ~os.O_CREAT, dir_fd=self._backing)
        else:
            os.fchown(descriptor, *self._owner_of_new(path))
            os.fchmod(descriptor, stat.S_IMODE(mode))  # a change of owner clears set-id bits
        file.fh = self._files.opened(descriptor)
        return 0

    def _open_probe(self) -> int:
        name = f"{HIDDEN_PREFIX}{PROBE_NAME}-{threading.get_ident()}"  # gone two lines below
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        descriptor = os.open(name, flags, 0o600, dir_fd=self._backing)
        os.unlink(name, dir_fd=self._backing)
        self._probes.add(descriptor)
        return self._files.opened(descriptor)

    def read(self, _path: None, size: int, offset: int, file: FileInfo) -> bytes:
        """Up to `size` bytes."""
        self._enter(Operation.READ, handle=file.fh)
        return os.pread(file.fh, size, offset)

    def write(self, _path: None, data: bytes, offset: int, file: FileInfo) -> int:
        """
        Bytes written, fewer than asked where the allocated blocks of a full disk end.
        """
        caller = self._enter(Operation.WRITE, handle=file.fh)
        if self._gate.full:
            allowed = allocated_prefix_bytes(file.fh, offset, len(data))
            if allowed == 0:
                self._gate.refuse(caller, Operation.WRITE)
            data = data[:allowed]
        return os.pwrite(file.fh, data, offset)

    def fsync(self, _path: None, datasync: int, file: FileInfo) -> int:
        """Bring data, and without `datasync` attributes, to the disk."""
        self._enter(Operation.FSYNC, handle=file.fh)
        (os.fdatasync if datasync else os.fsync)(file.fh)
        return 0

    def release(self, _path: None, file: FileInfo) -> int:
        """The last close of an open file."""
        self._enter(Operation.METADATA, handle=file.fh)
        self._probes.discard(file.fh)  # before the number can be given out again
        self._files.close(file.fh)
        return 0

    def fallocate(self, _path: None, mode: int, offset: int, size: int, file: FileInfo) -> int:
        """Preallocate, or punch, in the modes of man 2 fallocate."""
        caller = self._enter(Operation.METADATA, handle=file.fh)
        frees = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE)
        if self._gate.full and not frees and allocated_prefix_bytes(file.fh, offset, size) < size:
            self._gate.refuse(caller, Operation.METADATA)
        self._syscalls.allocate(file.fh, mode, offset, size)
        return 0

    def truncate(self, path: str, length: int, file: FileInfo | None) -> int:
        """Set the size, of an open file or by name."""
        descriptor = self._about(path, file)
        if descriptor is not None:
            os.ftruncate(descriptor, length)
            return 0
        descriptor = os.open(_below(path), os.O_WRONLY | os.O_NOFOLLOW, dir_fd=self._backing)
        try:
            os.ftruncate(descriptor, length)
        finally:
            os.close(descriptor)
        return 0

    # Attributes.

    def getattr(self, path: str, file: FileInfo | None) -> dict[str, int]:
        """Status: the fields under their C names, times in nanoseconds."""
        descriptor = self._about(path, file)
        if descriptor is not None:
            return _attributes(os.fstat(descriptor))
        return _attributes(os.stat(_below(path), dir_fd=self._backing, follow_symlinks=False))

    def chmod(self, path: str, mode: int, file: FileInfo | None) -> int:
        """Set the mode, of an open file or by name."""
        descriptor = self._about(path, file)
        if descriptor is not None:
            os.fchmod(descriptor, stat.S_IMODE(mode))
        else:
            os.chmod(_below(path), stat.S_IMODE(mode), dir_fd=self._backing)
        return 0

    def chown(self, path: str, uid: int, gid: int, file: FileInfo | None) -> int:
        """Set the owner, of an open file or by name; -1 keeps."""
        descriptor = self._about(path, file)
        if descriptor is not None:
            os.fchown(descriptor, uid, gid)
        else:
            os.chown(_below(path), uid, gid, dir_fd=self._backing, follow_symlinks=False)
        return 0

    def utimens(self, path: str, times: Any, file: FileInfo | None) -> int:
        """Set the times; `times` points at two timespecs, as in man 2 utimensat."""
        descriptor = self._about(path, file)
        if descriptor is not None:
            self._syscalls.set_times(descriptor, times)
        else:
            self._syscalls.set_times_at(self._backing, _below(path), times)
        return 0

    def statfs(self, _path: str) -> dict[str, int]:
        """Space and inodes, as in man 3 statvfs; none free on a full disk."""
        self._enter(Operation.METADATA)
        space = os.fstatvfs(self._backing)
        free = dict.fromkeys(_FREE_FIELDS, 0)
        if not self._gate.full:
            free = {name: getattr(space, name) for name in _FREE_FIELDS}
        return {name: getattr(space, name) for name in _SPACE_FIELDS} | free

    # Directories and names.

    def opendir(self, path: str) -> int:
        """The descriptor of a directory."""
        self._enter(Operation.METADATA)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        return os.open(_below(path), flags, dir_fd=self._backing)

    def readdir(self, _path: None, handle: int) -> Iterator[tuple[str, dict[str, int], int]]:
        """Names with their type and inode."""
        self._enter(Operation.METADATA)
        yield ".", {"st_mode": stat.S_IFDIR, "st_ino": os.fstat(handle).st_ino}, 0
        yield "..", {"st_mode": stat.S_IFDIR, "st_ino": os.stat("..", dir_fd=handle).st_ino}, 0
        with os.scandir(handle) as entries:
            for entry in entries:
                if not is_hidden(entry.name):
                    yield entry.name, {"st_mode": _kind(entry), "st_ino": entry.inode()}, 0

    def fsyncdir(self, _path: None, _datasync: int, handle: int) -> int:
        """Bring a directory's names to the disk."""
        self._enter(Operation.FSYNC)
        os.fsync(handle)
        return 0

    def releasedir(self, _path: None, handle: int) -> int:
        """The last close of a directory."""
        os.close(handle)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        """Make a directory."""
        self._enter_allocating(Operation.METADATA)
        os.mkdir(_below(path), mode, dir_fd=self._backing)
        self._give(path)
        return 0

    def mknod(self, path: str, mode: int, device: int) -> int:
        """Make a file, FIFO or socket; EPERM for a device."""
        if stat.S_IFMT(mode) not in (stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        self._enter_allocating(Operation.METADATA)
        os.mknod(_below(path), mode, device, dir_fd=self._backing)
        self._give(path)
        return 0

    def symlink(self, path: str, content: str) -> int:
        """Make the symbolic link `path` that says `content`."""
        self._enter_allocating(Operation.METADATA)
        os.symlink(content, _below(path), dir_fd=self._backing)
        self._give(path)
        return 0

    def link(self, path: str, existing: str) -> int:
        """Give the file `existing` the second name `path`."""
        self._enter(Operation.METADATA)
        os.link(
            _below(existing),
            _below(path),
            src_dir_fd=self._backing,
            dst_dir_fd=self._backing,
            follow_symlinks=False,
        )
        return 0

    def readlink(self, path: str) -> str:
        """What a symbolic link says."""
        self._enter(Operation.METADATA)
        return os.readlink(_below(path), dir_fd=self._backing)

    def rename(self, old: str, new: str, flags: int) -> int:
        """Rename, with the flags of man 2 renameat2; EINVAL for RENAME_WHITEOUT."""
        if flags & RENAME_WHITEOUT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._enter(Operation.METADATA)
        self._files.rename(_below(old), _below(new), flags)
        return 0

    def unlink(self, path: str) -> int:
        """Remove a name of a file."""
        self._enter(Operation.METADATA)
        os.unlink(_below(path), dir_fd=self._backing)
        return 0

    def rmdir(self, path: str) -> int:
        """Remove an empty directory."""
        self._enter(Operation.METADATA)
        remove_directory(self._backing, _below(path))
        return 0

    def _give(self, path: str) -> None:
        owner = self._owner_of_new(path)
        os.chown(_below(path), *owner, dir_fd=self._backing, follow_symlinks=False)

    def _owner_of_new(self, path: str) -> tuple[int, int]:
        uid, gid, _pid = self._context()
        parent = os.stat(_below(str(Path(path).parent)), dir_fd=self._backing)
        return uid, parent.st_gid if parent.st_mode & stat.S_ISGID else gid


def _below(path: str) -> str:
    return path.lstrip("/") or "."


def _attributes(status: os.stat_result) -> dict[str, int]:
    return {name: getattr(status, name) for name in _STATUS_FIELDS} | {
        "st_atime": status.st_atime_ns,
        "st_mtime": status.st_mtime_ns,
        "st_ctime": status.st_ctime_ns,
    }


def _kind(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFREG if entry.is_file(follow_symlinks=False) else 0
