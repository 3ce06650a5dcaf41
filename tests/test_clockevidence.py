"""A wrong clock is seen in what a node tells when asked, and felt in what it stamps by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaoskit import clock
from chaoskit.clockevidence import tells_wrong_time, wrong_stamps
from chaoskit.errors import ChaosError
from chaoskit.history import Recorder
from chaoskit.nodelog import NodeLog
from chaoskit.system import Clock, Endpoint, Told, Unobserved
from chaoskit.wallclock import Skew


class Rig:
    """A node that tells and stamps the time `ahead_s` off, and its log."""

    def __init__(self, folder: Path) -> None:
        self.recorder = Recorder(folder / "history.jsonl")
        self.begun_s = datetime.fromisoformat(self.recorder.started_utc).timestamp()
        self.ahead_s: float | None = 0.0
        self.node: Any = SimpleNamespace(
            name="n1", log=NodeLog(folder / "n1" / "log", self.recorder, lambda line: line)
        )
        self.cluster: Any = SimpleNamespace(
            recorder=self.recorder, endpoint=lambda name: Endpoint(name, "127.0.0.1", {})
        )
        self.clock = Clock(self._ask, self._stamp)

    def _ask(self, endpoint: Endpoint, timeout_s: float) -> Told:
        if self.ahead_s is None:
            raise Unobserved("refused")
        told_s = int(clock.utc_now().timestamp() + self.ahead_s)
        return Told(told_s, told_s + 1.0)

    def _stamp(self, line: str) -> float | None:
        word = line.partition(" ")[0]
        return float(word) if word.replace(".", "").isdigit() else None

    def says(self, text: str, *, end: bytes = b"\n") -> None:
        stamp_s = self.begun_s + self.recorder.now_s() + (self.ahead_s or 0.0)
        self.node.log.copy(iter([f"{stamp_s:.3f} {text}".encode() + end]))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.recorder.close()


@pytest.mark.usefixtures("still_clock")
def test_it_is_there_gone_or_neither(rig: Rig) -> None:
    probe = tells_wrong_time(rig.cluster, rig.node, asked=rig.clock, skew=Skew(10.0))
    assert not probe.look().present
    rig.ahead_s = 10.0
    assert probe.look().present
    assert "+" in probe.look().detail
    rig.ahead_s = -10.0  # wrong, but not as it was set
    with pytest.raises(ChaosError, match="neither right nor wrong"):
        probe.look()
    rig.ahead_s = None
    with pytest.raises(ChaosError, match="does not tell the time: refused"):
        probe.look()


@pytest.mark.usefixtures("still_clock")
def test_a_drift_is_there_once_it_has_come_far_enough(rig: Rig) -> None:
    now_s = clock.utc_now().timestamp()
    skew = Skew(0.0, 0.5, now_s - 20.0)
    rig.ahead_s = 10.0
    assert tells_wrong_time(rig.cluster, rig.node, asked=rig.clock, skew=skew).look().present
    skew = Skew(0.0, 0.5, now_s - 200.0)
    with pytest.raises(ChaosError, match="neither"):
        tells_wrong_time(rig.cluster, rig.node, asked=rig.clock, skew=skew).look()


def test_only_lines_that_are_wrong_as_set_are_counted_once_each(rig: Rig) -> None:
    rig.ahead_s = -10.0
    rig.says("before the meter")
    meter = wrong_stamps(rig.cluster, rig.node, asked=rig.clock, skew=Skew(-10.0))
    assert meter.read() == 0
    rig.says("after it")
    assert meter.read() == 1
    assert meter.read() == 1
    rig.ahead_s = 0.0
    rig.says("with the right time")
    rig.ahead_s = 10.0
    rig.says("wrong the other way")
    assert meter.read() == 1
    rig.ahead_s = -10.0
    rig.says("once more")
    rig.node.log.copy(iter([b"no stamp\n"]))
    assert meter.read() == 2


def test_a_line_counts_when_it_is_whole_and_a_drift_when_it_shows(rig: Rig) -> None:
    meter = wrong_stamps(
        rig.cluster, rig.node, asked=rig.clock, skew=Skew(0.0, 0.5, rig.begun_s + 1000)
    )
    assert meter.read() == 0  # nothing was ever said
    begun = rig.recorder.now_s()
    wrong_s = rig.begun_s + begun + 0.5 * (begun - 1000)
    path = rig.node.log.path
    path.write_bytes(f"{begun:.6f} {wrong_s:.3f} half".encode())
    assert meter.read() == 0
    with path.open("ab") as file:
        file.write(b" and whole\n")
    assert meter.read() == 1
