"""
Reading JSON values that nobody vouches for.

Owns: taking a text, a number, a list or an object out of a saved document, with an answer for
every shape it might have. Refuses: raising. A report is read when something went wrong; a field of
another type than expected is then shown as absent, never a reason for no report.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def text_of(value: Mapping[str, Any], key: str, default: str = "") -> str:
    """The value as text: a text itself, a number printed; anything else is `default`."""
    found = value.get(key)
    if isinstance(found, str):
        return found
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        return str(found)
    return default


def number_of(value: Mapping[str, Any], key: str) -> float | None:
    """The value as a finite number, None when it is none."""
    found = value.get(key)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return None
    try:
        number = float(found)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def number_at(value: Mapping[str, Any], path: str) -> float | None:
    """The finite number at a path through objects ("detail.late_s"), None when there is none."""
    *outer, key = path.split(".")
    inside = value
    for name in outer:
        inside = object_of(inside, name)
    return number_of(inside, key)


def whole_of(value: Mapping[str, Any], key: str) -> int | None:
    """The value as a whole number, None when it is none."""
    found = value.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def list_of(value: Mapping[str, Any], key: str) -> list[Any]:
    """The value as a list, empty when it is none."""
    found = value.get(key)
    return found if isinstance(found, list) else []


def texts_of(value: Mapping[str, Any], key: str) -> list[str]:
    """The texts in the list at `key`; what else it holds is left out."""
    return [one for one in list_of(value, key) if isinstance(one, str)]


def object_of(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The value as an object, empty when it is none."""
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def objects_of(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects in the list at `key`; what else it holds is left out."""
    return [one for one in list_of(value, key) if isinstance(one, dict)]


def compact(value: Any, *, limit: int) -> str:
    """A value on one line in at most `limit` characters: `left=[e2] delay_s=0.2`."""
    line = _inner(value)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _inner(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{' '.join(_inner(one) for one in value)}]"
    if isinstance(value, Mapping) and value:
        return " ".join(f"{key}={_inner(one)}" for key, one in value.items())
    return json.dumps(value, ensure_ascii=False, default=str)
