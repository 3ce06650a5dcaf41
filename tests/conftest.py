"""
Tables for people: lines that tests recorded, printed together at the end. And an order of the
files: with several workers the file that is begun last decides when all have ended. And the same
examples for hypothesis in every run, however slow: what a mutant dies of is no matter of luck.
And a clock that stands still.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from chaoskit import clock

settings.register_profile(
    "same examples, any machine",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same examples, any machine")


@pytest.fixture(scope="session", autouse=True)
def _light_children() -> Iterator[None]:
    """What a test starts as `pytest` has no use for hypothesis, and need not load it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
        yield


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock of chaoskit: no time goes by, however slow this machine is."""
    now = clock.utc_now()
    monkeypatch.setattr(clock, "utc_now", lambda: now)


TABLE = "table "
"""A property called `table NAME` is a line of the table NAME."""
LONGEST_FIRST = (
    "test_toys",
    "test_rehearse",
    "test_pytest_plugin",
    "test_rows",
    "test_toys_core",
    "test_beacon_commands",
    "test_demo",
    "test_matrix",
    "test_wheel",
    "test_keeping",
    "test_judges_on_a_model",
    "test_report",
)
"""Files that take 10 s or more of one worker, in tests that wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others after them in their order."""
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Each test's lines stay together and in their order; tests go by their names."""
    tables: dict[str, list[str]] = {}
    reports = [one for some in terminalreporter.stats.values() for one in some]
    ends = [one for one in reports if getattr(one, "when", "") == "teardown"]
    for report in sorted(ends, key=lambda one: str(one.nodeid)):
        for name, line in report.user_properties:
            if name.startswith(TABLE):
                tables.setdefault(name.removeprefix(TABLE), []).append(str(line))
    for name, lines in sorted(tables.items()):
        terminalreporter.section(name)
        for line in lines:
            terminalreporter.write_line(line)
