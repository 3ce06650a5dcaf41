"""What a suite says is rehearsed of its system."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chaoskit.errors import UsageError
from chaoskit.rehearsed import Rehearsed, load
from suites.etcd.system import SYSTEM

PROJECT = Path(__file__).resolve().parents[1]


def test_a_suite_without_a_rehearsal_has_its_system_rehearsed() -> None:
    found = load("etcd", project=PROJECT)
    assert found == Rehearsed(SYSTEM, found.owed, found.changed)
    assert found.owed(SYSTEM.releases[0]) == ()
    assert found.changed("3.4.23", "3.5.16") == ()
    assert found.unreached is None


def test_a_suite_with_one_has_that() -> None:
    from suites.beacon.rehearsal import REHEARSAL

    assert load("beacon", project=PROJECT) is REHEARSAL


def test_what_is_no_rehearsal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import suites.beacon.rehearsal as module

    monkeypatch.setattr(module, "REHEARSAL", SYSTEM)
    with pytest.raises(UsageError, match=r"suites/beacon/rehearsal\.py: REHEARSAL is no"):
        load("beacon", project=PROJECT)
    assert "suites.beacon.rehearsal" in sys.modules
    with pytest.raises(UsageError, match="no system 'nobody'"):
        load("nobody", project=PROJECT)
