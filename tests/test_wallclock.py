"""A clock is set from outside in a process that runs, and nothing but what it tells of the time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaoskit import clock, wallclock
from chaoskit.clockreading import Offset
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.wallclock import RIGHT, Skew, WallClock

REPOSITORY = Path(__file__).resolve().parent.parent
TRIES = 20  # a busy machine answers late, and bounds little by that
LONG_S = 30.0
# Answers each line with what each way of asking says: the wall clock by three calls, the monotonic
# one; then it sleeps, and says how long by the monotonic clock.
CHILD = """
import ctypes, sys, time
class Timeval(ctypes.Structure):
    _fields_ = [("s", ctypes.c_long), ("us", ctypes.c_long)]
library, now = ctypes.CDLL(None), Timeval()
library.time.restype = ctypes.c_long
for _ in sys.stdin:
    library.gettimeofday(ctypes.byref(now), None)
    told = [time.time(), now.s + now.us / 1e6, library.time(None) + 0.5, time.monotonic()]
    time.sleep(0.01)
    print(*told, time.monotonic() - told[3], flush=True)
"""


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    done = subprocess.run([str(REPOSITORY / "docker/clock.sh")], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


class Asked:
    """A child that tells the time when it is asked."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.pid = child.pid
        self._child = child

    def offsets(self) -> tuple[Offset, Offset, Offset]:
        """By how much its wall clock is ahead of ours, by each call; the last tells seconds."""
        before_s = clock.utc_now().timestamp()
        told = self._ask()
        after_s = clock.utc_now().timestamp()
        bounds = [
            Offset(one - after_s - slack_s, one - before_s + slack_s)
            for one, slack_s in zip(told, (0.001, 0.001, 0.5 + 0.01), strict=False)
        ]
        return bounds[0], bounds[1], bounds[2]

    def monotonic_offset(self) -> Offset:
        before_s = clock.monotonic()
        told_s = self._ask()[3]
        return Offset(told_s - clock.monotonic(), told_s - before_s)

    def slept_s(self) -> float:
        return self._ask()[4]

    def _ask(self) -> list[float]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        return [float(word) for word in self._child.stdout.readline().split()]


@contextmanager
def asked(folder: Path) -> Iterator[Asked]:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env=dict(os.environ) | dict(wallclock.environment(str(folder))),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield Asked(child)
        finally:
            child.kill()


@pytest.fixture
def settable(tmp_path: Path) -> WallClock:
    wallclock.furnish(tmp_path / "clock")
    return WallClock(tmp_path / "clock")


@pytest.mark.parametrize("ahead_s", [3600.0, -3600.0, 400 * 86_400.0, 0.25])
def test_a_running_process_is_ahead_or_behind_and_right_again(
    settable: WallClock, ahead_s: float
) -> None:
    with asked(settable.folder) as child:
        assert all(off.allows(0.0) for off in child.offsets())
        settable.set(Skew(ahead_s))
        assert settable.skew() == Skew(ahead_s)
        assert all(off.allows(ahead_s) for off in child.offsets())
        assert any(not off.allows(0.0) for _ in range(TRIES) for off in child.offsets()[:2])
        assert child.monotonic_offset().allows(0.0)
        assert 0.01 <= child.slept_s() < LONG_S
        settable.set(RIGHT)
        assert settable.skew() == RIGHT
        assert child.offsets()[0].allows(0.0)
        assert any(not child.offsets()[0].allows(ahead_s) for _ in range(TRIES))


def test_a_clock_gains_or_loses_from_then_on(settable: WallClock) -> None:
    with asked(settable.folder) as child:
        since_s = clock.utc_now().timestamp() - 100.0
        for drift in (0.5, -0.5):
            skew = Skew(0.0, drift, since_s)
            settable.set(skew)
            before_s = clock.utc_now().timestamp()
            off = child.offsets()[0]
            after_s = clock.utc_now().timestamp()
            least_s, most_s = sorted((skew.at_s(before_s), skew.at_s(after_s)))
            assert off.least_s <= most_s
            assert off.most_s >= least_s
            assert any(not child.offsets()[0].allows(0.0) for _ in range(TRIES))
            assert settable.skew().at_s(since_s + 10.0) == pytest.approx(10 * drift)


def test_who_has_loaded_it_is_seen_from_outside(settable: WallClock) -> None:
    with asked(settable.folder) as child:
        child.offsets()
        assert wallclock.loaded(child.pid)
    assert not wallclock.loaded(os.getpid())
    assert not wallclock.loaded(child.pid)


def test_without_a_control_file_the_clock_is_right(tmp_path: Path, settable: WallClock) -> None:
    (settable.folder / "control").write_bytes(b"\1" * 32)  # shorter than what would be mapped
    with asked(settable.folder) as child:
        assert all(off.allows(0.0) for off in child.offsets())
    with pytest.raises(ChaosError, match="control file"):
        WallClock(tmp_path).set(Skew(1.0))


def test_what_is_set_right_is_as_it_was_made(settable: WallClock) -> None:
    before = (settable.folder / "control").read_bytes()
    settable.set(Skew(5.0))
    settable.set(Skew(-5.0))
    settable.set(RIGHT)
    assert (settable.folder / "control").read_bytes() == before


@pytest.mark.parametrize("values", [(401 * 86_400.0, 0.0), (0.0, -1.0), (0.0, 1.1)])
def test_no_clock_is_as_wrong_as_that(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="at most"):
        Skew(*values)


def test_a_host_without_the_shim_says_what_builds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wallclock.why_unavailable() == ""
    monkeypatch.setenv("CHAOSKIT_CACHE", str(tmp_path))
    assert "make setup" in wallclock.why_unavailable()
    with pytest.raises(NotApplicable):
        wallclock.furnish(tmp_path / "clock")
