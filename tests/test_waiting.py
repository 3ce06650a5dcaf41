"""The scheduler's accounts of tasks, and the share of their time that they waited."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaoskit import clock
from chaoskit.errors import ChaosError
from chaoskit.waiting import Account, accounts, processes, share
from tests.fakes import FakeBackend


def test_a_share_is_of_all_tasks_together() -> None:
    before = {(1, 1): Account(1000, 500), (1, 2): Account(10, 10)}
    now = {(1, 1): Account(1200, 900), (1, 2): Account(110, 110), (2, 2): Account(100, 100)}
    assert share(before, now) == pytest.approx(600 / 1000)
    # a task that ended takes its account with it
    assert share(before, {(1, 2): Account(310, 110)}) == pytest.approx(100 / 400)


def test_whoever_wanted_nothing_did_not_wait() -> None:
    same = {(1, 1): Account(1000, 500)}
    assert share(same, same) == 0.0


def test_a_kernel_that_keeps_no_accounts_is_told_apart() -> None:
    assert share({}, {}) is None
    assert share({(1, 1): Account(0, 0)}, {(1, 1): Account(0, 0)}) is None


def test_who_shares_a_core_waits_about_as_long_as_it_runs() -> None:
    """Two that want one core, and one that has a core to itself: both by the kernel's account."""
    cores = sorted(os.sched_getaffinity(0))
    burn = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
print("there", flush=True)
while True: pass
"""
    argv = [sys.executable, "-c", burn, str(cores[0])]
    children = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        pids = [child.pid for child in children]
        for child in children:  # their starts are shared by nobody
            assert child.stdout is not None
            assert child.stdout.readline() == b"there\n"
        before = accounts(pids)

        def waited() -> bool:
            now = accounts(pids)
            ran_ns = sum(now[one].ran_ns - before[one].ran_ns for one in now)
            return ran_ns > 300_000_000

        clock.wait_until(waited, what="0.3 s of a core", timeout_s=60)
        found = share(before, accounts(pids))
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert found is not None
    assert found >= 0.35, "a core shared by two, or by more where the machine is busy"
    assert accounts(pids) == {}, "they have ended"


def test_each_thread_has_its_account() -> None:
    mine = accounts([os.getpid()])
    assert {pid for pid, _ in mine} == {os.getpid()}
    tasks = {int(one.name) for one in Path("/proc/self/task").iterdir()}
    assert (os.getpid(), os.getpid()) in mine
    assert {task for _, task in mine} & tasks


def test_nodes_that_are_down_are_left_out(tmp_path: Path) -> None:
    class Backend(FakeBackend):
        def pid(self, node: str) -> int:
            if node == "n2":
                raise ChaosError("n2 is down")
            return 4711

    backend = Backend(tmp_path, ("n1", "n2"))
    assert processes(backend, ("n1", "n2")) == [os.getpid(), 4711]
