"""The files a matrix leaves."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from chaoskit.matrix_cells import Cell
from chaoskit.matrix_files import junit, page, replace_text
from chaoskit.matrix_record import NOT_APPLICABLE
from tests.test_matrix_record import FAILED, result

LEFT = Cell("store", "1", "Pause", "follower")


def test_junit_counts_what_failed_erred_and_was_left() -> None:
    results = [
        result(),
        result(**FAILED | {"text": "<two> & more"}),
        result(verdict="INFRA", by="harness"),
        result(verdict=NOT_APPLICABLE),
    ]
    root = ElementTree.fromstring(junit(results, [LEFT]).encode())  # noqa: S314  # ours
    (suite,) = root
    counted = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counted == {"tests": "5", "failures": "1", "errors": "1", "skipped": "2"}
    cases = list(suite)
    assert [case.get("name") for case in cases][-1] == "Pause follower"
    failure = cases[1].find("failure")
    assert failure is not None
    assert "<two> & more" in failure.get("message", "")
    verdicts = [one.get("value") for one in root.iter("property") if one.get("name") == "verdict"]
    assert verdicts == ["PASS", "FAIL", "INFRA", NOT_APPLICABLE]


def test_the_page_links_each_run_worst_first_and_escapes_what_it_shows(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    bad = result(run=str(run), **FAILED | {"text": "<b>bold</b>"})
    text = page(["1 < 2"], [result(), bad], [LEFT], out=tmp_path / "out")
    assert "../runs/one/report.html" in text
    assert "<b>bold" not in text
    assert "1 &lt; 2" in text
    assert text.index("FAIL</td>") < text.index("PASS</td>")
    assert LEFT.name in text
    assert "http" not in text


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "page"
    replace_text(path, "one")
    replace_text(path, "two")
    assert path.read_text() == "two"
    assert [one.name for one in tmp_path.iterdir()] == ["page"]
