"""Rounds, their times, and durations as Go writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.beacon.durations import seconds_of, text_of
from nodes.beacon.errors import RoundOutOfRange
from nodes.beacon.rounds import Schedule

MAINNET = Schedule(1_595_431_050, 30)


@pytest.mark.parametrize(
    ("now_s", "following", "current"),
    [
        (0, 1, 1),
        (1_595_431_049, 1, 1),
        (1_595_431_049.99, 1, 1),
        (1_595_431_050, 2, 1),
        (1_595_431_079.99, 2, 1),
        (1_595_431_080, 3, 2),
        (1_595_431_050 + 30 * 999, 1001, 1000),
    ],
)
def test_a_round_lasts_from_its_time_to_the_next_ones(
    now_s: float, following: int, current: int
) -> None:
    assert MAINNET.next_round(now_s) == following
    assert MAINNET.current_round(now_s) == current


def test_round_one_is_at_genesis_and_round_zero_too() -> None:
    assert MAINNET.time_of(0) == MAINNET.time_of(1) == MAINNET.genesis_s
    assert MAINNET.time_of(2) == MAINNET.genesis_s + 30
    assert MAINNET.next_time(MAINNET.genesis_s - 5) == MAINNET.genesis_s


@given(st.integers(0, 2**40), st.integers(1, 2**31), st.floats(0, 2**45, allow_nan=False, width=64))
def test_now_lies_in_its_round(genesis_s: int, period_s: int, now_s: float) -> None:
    schedule = Schedule(genesis_s, period_s)
    following = schedule.next_round(now_s)
    assert schedule.time_of(following) > now_s or following == 1
    assert following == 1 or schedule.time_of(following - 1) <= now_s
    assert schedule.next_time(now_s) == schedule.time_of(following)
    assert schedule.current_round(now_s) == max(1, following - 1)


@pytest.mark.parametrize("round_number", [-1, 2**63, 2**64, 2**200])
def test_a_round_that_no_clock_shows_is_refused(round_number: int) -> None:
    with pytest.raises(RoundOutOfRange):
        MAINNET.time_of(round_number)
    assert MAINNET.time_of(2**57) > 0


@pytest.mark.parametrize(("genesis_s", "period_s"), [(0, 0), (0, -1), (-1, 1), (2**63, 1)])
def test_what_is_no_schedule_is_refused(genesis_s: int, period_s: int) -> None:
    with pytest.raises(ValueError, match=r"period|genesis"):
        Schedule(genesis_s, period_s)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (1.0, "1s"),
        (25.0, "25s"),
        (60.0, "1m0s"),
        (90.5, "1m30.5s"),
        (3600.0, "1h0m0s"),
        (0.5, "500ms"),
        (0.0015, "1.5ms"),
        (2e-6, "2µs"),
        (5e-9, "5ns"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert text_of(seconds) == text
    assert seconds_of(text) == pytest.approx(seconds, abs=0)


@given(st.integers(0, 10**15))
def test_every_duration_reads_back(nanoseconds: int) -> None:
    assert seconds_of(text_of(nanoseconds / 1e9)) == nanoseconds / 1e9


@pytest.mark.parametrize("text", ["", "25", "s", "1s ", "-1s", "1d", "1s2", "1.s", "9" * 19 + "h"])
def test_what_go_would_not_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds_of(text)
    assert seconds_of("1h1m1s") == 3661
    assert seconds_of("0") == 0
