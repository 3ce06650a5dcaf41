"""A command as a System declares it: it has words, and leaves something."""

from __future__ import annotations

import pytest

from chaoskit.command import Command


@pytest.mark.parametrize(
    ("argv", "rewrites", "ends", "lacking"),
    [
        ((), ("key",), False, "no words"),
        (("keys", "new"), (), False, "leaves nothing"),
        (("keys", "new"), ("key",), False, ""),
        (("stop",), (), True, ""),
    ],
)
def test_a_command_has_words_and_leaves_something(
    argv: tuple[str, ...],
    rewrites: tuple[str, ...],
    ends: bool,  # noqa: FBT001 - a column of the table
    lacking: str,
) -> None:
    if not lacking:
        assert Command("new", argv, rewrites=rewrites, ends=ends).argv == argv
        return
    with pytest.raises(ValueError, match=lacking):
        Command("new", argv, rewrites=rewrites, ends=ends)
