"""
Durations as Go writes them (`25s`, `1m30s`, `500ms`), which is how group files hold them.

Owns: reading and writing them. Refuses: what Go would not read, and what is longer than a year.
"""

from __future__ import annotations

import re

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TERM = re.compile(r"(\d{1,18})(?:\.(\d{1,18}))?(ns|us|µs|ms|s|m|h)")
_LONGEST_NS = 366 * 24 * _UNITS_NS["h"]


def seconds_of(text: str) -> float:
    """The seconds of a duration; raises ValueError."""
    if text == "0":
        return 0.0
    total_ns, at = 0, 0
    while at < len(text):
        term = _TERM.match(text, at)
        if term is None:
            break
        unit_ns = _UNITS_NS[term[3]]
        total_ns += int(term[1]) * unit_ns
        if term[2]:
            total_ns += int(term[2]) * unit_ns // 10 ** len(term[2])
        at = term.end()
    if not text or at < len(text) or total_ns > _LONGEST_NS:
        raise ValueError(f"{text[:40]!r} is no duration such as 25s, 1m30s or 500ms")
    return total_ns / 1e9


def text_of(seconds: float) -> str:
    """A duration as Go prints it."""
    left_ns = round(seconds * 1e9)
    if left_ns == 0:
        return "0s"
    for unit in ("ns", "µs", "ms"):
        larger_ns = _UNITS_NS[unit] * 1000
        if left_ns < larger_ns:
            return f"{_decimal(left_ns, _UNITS_NS[unit])}{unit}"
    minutes, rest_ns = divmod(left_ns, _UNITS_NS["m"])
    said = f"{_decimal(rest_ns, _UNITS_NS['s'])}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        said = f"{minutes}m{said}"
        if hours:
            said = f"{hours}h{said}"
    return said


def _decimal(value_ns: int, unit_ns: int) -> str:
    whole, rest = divmod(value_ns, unit_ns)
    if not rest:
        return str(whole)
    digits = len(str(unit_ns)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0")
