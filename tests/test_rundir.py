"""The run folder: names, atomic files, runs cut short, reading back, no secret in it."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaoskit.errors import UsageError
from chaoskit.invariant import Measured
from chaoskit.judge import Outcome
from chaoskit.redaction import Redactor
from chaoskit.rundir import (
    PromiseOutcome,
    RunFolder,
    TestVerdict,
    create_run,
    open_run,
    read_verdicts,
)
from chaoskit.verdict import Kind, Reason, Verdict

STARTED = datetime(2026, 11, 21, 9, 12, 3, 417_000, tzinfo=UTC)
FIGURE = Measured("a loss", None, 8.0, (4, 5))
BROKEN = Reason(Verdict.FAIL, "no_fork", "e1 and e2 differ at 7", (3, 4), Kind.SAFETY)


def make(root: Path, redactor: Redactor | None = None) -> RunFolder:
    return create_run(
        root,
        seed="7f3a",
        system="toys",
        command="chaoskit demo toys --seed 7f3a",
        started=STARTED,
        redactor=redactor or Redactor(),
    )


def verdict_of(test: str, *reasons: Reason) -> TestVerdict:
    return TestVerdict(
        test=test,
        verdict=reasons[0].verdict if reasons else Verdict.PASS,
        scope=(2, 9),
        reasons=reasons,
        promises=(PromiseOutcome("no_fork", Kind.SAFETY, Outcome.KEPT, (FIGURE,)),),
        owed_share=0.925,
        duration_s=4.25,
        again=f"pytest {test} --chaos-seed 7f3a",
    )


def test_a_run_is_named_by_utc_and_seed_and_latest_points_to_it(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    first = make(root)
    assert first.name == "2026-11-21T09-12-03-7f3a"
    assert (root / "latest").readlink() == Path(first.name)
    second = make(root)
    assert second.name == "2026-11-21T09-12-03-7f3a-2"
    assert open_run("latest", root=root) == second.path
    assert open_run(first.name, root=root) == first.path
    assert open_run(str(first.path), root=tmp_path / "elsewhere") == first.path
    assert sorted(path.name for path in root.iterdir()) == [first.name, second.name, "latest"]


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    folder = make(tmp_path)
    folder.describe(system="toys", host={"cores": 2, "engine": None})
    folder.add(verdict_of("a"))
    folder.add(verdict_of("b", BROKEN))
    folder.finish()
    found = read_verdicts(folder.path)
    assert found == folder.verdicts
    assert found.verdict is Verdict.FAIL
    assert found.tests[1].reasons == (BROKEN,)
    document = json.loads((folder.path / "verdicts.json").read_text())
    assert document["schema"] == 1
    assert document["tests"][0]["scope"] == [2, 9]
    assert document["tests"][0]["promises"] == [
        {
            "name": "no_fork",
            "kind": "safety",
            "outcome": "kept",
            "measured": [{"text": "a loss", "value_s": None, "limit_s": 8.0, "events": [4, 5]}],
        }
    ]


def test_verdicts_without_figures_are_read_as_before(tmp_path: Path) -> None:
    folder = make(tmp_path)
    folder.add(verdict_of("a"))
    path = folder.path / "verdicts.json"
    document = json.loads(path.read_text())
    del document["tests"][0]["promises"][0]["measured"]
    path.write_text(json.dumps(document))
    (promise,) = read_verdicts(folder.path).tests[0].promises
    assert promise == PromiseOutcome("no_fork", Kind.SAFETY, Outcome.KEPT)


def test_a_run_cut_short_is_never_a_pass(tmp_path: Path) -> None:
    folder = make(tmp_path)
    assert read_verdicts(folder.path).verdict is Verdict.UNKNOWN
    folder.add(verdict_of("a"))
    assert read_verdicts(folder.path).verdict is Verdict.UNKNOWN
    assert read_verdicts(folder.path).tests[0].verdict is Verdict.PASS
    folder.finish()
    assert read_verdicts(folder.path).verdict is Verdict.PASS
    empty = make(tmp_path)
    empty.finish()
    assert read_verdicts(empty.path).verdict is Verdict.UNKNOWN


def test_a_verdict_that_contradicts_its_reasons_is_refused() -> None:
    with pytest.raises(ValueError, match="amount to"):
        TestVerdict("a", Verdict.PASS, (0, 1), (BROKEN,), (), None, 1.0, "")
    with pytest.raises(ValueError, match="scope"):
        TestVerdict("a", Verdict.PASS, (4, 1), (), (), None, 1.0, "")
    with pytest.raises(ValueError, match="owed"):
        TestVerdict("a", Verdict.PASS, (0, 1), (), (), 1.5, 1.0, "")


KILLED = """
import os, signal, sys
from pathlib import Path
from chaoskit.rundir import read_verdicts
sys.path.insert(0, {tests!r})
from test_rundir import make, verdict_of
folder = make(Path({root!r}))
real = os.replace
count = 0
def replace(self, target):
    global count
    count += 1
    if count == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, target)
Path.replace = replace
for name in "abc":
    folder.add(verdict_of(name))
"""


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_run_killed_while_it_writes_has_whole_verdicts(tmp_path: Path, at: int) -> None:
    tests = str(Path(__file__).parent)
    script = KILLED.format(tests=tests, root=str(tmp_path), at=at)
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    found = read_verdicts(open_run("latest", root=tmp_path))
    assert [test.test for test in found.tests] == list("abc")[: at - 1]
    assert found.verdict is Verdict.UNKNOWN


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run yet"):
        open_run("latest", root=tmp_path)
    folder = make(tmp_path)
    with pytest.raises(UsageError, match=folder.name):
        open_run("2026-11-21T00-00-00-0000", root=tmp_path)
    file = folder.path / "verdicts.json"
    for content, told in [
        (b"{", "is no JSON"),
        (b"[]", "found None"),
        (b'{"schema": 2}', "found 2"),
        (b'{"schema": 1}', "KeyError"),
        (file.read_bytes().replace(b'"tests": []', b'"tests": [{"scope": [1]}]'), "ValueError"),
    ]:
        file.write_bytes(content)
        with pytest.raises(UsageError, match=told):
            read_verdicts(folder.path)
    file.unlink()
    with pytest.raises(UsageError, match="no record of verdicts"):
        read_verdicts(folder.path)


def test_a_seed_or_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="seed 'seven'"):
        create_run(
            tmp_path, seed="seven", system="", command="", started=STARTED, redactor=Redactor()
        )
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="no run folder"):
        make(tmp_path / "file")
    (tmp_path / "latest").mkdir()
    with pytest.raises(UsageError, match="no run folder"):
        make(tmp_path)
    assert not list(tmp_path.glob(".latest*"))


def test_a_planted_canary_reaches_no_file_of_a_run_folder(tmp_path: Path) -> None:
    canary = b"CANARY-5b1f0e77-of-a-node"
    redactor = Redactor()
    redactor.register(canary)
    folder = make(tmp_path, redactor)
    text = canary.decode()
    (folder.nodes / "n1").mkdir()
    with (folder.nodes / "n1/log").open("wb") as log:
        stream = redactor.stream()
        for write in (b"loading " + canary[:9], canary[9:] + b" from disk\nready\n"):
            log.write(stream.feed(write))
        log.write(stream.end())
    encoded = base64.b64encode(b"x" + canary).decode()
    folder.write_inspection("n1", {"Config": {"Env": [f"SECRET={text}", f"OTHER={encoded}"]}})
    folder.write_plan({"seed": "7f3a", "steps": [{"fields": {"token": text}}]})
    folder.describe(system="toys", host={"argv": text})
    folder.add(verdict_of("a", Reason(Verdict.UNKNOWN, "check", f"said {canary.hex()}")))
    folder.finish()
    assert redactor.leaks(folder.path) == ()
    everything = b"".join(path.read_bytes() for path in folder.path.rglob("*") if path.is_file())
    assert everything.count(b"[redacted]") >= 6
    for form in (canary, canary.hex().encode(), base64.b64encode(canary)[:24]):
        assert form not in everything
    (folder.path / "planted").write_bytes(b"here: " + canary)
    assert redactor.leaks(folder.path) == (folder.path / "planted",)
