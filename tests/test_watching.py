"""Threads that watch: told to stop, waited for, and their failure kept."""

from __future__ import annotations

import threading

import pytest

from chaoskit.clock import wait_until
from chaoskit.errors import ChaosError
from chaoskit.watching import Watchers


def test_a_watcher_runs_until_it_is_told_to_stop() -> None:
    watchers = Watchers(end_timeout_s=5)
    turns = []

    def watch() -> None:
        while not watchers.told_to_stop(within_s=0.001):
            turns.append(threading.current_thread().name)

    watchers.begin("one", watch)
    wait_until(lambda: len(turns) > 2, what="turns", timeout_s=30)
    watchers.end()
    taken = len(turns)
    assert set(turns) == {"one"}
    assert not [thread for thread in threading.enumerate() if thread.name == "one"]
    assert len(turns) == taken
    watchers.raise_failure("nothing to do")


def test_what_ended_a_watcher_is_raised_by_its_owner_with_its_name_and_a_remedy() -> None:
    watchers = Watchers(end_timeout_s=5)

    def watch() -> None:
        raise LookupError("no such disk")

    watchers.begin("disk-n1", watch)
    watchers.end()
    with pytest.raises(ChaosError, match=r"disk-n1 ended by LookupError.*; mend it") as raised:
        watchers.raise_failure("mend it")
    assert isinstance(raised.value.__cause__, LookupError)


def test_the_first_failure_is_the_one_that_is_kept() -> None:
    watchers = Watchers(end_timeout_s=5)
    first = threading.Event()

    def one() -> None:
        try:
            raise ValueError("first")
        finally:
            first.set()

    def two() -> None:
        wait_until(lambda: watchers.failure is not None, what="the first", timeout_s=30)
        raise ValueError("second")

    watchers.begin("one", one)
    watchers.begin("two", two)
    watchers.end()
    assert first.is_set()
    assert watchers.failure is not None
    assert watchers.failure[0] == "one"
