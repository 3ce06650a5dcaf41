"""Alarms of the members' own: in time, too late, never, and where there is nothing to tell."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.invariant import Violation
from suites.incidents.alarms import an_alarm_comes_before_the_last_spare_is_lost
from tests.beacon_tape import BeaconTape

PROMISE = an_alarm_comes_before_the_last_spare_is_lost(interval_s=4)


def decayed(*alarms_s: float, until_s: float = 25.0, from_s: float = 10.0) -> BeaconTape:
    """Five members, three a threshold; one ends at `from_s`, which leaves one spare."""
    tape = BeaconTape()
    tape.level(1, 9)
    tape.state(from_s, "n5", "stopped")
    tape.level(11, 25)
    tape.state(until_s, "n5", "running")
    for time_s in alarms_s:
        tape.add(30.0, "n2", "note", text="an alarm", alarm="WARN", logged_s=time_s)
    tape.level(31, 31)
    return tape


def judged(tape: BeaconTape) -> Sequence[Violation]:
    return list(PROMISE.judge(tape.history()))


@pytest.mark.parametrize("alarms_s", [(14.0,), (20.9,), (13.0, 17.0, 21.0)])
def test_an_alarm_in_time(alarms_s: tuple[float, ...]) -> None:
    assert judged(decayed(*alarms_s)) == []


@pytest.mark.parametrize("alarms_s", [(), (21.1,), (24.0,)])
def test_no_alarm_in_time(alarms_s: tuple[float, ...]) -> None:
    (found,) = judged(decayed(*alarms_s))
    assert "n1 n2 n3 n4 had one spare signer from 10.000 to 25.000 s" in found.text


def test_an_alarm_while_all_run() -> None:
    (found,) = judged(decayed(8.0, 14.0))
    assert found.text == "n2 raised an alarm while all members ran"
    # What failed before is told at the end of the interval.
    assert judged(decayed(14.0, 27.0)) == []


def test_what_was_too_short_is_not_known() -> None:
    for tape in (decayed(until_s=20.0), decayed(14.0, from_s=7.0, until_s=25.0), BeaconTape()):
        with pytest.raises(Inconclusive):
            judged(tape)
