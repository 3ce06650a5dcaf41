"""
Writing to a terminal, or to whatever stands in its place.

Owns: the only use of rich: verdict words are coloured on a terminal, and lines are plain anywhere
else. Refuses: spinners, progress bars and wrapping.
"""

from __future__ import annotations

import re
import sys

_COLOURS = {
    "PASS": "bold green",
    "GO": "bold green",
    "FAIL": "bold red",
    "NO-GO": "bold red",
    "INVALID": "bold yellow",
    "UNKNOWN": "bold magenta",
    "INFRA": "bold blue",
}
_WORDS = re.compile(r"\b(?:NO-GO|GO|PASS|FAIL|INVALID|UNKNOWN|INFRA)\b")


def say(text: str, *, error: bool = False) -> None:
    """Write lines to standard output, or to standard error, at once."""
    stream = sys.stderr if error else sys.stdout
    if not stream.isatty():
        stream.write(f"{text}\n")
        stream.flush()
        return
    from rich.console import Console
    from rich.text import Text

    line = Text(text)
    for match in _WORDS.finditer(text):
        line.stylize(_COLOURS[match[0]], match.start(), match.end())
    Console(file=stream, highlight=False, soft_wrap=True).print(line)
