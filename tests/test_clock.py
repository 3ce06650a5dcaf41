"""Waiting: on progress, bounded, and saying for what."""

from __future__ import annotations

from datetime import UTC

import pytest

from chaoskit.clock import monotonic, pause, read_duration_s, utc_now, wait_until
from chaoskit.errors import ChaosError, UsageError, WaitTimedOut


def test_it_answers_what_came_true() -> None:
    answers = iter([None, "", 0, "there"])
    assert wait_until(lambda: next(answers), what="it", timeout_s=5, poll_s=0.001) == "there"


def test_it_is_tried_once_even_when_there_is_no_time() -> None:
    assert wait_until(lambda: True, what="it", timeout_s=0.0, poll_s=0.01) is True


def test_it_gives_up_in_time_and_says_what_for() -> None:
    began_s = monotonic()
    tries = []
    with pytest.raises(WaitTimedOut) as raised:
        wait_until(
            lambda: tries.append(1),
            what="the leader",
            timeout_s=0.2,
            poll_s=0.01,
            last=lambda: f"{len(tries)} tries",
        )
    assert 0.1 <= monotonic() - began_s < 5.0
    assert len(tries) > 3
    assert (raised.value.what, raised.value.timeout_s) == ("the leader", 0.2)
    assert str(raised.value) == f"waited 0.2 s for the leader; last seen: {len(tries)} tries"
    assert isinstance(raised.value, ChaosError)


def test_what_the_predicate_raises_is_raised() -> None:
    def broken() -> bool:
        raise UsageError("broken")

    with pytest.raises(UsageError, match="broken"):
        wait_until(broken, what="it", timeout_s=5)


def test_a_pause_lasts() -> None:
    began_s = monotonic()
    pause(0.05)
    assert 0.05 <= monotonic() - began_s < 5.0


def test_the_wall_clock_is_utc() -> None:
    assert utc_now().tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "value_s"), [("90", 90.0), ("90s", 90.0), ("20m", 1200.0), ("1.5h", 5400.0)]
)
def test_lengths_of_time(text: str, value_s: float) -> None:
    assert read_duration_s(text) == value_s


@pytest.mark.parametrize("text", ["", "m", "soon", "0", "-1m", "nan", "inf", "8000h", "1d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"no length of time|not between"):
        read_duration_s(text)
