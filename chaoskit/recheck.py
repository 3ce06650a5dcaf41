"""
Judging a saved run again, by the promises of today.

Owns: reading a run folder and judging each of its tests anew; a rehearsal's steps by what their
suite says that they owe today. Refuses: an engine, a cluster, and changing the run: what was said
then stays in verdicts.json.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from chaoskit.contribution import promise_named, releases_named
from chaoskit.errors import UsageError
from chaoskit.history import History, read
from chaoskit.invariant import Invariant
from chaoskit.liveness import recovered_within
from chaoskit.rehearsed import Rehearsed
from chaoskit.rundir import TestVerdict, open_run, read_verdicts
from chaoskit.scope import Scope, judge_scope, scopes
from chaoskit.standing import promises_of
from chaoskit.system import System
from chaoskit.verdict import Reason, Verdict, decide, leading

# What an experiment says of how a test's body ended: no event shows it, so it stands as said.
_OF_THE_BODY = frozenset({"await", "check", "harness", "inject", "replay"})
REHEARSAL = "rehearsal.json"
_RECOVERY = re.compile(r"recovered_within_([0-9.]+)_s")


Stage = Callable[[str], Rehearsed]


def as_it_is(load: Callable[[str], System]) -> Stage:
    """Make the stage of runs that were no rehearsals: a system by its name, and nothing beside."""
    return lambda name: Rehearsed(load(name))


def _staged(scope: Scope, stage: Stage) -> Rehearsed:
    started = scope.history.of("cluster")
    if not started:
        raise UsageError(f"{scope.test}: its history does not say which system it ran on")
    return stage(started[0].value["system"])


def _asked(scope: Scope) -> list[str]:
    """The promises that the test was judged by, by name; empty when it never came to its end."""
    ends = [event for event in scope.history.of("scope") if event.value["event"] == "end"]
    return list(ends[-1].value.get("promises", ())) if ends else []


def _promises(scope: Scope, staged: Rehearsed) -> tuple[tuple[Invariant, ...], list[str]]:
    """What the test is judged by again, and the names of its own promises that cannot be had."""
    system, asked = staged.system, _asked(scope)
    known = {one.name: one for one in (*promises_of(system), *system.invariants)}
    owed = [one for new in releases_named(asked, system) for one in staged.owed(new)]
    known |= {one.name: one for one in owed if one.name in asked}
    lost = []
    for name in asked:
        bound = _RECOVERY.fullmatch(name)
        if bound is not None:
            known[name] = recovered_within(float(bound[1]))
        elif name not in known:
            own = promise_named(name, system)
            if own is None:
                lost.append(name)
            else:
                known[name] = own
    return tuple(known.values()), lost


def judged_again(history: History, stage: Stage) -> dict[str, tuple[Reason, ...]]:
    """The reasons against each test of a history, by the promises it was judged by."""
    found: dict[str, tuple[Reason, ...]] = {}
    for scope in scopes(history):
        chosen, lost = _promises(scope, _staged(scope, stage))
        reasons = judge_scope(scope, chosen).reasons
        missing = [
            Reason(Verdict.UNKNOWN, name, "a promise of the test's own: run the test to judge it")
            for name in lost
        ]
        found[scope.test] = (*found.get(scope.test, ()), *reasons, *missing)
    return found


def _of_the_body(saved: TestVerdict | None) -> tuple[Reason, ...]:
    return tuple(one for one in saved.reasons if one.by in _OF_THE_BODY) if saved else ()


def recheck(
    run: str, *, runs: Path, load: Callable[[str], System], rehearsed: Stage
) -> tuple[Verdict, list[str]]:
    """
    Judge a saved run again; answers its verdict and a line for each test. `load` finds the system
    of a name, `rehearsed` what is staged of it in a rehearsal.

    A promise that a test made itself and that is known here by name alone is UNKNOWN. How a test's
    body ended (a wait that ran out, say) is taken from the saved verdicts. Raises UsageError when
    there is no such run or it is corrupt.
    """
    folder = open_run(run, root=runs)
    history = read(folder / "history.jsonl")
    stage = rehearsed if (folder / REHEARSAL).exists() else as_it_is(load)
    before = {one.test: one for one in read_verdicts(folder).tests}
    judged = {
        test: (*reasons, *_of_the_body(before.get(test)))
        for test, reasons in judged_again(history, stage).items()
    }
    unscoped = {test: saved.reasons for test, saved in before.items() if test not in judged}
    judged |= unscoped  # tests that had no cluster: no event tells of them
    if not judged:
        return Verdict.UNKNOWN, [f"UNKNOWN  {folder.name} holds no test"]
    lines = []
    for test, reasons in judged.items():
        verdict, first = decide(reasons), leading(reasons)
        was = before[test].verdict if test in before else verdict
        changed = f"   was {was}" if was is not verdict else ""
        why = f"   {first.by}: {first.text}" if first else ""
        lines.append(f"{verdict:<8} {test}{changed}{why}")
    return decide(reason for reasons in judged.values() for reason in reasons), lines
