"""
The code on a page of docs/, for the tests that execute it.

Owns: finding blocks by the comment above them: `<!-- file: NAME -->` is a file to write,
`<!-- run -->` a shell script to run. Refuses: a page that promises code and has none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
_BLOCK = re.compile(
    r"<!-- (?P<what>file: (?P<name>\S+)|run) -->\n```\w+\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Page:
    """The files that a page tells to write, by name, and the scripts that it tells to run."""

    files: dict[str, str]
    scripts: tuple[str, ...]


def read_page(name: str) -> Page:
    """The page docs/NAME."""
    blocks = list(_BLOCK.finditer((DOCS / name).read_text()))
    assert blocks, f"docs/{name} has no block that is marked to be executed"
    return Page(
        {block["name"]: block["text"] for block in blocks if block["name"]},
        tuple(block["text"] for block in blocks if not block["name"]),
    )


def code_lines(text: str) -> int:
    """How many lines of a program hold code."""
    return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))
