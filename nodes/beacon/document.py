"""
The TOML of the node's files: read strictly, written as drand writes it.

Owns: a table whose every key is asked for by name and type, and the lines that are written.
Refuses: text that is no TOML, a key that is missing or of another type, and a key that nobody asked
for: what this node does not know it will not pretend to have understood, nor drop by rewriting.
Every refusal is a FileRefused that names the file and the key, and changes nothing.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from nodes.beacon import durations
from nodes.beacon.errors import FileRefused

DOCUMENT_BYTES_AT_MOST = 1 << 20
WHOLE_AT_MOST = 2**63 - 1
_HEXADECIMAL = re.compile(r"(?:[0-9a-fA-F]{2})*")


class Table:
    """One table of a document; `where` names the file, and the table within it."""

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        self._left = dict(values)
        self._asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        return self._has(key)

    def text(self, key: str) -> str:
        """A string that must be there."""
        value: str = self._typed(key, str, "text")
        return value

    def text_or_none(self, key: str) -> str | None:
        """A string, or None where the key is missing."""
        return self.text(key) if self._has(key) else None

    def flag_or_none(self, key: str) -> bool | None:
        """True or false, or None where the key is missing."""
        return self._typed(key, bool, "true or false") if self._has(key) else None

    def whole(self, key: str, *, at_most: int = WHOLE_AT_MOST) -> int:
        """A number from 0 to `at_most`."""
        value: int = self._typed(key, int, "a whole number")
        if isinstance(value, bool) or not 0 <= value <= at_most:
            raise self.refused(f"{key} must be a whole number from 0 to {at_most}")
        return value

    def duration(self, key: str) -> float:
        """Seconds, from text such as 25s."""
        try:
            return durations.seconds_of(self.text(key))
        except ValueError as error:
            raise self.refused(f"{key}: {error}") from error

    def hexadecimal(self, key: str) -> bytes:
        """Bytes."""
        return self._bytes(key, self.text(key))

    def hexadecimals(self, key: str) -> tuple[bytes, ...]:
        """A list of bytes."""
        return tuple(self._bytes(key, one) for one in self._list(key, str, "texts"))

    def tables(self, key: str, *, at_most: int) -> tuple[Table, ...]:
        """An array of tables."""
        found = self._list(key, dict, "tables")
        if len(found) > at_most:
            raise self.refused(f"{key} has {len(found)} entries, and {at_most} are allowed")
        return tuple(
            Table(f"{self.where}: {key} number {number}", values)
            for number, values in enumerate(found, 1)
        )

    def table_or_none(self, key: str) -> Table | None:
        """A table, or None where it is missing."""
        if not self._has(key):
            return None
        values: dict[str, Any] = self._typed(key, dict, "a table")
        return Table(f"{self.where}: {key}", values)

    def finish(self) -> None:
        """Every key has been asked for: raise for the first that nobody knows."""
        if self._left:
            unknown, known = ", ".join(sorted(self._left)), ", ".join(self._asked)
            raise self.refused(f"unknown: {unknown}. Known here: {known}")

    def refused(self, why: str) -> FileRefused:
        """The error for this table."""
        return FileRefused(f"{self.where}: {why}")

    def _has(self, key: str) -> bool:
        self._asked.append(key)
        return key in self._left

    def _typed(self, key: str, kind: type[Any], what: str) -> Any:
        if key not in self._asked:
            self._asked.append(key)
        if key not in self._left:
            raise self.refused(f"{key} is missing")
        value = self._left.pop(key)
        if not isinstance(value, kind):
            raise self.refused(f"{key} must be {what}")
        return value

    def _list(self, key: str, kind: type[Any], what: str) -> list[Any]:
        found: list[Any] = self._typed(key, list, f"a list of {what}")
        if any(not isinstance(one, kind) for one in found):
            raise self.refused(f"{key} must be a list of {what}")
        return found

    def _bytes(self, key: str, text: str) -> bytes:
        # Not fromhex alone: that skips spaces, which a rewritten file would not have.
        if not _HEXADECIMAL.fullmatch(text):
            raise self.refused(f"{key} must be hexadecimal digits, two a byte")
        return bytes.fromhex(text)


def parsed(text: str, where: str) -> Table:
    """The top table of a document; raises FileRefused."""
    if len(text) > DOCUMENT_BYTES_AT_MOST:
        raise FileRefused(f"{where}: longer than {DOCUMENT_BYTES_AT_MOST} bytes")
    try:
        return Table(where, tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # tomllib's words name line and column and never quote the value, which may be secret.
        raise FileRefused(f"{where}: no TOML: {error}") from error


def written(values: Mapping[str, Any], *, indent: str = "") -> str:
    """Lines `Key = value` in the order given; None is left out."""
    return "".join(
        f"{indent}{key} = {_value(value)}\n" for key, value in values.items() if value is not None
    )


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return json.dumps(durations.text_of(value), ensure_ascii=False)
        case bytes():
            return f'"{value.hex()}"'
        case str():
            return json.dumps(value, ensure_ascii=False)
        case tuple():
            return "[" + ", ".join(f'"{one.hex()}"' for one in value) + "]"
        case _:
            raise TypeError(f"no way to write a {type(value).__name__}")
