"""
The files a matrix leaves: JSON lines, JUnit, and a page that links the runs.

Owns: their form. Refuses: scripts and styles from elsewhere; the page is one file that can be read
as it is. Each is written beside its place and moved there in one step.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from xml.etree import ElementTree

from chaoskit.matrix_cells import Cell
from chaoskit.matrix_record import NOT_APPLICABLE, CellResult
from chaoskit.verdict import Verdict

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}"
    "td,th{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}"
    ".PASS{color:#187a2f}.FAIL{color:#b3261e;font-weight:bold}.INVALID,.UNKNOWN{color:#8a5a00}"
    ".INFRA{color:#1d4fa8}pre{background:#f5f5f5;padding:1rem;overflow-x:auto}"
)


def replace_text(path: Path, text: str) -> None:
    """Write a file in one step."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)


def junit(results: Sequence[CellResult], not_run: Sequence[Cell]) -> str:
    """
    JUnit XML: a suite a system, a case a cell.

    FAIL is a failure; INVALID, UNKNOWN and INFRA are errors; what was not run or not applicable is
    skipped. The verdict is a property.
    """
    root = ElementTree.Element("testsuites", name="matrix")
    systems = sorted({one.cell.system for one in results} | {cell.system for cell in not_run})
    for system in systems:
        mine = [one for one in results if one.cell.system == system]
        left = [cell for cell in not_run if cell.system == system]
        words = [one.verdict for one in mine]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=system,
            tests=str(len(mine) + len(left)),
            failures=str(words.count(Verdict.FAIL)),
            errors=str(
                sum(words.count(one) for one in (Verdict.INVALID, Verdict.UNKNOWN, Verdict.INFRA))
            ),
            skipped=str(len(left) + words.count(NOT_APPLICABLE)),
            time=f"{sum(one.duration_s for one in mine):.3f}",
        )
        for one in mine:
            _case(suite, one)
        for cell in left:
            case = _named(suite, cell, "0")
            ElementTree.SubElement(case, "skipped", message="not run: the budget was used up")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _named(suite: ElementTree.Element, cell: Cell, time: str) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"matrix.{cell.system}.{cell.release}",
        name=f"{cell.fault} {cell.role}",
        time=time,
    )


def _case(suite: ElementTree.Element, one: CellResult) -> None:
    case = _named(suite, one.cell, f"{one.duration_s:.3f}")
    properties = ElementTree.SubElement(case, "properties")
    ElementTree.SubElement(properties, "property", name="verdict", value=one.verdict)
    ElementTree.SubElement(properties, "property", name="run", value=one.run)
    message = f"{one.verdict}  {one.by}: {one.text}"
    match one.verdict:
        case Verdict.PASS:
            return
        case Verdict.FAIL:
            ElementTree.SubElement(case, "failure", message=message).text = one.again
        case word if word == NOT_APPLICABLE:
            ElementTree.SubElement(case, "skipped", message=one.text)
        case _:
            ElementTree.SubElement(case, "error", message=message).text = one.again


def page(
    summary: Sequence[str], results: Sequence[CellResult], not_run: Sequence[Cell], *, out: Path
) -> str:
    """The page: the summary, a row a cell with its verdict and its report, cells not run."""
    rows = "".join(_row(one, out) for one in sorted(results, key=_worst_first))
    left = "".join(f"<li>{escape(cell.name)}</li>" for cell in not_run)
    waiting = f"<h2>Not run</h2><ol>{left}</ol>" if left else ""
    told = escape("\n".join(summary))
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>fault matrix</title>"
        f"<style>{_STYLE}</style></head><body><h1>Fault matrix</h1><pre>{told}</pre>"
        "<table><thead><tr><th>verdict</th><th>system</th><th>release</th><th>fault</th>"
        "<th>role</th><th>took</th><th>recovery</th><th>why</th><th>report</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{waiting}</body></html>\n"
    )


def _worst_first(one: CellResult) -> tuple[int, Cell]:
    order = [Verdict.FAIL, Verdict.INFRA, Verdict.INVALID, Verdict.UNKNOWN]
    words = [word.value for word in order]
    return (words.index(one.verdict) if one.verdict in words else len(words), one.cell)


def _row(one: CellResult, out: Path) -> str:
    cell = one.cell
    back = "" if one.recovery_s is None else f"{one.recovery_s:.1f} of {one.bound_s:g} s"
    why = f"{one.by}: {one.text}" if one.by else one.text
    link = os.path.relpath(Path(one.run) / "report.html", out)
    words = [cell.system, cell.release, cell.fault, cell.role, f"{one.duration_s:.1f} s", back]
    columns = "".join(f"<td>{escape(word)}</td>" for word in words)
    return (
        f"<tr><td class='{escape(one.verdict)}'>{escape(one.verdict)}</td>{columns}"
        f"<td>{escape(why)}</td><td><a href='{escape(link)}'>report</a></td></tr>"
    )
