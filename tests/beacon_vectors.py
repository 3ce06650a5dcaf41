"""
The recorded data that the beacon node is tested against; importing it skips where blspy is not.

Owns: where the data lies, and the one skip: blspy has no wheels beyond Python 3.12.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 13):
    pytest.skip("blspy 2.0.3 has no wheels for Python 3.13 or newer", allow_module_level=True)

VECTORS = Path(__file__).resolve().parent / "vectors"
MEMBERS = ("node1", "node2", "node3", "node4")


@dataclass(frozen=True, slots=True)
class Folder:
    """What four members of one network of one release left on disk, and what they published."""

    release: str
    scheme: str

    @property
    def path(self) -> Path:
        """Where the four members' folders lie."""
        return VECTORS / "drand" / "files" / self.release / self.scheme

    @property
    def published(self) -> dict[str, Any]:
        """`info` and `beacons`, as the HTTP interface served them."""
        read: dict[str, Any] = json.loads((self.path / "beacons.json").read_text())
        return read

    def __str__(self) -> str:
        return f"{self.release}-{self.scheme}"


FOLDERS = tuple(
    Folder(path.parent.name, path.name)
    for path in sorted((VECTORS / "drand" / "files").glob("*/*"))
)
BEACONS: tuple[dict[str, Any], ...] = tuple(json.loads((VECTORS / "beacons.json").read_text()))
assert len(FOLDERS) == 6
assert len(BEACONS) == 22
