"""Counting up over runs: nothing is lost, and other code is another count."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit import tally
from chaoskit.errors import UsageError
from chaoskit.tally import Entry, State

STATE = State("00aa", "c0ffee")


def entry(*, good: bool = True, key: str = "E1 holds, short") -> Entry:
    broken = () if good else ("no_fork", "no_rollback")
    return Entry(key, "PASS" if good else "FAIL", broken[0] if broken else "", good, 1.25, broken)


def test_counts_go_up_and_nothing_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / tally.FILE
    tally.add(path, STATE, (entry(), entry(key="other")))
    tally.add(path, STATE, (entry(good=False),))
    found = tally.read(path)
    assert tally.counted(found, STATE, "E1 holds, short") == (1, 2)
    assert tally.counted(found, STATE, "other") == (1, 1)
    assert tally.counted(found, State("11bb", ""), "other") == (0, 0)
    count = found["states"]["00aa"]["counts"]["E1 holds, short"]
    assert count["verdicts"] == {"PASS": 1, "FAIL by no_fork": 1}
    assert count["durations_s"] == [1.2, 1.2]
    assert count["broken"] == {"no_fork": 1, "no_rollback": 1}
    assert found["states"]["00aa"]["commit"] == "c0ffee"


def test_how_many_ran_at_once_stands_beside_how_often(tmp_path: Path) -> None:
    path = tmp_path / tally.FILE
    for at_once in (1, 3, 3):
        tally.add(path, STATE, (replace(entry(), at_once=at_once),))
    count = tally.read(path)["states"]["00aa"]["counts"]["E1 holds, short"]
    assert count["at_once"] == {"1": 1, "3": 2}


def test_what_something_usually_takes_is_the_median_of_the_state_that_counted_it_last(
    tmp_path: Path,
) -> None:
    path = tmp_path / tally.FILE
    for state, seconds in (("old", (9.0,)), ("new", (1.0, 7.0, 3.0))):
        for duration_s in seconds:
            tally.add(path, State(state, ""), (replace(entry(), duration_s=duration_s),))
    tally.add(path, State("newest", ""), (entry(key="other"),))
    found = tally.read(path)
    assert tally.usual_s(found, "E1 holds, short") == 3.0
    assert tally.usual_s(found, "nobody's") is None


def test_two_that_count_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / tally.FILE
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(tally.add, path, STATE, (entry(),)) for _ in range(40)]:
            done.result()
    assert tally.counted(tally.read(path), STATE, "E1 holds, short") == (40, 40)


def test_a_file_that_is_no_count_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / tally.FILE
    path.write_text('{"schema": 9}')
    with pytest.raises(UsageError, match="schema 1"):
        tally.add(path, STATE, (entry(),))
    assert path.read_text() == '{"schema": 9}'


def git(project: Path, *argv: str) -> str:
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.invalid"]
    done = subprocess.run(
        ["git", *identity, "-C", str(project), *argv], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_state_says_when_it_is_not_the_commit_checked_out(tmp_path: Path) -> None:
    assert tally.state_of(tmp_path).commit == ""
    (tmp_path / "chaoskit").mkdir()
    (tmp_path / "chaoskit/a.py").write_text("1")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "chaoskit")
    git(tmp_path, "commit", "-q", "-m", "one")
    head = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    (tmp_path / tally.FILE).write_text("{}")
    assert tally.state_of(tmp_path).commit == head
    (tmp_path / "chaoskit/b.py").write_text("1")
    assert tally.state_of(tmp_path).commit == f"{head}+"


def test_the_state_is_the_code_that_ran(tmp_path: Path) -> None:
    for name in ("chaoskit/a.py", "suites/b.toml", "runs/c.py", "chaoskit/__pycache__/a.pyc"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    before = tally.state_of(tmp_path)
    (tmp_path / "runs/c.py").write_text("2")
    (tmp_path / "chaoskit/__pycache__/a.pyc").write_text("2")
    assert tally.state_of(tmp_path) == before
    (tmp_path / "suites/b.toml").write_text("2")
    changed = tally.state_of(tmp_path)
    assert changed.digest != before.digest
    (tmp_path / "suites/b.toml").rename(tmp_path / "suites/d.toml")
    assert tally.state_of(tmp_path).digest != changed.digest
