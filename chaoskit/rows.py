"""
Rows, run and compared from outside.

Owns: for each half of a row writing its plan, running its one test in a pytest of its own, reading
that run's verdicts.json, and comparing verdict and finder with what rows.toml says. Refuses: to
tell the test anything but its plan, and to call a half that came out INVALID, UNKNOWN or INFRA a
broken or a kept promise. Halves that run at the same time know nothing of each other.

With the labels swapped the same runs must all be mismatches, each in the other half's way: a row
whose verdicts do not swap does not depend on what its halves differ in.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from chaoskit import clock, tally
from chaoskit.errors import ChaosError, UsageError
from chaoskit.lanes import Ended, Program, side_by_side
from chaoskit.plan import Plan
from chaoskit.provenance import Provenance, provenance_of
from chaoskit.rowfile import PLACE, Expectation, Form, Row, Side, chosen, read_rows
from chaoskit.rundir import LATEST, TestVerdict, read_verdicts
from chaoskit.verdict import EXIT_CODES, Reason, Verdict, leading

if TYPE_CHECKING:
    from chaoskit.session import Choices

_TIMEOUTS_S = {Form.SHORT: 240.0, Form.LONG: 1200.0}
_OUTPUT_LINES = 12


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    How a half came out.

    `by` names everything that found what counts: the reasons of the leading rank; `broken` every
    promise that was found broken. `folder` is the run's; `text` is the leading reason, or what
    pytest said when no verdict came of it.
    """

    verdict: Verdict
    by: tuple[str, ...]
    text: str
    duration_s: float
    folder: Path
    broken: tuple[str, ...] = ()

    def meets(self, expected: Expectation) -> bool:
        """Whether it came out so."""
        return self.verdict is expected.verdict and (not expected.by or expected.by in self.by)


@dataclass(frozen=True, slots=True)
class Compared:
    """A half with what was expected of it and what came."""

    row: Row
    side: Side
    expected: Expectation
    outcome: Outcome

    @property
    def meets(self) -> bool:
        """Whether it came out as expected."""
        return self.outcome.meets(self.expected)

    @property
    def finder(self) -> str:
        """Who found it: the row's invariant where it is among them, else the first."""
        by = self.outcome.by
        return self.row.by if self.row.by in by else (by[0] if by else "")


@dataclass(frozen=True, slots=True)
class RowsOutcome:
    """All halves that were run, and the exit code of the command."""

    halves: tuple[Compared, ...]
    exit_code: int


def run_rows(
    names: Sequence[str],
    *,
    choices: Choices,
    swap: bool,
    short: bool,
    at_once: int,
    say: Callable[[str], None],
) -> RowsOutcome:
    """
    Run both halves of the rows of these names (all for none), `at_once` at a time, and compare.

    Each is said in the order of rows.toml, and counted in soak.json when it has ended, with how
    many ran at once; not counted with `swap`. Exit code 0 when every half came out as rows.toml
    says, or with `swap` when every half came out in the other one's way; 1 for a verdict that
    should have been another; else that of the worst of INFRA, INVALID and UNKNOWN. Raises
    UsageError for rows or files that are not there.
    """
    form = Form.SHORT if short else Form.LONG
    rows = chosen(read_rows(choices.project / PLACE), names)
    halves = [(row, row.swapped() if swap else row, side) for row in rows for side in Side]
    programs = (
        program_of(labelled, labelled.plan(side, form, seed=choices.seed), form, choices=choices)
        for _, labelled, side in halves
    )
    state = tally.state_of(choices.project)
    done: dict[int, Compared] = {}
    began_s = clock.monotonic()
    for line in heading():
        say(line)
    said = 0
    with side_by_side(programs, at_once=at_once) as ends:
        for ended in ends:
            row, labelled, side = halves[ended.number]
            outcome = outcome_of(ended)
            done[ended.number] = compared = Compared(row, side, labelled.expected(side), outcome)
            if not swap:
                whose = provenance_of(outcome.folder, choices.images)
                count(choices.project, state, compared, form, at_once=at_once, whose=whose)
            while said in done:
                for line in lines(done[said], swap=swap):
                    say(line)
                said += 1
    ordered = tuple(done[number] for number in sorted(done))
    say(_closing(ordered, swap=swap, at_once=at_once, took_s=clock.monotonic() - began_s))
    return RowsOutcome(ordered, exit_code_of(ordered, swap=swap))


# -- one half ----------------------------------------------------------------------------------


def program_of(row: Row, plan: Plan, form: Form, *, choices: Choices) -> Program:
    """A pytest of its own that runs a row's test with this plan, in a folder of its own."""
    document = json.dumps(plan.document(), indent=1)
    digest = sha256(document.encode()).hexdigest()[:8]
    runs = _fresh(choices.runs.absolute() / "rows" / f"{row.name}-{digest}")
    path = runs / "plan.json"
    path.write_text(document + "\n")
    argv = [sys.executable, "-m", "pytest", row.test, "-q", "-p", "no:cacheprovider"]
    argv += ["--chaos-plan", str(path), "--chaos-runs", str(runs), "--chaos-seed", choices.seed]
    argv += ["--chaos-subnets", choices.subnets, "--chaos-backend", choices.backend]
    for image in choices.images:
        argv += ["--chaos-image", image]
    return Program(
        name=row.name,
        argv=tuple(argv),
        folder=choices.project,
        output=runs / "pytest.txt",
        timeout_s=_TIMEOUTS_S[form],
    )


def _fresh(stem: Path) -> Path:
    """A folder that was not there before; its name says what the plan is, not which half."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 100_000):
        path = stem.with_name(f"{stem.name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise ChaosError(f"{stem.parent} is full of runs of {stem.name}: remove some")


def outcome_of(ended: Ended) -> Outcome:
    """
    What a half's run came to, by the folder in which it wrote.

    Only a finished run with one test has a verdict; anything else is INFRA with what pytest said.
    """
    runs = ended.program.output.parent
    latest = runs / LATEST
    why = "no test was run"
    if latest.exists():
        folder = latest.resolve()
        try:
            found = read_verdicts(folder)
        except UsageError as error:
            why = str(error)
        else:
            if len(found.tests) == 1 and found.finished:
                return _judged(found.tests[0], ended.took_s, folder)
            why = f"{len(found.tests)} tests judged, finished: {found.finished}"
    if ended.timed_out:
        why = f"stopped: it was not done after {ended.program.timeout_s:g} s; {why}"
    tail = " | ".join(line for line in ended.said.splitlines()[-_OUTPUT_LINES:] if line.strip())
    return Outcome(Verdict.INFRA, ("rows",), f"{why}: {tail}", ended.took_s, runs)


def _judged(test: TestVerdict, duration_s: float, folder: Path) -> Outcome:
    first = leading(test.reasons)
    return Outcome(
        verdict=test.verdict,
        by=tuple(dict.fromkeys(one.by for one in _that_count(test.reasons, first))),
        text=first.text if first else "",
        duration_s=duration_s,
        folder=folder,
        broken=tuple(dict.fromkeys(one.by for one in test.reasons if one.verdict is Verdict.FAIL)),
    )


def _that_count(reasons: Iterable[Reason], first: Reason | None) -> list[Reason]:
    """The reasons of the leading one's rank: same verdict, same kind of property."""
    if first is None:
        return []
    return [one for one in reasons if (one.verdict, one.kind) == (first.verdict, first.kind)]


# -- all of them -------------------------------------------------------------------------------


def exit_code_of(done: Sequence[Compared], *, swap: bool) -> int:
    """See `run_rows`."""
    wrong = [one for one in done if not _as_it_must(one, swap=swap)]
    if not wrong:
        return 0 if done else EXIT_CODES[Verdict.UNKNOWN]
    verdicts = {one.outcome.verdict for one in wrong}
    for verdict in (Verdict.INFRA, Verdict.INVALID, Verdict.UNKNOWN):
        if verdicts == {verdict}:
            return EXIT_CODES[verdict]
    if verdicts & {Verdict.PASS, Verdict.FAIL}:
        return EXIT_CODES[Verdict.FAIL]
    return EXIT_CODES[Verdict.INFRA if Verdict.INFRA in verdicts else Verdict.INVALID]


def _as_it_must(one: Compared, *, swap: bool) -> bool:
    """With swapped labels a half must come out as the row expects of the other one."""
    if not swap:
        return one.meets
    return not one.meets and one.outcome.meets(one.row.expected(one.side.other))


def count(
    project: Path,
    state: tally.State,
    one: Compared,
    form: Form,
    *,
    at_once: int,
    whose: Provenance = Provenance.OWN,
) -> None:
    """Count a half in the project's soak.json, on whose programs, with how many ran at once."""
    entry = tally.Entry(
        key=key_of(one.row, one.side, form, whose),
        verdict=one.outcome.verdict.value,
        by=one.finder,
        as_expected=one.meets,
        duration_s=one.outcome.duration_s,
        broken=one.outcome.broken,
        at_once=at_once,
    )
    tally.add(project / tally.FILE, state, (entry,))


def key_of(row: Row, side: Side, form: Form, whose: Provenance) -> str:
    """What runs of a half are counted as."""
    return f"{row.name} {side}, {form}{whose.suffix}"


# -- for people --------------------------------------------------------------------------------


def heading() -> list[str]:
    """The table's head."""
    return [f"{'row':<12}{'half':<8}{'expected':<10}{'got':<9}{'by':<64}{'s':>7}  run"]


def lines(one: Compared, *, swap: bool) -> list[str]:
    """A half's line in the table, and below it what was wrong with it, if something was."""
    outcome = one.outcome
    also = f" +{len(outcome.by) - 1}" if len(outcome.by) > 1 else ""
    row = (
        f"{one.row.name:<12}{one.side:<8}{one.expected.verdict:<10}{outcome.verdict:<9}"
        f"{one.finder + also:<64}{outcome.duration_s:>7.1f}  {_shown(outcome.folder)}"
    )
    found = [row.rstrip()]
    if swap and _as_it_must(one, swap=True):
        found.append(f"     swapped: {outcome.verdict} where {one.expected} would be a match")
    elif not _as_it_must(one, swap=swap):
        wanted = one.row.expected(one.side.other) if swap else one.expected
        found.append(f"     MISMATCH  {wanted} was expected: {outcome.text or 'nothing found'}")
    return found


def _shown(folder: Path) -> str:
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return str(folder)


def _closing(done: Sequence[Compared], *, swap: bool, at_once: int, took_s: float) -> str:
    right = sum(_as_it_must(one, swap=swap) for one in done)
    what = "verdicts swapped with their labels" if swap else "halves as expected"
    return f"{right} of {len(done)} {what}, in {took_s:.0f} s, {at_once} at a time"
