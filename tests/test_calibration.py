"""The calibration measures what it says, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit import calibration, clock
from chaoskit.calibration import Calibration, calibrate
from tests.stand_in import still


class Taking:
    """A clock that only what is said to take time puts forward."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self, duration_s: float) -> None:
        self.now_s += duration_s


@pytest.fixture
def taking(monkeypatch: pytest.MonkeyPatch) -> Taking:
    made = Taking()
    monkeypatch.setattr(clock, "monotonic", lambda: made.now_s)
    return made


def test_three_figures_each_of_its_own_thing(tmp_path: Path) -> None:
    begun_s = clock.monotonic()
    found = calibrate(tmp_path)
    took_s = clock.monotonic() - begun_s
    # a process cannot be had for less than a round trip over loopback
    assert 0 < found.round_trip_s < found.spawn_s
    assert found.sync_s > 0
    assert 3 * (found.spawn_s + found.sync_s + found.round_trip_s) <= took_s, "medians of five"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("what", "figure"), [("fsync", "sync_s"), ("run", "spawn_s")], ids=["disk", "processes"]
)
def test_what_is_slow_is_seen_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taking: Taking, what: str, figure: str
) -> None:
    module = os if what == "fsync" else subprocess
    monkeypatch.setattr(module, what, lambda *_, **__: taking(0.3))
    found = calibrate(tmp_path)
    figures = {name: value for name, value in found.document().items() if name != "slowness"}
    assert figures.pop(figure) == pytest.approx(0.3)
    assert set(figures.values()) == {0.0}
    assert found.slowness > 2.9, "one slow figure is enough"


def test_one_slow_sample_is_no_slow_machine(taking: Taking) -> None:
    waits = iter([0.5, 0.1, 0.1, 0.1, 0.1])
    assert calibration._median_s(lambda: taking(next(waits))) == pytest.approx(0.1)


def test_the_document_has_microseconds() -> None:
    assert Calibration(0.0123456789, 1.0, 2e-7).document() == {
        "spawn_s": 0.012346,
        "sync_s": 1.0,
        "round_trip_s": 0.0,
        "slowness": 4.0,
    }


@pytest.mark.parametrize(
    ("found", "slowness"),
    [
        (Calibration(0.01, 0.001, 0.00001), 1.0),
        (Calibration(0.2, 0.001, 0.00001), 2.0),
        (Calibration(0.2, 0.03, 0.00001), 3.0),
        (Calibration(0.01, 0.001, 9.0), 4.0),
    ],
)
def test_a_slow_machine_stretches_deadlines_and_no_promise(
    found: Calibration, slowness: float
) -> None:
    system = still(start_timeout_s=10.0, stop_timeout_s=5.0, progress_bound_s=3.0)
    assert found.slowness == pytest.approx(slowness)
    stretched = found.stretched(system)
    assert stretched.start_timeout_s == pytest.approx(10.0 * slowness)
    assert stretched.stop_timeout_s == pytest.approx(5.0 * slowness)
    kept = replace(stretched, start_timeout_s=10.0, stop_timeout_s=5.0)
    assert kept == system
