"""
A node's log as it is written: one file per node in the run folder.

Owns: cutting the output of a process into lines, the run's time in front of each, and cleaning
secrets out before a byte reaches the disk. Refuses: lines without an end; beyond 64 KiB a line is
cut. One writer per node at a time; several starts append to one file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from chaoskit.history import Recorder

_LINE_LIMIT_BYTES = 65536


class NodeLog:
    """The log at `path`; `clean` takes secrets out of a line (bytes without its newline)."""

    def __init__(self, path: Path, recorder: Recorder, clean: Callable[[bytes], bytes]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._recorder = recorder
        self._clean = clean

    def copy(self, output: Iterator[bytes]) -> None:
        """Write what a process says until it exits, line by line, as it says it."""
        descriptor = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        rest = b""
        try:
            for chunk in output:
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LINE_LIMIT_BYTES:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._write(descriptor, line)
            if rest:
                self._write(descriptor, rest)
        finally:
            os.close(descriptor)

    def _write(self, descriptor: int, line: bytes) -> None:
        stamp = f"{self._recorder.now_s():.6f} ".encode()
        os.write(descriptor, stamp + self._clean(line)[:_LINE_LIMIT_BYTES] + b"\n")
