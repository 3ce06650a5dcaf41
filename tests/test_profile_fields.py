"""
What a profile says, and who would notice: each field has rows and mutants that depend on it.

A row depends on a field when the releases that its halves name differ in it, one half from the
other, or within both halves where not the release is in what they differ; or when its releases have
the one value without which it would show nothing. A mutant depends on it when its patch is where
the field, or the kind of its values, is read. That it is killed is for `tests.kill_mutants`, what a
row's halves come to for `chaoskit rows`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import tests.beacon_vectors  # noqa: F401
from chaoskit.rowfile import PLACE, Form, Kind, Row, Side, read_rows

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes.beacon.profiles import PROFILES, Profile

ROOT = Path(__file__).parents[1]
MUTANTS = ROOT / "tests/mutants"


@dataclasses.dataclass(frozen=True)
class Held:
    """Rows and mutants by which a field is held; `only`: the value that rows of it need."""

    rows: tuple[str, ...]
    mutants: tuple[str, ...]
    only: object = None


HELD: Mapping[str, Held] = {
    "missing_scheme": Held(
        ("A4", "A4-chained", "A14"),
        (
            "beacon_profile_nameless_keys_are_never_refused",
            "beacon_profile_nameless_keys_are_the_groups",
        ),
    ),
    "own_signature": Held(
        ("A4b",), ("beacon_profile_v1_takes_any_signature", "beacon_profile_v2_signs_nothing_anew")
    ),
    "key_guard": Held(("A3",), ("beacon_profile_a_guard_for_all",)),
    "alarm": Held(("A1",), ("beacon_profile_alarm_at_the_margin_always",)),
    "surface.release": Held(("A4b",), ("beacon_profile_every_release_leaves_files_of_v1_5",)),
    "surface.version": Held(
        ("A2", "C2"), ("beacon_profile_bridges_from_the_start", "beacon_gate_is_open")
    ),
    "surface.line": Held(("A4b",), ("beacon_profile_every_line_is_v2",)),
    "surface.transport.dials": Held(
        ("A5", "A6", "A7"),
        ("beacon_profile_nobody_falls_back", "beacon_identities_all_say_tls"),
    ),
    "surface.transport.ends_tls": Held(
        ("A15", "A15-mode", "A15-twice"), ("beacon_v2_demands_a_certificate",), only=False
    ),
    "surface.transport.insecure_build": Held(("C4",), ("beacon_any_build_is_insecure",), only=True),
}


def leaves(kind: type[Any], value: Any, path: str = "") -> Iterator[str]:
    """The fields of a profile, those of records within it by their paths."""
    for field in dataclasses.fields(kind):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            yield from leaves(type(inner), inner, f"{path}{field.name}.")
        else:
            yield f"{path}{field.name}"


FIELDS = tuple(leaves(Profile, PROFILES["v1.5.8"]))


def value_of(field: str, release: str) -> Any:
    value: Any = PROFILES[release]
    for name in field.split("."):
        value = getattr(value, name)
    return value


def values(field: str, row: Row, side: Side) -> set[Any]:
    """What the field says of the releases that a half names, in either form."""
    found = set()
    for form in Form:
        plan = row.plan(side, form, seed="0000")
        named = [plan.release, *(word for one in plan.inputs.values() for word in one.split())]
        named += [str(step.fields.get("to")) for step in plan.steps]
        found |= {value_of(field, one) for one in named if one in PROFILES}
    return found


def depends(field: str, row: Row, only: object) -> bool:
    """Whether the row would show something else if the field were the same everywhere."""
    breaks, holds = (values(field, row, side) for side in Side)
    if only is not None:
        return breaks | holds == {only}
    if row.kind is Kind.RELEASE:
        return breaks != holds
    return min(len(breaks), len(holds)) > 1


def reads(field: str, patch: str) -> bool:
    """Whether a patch is where this field, or the kind of its values, is read."""
    kinds = {type(value_of(field, one)) for one in PROFILES} - {str, bool, tuple, type(None)}
    words = [field.rpartition(".")[2], *(one.__name__ for one in kinds)]
    changed = patch.split("\n@@", 1)[1]
    return any(word.lower() in changed.lower() for word in words)


@pytest.fixture(scope="module")
def rows() -> Mapping[str, Row]:
    return {row.name: row for row in read_rows(ROOT / PLACE) if row.modelled}


def test_every_field_is_held(record_property: Callable[[str, object], None]) -> None:
    assert sorted(FIELDS) == sorted(HELD)
    for field in FIELDS:
        by = f"{', '.join(HELD[field].rows):<24} {', '.join(HELD[field].mutants)}"
        record_property("table beacon: fields of a profile", f"{field:<33} {by}")


@pytest.mark.parametrize("field", HELD)
def test_its_rows_depend_on_it(rows: Mapping[str, Row], field: str) -> None:
    held = HELD[field]
    assert held.rows
    for name in held.rows:
        assert depends(field, rows[name], held.only), name


@pytest.mark.parametrize("field", HELD)
def test_its_mutants_are_where_it_is_read(field: str) -> None:
    held = HELD[field]
    assert held.mutants
    for name in held.mutants:
        assert reads(field, (MUTANTS / f"{name}.patch").read_text()), name


@pytest.mark.parametrize(
    ("field", "row", "only"),
    [
        ("key_guard", "A4", None),
        ("alarm", "A3", None),
        ("own_signature", "A15", None),
        ("surface.transport.insecure_build", "A5", True),
        ("surface.transport.ends_tls", "A4b", False),
    ],
)
def test_a_row_that_says_nothing_of_a_field_does_not_count(
    rows: Mapping[str, Row], field: str, row: str, only: object
) -> None:
    assert not depends(field, rows[row], only)


@pytest.mark.parametrize(
    ("field", "name"),
    [("alarm", "beacon_gate_is_open"), ("key_guard", "beacon_profile_v2_signs_nothing_anew")],
)
def test_a_mutant_of_something_else_does_not_count(field: str, name: str) -> None:
    assert not reads(field, (MUTANTS / f"{name}.patch").read_text())


def differing(field: str) -> Sequence[str]:
    return sorted({str(value_of(field, one)) for one in PROFILES})


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_is_the_same_for_all(field: str) -> None:
    assert len(differing(field)) > 1
