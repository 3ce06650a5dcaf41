"""
The rows' clusters, and which tests are for them.

A row's test is half of an experiment: without a plan it has no release, no configuration and no
steps. Tests that ask for the plan are therefore left out of a run that was given none, counted and
said; `chaoskit rows` runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from chaoskit.cluster import Cluster
from chaoskit.plan import Plan
from chaoskit.system import System

_LEFT_OUT: pytest.StashKey[int] = pytest.StashKey()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that ask for a plan when there is none."""
    if config.getoption("chaos_plan"):
        return
    without = [item for item in items if "chaos_plan" in getattr(item, "fixturenames", ())]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]
        config.stash[_LEFT_OUT] = len(without)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was left out and how it is run."""
    if number := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(
            f"{number} tests of rows left out: each needs the plan of a half (chaoskit rows)"
        )


@pytest.fixture
def etcd(chaos_cluster: Callable[[System], Cluster], chaos_plan: Plan) -> Cluster:
    """Three etcd members under load, at the plan's release, whose reads are sent as it says."""
    from suites.etcd.client import EtcdClient
    from suites.etcd.system import SYSTEM

    assert SYSTEM.traffic is not None
    connect = partial(EtcdClient, reads=chaos_plan.inputs.get("reads", ""))
    return chaos_cluster(replace(SYSTEM, traffic=replace(SYSTEM.traffic, connect=connect)))
