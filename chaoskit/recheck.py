"""
Judging a saved run again, by the promises of today.

Owns: reading a run folder and judging each of its tests anew. Refuses: an engine, a cluster, and
changing the run: what was said then stays in verdicts.json.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chaoskit.errors import UsageError
from chaoskit.history import History, read
from chaoskit.rundir import open_run, read_verdicts
from chaoskit.scope import Scope, judge_scope, scopes
from chaoskit.standing import promises_of
from chaoskit.system import System
from chaoskit.verdict import Reason, Verdict, decide, leading


def _system_of(scope: Scope, load: Callable[[str], System]) -> System:
    started = scope.history.of("cluster")
    if not started:
        raise UsageError(f"{scope.test}: its history does not say which system it ran on")
    return load(started[0].value["system"])


def judged_again(history: History, load: Callable[[str], System]) -> dict[str, tuple[Reason, ...]]:
    """The reasons against each test of a history, by the standing promises and its system's."""
    found: dict[str, tuple[Reason, ...]] = {}
    for scope in scopes(history):
        system = _system_of(scope, load)
        owed = (*promises_of(system), *system.invariants)
        found[scope.test] = judge_scope(scope, owed).reasons
    return found


def recheck(run: str, *, runs: Path, load: Callable[[str], System]) -> tuple[Verdict, list[str]]:
    """
    Judge a saved run again; answers its verdict and a line for each test.

    Promises that a test added itself (`check(recovered_within(20))`) are not in the history, so
    they are not judged again. Raises UsageError when there is no such run or it is corrupt.
    """
    folder = open_run(run, root=runs)
    history = read(folder / "history.jsonl")
    before = {one.test: one.verdict for one in read_verdicts(folder).tests}
    judged = judged_again(history, load)
    if not judged:
        return Verdict.UNKNOWN, [f"UNKNOWN  {folder.name} holds no test"]
    lines = []
    for test, reasons in judged.items():
        verdict, first = decide(reasons), leading(reasons)
        was = before.get(test)
        changed = f"   was {was}" if was is not None and was is not verdict else ""
        why = f"   {first.by}: {first.text}" if first else ""
        lines.append(f"{verdict:<8} {test}{changed}{why}")
    return decide(reason for reasons in judged.values() for reason in reasons), lines
