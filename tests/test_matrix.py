"""A matrix: its verdict, its summary, and short ones on real clusters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from chaoskit import matrix, matrix_cell_run
from chaoskit.cluster import Cluster
from chaoskit.errors import EngineFailed, UsageError
from chaoskit.matrix import MatrixOutcome, MatrixRequest, run_matrix
from chaoskit.matrix_cells import Cell
from chaoskit.matrix_record import CellResult, read_results
from chaoskit.session import Choices
from chaoskit.verdict import Verdict
from tests.test_matrix_record import FAILED, result

PROJECT = Path(__file__).resolve().parents[1]


def choices(folder: Path) -> Choices:
    return Choices(seed="51c2", project=PROJECT, runs=folder / "runs", command="matrix")


def night(
    folder: Path, monkeypatch: pytest.MonkeyPatch, results: Sequence[CellResult], canary: str
) -> tuple[MatrixOutcome, list[str]]:
    """A matrix whose cells come out as given, without an engine."""
    lines: list[str] = []

    def run_canary(one: matrix._Night) -> None:
        one.canary = canary

    def run_all(one: matrix._Night) -> None:
        one.results.extend(results)
        one.waiting = one.waiting[len(results) :]

    monkeypatch.setattr(matrix._Night, "run_canary", run_canary)
    monkeypatch.setattr(matrix._Night, "run_all", run_all)
    request = MatrixRequest(("etcd",), 60.0, out=folder / "out")
    return run_matrix(request, choices(folder), lines.append), lines


CELL = Cell("etcd", "3.5.16", "Kill", "leader")


@pytest.mark.parametrize(
    ("results", "canary", "verdict"),
    [
        ([result(CELL)], "FAIL", Verdict.PASS),
        ([result(CELL), result(CELL, **FAILED)], "FAIL", Verdict.FAIL),
        ([result(CELL, verdict="UNKNOWN"), result(CELL, verdict="INVALID")], "FAIL", "INVALID"),
        ([result(CELL)], "PASS", Verdict.INFRA),
        ([result(CELL, **FAILED)], "INVALID", Verdict.INFRA),
        ([result(CELL)], "", Verdict.UNKNOWN),
        ([], "FAIL", Verdict.UNKNOWN),
    ],
)
def test_the_worst_verdict_counts_and_a_canary_that_lives_is_infra(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    results: list[CellResult],
    canary: str,
    verdict: Verdict,
) -> None:
    outcome, _ = night(tmp_path, monkeypatch, results, canary)
    assert outcome.verdict == verdict
    assert (
        outcome.exit_code == {"PASS": 0, "FAIL": 1, "INVALID": 3, "UNKNOWN": 4, "INFRA": 5}[verdict]
    )


def test_the_files_and_the_summary_tell_the_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, lines = night(tmp_path, monkeypatch, [result(CELL, **FAILED)], "FAIL")
    root = ElementTree.fromstring((tmp_path / "out/matrix.xml").read_text())  # noqa: S314  # ours
    assert root[0].get("failures") == "1"
    assert int(root[0].get("skipped", "0")) == len(outcome.not_run) > 0
    assert "no_fork" in (tmp_path / "out/index.html").read_text()
    assert any(line.startswith("new     FAIL  etcd 3.5.16 Kill leader") for line in lines)
    assert any("canary FAIL as it must" in line for line in lines)


def test_a_run_that_cannot_be_had_ends_no_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Sequence[Cell]] = []

    def group(_: matrix._Night, cells: Sequence[Cell]) -> None:
        tried.append(cells)
        raise EngineFailed("the engine does not answer")

    def run_canary(one: matrix._Night) -> None:
        one.canary = "FAIL"

    monkeypatch.setattr(matrix._Night, "_group", group)
    monkeypatch.setattr(matrix._Night, "run_canary", run_canary)
    request = MatrixRequest(("etcd",), 600.0, out=tmp_path / "out", only="Kill")
    outcome = run_matrix(request, choices(tmp_path), lambda _: None)
    assert len(tried) == len({cells[0].release for cells in tried}) > 1
    assert outcome.verdict is Verdict.INFRA
    assert any("the engine does not answer" in line for line in outcome.summary)


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    for request in (
        MatrixRequest((), 60.0),
        MatrixRequest(("etcd",), 0.0),
        MatrixRequest(("etcd",), 60.0, only="nothing"),
        MatrixRequest(("etcd",), 60.0, releases=("9",)),
    ):
        with pytest.raises(UsageError):
            run_matrix(request, choices(tmp_path), lambda _: None)


@pytest.mark.engine
@pytest.mark.timeout(180)
def test_a_short_night_runs_its_cell_and_writes_it_down(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    cell = Cell("etcd", "3.5.16", "Isolate", "follower")
    (out / "matrix-history.jsonl").write_text(result(cell).line() + "\n")
    lines: list[str] = []
    request = MatrixRequest(("etcd",), 90.0, out=out, releases=("3.5.16",), only="follower Isolate")
    outcome = run_matrix(request, choices(tmp_path), lines.append)
    assert outcome.canary == "FAIL", "\n".join(lines)
    assert [one.cell for one in outcome.results] == [cell]
    assert outcome.verdict is Verdict.PASS, "\n".join(lines)
    assert len(read_results(out / "matrix-history.jsonl")) == 2
    (record,) = [json.loads(line) for line in (out / "matrix.jsonl").read_text().splitlines()]
    assert record["recovery_s"] is not None
    run = Path(record["run"])
    assert (run / "report.html").exists()
    ElementTree.parse(out / "matrix.xml")  # noqa: S314  # ours


@pytest.mark.engine
@pytest.mark.timeout(180)
def test_a_canary_that_is_left_alone_makes_the_night_infra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unharmed(cluster: Cluster) -> None:
        cluster.await_progress(by=10, timeout_s=20.0)

    monkeypatch.setattr(matrix, "forgetting", lambda _: unharmed)
    assert matrix_cell_run.forgetting("n1") is not unharmed
    request = MatrixRequest(("etcd",), 90.0, out=tmp_path / "out", releases=("3.5.16",))
    outcome = run_matrix(request, choices(tmp_path), lambda _: None)
    assert outcome.canary != "FAIL"
    assert outcome.verdict is Verdict.INFRA
    assert outcome.results == ()
