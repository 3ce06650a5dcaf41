"""
Rows that rest on a tap, with the tap made to lie: never PASS, and no half comes out as expected.

Each is the whole row's half, on a real cluster, as `chaoskit rows` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit.lanes import side_by_side
from chaoskit.rowfile import PLACE, Form, Row, Side, read_rows
from chaoskit.rows import Outcome, outcome_of, program_of
from chaoskit.session import Choices
from chaoskit.verdict import Verdict
from tests.lying_tap import LIES, VARIABLE, Lie

pytestmark = [pytest.mark.engine, pytest.mark.nightly]

ROOT = Path(__file__).parents[1]
CASES = [*(("A7", lie) for lie in LIES), ("A6", Lie.ELSEWHERE), ("A11", Lie.LATE)]


@pytest.fixture(scope="module")
def rows() -> Mapping[str, Row]:
    return {row.name: row for row in read_rows(ROOT / PLACE)}


def half(row: Row, side: Side, folder: Path) -> Outcome:
    """What a half came to, with the tap as the environment says."""
    choices = Choices(
        seed="7f3a", project=ROOT, runs=folder, command="make sabotage", subnets="10.237.0.0/16"
    )
    program = program_of(row, row.plan(side, Form.SHORT, seed="7f3a"), Form.SHORT, choices=choices)
    program = replace(program, argv=(*program.argv, "-p", "tests.lying_tap"))
    with side_by_side(iter([program]), at_once=1) as ends:
        (ended,) = ends
    return outcome_of(ended)


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(("name", "lie"), CASES)
def test_no_half_comes_out_as_expected_of_a_tap_that_lies(
    rows: Mapping[str, Row],
    name: str,
    lie: Lie,
    side: Side,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    monkeypatch.setenv(VARIABLE, lie)
    found = half(rows[name], side, tmp_path)
    record_property(
        "table sabotage of the tap",
        f"{name:<4} {side:<7} {lie:<10} {found.verdict:<8} {found.text}",
    )
    assert not found.meets(rows[name].expected(side)), found.text
    assert found.verdict is Verdict.INFRA, found.text
    assert "does not hear what is said on the links" in found.text


@pytest.mark.parametrize("side", Side)
def test_the_switch_alone_changes_nothing(
    rows: Mapping[str, Row], side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, Lie.NONE)
    found = half(rows["A7"], side, tmp_path)
    assert found.meets(rows["A7"].expected(side)), found.text
