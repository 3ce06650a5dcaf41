"""
Fixtures of the suites: one cluster per system, leased for a test; and a part of all tests.

`--shard i/n` takes the i-th of n parts, so that machines, or processes on one, can share the work.
A part is whole modules, since a module's tests share clusters; each run of a part is a run like any
other, with a folder, a report and verdicts of its own. The parts take about as long as each other,
going by what each test took whenever the project's count of runs was added to last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from chaoskit.cluster import Cluster
from chaoskit.system import System

_SHARD: pytest.StashKey[tuple[int, int]] = pytest.StashKey()
_LEFT_OUT: pytest.StashKey[int] = pytest.StashKey()
_UNCOUNTED_S = 10.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare `--shard`."""
    parser.addoption("--shard", metavar="i/n", default="", help="this part of the suites' modules")


def pytest_configure(config: pytest.Config) -> None:
    """Read `--shard`."""
    from chaoskit.errors import UsageError
    from chaoskit.matrix_cells import parse_shard

    try:
        config.stash[_SHARD] = parse_shard(config.getoption("shard"))
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests of other shards, after everybody else has left out theirs."""
    number, count = config.stash[_SHARD]
    seconds: dict[str, float] = {}
    usual = _usual_s(config.rootpath)
    for item in items:
        seconds[str(item.path)] = seconds.get(str(item.path), 0.0) + usual(item.nodeid)
    shards = spread(seconds, over=count)
    without = [item for item in items if shards[str(item.path)] != number]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]
        config.stash[_LEFT_OUT] = len(without)


def _usual_s(root: Path) -> Callable[[str], float]:
    from chaoskit import tally

    document = tally.read(root / tally.FILE)
    return lambda name: tally.usual_s(document, name) or _UNCOUNTED_S


def spread(sizes: Mapping[str, float], *, over: int) -> dict[str, int]:
    """
    The shard, 1 to `over`, of each module, by how many seconds each takes.

    The longest first, each to the shard that has the least so far: alike in every process that
    collects the same tests.
    """
    loads = dict.fromkeys(range(1, over + 1), 0.0)
    shards: dict[str, int] = {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        shards[name] = min(loads, key=lambda shard: (loads[shard], shard))
        loads[shards[name]] += sizes[name]
    return shards


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what other shards have to run."""
    if number := config.stash.get(_LEFT_OUT, 0):
        shard = config.getoption("shard")
        terminalreporter.write_line(f"{number} tests left out: this is shard {shard}")


@pytest.fixture
def etcd(chaos_cluster: Callable[[System], Cluster]) -> Cluster:
    """Three etcd members under load."""
    from suites.etcd.system import SYSTEM

    return chaos_cluster(SYSTEM)
