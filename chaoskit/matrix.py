"""
The fault matrix: as many cells as a budget allows, the least recently run first, and a canary.

Owns: running the cells cluster by cluster, the canary that must come out FAIL (else the judges are
blind and the whole matrix is INFRA), running INFRA cells once more, the verdict, the summary, the
files in `out/`. Refuses: ending without verdicts; each cell is written down when it ends, and the
files are written however the matrix ends.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from chaoskit import catalogue, clock
from chaoskit.errors import ChaosError, UsageError
from chaoskit.faulttable import Row, rows
from chaoskit.lease import Leases
from chaoskit.matrix_cell_run import forgetting, one_fault, run_cell
from chaoskit.matrix_cells import (
    ROLES,
    Cell,
    Known,
    cells_of,
    chosen,
    estimate_s,
    fields_for,
    grouped,
    last_of,
    least_recent_first,
    reruns_allowed,
    sharded,
)
from chaoskit.matrix_files import junit, page, replace_text
from chaoskit.matrix_record import (
    NOT_APPLICABLE,
    CellResult,
    KnownFailure,
    compared,
    known_of,
    read_known,
    read_results,
)
from chaoskit.rehearsal_plan import in_minutes
from chaoskit.session import Choices, open_session
from chaoskit.system import System
from chaoskit.verdict import Kind, Reason, Verdict, decide, exit_code

Say = Callable[[str], None]
_CANARY_FAULT = "Kill"
_TEARDOWN_S = 15.0


@dataclass(frozen=True, slots=True)
class MatrixRequest:
    """
    What a person asks of a matrix.

    Attributes
    ----------
    systems: names below `suites/`; budget_s: seconds for all of it; shard: "i/n" or "".
    out: where the files go; the history of earlier nights is there too.
    releases: labels or unique prefixes, none for all; only: words that a cell's name must hold.

    """

    systems: tuple[str, ...]
    budget_s: float
    shard: str = ""
    out: Path = Path("out")
    releases: tuple[str, ...] = ()
    only: str = ""


@dataclass(frozen=True, slots=True)
class MatrixOutcome:
    """
    How a matrix came out: the verdict that counts, its exit code, every result, what was left.

    `canary` is the canary's verdict, "" when the project has none.
    """

    verdict: Verdict
    exit_code: int
    results: tuple[CellResult, ...]
    not_run: tuple[Cell, ...]
    canary: str
    summary: tuple[str, ...]


@dataclass(slots=True)
class _Night:
    """One run of a matrix."""

    request: MatrixRequest
    choices: Choices
    say: Say
    systems: dict[str, System]
    faults: dict[str, type]
    roles: dict[str, tuple[str, ...]]
    history: tuple[CellResult, ...]
    began_s: float
    results: list[CellResult] = field(default_factory=list)
    again: list[CellResult] = field(default_factory=list)
    waiting: list[Cell] = field(default_factory=list)
    canary: str = ""
    trouble: list[str] = field(default_factory=list)

    def left_s(self) -> float:
        """What is left of the budget, time to take a cluster down put aside."""
        return self.request.budget_s - (clock.monotonic() - self.began_s) - _TEARDOWN_S

    def known(self) -> dict[str, Known]:
        """What is known of cells, those of tonight among them."""
        return known_of((*self.history, *self.results))

    # -- cells ---------------------------------------------------------------------------------

    def run_all(self) -> None:
        """Batches of what fits, until nothing fits any more."""
        while batch := chosen(self.waiting, self.known(), budget_s=self.left_s()):
            before = len(self.waiting)
            for group in grouped(batch):
                try:
                    self._group(group)
                except ChaosError as error:  # a run that cannot be had ends no night
                    self.trouble.append(f"{group[0].system} {group[0].release}: {error}")
                    self.say(f"INFRA    {self.trouble[-1]}")
            if len(self.waiting) == before:
                return
        self._infra_again()

    def _group(self, group: Sequence[Cell]) -> None:
        """Cells that share a cluster, in a run of their own."""
        if self.left_s() < estimate_s(group[0], self.known()):
            return
        system = self.systems[group[0].system]
        label = f"{system.name} {group[0].release}"
        with (
            open_session(self.choices, system=label, say=lambda _: None) as session,
            Leases(session) as leases,
        ):
            for cell in group:
                if self.left_s() < estimate_s(cell, self.known()):
                    return
                self.waiting.remove(cell)
                kind = self.faults[cell.fault]
                others = (*self.roles[system.name], *system.nodes)
                fields = fields_for(kind, cell.role, others)
                result = run_cell(
                    session,
                    leases,
                    system,
                    cell,
                    one_fault(
                        cell.fault,
                        fields,
                        may_exit=bool(getattr(kind, "MAY_EXIT", False)),
                        restarted=last_of(fields) if getattr(kind, "MET_AT_AN_END", False) else "",
                    ),
                    again=self._command(cell),
                )
                self._keep(result)

    def _command(self, cell: Cell) -> str:
        words = ["chaoskit", "matrix", cell.system, "--only", cell.name]
        return shlex.join([*words, "--seed", self.choices.seed])

    def _keep(self, result: CellResult) -> None:
        """Write a result down at once."""
        self.results.append(result)
        for path in (self.history_file(), self.request.out / "matrix.jsonl"):
            with path.open("a") as file:
                file.write(result.line() + "\n")
        back = "" if result.recovery_s is None else f"  recovered {result.recovery_s:.1f} s"
        why = f"  {result.by}: {result.text}" if result.by else ""
        self.say(
            f"{result.verdict:<8} {result.cell.name:<44} {result.duration_s:5.1f} s{back}{why}"
        )

    def history_file(self) -> Path:
        """What is carried from night to night."""
        return self.request.out / "matrix-history.jsonl"

    def _infra_again(self) -> None:
        """Cells that came out INFRA, a few of them, once more."""
        failed = [one for one in self.results if one.verdict == Verdict.INFRA]
        for one in failed[: reruns_allowed(len(self.results))]:
            if self.left_s() < estimate_s(one.cell, self.known()):
                return
            before = len(self.results)
            self.waiting.append(one.cell)
            self._group([one.cell])
            if len(self.results) > before:
                self.again.append(one)
                self.results.remove(one)
            else:
                self.waiting.remove(one.cell)

    # -- the canary ----------------------------------------------------------------------------

    def run_canary(self) -> None:
        """A system whose nodes forget; it must come out FAIL."""
        system = _canary(self.choices.project)
        if system is None:
            self.say("canary   none: no system of this project offers a CANARY")
            return
        one = system.nodes[0]
        cell = Cell(system.name, system.releases[-1].label, _CANARY_FAULT, one)
        with (
            open_session(self.choices, system="canary", say=lambda _: None) as session,
            Leases(session) as leases,
        ):
            again = self.choices.command
            result = run_cell(session, leases, system, cell, forgetting(one), again=again)
        self.canary = result.verdict
        as_it_must = " as it must" if self.canary == Verdict.FAIL else ": THE JUDGES ARE BLIND"
        self.say(f"canary   {self.canary}{as_it_must}  {result.by}: {result.text}")

    # -- the end -------------------------------------------------------------------------------

    def known_failures(self) -> dict[str, tuple[KnownFailure, ...]]:
        """By system."""
        suites = self.choices.project / "suites"
        return {name: read_known(suites / name / "known.toml") for name in self.systems}

    def conclude(self) -> MatrixOutcome:
        """The verdict, the summary and the files."""
        known, today = self.known_failures(), clock.utc_now().date()
        excused = [
            one
            for one in self.results
            if any(entry.covers(one, today) for entry in known[one.cell.system])
        ]
        verdict = self._verdict([one for one in self.results if one not in excused])
        lines = self._summary(excused, known, today)
        out = self.request.out
        replace_text(out / "matrix.xml", junit(self.results, self.waiting))
        replace_text(out / "index.html", page(lines, self.results, self.waiting, out=out.resolve()))
        for line in lines:
            self.say(line)
        return MatrixOutcome(
            verdict,
            exit_code(verdict),
            tuple(self.results),
            tuple(self.waiting),
            self.canary,
            tuple(lines),
        )

    def _verdict(self, counted: Sequence[CellResult]) -> Verdict:
        reasons = [
            Reason(
                Verdict(one.verdict),
                one.by or "cell",
                one.text,
                kind=Kind(one.kind) if one.verdict == Verdict.FAIL else None,
            )
            for one in counted
            if one.verdict != NOT_APPLICABLE
        ]
        if self.canary not in {"", Verdict.FAIL}:
            return Verdict.INFRA
        reasons += [Reason(Verdict.INFRA, "run", text) for text in self.trouble]
        if not reasons or not self.canary:
            reasons.append(Reason(Verdict.UNKNOWN, "matrix", "no cell, or no canary, was run"))
        return decide(reasons)

    def _summary(
        self,
        excused: Sequence[CellResult],
        known: dict[str, tuple[KnownFailure, ...]],
        today: date,
    ) -> list[str]:
        took = in_minutes(clock.monotonic() - self.began_s)
        budget = in_minutes(self.request.budget_s)
        words = [one.verdict for one in self.results]
        counted = "   ".join(f"{word.value} {words.count(word)}" for word in Verdict)
        entries = [entry for found in known.values() for entry in found]
        soon = min(((entry.expires - today).days for entry in entries), default=None)
        expires = f" (the next expires in {soon} days)" if soon is not None else ""
        canary = "none" if not self.canary else self.canary
        must = " as it must" if self.canary == Verdict.FAIL else ""
        lines = [
            (
                f"{len(self.results)} cells in {took} (budget {budget}), "
                f"{len(self.waiting)} not run · seed {self.choices.seed}"
            ),
            f"{counted}   known {len(excused)}{expires}   canary {canary}{must}",
        ]
        skipped = words.count(NOT_APPLICABLE)
        lines += [f"not applicable {skipped}"] if skipped else []
        changes = compared(self.results, self.history)
        lines += [f"new     {_told(one)}" for one in changes.new]
        lines += [f"gone    {one.cell.name}" for one in changes.gone]
        lines += [
            f"slower  recovery of {one.cell.name}: {usual:.0%} -> {one.share:.0%} of its bound"
            for one, usual in changes.slower
        ]
        lines += [f"known   {_told(one)}" for one in excused]
        lines += [f"trouble {text}" for text in self.trouble]
        lines += [f"once more after INFRA  {_told(one)}" for one in self.again]
        return [*lines, f"page    {self.request.out / 'index.html'}"]


def _told(one: CellResult) -> str:
    return f"{one.verdict}  {one.cell.name}  {one.by}: {one.text}"


def _canary(project: Path) -> System | None:
    """The CANARY of the first system module of the project that has one."""
    for name in catalogue.system_names(project):
        found = catalogue.load_canary(name, project=project)
        if found is not None:
            return found
    return None


def run_matrix(request: MatrixRequest, choices: Choices, say: Say) -> MatrixOutcome:
    """
    Run what the budget allows; `say` gets every line for people.

    Raises UsageError for what cannot be meant.
    """
    if not request.systems or request.budget_s <= 0:
        raise UsageError("a matrix has a system and a budget")
    systems = {
        name: catalogue.load_system(name, project=choices.project) for name in request.systems
    }
    table = {row.name: row for row in rows(choices.project)}
    faults = dict(catalogue.offered(catalogue.FAULTS))
    night = _Night(
        request,
        choices,
        say,
        systems,
        faults,
        {
            name: catalogue.load_roles(name, project=choices.project) or ROLES
            for name in request.systems
        },
        read_results(request.out / "matrix-history.jsonl"),
        clock.monotonic(),
    )
    cells = [cell for system in systems.values() for cell in _cells(system, night, table)]
    night.waiting = list(sharded(cells, request.shard))
    if not night.waiting:
        raise UsageError("no cell is left: see `chaoskit faults` for what is available here")
    request.out.mkdir(parents=True, exist_ok=True)
    replace_text(request.out / "matrix.jsonl", "")
    night.waiting = least_recent_first(night.waiting, known_of(night.history))
    say(f"{len(night.waiting)} cells, budget {in_minutes(request.budget_s)}, seed {choices.seed}")
    try:
        night.run_canary()
        if night.canary in {"", Verdict.FAIL}:
            night.run_all()
    finally:
        outcome = night.conclude()
    return outcome


def _cells(system: System, night: _Night, table: dict[str, Row]) -> list[Cell]:
    """A system's cells that can be had on this host; says which faults cannot, and why."""
    request = night.request
    labels = tuple(_label(system, prefix) for prefix in request.releases)
    usable: dict[str, type] = {}
    for name, kind in night.faults.items():
        offer = table[name].offers[night.choices.backend]
        if system.name not in offer.systems:
            continue
        if offer.why_not:
            night.say(f"not here {name}: {offer.why_not}")
            continue
        usable[name] = kind
    wanted = request.only.split()
    return [
        cell
        for cell in cells_of(system, usable, releases=labels, roles=night.roles[system.name])
        if all(word in cell.name.split() for word in wanted)
    ]


def _label(system: System, prefix: str) -> str:
    try:
        return system.release(prefix).label
    except LookupError as error:
        raise UsageError(str(error)) from None
