"""Writing: plain anywhere, verdict words coloured on a terminal, at once."""

from __future__ import annotations

import io
import sys

import pytest

from chaoskit.console import say


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_are_plain_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    say("1 partition  PASS [bold]x[/]")
    say("error: no", error=True)
    assert capsys.readouterr() == ("1 partition  PASS [bold]x[/]\n", "error: no\n")


@pytest.mark.parametrize("word", ["PASS", "FAIL", "INVALID", "UNKNOWN", "INFRA", "GO", "NO-GO"])
def test_verdicts_are_coloured_on_a_terminal(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", terminal)
    say(f"{word}  passable [x] {'long ' * 60}")
    written = terminal.getvalue()
    before, after = written.split(word)
    assert before.startswith("\x1b[1;")
    assert after.startswith("\x1b[0m")
    assert "passable [x]" in after
    assert written.count("\n") == 1  # nothing is wrapped
