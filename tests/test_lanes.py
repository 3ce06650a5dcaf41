"""Programs side by side: how many, in which order they are handed out, and that none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaoskit import clock, lanes, proc
from chaoskit.lanes import Program, side_by_side

TIMEOUT_S = 30.0
# Says that it runs, and how many SIGINT it got; ends by "go", or once it was interrupted.
WAITS = """
import pathlib, signal, sys, time
here, name = pathlib.Path(sys.argv[1]), sys.argv[2]
told = []
signal.signal(signal.SIGINT, lambda *_: told.append(1))
(here / f"{name}.runs").touch()
until = time.monotonic() + 30
while time.monotonic() < until and not (here / f"{name}.go").exists() and not told:
    time.sleep(0.01)
late = time.monotonic() + (0.2 if told else 0)
while time.monotonic() < late:
    time.sleep(0.01)
print(f"{name}: {len(told)} interrupts", flush=True)
"""
STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
(pathlib.Path(sys.argv[1]) / f"{sys.argv[2]}.runs").touch()
time.sleep(30)
"""


def program(folder: Path, name: str, code: str = WAITS, *, timeout_s: float = TIMEOUT_S) -> Program:
    argv = (sys.executable, "-c", code, str(folder), name)
    return Program(name, argv, folder, folder / f"{name}.txt", timeout_s)


def await_file(path: Path) -> None:
    clock.wait_until(path.exists, what=str(path), timeout_s=TIMEOUT_S)


def running() -> set[int]:
    return {pid for pid in proc.children(os.getpid()) if proc.alive(pid)}


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = running()
    yield
    assert running() <= before


def test_they_run_at_the_same_time_and_come_out_as_they_end(tmp_path: Path) -> None:
    made: list[str] = []

    def programs() -> Iterator[Program]:
        for name in "abc":
            made.append(name)
            yield program(tmp_path, name)

    with side_by_side(programs(), at_once=2) as ends:
        (tmp_path / "b.go").touch()
        first = next(ends)
        await_file(tmp_path / "a.runs")
        assert (first.number, first.said) == (1, "b: 0 interrupts\n")
        assert made == ["a", "b"]  # the third is made when there is room for it
        (tmp_path / "c.go").touch()
        assert next(ends).program.name == "c"
        (tmp_path / "a.go").touch()
        last = next(ends)
        assert (last.number, last.program.name, last.code, last.timed_out) == (0, "a", 0, False)
        assert last.took_s > first.took_s
        assert next(ends, None) is None


def test_one_at_a_time_they_keep_their_order(tmp_path: Path) -> None:
    exits = [
        Program(str(code), ("sh", "-c", f"exit {code}"), tmp_path, tmp_path / f"{code}", TIMEOUT_S)
        for code in (3, 0, 1)
    ]
    with side_by_side(iter(exits), at_once=1) as ends:
        assert [(one.number, one.code) for one in ends] == [(0, 3), (1, 0), (2, 1)]


def test_a_time_out_ends_one_and_not_the_others(tmp_path: Path) -> None:
    programs = [program(tmp_path, "slow", timeout_s=0.5), program(tmp_path, "other")]
    with side_by_side(iter(programs), at_once=2) as ends:
        first = next(ends)
        assert (first.program.name, first.timed_out, first.code) == ("slow", True, -signal.SIGKILL)
        assert first.took_s >= 0.5
        (tmp_path / "other.go").touch()
        assert not next(ends).timed_out


def test_an_error_lets_all_clear_up_and_ends_what_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "_GRACE_S", TIMEOUT_S)
    said = tmp_path / "polite.txt"

    def monotonic() -> float:
        """The time to clear up is over once the one who does so has done it."""
        done = said.exists() and said.read_bytes()
        return clock.monotonic() + (lanes._GRACE_S if done else 0.0)

    monkeypatch.setattr(lanes, "clock", SimpleNamespace(monotonic=monotonic))
    (tmp_path / "quick.go").touch()
    programs = [program(tmp_path, name) for name in ("quick", "polite")]
    programs.append(program(tmp_path, "stubborn", STUBBORN))

    def fail() -> None:
        with side_by_side(iter(programs), at_once=3) as ends:
            assert next(ends).program.name == "quick"  # they are started by the first question
            await_file(tmp_path / "polite.runs")
            await_file(tmp_path / "stubborn.runs")
            raise OSError("the one who waits failed")

    with pytest.raises(OSError, match="the one who waits failed"):
        fail()
    assert said.read_text() == "polite: 1 interrupts\n"


def test_nobody_is_started_for_a_number_that_runs_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="0 programs at a time"),
        side_by_side(iter([program(tmp_path, "a")]), at_once=0),
    ):
        pass
    assert not (tmp_path / "a.txt").exists()


PARENT = """
import pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # who began us may ignore it
from chaoskit.lanes import Program, side_by_side
here = pathlib.Path(sys.argv[1])
programs = [
    Program(name, (sys.executable, "-c", sys.argv[2], sys.argv[1], name), here,
            here / f"{name}.txt", 30.0)
    for name in "ab"
]
with side_by_side(iter(programs), at_once=2) as ends:
    list(ends)
"""


def test_an_interrupt_on_the_terminal_reaches_each_once(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PARENT, str(tmp_path), WAITS]
    with subprocess.Popen(argv, start_new_session=True, stderr=subprocess.DEVNULL) as parent:
        for name in "ab":
            await_file(tmp_path / f"{name}.runs")
        os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to the whole group
        assert parent.wait(TIMEOUT_S) == -signal.SIGINT
    said = [(tmp_path / f"{name}.txt").read_text() for name in "ab"]
    assert said == ["a: 1 interrupts\n", "b: 1 interrupts\n"]
