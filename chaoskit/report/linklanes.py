"""
The lanes of links: where bytes could not go, or not as usual, or no handshake succeeded.

Owns: what `link` and `handshake` events look like on a timeline. Refuses: open links; a link has a
lane only while something was wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from chaoskit.history import Event
from chaoskit.report.document import text_of
from chaoskit.report.experiment import Experiment
from chaoskit.report.spans import Lane, Span
from chaoskit.report.wording import moment, plural

LINK_ROWS = 12
_Link = tuple[str, str]


def link_lanes(experiment: Experiment) -> tuple[Lane, ...]:
    """One thin lane a directed link that was not as usual; beyond 12 of them one lane for all."""
    spans: dict[_Link, list[Span]] = {}
    events = (*experiment.carried.links, *experiment.events.of("link", "handshake"))
    since: dict[tuple[str, _Link], Event] = {}
    for event in events:
        link = (text_of(event.value, "source"), text_of(event.value, "target"))
        opened = since.pop((event.f, link), None)
        if opened is not None:
            spans.setdefault(link, []).append(_span(experiment, opened, event.time_s))
        if _kind(event):
            since[event.f, link] = event
    for (_, link), opened in since.items():
        spans.setdefault(link, []).append(_span(experiment, opened, experiment.end_s))
    inside = {
        link: tuple(span for span in held if span.end_s > experiment.start_s)
        for link, held in spans.items()
    }
    links = sorted(link for link, held in inside.items() if held)
    if len(links) > LINK_ROWS:
        return (_all_links(experiment, [span for link in links for span in inside[link]]),)
    return tuple(
        Lane(f"{source} \u2192 {target}", "link", inside[source, target])
        for source, target in links
    )


def _kind(event: Event) -> str:
    """What is wrong with a link since this event, "" when nothing is."""
    if event.f == "handshake":
        return "" if event.type == "ok" else "handshake"
    if event.value.get("cut") is True:
        return "cut"
    shape = text_of(event.value, "shape", "open")
    return "shaped" if set(shape.split(", ")) != {"open"} else ""


def _span(experiment: Experiment, event: Event, end_s: float) -> Span:
    kind = _kind(event)
    said = f"our handshake fails, {text_of(event.value, 'detail')}"
    if kind != "handshake":
        said = f"{kind}, {text_of(event.value, 'shape')}"
    title = (
        f"{text_of(event.value, 'source')} \u2192 {text_of(event.value, 'target')}: "
        f"{said}, {moment(event.time_s)} to {moment(end_s)}"
    )
    return Span(max(event.time_s, experiment.start_s), end_s, kind, title)


def _all_links(experiment: Experiment, spans: Sequence[Span]) -> Lane:
    """How many links were not as usual, from change to change."""
    moments = sorted({experiment.start_s, *(t for one in spans for t in (one.start_s, one.end_s))})
    steps = []
    for start_s, end_s in pairwise(moments):
        number = sum(one.start_s <= start_s and one.end_s >= end_s for one in spans)
        if number:
            said = f"{plural(number, 'link')} cut, shaped or without a handshake"
            title = f"{said}, {moment(start_s)} to {moment(end_s)}"
            steps.append(Span(start_s, end_s, "cut", title, str(number)))
    return Lane("links cut", "links", tuple(steps))
