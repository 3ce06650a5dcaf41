"""
The file that a node re-reads when it starts.

Owns: records on disk, one line each: eight hexadecimal digits of CRC-32, a space, JSON. Refuses:
their meaning. A last line that was torn by a crash is cut off; a bad line before a good one is
corruption and refused. A failed write leaves the file as long as it was before, so that it can be
tried again when there is room.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Corrupt(Exception):
    """The journal holds something that no toy has written; the message names file and line."""


def line(record: Sequence[Any]) -> bytes:
    """A record as one line."""
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _record(text: bytes) -> list[Any] | None:
    body = text[9:]
    if text[8:9] != b" " or text[:8] != b"%08x" % zlib.crc32(body):
        return None
    record: list[Any] = json.loads(body)
    return record


class Journal:
    """One open journal; `buffered_records` above 0 writes only when so many have gathered."""

    def __init__(self, path: Path, *, buffered_records: int) -> None:
        self._buffered_records = buffered_records
        self._buffer: list[bytes] = []
        self.syncs = 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.records = self._read(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        os.fsync(folder)
        os.close(folder)

    def _read(self, path: Path) -> list[list[Any]]:
        lines = path.read_bytes().split(b"\n")
        records: list[list[Any]] = []
        self._size_bytes = 0
        for number, text in enumerate(lines, 1):
            record = _record(text)
            if record is None or number == len(lines):
                if number < len(lines) - 1:
                    raise Corrupt(f"{path}, line {number}: not as it was written")
                break
            records.append(record)
            self._size_bytes += len(text) + 1
        os.ftruncate(self._file, self._size_bytes)
        return records

    def keep(self, records: Sequence[Sequence[Any]]) -> None:
        """
        Write records and wait until they are on the disk.

        Agreed heights alone are written but not waited for: the entries they speak of are safe,
        and a leader tells the height again. Raises OSError, with nothing written.
        """
        before = len(self._buffer)
        self._buffer += [line(record) for record in records]
        if len(self._buffer) < self._buffered_records:
            return
        try:
            self._write(wait=any(record[0] != "agreed" for record in records))
        except OSError:
            del self._buffer[before:]
            raise

    def _write(self, *, wait: bool) -> None:
        data = b"".join(self._buffer)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            if wait:
                os.fsync(self._file)
                self.syncs += 1
        except OSError:
            os.ftruncate(self._file, self._size_bytes)
            raise
        self._size_bytes += len(data)
        self._buffer = []

    def close(self) -> None:
        """Write what has gathered and let go of the file."""
        if self._buffer:
            self._write(wait=True)
        os.close(self._file)
