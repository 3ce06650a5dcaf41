"""
The suites and the short rows, N times in a row, counted up in soak.json.

Usage: python tests/soak.py [--times N] [--only suites|rows] [--rows ROW...] [--at-once N]
           [--nightly]

Runs what `make test` runs of them (`make soak N=10`), with --nightly all of the suites. Clusters
wait most of the time, so some are up at once: parts of the suites, each in a pytest of its own,
then halves of rows. soak.json says with each count how many were up at once. Says after each round
how often each test came out as it must, in this state of the code, over all rounds that were ever
run of it. Exit code 0 when nothing in these rounds came out otherwise, else 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from chaoskit import clock, tally
from chaoskit.errors import UsageError
from chaoskit.lanes import Ended, Program, side_by_side
from chaoskit.rows import run_rows
from chaoskit.rundir import LATEST, RunVerdicts, read_verdicts
from chaoskit.session import Choices, draw_seed
from chaoskit.verdict import Verdict, leading

ROOT = Path(__file__).parents[1]
_SUITES_TIMEOUT_S = 3600.0
_AT_ONCE = 3


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def shard_of_suites(runs: Path, seed: str, number: int, count: int, *, nightly: bool) -> Program:
    """A pytest that runs one part of the suites, with a folder of its own for its runs."""
    folder = runs / f"shard-{number}-of-{count}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LATEST).unlink(missing_ok=True)
    argv = [sys.executable, "-m", "pytest", "suites", "-q", "-p", "no:cacheprovider"]
    argv += ["--shard", f"{number}/{count}", "--chaos-runs", str(folder), "--chaos-seed", seed]
    argv += [] if nightly else ["-m", "not nightly"]
    return Program(
        name=f"suites {number}/{count}",
        argv=tuple(argv),
        folder=ROOT,
        output=folder / "pytest.txt",
        timeout_s=_SUITES_TIMEOUT_S,
    )


def verdicts_of(ended: Ended) -> RunVerdicts | None:
    """What a part of the suites came to; None when it left no verdicts."""
    try:
        return read_verdicts((ended.program.output.parent / LATEST).resolve())
    except UsageError as error:
        say(f"{ended.program.name}: {error}")
        return None


def suites_round(runs: Path, seed: str, at_once: int, *, nightly: bool) -> list[tally.Entry]:
    """
    Run every suite once, `at_once` parts at a time.

    Each test is an entry, and so is the whole, which is INFRA when a part left no verdicts.
    """
    began_s = clock.monotonic()
    parts = range(1, at_once + 1)
    programs = [shard_of_suites(runs, seed, one, at_once, nightly=nightly) for one in parts]
    with side_by_side(iter(programs), at_once=at_once) as ends:
        ended = sorted(ends, key=lambda one: one.number)
    took_s = clock.monotonic() - began_s
    found: list[RunVerdicts] = []
    for one in ended:
        say(f"---- {one.program.name}, {one.took_s:.0f} s")
        say(one.said)
        verdicts = verdicts_of(one)
        found += [verdicts] if verdicts is not None else []
    whole = Verdict.INFRA
    if len(found) == len(programs):
        tests = tuple(test for one in found for test in one.tests)
        finished = all(one.finished for one in found)
        whole = replace(found[0], tests=tests, finished=finished).verdict
    entries = [
        tally.Entry(
            key=one.test,
            verdict=one.verdict,
            by=first.by if (first := leading(one.reasons)) else "",
            as_expected=one.verdict is Verdict.PASS,
            duration_s=one.duration_s,
            at_once=at_once,
        )
        for run in found
        for one in run.tests
    ]
    passed = whole is Verdict.PASS
    return [*entries, tally.Entry("suites", whole, "", passed, took_s, at_once=at_once)]


def rows_round(runs: Path, names: Sequence[str], seed: str, at_once: int) -> bool:
    """Run the short form of these rows once, of all if none; `chaoskit rows` counts them itself."""
    choices = Choices(seed=seed, project=ROOT, runs=runs, command="make soak")
    ran = run_rows(names, choices=choices, swap=False, short=True, at_once=at_once, say=say)
    return ran.exit_code == 0


def summary(state: tally.State) -> list[str]:
    """How often each came out as it must in this state of the code."""
    counts = tally.read(ROOT / tally.FILE)["states"].get(state.digest, {}).get("counts", {})
    return [
        f"{count['as_expected']:>4} of {count['runs']:<4} {key}"
        for key, count in sorted(counts.items())
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="count up how the suites and rows come out")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--only", choices=["suites", "rows"])
    parser.add_argument("--rows", nargs="+", default=(), metavar="ROW", help="all unless given")
    parser.add_argument("--at-once", type=int, default=_AT_ONCE, help="clusters up at a time")
    parser.add_argument("--nightly", action="store_true", help="all tests of the suites")
    asked = parser.parse_args()
    good = True
    for number in range(1, asked.times + 1):
        state = tally.state_of(ROOT)
        seed = draw_seed()
        began_s = clock.monotonic()
        say(f"round {number} of {asked.times}: code {state.digest}, seed {seed}")
        if asked.only != "rows":
            entries = suites_round(ROOT / "runs", seed, asked.at_once, nightly=asked.nightly)
            tally.add(ROOT / tally.FILE, state, tuple(entries))
            good = good and all(entry.as_expected for entry in entries)
        if asked.only != "suites":
            good = rows_round(ROOT / "runs", asked.rows, seed, asked.at_once) and good
        for line in summary(state):
            say(line)
        say(f"round {number} took {clock.monotonic() - began_s:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
