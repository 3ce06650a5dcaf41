"""
The wall clock of a node, as it can be set from outside while the node runs.

Owns: the folder that such a node is given (the shim that it loads, and the control file that the
shim maps), the environment that makes it load it, and changes of the control file. Refuses: to say
that a node's clock is wrong because it was set; that is for evidence of its own. What the shim does
and where it does not reach stands in docker/clock/wall_clock.c.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chaoskit.errors import ChaosError, NotApplicable

SHIM = "wall_clock.so"
_CONTROL = "control"
_SIZE_BYTES = 4096  # what the shim maps
_NS = 1_000_000_000
_FILE_MODE = 0o644  # ours to write, not the node's
# How far a clock can be set: a leap of a century is no fault of a clock.
LONGEST_S = 400 * 86_400.0


def shim() -> Path:
    """
    The shim that `make setup` built, in $CHAOSKIT_CACHE or ~/.cache/chaoskit.

    Raises NotApplicable when it is not there: a host without a C compiler has none.
    """
    cache = Path(os.environ.get("CHAOSKIT_CACHE") or Path.home() / ".cache" / "chaoskit")
    path = cache / "lib" / SHIM
    if not path.is_file():
        raise NotApplicable(f"no {path}: `make setup` builds it where there is a C compiler")
    return path


def why_unavailable() -> str:
    """Why no clock can be set here; empty when one can."""
    try:
        shim()
    except NotApplicable as error:
        return str(error)
    return ""


def furnish(folder: Path) -> None:
    """Make the folder, with the shim and a clock that is right. Raises NotApplicable, OSError."""
    built = shim()
    folder.mkdir(parents=True)
    shutil.copyfile(built, folder / SHIM)
    (folder / _CONTROL).write_bytes(bytes(_SIZE_BYTES))
    for name in (SHIM, _CONTROL):
        (folder / name).chmod(_FILE_MODE)


def environment(folder: str) -> Mapping[str, str]:
    """What makes a process load the shim; `folder` is as the process sees it."""
    return {"LD_PRELOAD": f"{folder}/{SHIM}", "WALL_CLOCK": f"{folder}/{_CONTROL}"}


def loaded(pid: int) -> bool:
    """Whether the process has the shim and its control file in its memory, by the kernel's word."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return False
    return all(any(line.endswith(f"/{name}") for line in maps) for name in (SHIM, _CONTROL))


@dataclass(frozen=True, slots=True)
class Skew:
    """A clock that is `ahead_s` seconds ahead, and gains `drift_s_per_s` from `since_s` (Unix)."""

    ahead_s: float = 0.0
    drift_s_per_s: float = 0.0
    since_s: float = 0.0

    def __post_init__(self) -> None:
        if abs(self.ahead_s) > LONGEST_S:
            raise ValueError(f"{self.ahead_s} s ahead: at most {LONGEST_S:g}, or behind")
        if not -1 < self.drift_s_per_s <= 1:
            raise ValueError(f"a drift of {self.drift_s_per_s} s a second: above -1, at most 1")

    def at_s(self, true_s: float) -> float:
        """By how much the clock is ahead at a time (Unix)."""
        return self.ahead_s + (true_s - self.since_s) * self.drift_s_per_s


RIGHT = Skew()


@dataclass(frozen=True, slots=True)
class WallClock:
    """The clock of the node whose folder, as `furnish` made it, this is."""

    folder: Path

    def skew(self) -> Skew:
        """What the control file says."""
        _, ahead_ns, gain_ns_per_s, since_ns = self._read()
        return Skew(ahead_ns / _NS, gain_ns_per_s / _NS, since_ns / _NS)

    def set(self, skew: Skew) -> None:
        """Let the node's clock be wrong by this from now on. Raises ChaosError."""
        values = (round(skew.ahead_s * _NS), round(skew.drift_s_per_s * _NS))
        self._write(*values, round(skew.since_s * _NS))

    def _read(self) -> tuple[int, int, int, int]:
        with self._path.open("rb") as file:
            turn, ahead_ns, gain_ns_per_s, since_ns = struct.unpack("=Qqqq", file.read(32))
        return turn, ahead_ns, gain_ns_per_s, since_ns

    def _write(self, *values: int) -> None:
        """In three steps: a reader between them sees an odd turn, and looks again."""
        try:
            turn = self._read()[0] // 2 * 2 + 1
            file = os.open(self._path, os.O_WRONLY)
            try:
                os.pwrite(file, struct.pack("=Q", turn), 0)
                os.pwrite(file, struct.pack("=qqq", *values), 8)
                os.pwrite(file, struct.pack("=Q", turn + 1 if any(values) else 0), 0)
            finally:
                os.close(file)
        except OSError as error:
            raise ChaosError(f"the clock's control file {self._path}: {error}") from error

    @property
    def _path(self) -> Path:
        return self.folder / _CONTROL
