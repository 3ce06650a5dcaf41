"""
From the page as data to one HTML document; the only module that knows Jinja2.

Owns: the template's environment: everything is escaped, and a name that is not there is an error.
Refuses: markup in strings; no value is ever marked as safe.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from chaoskit.report import wording
from chaoskit.report.document import compact
from chaoskit.report.page import Page

_EVENT_LIMIT = 150


def to_html(page: Page) -> str:
    """The document of a page."""
    environment = Environment(
        loader=PackageLoader("chaoskit.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=wording.duration,
        moment=wording.moment,
        count=wording.count,
        plural=wording.plural,
        compact=lambda value: compact(value, limit=_EVENT_LIMIT),
    )
    return environment.get_template("report.html.j2").render(page=page)
