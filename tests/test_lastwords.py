"""The line that says why a process ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.lastwords import last_words


def log(folder: Path, *lines: str) -> Path:
    path = folder / "log"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1.0 ready", "2.0 panic: no", "2.1 ", "2.2 goroutine 1 [running]:"], "panic: no"),
        (['2.0 {"level":"fatal","msg":"gone","error":"no space"}', "2.1 x"], "gone: no space"),
        (["2.0 2026-11-21 09:12:03.1 C | store: cannot", "2.1 bye"], None),
        (["2.0 an Error here", "2.1 bye"], "an Error here"),
        (["2.0 one", "2.1 two"], "two"),
        (["0.5 panic: of an earlier life", "2.1 two"], "two"),
        ([], ""),
    ],
)
def test_the_cause_is_found_among_the_lines_since_then(
    tmp_path: Path, lines: list[str], said: str | None
) -> None:
    found = last_words(log(tmp_path, *lines), since_s=0.8)
    assert found == said if said is not None else found.endswith("C | store: cannot")


def test_no_log_and_no_end_of_a_line(tmp_path: Path) -> None:
    assert last_words(tmp_path / "none", since_s=0.0) == ""
    said = last_words(log(tmp_path, "1.0 panic: " + "x" * 1000), since_s=0.0)
    assert said.endswith("...")
    assert len(said) < 300
