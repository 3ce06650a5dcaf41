"""What stands beside a node says nothing of its files."""

from __future__ import annotations

from chaoskit.companion import Companion, stands


def failed(line: str) -> bool:
    return line == "failed"


def test_no_file_shows_in_a_representation() -> None:
    one = Companion("image", ("run",), {"key.pem": b"the key"}, failed)
    assert "key" not in repr(one)
    assert one == Companion("image", ("run",), {"key.pem": b"the key"}, failed)
    assert one != Companion("image", ("run",), {"key.pem": b"another"}, failed)


def test_a_system_says_what_stands_beside_each_node() -> None:
    one = Companion("image", ("run",), {}, failed)
    assert stands(None, "a") is None
    assert stands({"a": one}.get, "a") is one
    assert stands({"a": one}.get, "b") is None
