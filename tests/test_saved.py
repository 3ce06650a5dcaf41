"""A saved file is read as what it is, or refused by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.errors import UsageError
from chaoskit.saved import read_document


def test_an_object_of_the_schema_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"schema": 2, "a": [1]}')
    assert read_document(path, what="thing", schema=2) == {"schema": 2, "a": [1]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no thing at .*x.json: No such file"),
        (b"{", "x.json is no JSON"),
        (b"\xff", "x.json is no JSON"),
        (b"[]", "x.json is no thing of schema 2: found None"),
        (b"{}", "x.json is no thing of schema 2: found None"),
        (b'{"schema": 3}', "x.json is no thing of schema 2: found 3"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        read_document(path, what="thing", schema=2)
