"""Runs of one seed have a second each; of different seeds, and after an end, they do not wait."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from chaoskit import clock
from chaoskit.moment import own_second


def test_two_runs_of_a_seed_begin_in_different_seconds() -> None:
    with own_second("7f3a") as first, own_second("7f3a") as second:
        assert second.replace(microsecond=0) > first.replace(microsecond=0)


def test_another_seed_does_not_wait_nor_does_whoever_comes_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[bool] = []
    wait, now = clock.wait_until, clock.utc_now()

    def wait_until(hold: Callable[[], bool], **limits: Any) -> bool:
        def trial() -> bool:
            tries.append(hold())
            return tries[-1]

        return wait(trial, **limits)

    monkeypatch.setattr(clock, "utc_now", lambda: now)  # it stays this second
    monkeypatch.setattr(clock, "wait_until", wait_until)
    for _ in range(3):
        # seeds of this process: the same test may run twice on a host
        with own_second(f"{os.getpid():x}b"), own_second(f"{os.getpid():x}c"):
            pass
    assert tries == [True] * 6, "each at its first try"
