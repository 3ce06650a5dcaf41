"""The track record: numbers from runs alone, states of the code apart, and honest gaps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaoskit import tally
from chaoskit.errors import UsageError
from chaoskit.provenance import Provenance
from chaoskit.rowfile import PLACE, Form, Row, Side, read_rows
from chaoskit.rows import key_of
from chaoskit.tally import Entry, State
from chaoskit.trackrecord import BEGINS, ENDS, NOT_RUN, fill, main, record_of, table

ROOT = Path(__file__).parent.parent
OLD, NEW = State("0" * 16, "aaaaaaa11111"), State("1" * 16, "bbbbbbb22222")


@pytest.fixture
def row() -> Row:
    return read_rows(ROOT / PLACE)[0]


def soaked(folder: Path, *runs: tuple[State, str, bool]) -> dict[str, Any]:
    """Counts of these runs: the state, what ran, whether it came out as it must."""
    path = folder / tally.FILE
    for state, key, right in runs:
        tally.add(path, state, (Entry(key, "FAIL", "by", right, 1.0),))
    return tally.read(path)


def test_what_never_ran_says_so(row: Row, tmp_path: Path) -> None:
    counts = soaked(tmp_path)
    assert record_of(row, counts) is None
    assert f"| {NOT_RUN} |  |" in table([row], counts)[-1]


def test_states_of_the_code_are_never_added_up(row: Row, tmp_path: Path) -> None:
    breaks, holds = f"{row.name} breaks, short", f"{row.name} holds, short"
    counts = soaked(
        tmp_path, (OLD, breaks, True), (OLD, holds, True), (NEW, breaks, True), (NEW, breaks, False)
    )
    for one in counts["states"].values():
        one["last_utc"] = f"2026-11-2{one['commit'] == NEW.commit:d}T00:00:00+00:00"
    old = record_of(row, counts)
    assert old is not None
    assert (old.commit, old.form) == ("aaaaaaa", Form.SHORT)
    assert [(one.right, one.runs) for one in old.halves.values()] == [(1, 1), (1, 1)]
    counts = soaked(tmp_path, (NEW, holds, True))
    for one in counts["states"].values():
        one["last_utc"] = f"2026-11-2{one['commit'] == NEW.commit:d}T00:00:00+00:00"
    assert str(record_of(row, counts)) == "FAIL 1 of 2, PASS 1 of 1 (short, bbbbbbb, 2026-11-21)"


@pytest.mark.parametrize(
    ("commit", "shown"), [("aaaaaaa11111", "aaaaaaa"), ("aaaaaaa11111+", "aaaaaaa+"), ("", "")]
)
def test_a_state_that_is_not_its_commit_says_so(
    row: Row, tmp_path: Path, commit: str, shown: str
) -> None:
    key = f"{row.name} holds, short"
    record = record_of(row, soaked(tmp_path, (State("2" * 16, commit), key, True)))
    assert record is not None
    assert record.commit == shown
    assert f"(short, {shown or 'no commit'}, " in str(record)


def test_runs_that_shared_the_machine_say_so(row: Row, tmp_path: Path) -> None:
    path = tmp_path / tally.FILE
    for at_once in (1, 3, 2):
        entry = Entry(
            f"{row.name} holds, short",
            "PASS",
            "",
            as_expected=True,
            duration_s=1.0,
            at_once=at_once,
        )
        tally.add(path, NEW, (entry,))
    told = str(record_of(row, tally.read(path)))
    assert told.startswith("not run, PASS 3 of 3 (short, 3 at a time, bbbbbbb, ")


def test_half_a_row_is_no_row(row: Row, tmp_path: Path) -> None:
    record = record_of(row, soaked(tmp_path, (NEW, f"{row.name} holds, long", True)))
    assert record is not None
    assert record.halves[Side.BREAKS].runs == 0
    assert str(record).startswith("not run, PASS 1 of 1 (long")


def test_modelled_rows_stand_in_a_column_of_their_own(row: Row, tmp_path: Path) -> None:
    counts = soaked(tmp_path, (NEW, f"{row.name} holds, short", True))
    real, modelled = table([row, replace(row, modelled=True)], counts)[-2:]
    assert real.split(" | ")[-1] == " |"
    assert modelled.split(" | ")[-2] == NOT_RUN
    assert real.split(" | ")[-2] == modelled.split(" | ")[-1].removesuffix(" |")


def test_it_is_put_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGINS}\nold\n{ENDS}\nafter\n")
    fill(page, ["one", "two"])
    assert page.read_text() == f"before\n{BEGINS}\none\ntwo\n{ENDS}\nafter\n"
    fill(page, [])
    assert page.read_text() == f"before\n{BEGINS}\n{ENDS}\nafter\n"


@pytest.mark.parametrize(
    "text", ["", f"{BEGINS}\n", f"{ENDS}\n{BEGINS}\n", f"{BEGINS}\n{BEGINS}\n{ENDS}\n"]
)
def test_a_page_without_its_marks_is_refused(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(UsageError, match=r"page\.md needs one line"):
        fill(page, ["x"])
    assert page.read_text() == text


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    page = tmp_path / "page.md"
    page.write_text(f"{BEGINS}\n{ENDS}\n")
    assert main([str(page)]) == 0
    rows = read_rows(ROOT / PLACE)
    assert capsys.readouterr().out == f"{page}: {len(rows)} rows\n"
    for one in rows:
        assert f"| {one.name} | {one.promise} |" in page.read_text()
    assert main([]) == 2
    assert main([str(tmp_path / "none.md")]) == 2


def test_modelled_nodes_and_given_images_have_a_column_each(row: Row, tmp_path: Path) -> None:
    row = replace(row, modelled=True)
    keys = [
        key_of(row, side, Form.SHORT, whose)
        for side in Side
        for whose in (Provenance.OWN, Provenance.GIVEN, Provenance.GIVEN, Provenance.BOTH)
    ]
    counts = soaked(tmp_path, *((OLD, key, True) for key in keys))
    real, modelled = table([row], counts)[-1].split(" | ")[-2:]
    assert real.startswith("FAIL 2 of 2, PASS 2 of 2 (short")
    assert modelled.startswith("FAIL 1 of 1, PASS 1 of 1 (short")
    unrun = table([row], soaked(tmp_path / "other"))[-1]
    assert unrun.endswith(f"| {NOT_RUN} | {NOT_RUN} |")
