"""Rows: their file, their plans, the comparison from outside; on a project without an engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chaoskit import rows, tally
from chaoskit.errors import UsageError
from chaoskit.lanes import Ended, Program
from chaoskit.redaction import Redactor
from chaoskit.releases import read_releases
from chaoskit.rowfile import PLACE, Expectation, Form, Row, Side, chosen, read_rows
from chaoskit.rundir import TestVerdict, create_run
from chaoskit.session import Choices
from chaoskit.verdict import Kind, Reason, Verdict, decide

ROOT = Path(__file__).parents[1]

ROW = """
[R1]
test = "suites/incidents/test_it.py::test_it"
kind = "configuration pair"
promise = "it holds"
by = "it_holds"
short = { inputs = { size = "1" } }
long = { inputs = { size = "9" } }
breaks = { inputs = { way = "FAIL it_holds" } }
holds = { inputs = { way = "PASS it_holds" } }
"""

# A test that comes out as its plan says, by a run folder of its own; "crash" leaves none, and
# what "awaits" a text comes out once the count of runs holds it.
SUITE = """
from datetime import UTC, datetime
from pathlib import Path

from chaoskit import clock, tally
from chaoskit.redaction import Redactor
from chaoskit.rundir import TestVerdict, create_run
from chaoskit.verdict import Kind, Reason, Verdict


def test_it(chaos_plan, request):
    verdict, by, *more = chaos_plan.inputs["way"].split()
    if verdict == "crash":
        raise SystemExit(3)
    if awaited := chaos_plan.inputs.get("awaits"):
        counted = request.config.rootpath / tally.FILE
        clock.wait_until(
            lambda: counted.exists() and awaited in counted.read_text(),
            what=f"{awaited} to be counted",
            timeout_s=120,
        )
    reasons = []
    if verdict != "PASS":
        kind = Kind.SAFETY if verdict == "FAIL" else None
        reasons = [Reason(Verdict(verdict), one, "text", (), kind) for one in (by, *more)]
    folder = create_run(
        Path(request.config.getoption("chaos_runs")),
        seed=request.config.getoption("chaos_seed"),
        system="it",
        command="pytest",
        started=datetime.now(UTC),
        redactor=Redactor(),
    )
    folder.add(TestVerdict("test_it", Verdict(verdict), (0, 0), tuple(reasons), (), None, 0.1, ""))
    folder.finish()
"""


def project(tmp_path: Path, *, breaks: str = "FAIL it_holds", holds: str = "PASS it_holds") -> Path:
    place = tmp_path / PLACE
    place.parent.mkdir(parents=True)
    text = ROW.replace("FAIL it_holds", "%s").replace("PASS it_holds", "%s") % (breaks, holds)
    place.write_text(text)
    (place.parent / "test_it.py").write_text(SUITE)
    return tmp_path


def run(
    folder: Path, *names: str, swap: bool = False, at_once: int = 2
) -> tuple[rows.RowsOutcome, str]:
    said: list[str] = []
    choices = Choices(seed="7f3a", project=folder, runs=folder / "runs", command="chaoskit rows")
    outcome = rows.run_rows(
        names, choices=choices, swap=swap, short=True, at_once=at_once, say=said.append
    )
    return outcome, "\n".join(said)


def counts(folder: Path) -> Any:
    (state,) = tally.read(folder / tally.FILE)["states"].values()
    return state["counts"]


# -- run and compared --------------------------------------------------------------------------


def test_halves_that_come_out_as_they_must(tmp_path: Path) -> None:
    folder = project(tmp_path)
    outcome, said = run(folder)
    assert outcome.exit_code == 0
    silent(outcome, folder)
    assert [one.outcome.verdict for one in outcome.halves] == [Verdict.FAIL, Verdict.PASS]
    assert re.search("2 of 2 halves as expected, in [0-9]+ s, 2 at a time$", said)
    run(folder, at_once=1)
    found = counts(folder)
    assert set(found) == {"R1 breaks, short", "R1 holds, short"}
    assert found["R1 breaks, short"]["verdicts"] == {"FAIL by it_holds": 2}
    assert found["R1 breaks, short"]["broken"] == {"it_holds": 2}
    assert (found["R1 holds, short"]["runs"], found["R1 holds, short"]["as_expected"]) == (2, 2)
    assert len(found["R1 holds, short"]["durations_s"]) == 2
    assert found["R1 breaks, short"]["at_once"] == {"2": 1, "1": 1}


def test_halves_side_by_side_are_counted_as_they_end_and_said_in_their_order(
    tmp_path: Path,
) -> None:
    folder = project(tmp_path)
    text = ROW.replace('"FAIL it_holds"', '"FAIL it_holds", awaits = "R2 holds"')
    (folder / PLACE).write_text(text + ROW.replace("R1", "R2"))
    outcome, said = run(folder, at_once=2)  # one at a time the first would wait in vain
    assert outcome.exit_code == 0, said
    shown = re.findall("^(R.) +(breaks|holds) ", said, re.MULTILINE)
    assert shown == [("R1", "breaks"), ("R1", "holds"), ("R2", "breaks"), ("R2", "holds")]
    assert [(one.row.name, str(one.side)) for one in outcome.halves] == shown
    assert list(counts(folder))[-1] == "R1 breaks, short"


def test_with_swapped_labels_every_half_must_come_out_in_the_other_ones_way(tmp_path: Path) -> None:
    folder = project(tmp_path)
    outcome, said = run(folder, swap=True)
    assert outcome.exit_code == 0
    assert not any(one.meets for one in outcome.halves)
    assert "2 of 2 verdicts swapped" in said
    assert not (folder / tally.FILE).exists()


def test_a_run_without_a_verdict_is_the_harness_s_failure(tmp_path: Path) -> None:
    folder = project(tmp_path, breaks="crash now")
    outcome, said = run(folder)
    assert outcome.exit_code == 5
    assert outcome.halves[0].outcome.verdict is Verdict.INFRA
    assert said.count("MISMATCH") == 1
    assert counts(folder)["R1 breaks, short"]["as_expected"] == 0


def came_out(runs: Path, *reasons: Reason, tests: int = 1, finished: bool = True) -> rows.Outcome:
    """What is read from a run folder with these reasons."""
    runs.mkdir()
    folder = create_run(
        runs,
        seed="7f3a",
        system="it",
        command="pytest",
        started=datetime.now(UTC),
        redactor=Redactor(),
    )
    for number in range(tests):
        verdict = decide(reasons)
        folder.add(TestVerdict(f"t{number}", verdict, (0, 0), reasons, (), None, 0.1, ""))
    if finished:
        folder.finish()
    program = Program("R1", (), runs, runs / "pytest.txt", 60.0)
    program.output.write_text("what pytest said")
    return rows.outcome_of(Ended(0, program, 0, 1.0, timed_out=False))


def broken(by: str, kind: Kind = Kind.LIVENESS) -> Reason:
    return Reason(Verdict.FAIL, by, "text", (), kind)


def other(verdict: Verdict) -> Reason:
    return Reason(verdict, "another", "text")


@pytest.mark.parametrize(
    ("breaks", "holds", "code", "right"),
    [
        ([broken("it_holds")], [], 0, [True, True]),
        ([broken("another")], [], 1, [False, True]),
        ([broken("another"), broken("it_holds")], [], 0, [True, True]),
        ([broken("another", Kind.SAFETY), broken("it_holds")], [], 1, [False, True]),
        ([other(Verdict.UNKNOWN), broken("it_holds")], [], 0, [True, True]),
        ([other(Verdict.INVALID), broken("it_holds")], [], 3, [False, True]),
        ([], [], 1, [False, True]),
        ([broken("it_holds")], [broken("it_holds")], 1, [True, False]),
        ([broken("it_holds")], [other(Verdict.UNKNOWN)], 4, [True, False]),
        ([broken("it_holds")], [other(Verdict.INFRA)], 5, [True, False]),
        ([other(Verdict.INFRA)], [other(Verdict.INVALID)], 5, [False, False]),
        ([other(Verdict.INFRA)], [broken("it_holds")], 1, [False, False]),
    ],
)
def test_a_mismatch_has_an_exit_code(
    tmp_path: Path, breaks: list[Reason], holds: list[Reason], code: int, right: list[bool]
) -> None:
    (row,) = read_rows(project(tmp_path) / PLACE)
    done = [
        rows.Compared(row, side, row.expected(side), came_out(tmp_path / side, *reasons))
        for side, reasons in ((Side.BREAKS, breaks), (Side.HOLDS, holds))
    ]
    assert [one.meets for one in done] == right
    assert rows.exit_code_of(done, swap=False) == code


def test_a_run_that_was_cut_short_or_judged_something_else_has_no_verdict(tmp_path: Path) -> None:
    assert came_out(tmp_path / "1").verdict is Verdict.PASS
    assert came_out(tmp_path / "2", finished=False).verdict is Verdict.INFRA
    assert came_out(tmp_path / "3", tests=2).verdict is Verdict.INFRA
    assert came_out(tmp_path / "4", tests=0).verdict is Verdict.INFRA


def test_a_row_that_does_not_depend_on_its_halves_does_not_swap(tmp_path: Path) -> None:
    (row,) = read_rows(project(tmp_path) / PLACE)
    done = [
        rows.Compared(row, side, row.swapped().expected(side), came_out(tmp_path / side, reason))
        for side, reason in ((Side.BREAKS, broken("it_holds")), (Side.HOLDS, broken("it_holds")))
    ]
    assert rows.exit_code_of(done, swap=True) == 1
    assert ["MISMATCH" in str(rows.lines(one, swap=True)) for one in done] == [True, False]


def silent(outcome: rows.RowsOutcome, folder: Path) -> None:
    """The plans of both halves do not say which half they are of, nor do their paths."""
    for one in outcome.halves:
        plan = one.outcome.folder.parent / "plan.json"
        document = json.loads(plan.read_text())
        assert document["inputs"]["size"] == "1"
        assert not re.search("breaks|holds|expect", str(plan.relative_to(folder)))
        del document["inputs"]["way"]
        assert not re.search("breaks|holds|expect", json.dumps(document))


def test_the_rows_asked_for_are_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are: R1"):
        run(project(tmp_path), "R9")


# -- the file ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ROW.replace('by = "it_holds"\n', ""), "'by'"),
        (ROW.replace("configuration pair", "promise"), "promise"),
        (ROW.replace("PASS it_holds", "FAIL it_holds"), "halves are the same"),
        (ROW + 'expected = "FAIL"\n', "knows no expected"),
        (ROW.replace("holds = { inputs", "holds = { verdict = 'PASS', inputs"), "knows no verdict"),
        (ROW.replace('way = "FAIL it_holds"', 'size = "2"'), "both say"),
        (ROW.replace("[R1]", "[R1"), "no TOML"),
        (re.sub("holds = .*", "", ROW), "has no <Side.HOLDS"),
    ],
)
def test_a_file_that_is_wrong_says_what_is(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "rows.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        read_rows(path)


def test_a_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.toml"
    path.write_text(ROW)
    (row,) = read_rows(path)
    assert row.expected(Side.BREAKS) == Expectation(Verdict.FAIL, "it_holds")
    assert row.expected(Side.HOLDS) == Expectation(Verdict.PASS)
    long = row.plan(Side.HOLDS, Form.LONG, seed="0000")
    assert long.inputs == {"size": "9", "way": "PASS it_holds"}
    assert row.swapped().plan(Side.BREAKS, Form.LONG, seed="0000") == long
    assert row.swapped().swapped() == row
    assert chosen([row], []) == (row,)


# -- this repository's rows --------------------------------------------------------------------


def own_rows() -> Sequence[Row]:
    return read_rows(ROOT / PLACE)


def test_every_row_names_a_test_a_promise_and_releases_that_are_there() -> None:
    files = (ROOT / "suites").glob("*/releases.toml")
    labels = {release.label for path in files for release in read_releases(path)}
    sources = "\n".join(path.read_text() for path in (ROOT / "suites").rglob("*.py"))
    sources += (ROOT / "chaoskit/standing.py").read_text()
    for row in own_rows():
        path, _, name = row.test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(), row.name
        assert f"def {row.by}(" in sources, row.name
        for side in Side:
            for form in Form:
                plan = row.plan(side, form, seed="0000")
                named = [plan.release]
                for key in ("to", "way_out", "way", "vintage"):
                    named += plan.inputs.get(key, "").split()
                named += [step.fields["to"] for step in plan.steps if "to" in step.fields]
                assert set(named) <= labels, (row.name, side, form)


def test_no_suite_of_incidents_knows_a_release_or_a_half() -> None:
    for path in (ROOT / "suites/incidents").glob("*.py"):
        text = path.read_text()
        assert not re.search(r"\b\d+\.\d+\.\d+\b", text), f"{path.name} names a release"
        assert "rows.toml" not in text or path.name == "__init__.py", path.name
        assert not re.search(r"Side\b|Verdict\.|\bexpected\b", text), path.name


def test_without_a_plan_the_tests_of_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "pytest", "suites/incidents", "--collect-only", "-q"]
    argv += ["-p", "no:cacheprovider", "--chaos-runs", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, text=True, capture_output=True, check=False, timeout=60)
    tests = {row.test for row in own_rows()}
    assert f"{len(tests)} tests of rows left out" in done.stdout
    assert "::" not in done.stdout
    plan = tmp_path / "plan.json"
    plan.write_text('{"schema": 1}')
    argv += ["--chaos-plan", str(plan)]
    done = subprocess.run(argv, cwd=ROOT, text=True, capture_output=True, check=False, timeout=60)
    assert done.stdout.count("::") == len(tests)
    assert "left out" not in done.stdout


def test_with_swapped_labels_a_third_outcome_is_no_swap(tmp_path: Path) -> None:
    (row,) = read_rows(project(tmp_path) / PLACE)
    reason = other(Verdict.INFRA)
    done = [
        rows.Compared(row, side, row.swapped().expected(side), came_out(tmp_path / side, reason))
        for side in Side
    ]
    assert rows.exit_code_of(done, swap=True) == 5
