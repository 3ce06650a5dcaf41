"""
What a matrix remembers from night to night, and what is new against it.

Owns: the record of a cell's run (one JSON object a line, with a schema version), reading a history
of them, known failures (`suites/NAME/known.toml`), and the comparison: new, gone, slower. Refuses:
a history it cannot read, and a known failure without a reason and a date on which it expires.
"""

from __future__ import annotations

import json
import statistics
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from chaoskit.errors import UsageError
from chaoskit.matrix_cells import Cell, Known
from chaoskit.verdict import Verdict

SCHEMA = 1
NOT_APPLICABLE = "NOT APPLICABLE"
_REMEMBERED = 20
_SLOWER_BY, _SLOWER_AFTER = 0.2, 3


@dataclass(frozen=True, slots=True)
class CellResult:
    """
    How one run of a cell came out.

    Attributes
    ----------
    verdict: a word of Verdict, or "NOT APPLICABLE".
    kind: for FAIL, safety or liveness; by, text: the reason that counts.
    recovery_s, bound_s: how long until every node was back after the heal, and the bound; None
        when it never was.
    again: the command that repeats it; run: the run folder; ended_utc: ISO 8601.

    """

    cell: Cell
    verdict: str
    by: str
    text: str
    kind: str
    duration_s: float
    recovery_s: float | None
    bound_s: float
    run: str
    seed: str
    again: str
    ended_utc: str

    @property
    def share(self) -> float | None:
        """Recovery as a share of its bound."""
        return None if self.recovery_s is None else self.recovery_s / self.bound_s

    def line(self) -> str:
        """Its form in a file of JSON lines."""
        return json.dumps({"schema": SCHEMA, **asdict(self)})


def result_of(document: Mapping[str, Any]) -> CellResult:
    """A result from its JSON form. Raises KeyError, TypeError or ValueError when it is none."""
    if document["schema"] != SCHEMA:
        raise ValueError(f"schema {document['schema']}")
    values = {key: value for key, value in document.items() if key not in {"schema", "cell"}}
    return CellResult(cell=Cell(**document["cell"]), **values)


def read_results(path: Path) -> tuple[CellResult, ...]:
    """
    The results of a file of JSON lines, in order; none when there is no file.

    A last line cut short by a kill is left out. Raises UsageError, naming the line, otherwise.
    """
    if not path.exists():
        return ()
    *lines, _rest = path.read_text().split("\n")
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(result_of(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}: line {number} is no matrix record: {error!r}") from error
    return tuple(found)


def known_of(history: Iterable[CellResult]) -> dict[str, Known]:
    """By cell, when it ended last and the median of its last durations."""
    durations: dict[str, list[float]] = {}
    last: dict[str, str] = {}
    for one in history:
        durations.setdefault(one.cell.name, []).append(one.duration_s)
        last[one.cell.name] = max(last.get(one.cell.name, ""), one.ended_utc)
    return {
        name: Known(last[name], statistics.median(taken[-_REMEMBERED:]))
        for name, taken in durations.items()
    }


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A failure that is known: which cells ("*" for any), the promise, why, until when."""

    release: str
    fault: str
    role: str
    promise: str
    why: str
    expires: date

    def covers(self, result: CellResult, today: date) -> bool:
        """Whether it explains the failure of this cell, and is not over."""
        cell = result.cell
        return (
            today <= self.expires
            and result.verdict == Verdict.FAIL
            and self.promise == result.by
            and self.release in {"*", cell.release}
            and self.fault in {"*", cell.fault}
            and self.role in {"*", cell.role}
        )


def read_known(path: Path) -> tuple[KnownFailure, ...]:
    """
    The `[[known]]` entries of a known.toml; none when there is no file.

    Keys: release, fault, role (each may be "*"), promise, why, expires (a date). Raises UsageError
    that names the entry.
    """
    if not path.exists():
        return ()
    try:
        entries = tomllib.loads(path.read_text()).get("known", [])
        found = [KnownFailure(**entry) for entry in entries]
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise UsageError(f"{path} holds no known failures: {error}") from error
    for number, one in enumerate(found, start=1):
        if not one.why or type(one.expires) is not date:
            raise UsageError(f"{path}: entry {number} needs a why, and expires as a date")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Changes:
    """Against the history: failures that are new, failures that are gone, cells that are slower."""

    new: tuple[CellResult, ...]
    gone: tuple[CellResult, ...]
    slower: tuple[tuple[CellResult, float], ...]


def compared(results: Sequence[CellResult], history: Sequence[CellResult]) -> Changes:
    """
    Compare a night with those before.

    New: not PASS now, and PASS or unheard of before. Gone: FAIL before, PASS now. Slower: its
    recovery takes a share of its bound that is 20 points above the median of at least three
    earlier ones; with it comes that median share.
    """
    before: dict[str, list[CellResult]] = {}
    for one in history:
        if one.verdict != NOT_APPLICABLE:
            before.setdefault(one.cell.name, []).append(one)
    new, gone, slower = [], [], []
    for one in results:
        earlier = before.get(one.cell.name, [])
        was = earlier[-1].verdict if earlier else Verdict.PASS
        passes = one.verdict == Verdict.PASS
        if not passes and one.verdict != NOT_APPLICABLE and was == Verdict.PASS:
            new.append(one)
        if passes and was == Verdict.FAIL:
            gone.append(one)
        shares = [share for past in earlier if (share := past.share) is not None][-_REMEMBERED:]
        if passes and one.share is not None and len(shares) >= _SLOWER_AFTER:
            usual = statistics.median(shares)
            if one.share > usual + _SLOWER_BY:
                slower.append((one, usual))
    return Changes(tuple(new), tuple(gone), tuple(slower))
