"""
Numbers as a person reads them: each with its unit, three digits that mean something.

Owns: durations, run times, counts and shares as text. Refuses: bare numbers.
"""

from __future__ import annotations

THIN = "\u202f"
NONE = "\u2013"


def duration(value_s: float | None) -> str:
    """A length of time: `0.4 ms`, `11 ms`, `1.64 s`, `8.0 s`, `104 s`, `12 min 5 s`."""
    if value_s is None:
        return NONE
    sign, length_s = ("\u2212", -value_s) if value_s < 0 else ("", value_s)
    return sign + _length(length_s)


def _length(value_s: float) -> str:
    if value_s >= 599.5:
        minutes, seconds = divmod(round(value_s), 60)
        return f"{minutes}{THIN}min {seconds}{THIN}s"
    if value_s >= 0.9995 or value_s == 0:
        digits = 2 if 0 < value_s < 9.995 else 1 if 0 < value_s < 99.95 else 0
        return f"{value_s:.{digits}f}{THIN}s"
    return f"{value_s * 1000:.{1 if value_s < 0.00995 else 0}f}{THIN}ms"


def moment(time_s: float | None) -> str:
    """A time of the run, seconds since it began, to the millisecond: `6.212 s`."""
    return NONE if time_s is None else f"{time_s:.3f}{THIN}s"


def count(value: float | None) -> str:
    """A count with its thousands set apart: `1 204`; a fraction keeps three digits."""
    if value is None:
        return NONE
    if value == int(value):
        return f"{int(value):,}".replace(",", THIN)
    return f"{value:.3g}"


def share(value: float | None) -> str:
    """A share of one as a percentage that is never rounded to all or nothing: `92 %`, `99.9 %`."""
    if value is None:
        return NONE
    percent = value * 100
    digits = 0 if percent in {0.0, 100.0} or 0.5 <= percent < 99.5 else 1
    shown = min(max(percent, 0.1), 99.9) if digits else percent
    return f"{shown:.{digits}f}{THIN}%"


def plural(number: int, noun: str, nouns: str = "") -> str:
    """`1 test`, `3 tests`."""
    return f"{count(number)} {noun if number == 1 else nouns or f'{noun}s'}"


def cut(line: str, limit: int) -> str:
    """A line in at most `limit` characters, with an ellipsis where it was cut."""
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
