"""
The report of a run: one HTML file that needs nothing else, made of what the run recorded.

Owns: `render` and `write`. Refuses: deciding anything; verdicts come from verdicts.json. Whatever
a run folder holds or lacks, there is a report: what cannot be read is named on it.
"""

from __future__ import annotations

from pathlib import Path

from chaoskit.report.markup import to_html
from chaoskit.report.page import page
from chaoskit.report.source import load
from chaoskit.report.trace import trace


def render(run_folder: Path) -> str:
    """The report of a run folder as one HTML document."""
    return to_html(page(load(run_folder)))


def write(run_folder: Path) -> Path:
    """
    Write report.html and trace.json (Chrome's trace format, for Perfetto) into a run folder.

    Answers the path of report.html. Raises OSError when the folder cannot be written.
    """
    source = load(run_folder)
    report = run_folder / "report.html"
    _replace(report, to_html(page(source)))
    _replace(run_folder / "trace.json", trace(source))
    return report


def _replace(path: Path, content: str) -> None:
    """A reader sees the old file or the new one, never half of it."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(content, encoding="utf-8", errors="backslashreplace")
    unfinished.replace(path)
