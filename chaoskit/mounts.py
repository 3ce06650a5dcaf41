"""
What is mounted where, by the kernel's own list.

Owns: reading /proc/self/mountinfo (proc(5)), where a mount shows even when its daemon is dead and
every stat(2) of it fails. Refuses: touching a mount, which may hang (`storage` unmounts).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from chaoskit.storage_control import FILE_SYSTEM

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mounted:
    """One mount: where, and of what type."""

    path: Path
    type: str

    @property
    def is_ours(self) -> bool:
        """Whether a daemon of chaoskit serves it, or did."""
        return self.type == f"fuse.{FILE_SYSTEM}"


def everything() -> list[Mounted]:
    """All mounts of this process's mount namespace, the outer before the inner."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # Optional fields of any number end at a lone dash.
        front, back = line.split(" - ", 1)
        found.append(Mounted(Path(_plain(front.split(" ")[4])), back.split(" ")[0]))
    return found


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def at(path: Path) -> list[Mounted]:
    """The mounts on exactly `path`; several when they are stacked."""
    return [one for one in everything() if one.path == path]


def below(path: Path) -> list[Mounted]:
    """The mounts on `path` and on anything in it, the inner before the outer."""
    return [one for one in reversed(everything()) if one.path.is_relative_to(path)]
