"""What a matrix remembers, and what is new against it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from chaoskit.errors import UsageError
from chaoskit.matrix_cells import Cell
from chaoskit.matrix_record import (
    NOT_APPLICABLE,
    CellResult,
    KnownFailure,
    compared,
    known_of,
    read_known,
    read_results,
)

CELL = Cell("store", "2", "Kill", "leader")
TODAY = date(2026, 11, 21)


def result(cell: Cell = CELL, **more: Any) -> CellResult:
    values: dict[str, Any] = {
        "cell": cell,
        "verdict": "PASS",
        "by": "",
        "text": "6 promises",
        "kind": "",
        "duration_s": 4.0,
        "recovery_s": 1.0,
        "bound_s": 20.0,
        "run": "runs/one",
        "seed": "51c2",
        "again": "chaoskit matrix store",
        "ended_utc": "2026-11-21T03:00:00+00:00",
    }
    return CellResult(**(values | more))


FAILED: dict[str, Any] = {"verdict": "FAIL", "by": "no_fork", "text": "two", "kind": "safety"}


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert read_results(path) == ()
    written = (result(), result(recovery_s=None, **FAILED))
    path.write_text("".join(f"{one.line()}\n" for one in written) + '{"schema":1,"ce')
    assert read_results(path) == written


@pytest.mark.parametrize("line", ["{}", "no", '{"schema":9}', '{"schema":1,"cell":{}}'])
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(f"{result().line()}\n{line}\n")
    with pytest.raises(UsageError, match="line 2"):
        read_results(path)


def test_known_is_the_last_end_and_the_median_duration() -> None:
    found = known_of(
        [
            result(duration_s=took_s, ended_utc=f"2026-11-2{at}")
            for at, took_s in enumerate((9.0, 2.0, 3.0))
        ]
    )
    assert found[CELL.name].last_utc == "2026-11-22"
    assert found[CELL.name].duration_s == 3.0


def test_new_gone_and_slower_against_the_history() -> None:
    other = Cell("store", "1", "Kill", "leader")
    fresh = compared([result(**FAILED)], [])
    assert fresh.new == (result(**FAILED),)
    again = compared([result(**FAILED)], [result(), result(**FAILED)])
    assert again.new == ()
    gone = compared([result()], [result(**FAILED), result(other)])
    assert gone.gone == (result(),)
    assert compared([result()], [result(**FAILED), result()]).gone == ()
    past = [result(recovery_s=share * 20.0) for share in (0.3, 0.38, 0.5)]
    ((slow, usual),) = compared([result(recovery_s=12.2)], past).slower
    assert (slow.share, usual) == (0.61, 0.38)
    assert compared([result(recovery_s=11.0)], past).slower == ()
    assert compared([result(recovery_s=12.2)], past[:2]).slower == ()
    absent = result(verdict=NOT_APPLICABLE)
    assert compared([absent], []).new == ()


KNOWN = """
[[known]]
release = "2"
fault = "Kill"
role = "*"
promise = "no_fork"
why = "issue 7"
expires = 2026-11-24
"""


def test_a_known_failure_covers_its_cell_and_promise_until_it_expires(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    assert read_known(path) == ()
    path.write_text(KNOWN)
    (entry,) = read_known(path)
    assert entry == KnownFailure("2", "Kill", "*", "no_fork", "issue 7", date(2026, 11, 24))
    assert entry.covers(result(**FAILED), TODAY)
    assert not entry.covers(result(**FAILED), date(2026, 11, 25))
    assert not entry.covers(result(), TODAY)
    assert not entry.covers(result(**FAILED | {"by": "no_rollback"}), TODAY)
    assert not entry.covers(result(Cell("store", "1", "Kill", "leader"), **FAILED), TODAY)


@pytest.mark.parametrize(
    "change",
    [('why = "issue 7"', 'why = ""'), ("2026-11-24", '"soon"'), ("role", "roll"), ("[[", "[")],
)
def test_a_known_failure_without_reason_or_end_is_refused(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    path = tmp_path / "known.toml"
    path.write_text(KNOWN.replace(*change))
    with pytest.raises(UsageError):
        read_known(path)
