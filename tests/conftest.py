"""Tables for people: lines that tests recorded, printed together at the end."""

from __future__ import annotations

import pytest

TABLE = "table "
"""A property called `table NAME` is a line of the table NAME."""


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
