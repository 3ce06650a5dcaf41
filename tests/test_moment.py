"""Runs of one seed have a second each; of different seeds, and after an end, they do not wait."""

from __future__ import annotations

from chaoskit import clock
from chaoskit.moment import own_second


def test_two_runs_of_a_seed_begin_in_different_seconds() -> None:
    with own_second("7f3a") as first, own_second("7f3a") as second:
        assert second.replace(microsecond=0) > first.replace(microsecond=0)


def test_another_seed_does_not_wait_nor_does_whoever_comes_after() -> None:
    began_s = clock.monotonic()
    for _ in range(3):
        with own_second("7f3b"), own_second("7f3c"):
            pass
    assert clock.monotonic() - began_s < 0.5
