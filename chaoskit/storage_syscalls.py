"""
System calls that a faithful passthrough needs and Python's `os` has not.

Owns: renameat2, utimensat, futimens, fallocate with a mode, umount2, and the kernel's map of a
file's extents. Refuses: platforms other than Linux. Rules: each raises OSError with the kernel's
errno; numbers are those of the Linux headers named beside them. All release the interpreter's lock
while they run.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct

MNT_FORCE = 1  # sys/mount.h
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8
RENAME_WHITEOUT = 4  # linux/fs.h
FALLOC_FL_PUNCH_HOLE = 2  # linux/falloc.h
FALLOC_FL_COLLAPSE_RANGE = 8

_AT_SYMLINK_NOFOLLOW = 0x100  # fcntl.h
_FS_IOC_FIEMAP = 0xC020660B  # linux/fs.h: _IOWR('f', 11, struct fiemap)
_FIEMAP_HEADER = struct.Struct(
    "=QQIIII"
)  # start, length, flags, extents mapped, extents asked, reserved
_FIEMAP_EXTENT = struct.Struct(
    "=QQQ16xI12x"
)  # logical, physical, length, reserved, flags, reserved
_EXTENTS_ASKED = 16


class Syscalls:
    """The C library's entry points, with errno kept per thread."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)

    def rename(self, directory: int, old: str, new: str, flags: int) -> None:
        """
        renameat2(2) inside one directory descriptor; `flags` as RENAME_NOREPLACE or
        RENAME_EXCHANGE.
        """
        self._check(
            self._library.renameat2(directory, os.fsencode(old), directory, os.fsencode(new), flags)
        )

    def set_times(self, descriptor: int, times: ctypes.c_void_p | None) -> None:
        """
        futimens(3): `times` points at two timespecs, whose UTIME_NOW and UTIME_OMIT keep their
        meaning; None is now.
        """
        self._check(self._library.futimens(descriptor, times))

    def set_times_at(self, directory: int, path: str, times: ctypes.c_void_p | None) -> None:
        """utimensat(2) below a directory descriptor, on a symbolic link itself."""
        self._check(
            self._library.utimensat(directory, os.fsencode(path), times, _AT_SYMLINK_NOFOLLOW)
        )

    def allocate(self, descriptor: int, mode: int, offset: int, size_bytes: int) -> None:
        """fallocate(2)."""
        self._check(
            self._library.fallocate(
                descriptor, mode, ctypes.c_longlong(offset), ctypes.c_longlong(size_bytes)
            )
        )

    def unmount(self, mountpoint: str, flags: int) -> None:
        """umount2(2), never through a symbolic link."""
        self._check(self._library.umount2(os.fsencode(mountpoint), flags | UMOUNT_NOFOLLOW))

    @staticmethod
    def _check(result: int) -> None:
        if result != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


def allocated_prefix_bytes(descriptor: int, offset: int, size_bytes: int) -> int:
    """
    How many of the `size_bytes` from `offset` on already have blocks, counted up to the first that
    has none.

    Blocks preallocated and never written count as allocated, also beyond the file's end: writing
    them takes no space (SEEK_HOLE cannot tell them from holes; FIEMAP can:
    Documentation/filesystems/fiemap.rst). One call, so a range in more than 16 extents is answered
    short. Where the file system has no FIEMAP (tmpfs), a file that has as many blocks as its size
    needs counts as allocated as far as they reach, any other one not at all.
    """
    request = bytearray(_FIEMAP_HEADER.size + _EXTENTS_ASKED * _FIEMAP_EXTENT.size)
    _FIEMAP_HEADER.pack_into(request, 0, offset, size_bytes, 0, 0, _EXTENTS_ASKED, 0)
    try:
        fcntl.ioctl(descriptor, _FS_IOC_FIEMAP, request)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY):
            raise
        status = os.fstat(descriptor)
        blocks_bytes = status.st_blocks * 512
        allocated_to = blocks_bytes if blocks_bytes >= status.st_size else 0
        return max(0, min(size_bytes, allocated_to - offset))
    mapped = _FIEMAP_HEADER.unpack_from(request, 0)[3]
    reached = offset
    for index in range(mapped):
        start, _physical, length, _flags = _FIEMAP_EXTENT.unpack_from(
            request, _FIEMAP_HEADER.size + index * _FIEMAP_EXTENT.size
        )
        if start > reached:
            break
        reached = max(reached, start + length)
    return min(size_bytes, reached - offset)
