"""
Which of the collected tests the process backend leaves out, and why.

Owns: asking each test: what the faults among its parameters need (`NEEDS`), whether it is to have
faulty storage, and its own marker `containers(why)`; and saying at the end how many were left out
for which reason. Refuses: leaving anything out where containers run, and to be silent.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

_MARKER = "containers(why): left out by the process backend, which has none; `why` is said"


class LeftOut:
    """A plugin of one pytest session."""

    def __init__(self, config: Any) -> None:
        config.addinivalue_line("markers", _MARKER)
        self._config = config
        self._counts: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out what the process backend lacks something for."""
        if self._config.getoption("chaos_backend") != "process":
            return
        reasons = [(item, _why_not(item)) for item in items]
        out = [item for item, why in reasons if why]
        self._counts.update(why for _, why in reasons if why)
        if out:
            self._config.hook.pytest_deselected(items=out)
            items[:] = [item for item, why in reasons if not why]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Count them by reason."""
        for why, count in sorted(self._counts.items()):
            tests = "1 test" if count == 1 else f"{count} tests"
            terminalreporter.write_line(f"{tests} left out on the process backend: {why}")


def _why_not(item: Any) -> str:
    """What the process backend lacks for a test; empty for nothing."""
    from chaoskit.faulttable import Need, lacking_in_processes

    marked = item.get_closest_marker("containers")
    if marked is not None:
        return str(marked.args[0])
    asked = item.get_closest_marker("chaos")
    needs = [Need.STORAGE] if asked is not None and asked.kwargs.get("storage") else []
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    for parameter in parameters:
        needs += [Need(one) for one in getattr(parameter, "NEEDS", ())]
    return lacking_in_processes(needs)
