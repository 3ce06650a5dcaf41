"""`.ci/groups` with groups of our own: what runs together, what is shown, how it ends."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from chaoskit import clock

GROUPS = Path(__file__).parents[1] / ".ci/groups"
TIMEOUT_S = 30.0
# Waits, some seconds at most, until a file is there.
AWAIT = "for i in {1..500}; do [ -e %s ] && break; sleep 0.02; done; [ -e %s ]"


def script(tmp_path: Path, *lines: str) -> Path:
    """The script with these groups instead of ours, and with seconds for its budgets' minutes."""
    made = tmp_path / ".ci/groups"
    made.parent.mkdir()
    listed = "\n".join(shlex.quote(line) for line in lines)
    text = re.sub(
        r"GROUPS_OF_TEST=\(.*?\n\)",
        lambda _: f"GROUPS_OF_TEST=(\n{listed}\n)",
        GROUPS.read_text(),
        flags=re.DOTALL,
    )
    assert text.count("budget_minutes * 180") == 1
    made.write_text(text.replace("budget_minutes * 180", "budget_minutes * 3"))
    made.chmod(0o755)
    return made


def run(path: Path, *names: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [path, *names], text=True, capture_output=True, check=False, timeout=TIMEOUT_S
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def table(lines: Sequence[str]) -> dict[str, str]:
    """What became of each group, by the last lines."""
    told = lines[lines.index("---- groups") + 1 :]
    told = told[: told.index("")] if "" in told else told
    assert re.fullmatch(r"all +[0-9.]+ s", told[-1])
    found = (re.fullmatch(r"(\S+) +[0-9.]+ s of +[0-9]+ s   (.*)", one) for one in told[:-1])
    return {one[1]: one[2] for one in found if one is not None}


def test_those_of_a_letter_run_together_and_are_shown_in_order(tmp_path: Path) -> None:
    one, other, later = (tmp_path / name for name in ("one", "other", "later"))
    code, lines = run(
        script(
            tmp_path,
            f"a|first|5|{AWAIT % (other, other)} && touch {one}; echo 1; [ ! -e {later} ]",
            f"a|second|5|echo 2; touch {other}; {AWAIT % (one, one)}",
            f"b|third|5|echo 3; touch {later}; [ -e {one} ]",
        )
    )
    assert code == 0, lines
    assert [line for line in lines if line.isdigit()] == ["1", "2", "3"]
    assert table(lines) == dict.fromkeys(("first", "second", "third"), "ok")


def test_what_was_compiled_is_kept_whatever_the_shell_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    _, lines = run(script(tmp_path, "a|one|5|echo ${PYTHONDONTWRITEBYTECODE:-kept}"))
    assert "kept" in lines


def test_no_more_than_three_run_at_once(tmp_path: Path) -> None:
    began, ended = tmp_path / "began", tmp_path / "ended"
    waits = f"touch {began}-%s; {AWAIT % (f'{began}-3', f'{began}-3')}; touch {ended}"
    groups = [f"a|waits|9|{waits % number}" for number in (1, 2, 3)]
    groups.append(f"a|last|9|[ -e {ended} ] && echo after one of them")
    code, lines = run(script(tmp_path, *groups))
    assert code == 0, lines
    assert "after one of them" in lines


def test_every_group_runs_after_one_that_failed_and_the_code_says_so(tmp_path: Path) -> None:
    groups = ("a|bad|5|exit 7", "a|good|5|echo fine", "b|last|5|echo done")
    code, lines = run(script(tmp_path, *groups))
    assert code == 1
    assert table(lines) == {"bad": "FAILED (7)", "good": "ok", "last": "ok"}
    assert "done" in lines


def test_what_failed_and_how_is_told_at_the_very_end(tmp_path: Path) -> None:
    said = (
        "%s; echo; seq 99; echo 'E   AssertionError: three'; seq 99; echo 'FAILED test_x'; exit 1"
    )
    groups = (
        f"a|tests|5|{said % 'echo ___ test_x ___'}",
        "a|good|5|echo FAILED no more",
        "b|other|5|seq 99; echo went wrong; exit 3",
    )
    code, lines = run(script(tmp_path, *groups))
    assert code == 1
    at = lines.index("---- what failed in tests")
    assert lines[at + 1 : at + 4] == [
        "___ test_x ___",
        "E   AssertionError: three",
        "FAILED test_x",
    ]
    assert lines[at + 5] == "---- what failed in other"
    assert (lines[at + 6], lines[-1], len(lines)) == ("71", "went wrong", at + 36)


def test_a_group_that_takes_too_long_is_ended_and_the_others_go_on(tmp_path: Path) -> None:
    mark = f"{tmp_path.name}-sleeper"
    groups = (
        f"a|slow|1|sleep 20 & wait # {mark}",
        f"a|quick|9|{AWAIT % (GROUPS, GROUPS)}; echo ok",
    )
    code, lines = run(script(tmp_path, *groups))
    assert code == 1
    assert table(lines) == {
        "slow": "FAILED: ended after three times its budget",
        "quick": "ok",
    }
    assert left(mark) == []


def left(mark: str) -> list[str]:
    """Processes with this in their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if mark in said:
            found.append(said)
    return found


def test_groups_are_run_by_name_and_an_unknown_one_is_said(tmp_path: Path) -> None:
    path = script(tmp_path, "a|x|5|echo 1", "b|y|5|echo 2", "b|y|5|echo 3", "b|z|5|echo 4")
    code, lines = run(path, "y")
    assert code == 0
    assert [line for line in lines if line.isdigit()] == ["2", "3"]
    code, lines = run(path, "y", "other")
    assert (code, lines) == (2, ["no group named other ; there are: x y z "])


@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "process"])
def test_an_interrupt_reaches_what_groups_started(tmp_path: Path, *, to_all: bool) -> None:
    told, runs = tmp_path / "told", tmp_path / "runs"
    waits = (
        f"trap 'touch {told}; exit 9' INT; touch {runs}; for i in {{1..500}}; do sleep 0.05; done"
    )
    path = script(tmp_path, f"a|waits|9|{waits}", "b|never|9|echo never")
    # Who starts us in the background leaves us an interrupt that no shell can heed.
    heeds: list[str | Path] = ["env", "--default-signal=INT", path]
    with subprocess.Popen(
        heeds, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        clock.wait_until(runs.exists, what="the group to run", timeout_s=TIMEOUT_S)
        (os.killpg if to_all else os.kill)(started.pid, signal.SIGINT)
        said, _ = started.communicate(timeout=TIMEOUT_S)
    assert started.returncode == 130
    assert told.exists()
    assert "never" not in said
    assert left(str(runs)) == []
