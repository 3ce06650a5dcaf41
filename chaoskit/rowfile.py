"""
Rows: past outages as tests with two halves, read from a project's `suites/incidents/rows.toml`.

Owns: the form of a row and of its halves, and the plan of each half. Refuses: anything about how a
half comes out but the two words there are: the half that breaks is FAIL by the row's invariant, the
half that holds is PASS. A test never sees this file: a half's plan carries its release, its inputs
and its steps, and nothing that says which half it is.

    [E1]
    test = "suites/incidents/test_upgrade_rows.py::test_an_upgraded_member_contributes"
    kind = "release pair"              # or "configuration pair", "procedure pair"
    modelled = false                   # true where its nodes are ours; left out, false
    promise = "what is promised, for people"
    by = "upgraded_members_contribute" # the invariant that has to find it
    short = { inputs = {}, steps = [] }  # what both halves have, by form
    long = { inputs = {}, steps = [] }
    breaks = { release = "1.0", inputs = { to = "3.0" } }
    holds = { release = "1.0", inputs = { to = "2.0" } }
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from chaoskit.errors import UsageError
from chaoskit.plan import Plan, Step
from chaoskit.verdict import Verdict

PLACE = Path("suites/incidents/rows.toml")


class Kind(StrEnum):
    """In what the halves of a row differ."""

    RELEASE = "release pair"
    CONFIGURATION = "configuration pair"
    PROCEDURE = "procedure pair"


class Form(StrEnum):
    """How much is made of a row: the smallest that shows it, or all of it."""

    SHORT = "short"
    LONG = "long"


class Side(StrEnum):
    """The halves of a row."""

    BREAKS = "breaks"
    HOLDS = "holds"

    @property
    def other(self) -> Side:
        """The other half."""
        return Side.HOLDS if self is Side.BREAKS else Side.BREAKS


@dataclass(frozen=True, slots=True)
class Part:
    """What a plan is put together from: a release, inputs of the test, steps."""

    release: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Expectation:
    """How a half has to come out: `by` is the invariant that must have found it, for FAIL alone."""

    verdict: Verdict
    by: str = ""

    def __str__(self) -> str:
        return f"{self.verdict} by {self.by}" if self.by else str(self.verdict)


@dataclass(frozen=True, slots=True)
class Row:
    """
    One row. `forms` holds what both halves have, `halves` in what they differ; `modelled`: its
    nodes are programs of ours, modelled on a release, not that release's own binaries.

    Raises UsageError when the halves do not differ.
    """

    name: str
    test: str
    kind: Kind
    promise: str
    by: str
    forms: Mapping[Form, Part]
    halves: Mapping[Side, Part]
    modelled: bool = False

    def __post_init__(self) -> None:
        if self.halves[Side.BREAKS] == self.halves[Side.HOLDS]:
            raise UsageError(f"row {self.name}: its halves are the same")
        for form, common in self.forms.items():
            for side, half in self.halves.items():
                if set(common.inputs) & set(half.inputs) or (common.steps and half.steps):
                    raise UsageError(f"row {self.name}: {form} and {side} both say the same thing")

    def expected(self, side: Side) -> Expectation:
        """How that half has to come out."""
        if side is Side.BREAKS:
            return Expectation(Verdict.FAIL, self.by)
        return Expectation(Verdict.PASS)

    def plan(self, side: Side, form: Form, *, seed: str) -> Plan:
        """The plan of a half; nothing in it says which half it is."""
        common, half = self.forms[form], self.halves[side]
        return Plan(
            release=half.release or common.release,
            seed=seed,
            steps=half.steps or common.steps,
            inputs={**common.inputs, **half.inputs},
        )

    def swapped(self) -> Row:
        """The row with the labels of its halves exchanged."""
        exchanged = {side: self.halves[side.other] for side in Side}
        return replace(self, halves=exchanged)


def read_rows(path: Path) -> tuple[Row, ...]:
    """
    Read rows in the order of the file.

    Raises UsageError that names the file, the row and what is wrong with it.
    """
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"no rows at {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    return tuple(_row(path, name, table) for name, table in document.items())


def _row(path: Path, name: str, table: Any) -> Row:
    try:
        words = {key: table.pop(key) for key in ("test", "promise", "by")}
        row = Row(
            name=name,
            kind=Kind(table.pop("kind")),
            forms={form: _part(table.pop(form, {})) for form in Form},
            halves={side: _part(table.pop(side)) for side in Side},
            modelled=bool(table.pop("modelled", False)),
            **words,
        )
    except KeyError as error:
        raise UsageError(f"{path}: row {name} has no {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: row {name}: {error}") from error
    if table:
        raise UsageError(f"{path}: row {name}: a row knows no {', '.join(sorted(table))}")
    return row


def _part(table: dict[str, Any]) -> Part:
    part = Part(
        release=table.pop("release", ""),
        inputs={key: str(value) for key, value in table.pop("inputs", {}).items()},
        steps=tuple(Step(**step) for step in table.pop("steps", ())),
    )
    if table:
        raise ValueError(f"a part knows no {', '.join(sorted(table))}")
    return part


def chosen(rows: Sequence[Row], names: Sequence[str]) -> tuple[Row, ...]:
    """
    The rows of these names in the order of the file, all for no names.

    Raises UsageError that lists the rows there are.
    """
    known = {row.name for row in rows}
    if unknown := [name for name in names if name not in known]:
        listed = ", ".join(row.name for row in rows)
        raise UsageError(f"no row {', '.join(unknown)}; there are: {listed}")
    return tuple(row for row in rows if not names or row.name in names)
