"""
The suites and the short rows, N times in a row, counted up in soak.json.

Usage: python tests/soak.py [--times N] [--only suites|rows]   (`make soak N=10`)

Says after each round how often each test came out as it must, in this state of the code, over all
rounds that were ever run of it. Exit code 0 when nothing in these rounds came out otherwise, else
1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from chaoskit import clock, tally
from chaoskit.errors import UsageError
from chaoskit.rows import run_rows
from chaoskit.rundir import LATEST, read_verdicts
from chaoskit.session import Choices, draw_seed
from chaoskit.verdict import Verdict, leading

ROOT = Path(__file__).parents[1]
_SUITES_TIMEOUT_S = 3600.0


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def suites_round(runs: Path, seed: str) -> list[tally.Entry]:
    """Run every suite once; each of its tests is an entry, and so is a run without a verdict."""
    runs.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "pytest", "suites", "-q", "-p", "no:cacheprovider"]
    argv += ["--chaos-runs", str(runs), "--chaos-seed", seed]
    before = (runs / LATEST).resolve()
    began_s = clock.monotonic()
    subprocess.run(argv, cwd=ROOT, check=False, timeout=_SUITES_TIMEOUT_S)
    took_s = clock.monotonic() - began_s
    folder = (runs / LATEST).resolve()
    if folder == before:
        return [tally.Entry("suites", Verdict.INFRA, "soak", as_expected=False, duration_s=took_s)]
    try:
        found = read_verdicts(folder)
    except UsageError as error:
        say(str(error))
        return [tally.Entry("suites", Verdict.INFRA, "soak", as_expected=False, duration_s=took_s)]
    entries = [
        tally.Entry(
            key=one.test,
            verdict=one.verdict,
            by=first.by if (first := leading(one.reasons)) else "",
            as_expected=one.verdict is Verdict.PASS,
            duration_s=one.duration_s,
        )
        for one in found.tests
    ]
    whole = tally.Entry("suites", found.verdict, "", found.verdict is Verdict.PASS, took_s)
    return [*entries, whole]


def rows_round(runs: Path, seed: str) -> bool:
    """Run every row's short form once; `chaoskit rows` counts them itself."""
    choices = Choices(seed=seed, project=ROOT, runs=runs, command="make soak")
    return run_rows((), choices=choices, swap=False, short=True, say=say).exit_code == 0


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
    asked = parser.parse_args()
    good = True
    for number in range(1, asked.times + 1):
        state = tally.state_of(ROOT)
        seed = draw_seed()
        say(f"round {number} of {asked.times}: code {state.digest}, seed {seed}")
        if asked.only != "rows":
            entries = suites_round(ROOT / "runs", seed)
            tally.add(ROOT / tally.FILE, state, tuple(entries))
            good = good and all(entry.as_expected for entry in entries)
        if asked.only != "suites":
            good = rows_round(ROOT / "runs", seed) and good
        for line in summary(state):
            say(line)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
