"""The table of faults: complete, true to each class, and plain about what is not to be had."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from chaoskit import catalogue, storage
from chaoskit.faulttable import Need, Row, rows, table
from tests.fakes import REPOSITORY

# without an engine, the docker SDK leaves the socket of its failed connect to the collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
NO_ENGINE = "no container engine answers"


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Row]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine")
    monkeypatch.setattr(storage, "why_unavailable", lambda: "no /dev/fuse on this host")
    return {row.name: row for row in rows(REPOSITORY)}


def test_every_fault_and_change_of_the_tree_stands_there(found: dict[str, Row]) -> None:
    there = {
        node.name: "fault" if "inject" in methods else "change"
        for path in (REPOSITORY / "faults").glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
        for methods in [{one.name for one in node.body if isinstance(one, ast.FunctionDef)}]
        if methods & {"inject", "apply"}
    }
    assert {name: row.kind for name, row in found.items()} == there


def test_needs_and_proof_are_the_classes_own(found: dict[str, Row]) -> None:
    groups: dict[str, Any] = {
        **catalogue.offered(catalogue.FAULTS),
        **catalogue.offered(catalogue.CHANGES),
    }
    for name, offered in groups.items():
        row = found[name]
        assert row.needs == tuple(offered.NEEDS)
        assert row.needs
        assert row.proof == offered.PROOF
        assert len(row.proof) > 10


def test_without_an_engine_what_needs_one_says_so(found: dict[str, Row]) -> None:
    for row in found.values():
        if Need.ENGINE in row.needs:
            assert NO_ENGINE in row.why_not
    assert any(Need.ENGINE in row.needs for row in found.values())


def test_the_first_need_that_is_lacking_is_named(
    found: dict[str, Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    again = {row.name: row for row in rows(REPOSITORY)}
    for name, row in again.items():
        words = {
            Need.ENGINE: NO_ENGINE,
            Need.COUNTERS: "needs root",
            Need.STORAGE: "no /dev/fuse",
        }
        lacking = [words[need] for need in row.needs if need in words]
        assert (lacking[0] if lacking else "") in row.why_not, name
        assert bool(row.why_not) is bool(lacking), name


def test_a_system_fits_when_it_has_what_the_fault_needs_of_it(found: dict[str, Row]) -> None:
    assert set(found["Kill"].systems) == set(catalogue.system_names(REPOSITORY))
    secure = {row.name for row in found.values() if Need.SECURE in row.needs}
    assert secure
    for name in secure:
        assert "toys" not in found[name].systems, "toys speak plaintext to each other"
        assert "etcd" in found[name].systems


def test_people_and_programs_are_told_the_same(found: dict[str, Row]) -> None:
    row = Row("X", "fault", (Need.LINKS, Need.ENGINE), "no engine", ("a", "b"), "a dial of ours")
    fine = Row("Longer", "change", (), "", (), "its version")
    assert table((row, fine)).splitlines() == [
        "X       fault   no engine",
        "        needs   a linked port, engine",
        "        systems a b",
        "        proof   a dial of ours",
        "Longer  change  ok",
        "        needs   nothing",
        "        systems none here",
        "        proof   its version",
    ]
    assert row.document() == {
        "name": "X",
        "kind": "fault",
        "needs": ["a linked port", "engine"],
        "available": False,
        "why_not": "no engine",
        "systems": ["a", "b"],
        "proof": "a dial of ours",
    }
    assert fine.document()["available"] is True
