"""
The track record: which rows came out as they must, how often, on which state of the code.

Owns: the table in a page between its two marks, made from rows.toml and soak.json alone. Refuses:
a number that no run gave ("not run" stands where none did), runs of different states of the code
added up, and real binaries and modelled nodes in one column: where a row's nodes are modelled, real
are runs on images that were given for every release in it. Run as
`python -m chaoskit.trackrecord README.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaoskit import tally
from chaoskit.catalogue import project_root
from chaoskit.console import say
from chaoskit.errors import ChaosError, UsageError
from chaoskit.provenance import Provenance
from chaoskit.rowfile import PLACE, Form, Row, Side, read_rows
from chaoskit.rows import key_of
from chaoskit.verdict import usage_exit_code

BEGINS, ENDS = "<!-- track record -->", "<!-- end of the track record -->"
NOT_RUN = "not run"
_SHORT = 7


@dataclass(frozen=True, slots=True)
class Count:
    """
    How many of how many runs of one half came out as they must.

    `at_once` is the most clusters of ours that were up at a time while they ran, 0 if unknown.
    """

    right: int
    runs: int
    at_once: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """
    A row's halves in one form on one state of the code: the latest that ran both of them, or any.

    `commit` is what was checked out, with a plus when the files were not its own; `day`
    (YYYY-MM-DD, UTC) when it ran last.
    """

    form: Form
    halves: Mapping[Side, Count]
    commit: str
    day: str

    def __str__(self) -> str:
        told = []
        for side, verdict in ((Side.BREAKS, "FAIL"), (Side.HOLDS, "PASS")):
            count = self.halves[side]
            told.append(f"{verdict} {count.right} of {count.runs}" if count.runs else NOT_RUN)
        at_once = max(count.at_once for count in self.halves.values())
        form = f"{self.form}, {at_once} at a time" if at_once > 1 else str(self.form)
        return f"{', '.join(told)} ({form}, {self.commit or 'no commit'}, {self.day})"


def record_of(
    row: Row, soaked: Mapping[str, Any], whose: Provenance = Provenance.OWN
) -> Record | None:
    """
    What the counts of a soak.json say of a row, as it ran on those programs; None when neither half
    was ever run so.
    """
    found: list[tuple[tuple[bool, str], Record]] = []
    for state in soaked["states"].values():
        for form in Form:
            halves = {
                side: _count(state["counts"].get(key_of(row, side, form, whose), {}))
                for side in Side
            }
            if not any(count.runs for count in halves.values()):
                continue
            record = Record(form, halves, _short(state["commit"]), state["last_utc"][:10])
            both = all(count.runs for count in halves.values())
            found.append(((both, state["last_utc"]), record))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _short(commit: str) -> str:
    return commit[:_SHORT] + ("+" if commit.endswith("+") else "")


def _count(entry: Mapping[str, Any]) -> Count:
    at_once = max(map(int, entry.get("at_once", {})), default=0)
    return Count(entry.get("as_expected", 0), entry.get("runs", 0), at_once)


def table(rows: Sequence[Row], soaked: Mapping[str, Any]) -> list[str]:
    """The lines of the table, in Markdown."""
    lines = [
        "| row | promise | found by | real binaries | modelled |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        told = {whose: str(record_of(row, soaked, whose) or NOT_RUN) for whose in Provenance}
        real = told[Provenance.GIVEN if row.modelled else Provenance.OWN]
        modelled = told[Provenance.OWN] if row.modelled else ""
        test, _, function = row.test.partition("::")
        cells = [row.name, row.promise, f'[{row.by}]({test} "{function}")', real, modelled]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def fill(page: Path, lines: Sequence[str]) -> None:
    """
    Put `lines` between the two marks of a page.

    Raises UsageError when there is no such page, or it does not have each mark once, in order.
    """
    try:
        text = page.read_text()
    except OSError as error:
        raise UsageError(f"{page} cannot be read: {error.strerror}") from error
    before, begins, rest = text.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not begins or not ends or BEGINS in rest or ENDS in before + after:
        raise UsageError(f"{page} needs one line {BEGINS} and after it one line {ENDS}")
    draft = page.with_name(f".{page.name}.draft")
    draft.write_text("\n".join([f"{before}{begins}", *lines, f"{ends}{after}"]))
    draft.replace(page)


def main(arguments: Sequence[str]) -> int:
    """Fill the pages that are named; answers the exit code."""
    try:
        if not arguments:
            raise UsageError("usage: python -m chaoskit.trackrecord PAGE...")
        project = project_root(Path.cwd())
        lines = table(read_rows(project / PLACE), tally.read(project / tally.FILE))
        for name in arguments:
            fill(Path(name), lines)
            say(f"{name}: {len(lines) - 2} rows")
    except ChaosError as error:
        say(f"error: {error}", error=True)
        return usage_exit_code()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
