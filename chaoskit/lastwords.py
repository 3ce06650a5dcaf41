"""
The last words of a process that ended: the line of its log that says why.

Owns: finding that line among those written since a moment, for a person to read. Refuses: deciding
anything by it; what an exit means is judged from its code and its time.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

_SAYS_WHY = re.compile(
    r"^panic: |\"level\":\s*\"(?:panic|fatal|critical)\"|\b(?:FATAL|PANIC|CRITICAL)\b| [CF] \| "
)
_MAY_SAY_WHY = re.compile(r"\b(?:panic|fatal|error)\b", re.IGNORECASE)
_SAID = ("msg", "message", "error", "panic")
_TAIL_BYTES = 262_144
_LENGTH = 220


def last_words(log: Path, *, since_s: float) -> str:
    """
    The first line that names a fatal end, written at or after `since_s` (the run's time).

    What follows it is mostly its trace. Else the last line that speaks of an error, else the last
    one; empty when there is none.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    lines = []
    for line in text.splitlines():
        stamp, _, said = line.partition(" ")
        if _is_number(stamp) and float(stamp) >= since_s and said.strip():
            lines.append(said.rstrip())
    fatal = next((line for line in lines if _SAYS_WHY.search(line)), "")
    grave = [line for line in lines if _MAY_SAY_WHY.search(line)]
    return _shortened(fatal or (grave or lines or [""])[-1])


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+\.\d+", text) is not None


def _shortened(line: str) -> str:
    """A line of JSON by its message and error; any line cut to a length that can be read."""
    if line.startswith("{"):
        try:
            document = json.loads(line)
        except ValueError:
            document = {}
        parts = [str(document[key]) for key in _SAID if document.get(key)]
        line = ": ".join(parts) or line
    return line if len(line) <= _LENGTH else f"{line[: _LENGTH - 3]}..."
