"""
The lanes of what was done to the cluster: faults, changes, cut links.

Owns: following each fault from its injection to its absence and each change to its witness, as
data that the timeline and the evidence table share. Refuses: filling in evidence that is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from chaoskit.history import Event
from chaoskit.report.document import compact, number_of, object_of, text_of, texts_of
from chaoskit.report.experiment import Experiment
from chaoskit.report.spans import Lane, Mark, Span
from chaoskit.report.wording import count, duration, moment

LINK_ROWS = 12
FIELD_LIMIT = 160


@dataclass(frozen=True, slots=True)
class Course:
    """
    The course of one fault (or change) as recorded; None for each event that is missing.

    `felt` holds every reading; `again` is the second proof, just before the heal. A change has
    `done` and `witnessed` in place of the rest.
    """

    name: str
    targets: tuple[str, ...]
    fields: str
    injected: Event
    effective: Event | None = None
    felt: tuple[Event, ...] = ()
    again: Event | None = None
    heal: Event | None = None
    healed: Event | None = None
    absent: Event | None = None
    done: Event | None = None
    witnessed: Event | None = None

    @property
    def label(self) -> str:
        """The fault and its targets: `Partition e2`."""
        return " ".join((self.name, *self.targets))

    @property
    def is_change(self) -> bool:
        """It has no way back."""
        return self.injected.f == "change"

    @property
    def was_felt(self) -> bool:
        """Some counter of the system's own traffic or work moved."""
        return any(event.type == "ok" for event in self.felt)

    @property
    def felt_most(self) -> float:
        """The largest growth of any of its counters; different counters are not added up."""
        return max((growth(event) or 0.0 for event in self.felt if event.type == "ok"), default=0.0)


def growth(event: Event) -> float | None:
    """By how much the counter of a `felt` event moved, None when it does not say."""
    before, after = number_of(event.value, "before"), number_of(event.value, "after")
    return None if before is None or after is None else after - before


def courses(experiment: Experiment) -> tuple[Course, ...]:
    """Every fault and change of a test, in the order in which they were begun."""
    events = experiment.events
    by_id: dict[str, list[Event]] = {}
    for event in events.of("effective", "felt", "heal", "absent", "change", "witnessed"):
        by_id.setdefault(text_of(event.value, "id"), []).append(event)
    return tuple(
        _course(event, by_id.get(text_of(event.value, "id"), []))
        for event in events.of("fault", "change")
        if event.type == "invoke"
    )


def _course(injected: Event, events: Sequence[Event]) -> Course:
    def first(kind: str, *, again: bool = False) -> Event | None:
        found = (
            event
            for event in events
            if event.f == kind
            and event.type != "invoke"
            and (event.value.get("again") is True) == again
        )
        return next(found, None)

    return Course(
        name=text_of(injected.value, injected.f, "unnamed"),
        targets=tuple(texts_of(injected.value, "targets")),
        fields=compact(object_of(injected.value, "fields"), limit=FIELD_LIMIT),
        injected=injected,
        effective=first("effective"),
        felt=tuple(event for event in events if event.f == "felt"),
        again=first("effective", again=True),
        heal=next((one for one in events if one.f == "heal" and one.type == "invoke"), None),
        healed=first("heal"),
        absent=first("absent"),
        done=first("change"),
        witnessed=first("witnessed"),
    )


def fault_lanes(experiment: Experiment, found: Sequence[Course]) -> tuple[Lane, ...]:
    """One lane a fault or change."""
    return tuple(
        _change_lane(experiment, one) if one.is_change else _fault_lane(experiment, one)
        for one in found
    )


def _fault_lane(experiment: Experiment, course: Course) -> Lane:
    begun_s = course.injected.time_s
    proven = course.effective is not None and course.effective.type == "ok"
    onset_s = number_of(course.effective.value, "onset_s") if course.effective else None
    effective_s = begun_s + (onset_s or 0.0) if proven else begun_s
    ended = course.healed or course.heal
    end_s = ended.time_s if ended else experiment.end_s
    spans = [
        Span(
            effective_s,
            end_s,
            "fault" if proven else "unproven",
            f"{course.label} {course.fields}: {moment(effective_s)} to {moment(end_s)}"
            + ("" if ended else ", never healed"),
            _fault_label(course, proven=proven, lasted_s=end_s - effective_s),
        )
    ]
    if proven and effective_s > begun_s:
        spans.insert(0, Span(begun_s, effective_s, "lead", f"{course.label}: being injected"))
    return Lane(course.label, "fault", tuple(spans), marks=_fault_marks(course), note=course.fields)


def _fault_label(course: Course, *, proven: bool, lasted_s: float) -> str:
    if not proven:
        return "not shown to be effective"
    felt = f"felt {count(course.felt_most)}" if course.was_felt else "not felt"
    return f"{duration(lasted_s)} · {felt}"


def _fault_marks(course: Course) -> tuple[Mark, ...]:
    marks = []
    if course.effective is not None:
        onset_s = number_of(course.effective.value, "onset_s")
        said = "effective" if course.effective.type == "ok" else "NOT effective"
        probe = text_of(course.effective.value, "probe")
        at_s = course.injected.time_s + (onset_s or 0.0)
        kind = "onset" if course.effective.type == "ok" else "missing"
        marks.append(Mark(at_s, kind, f"{said} after {duration(onset_s)}, by {probe}"))
    for event in course.felt:
        said = f"felt: {count(growth(event))}" if event.type == "ok" else "not felt: 0"
        meter = text_of(event.value, "meter")
        kind = "felt" if event.type == "ok" else "missing"
        marks.append(Mark(event.time_s, kind, f"{said} {meter}, read at {moment(event.time_s)}"))
    if course.healed is not None:
        said = "healed" if course.healed.type == "ok" else "HEAL FAILED"
        kind = "healed" if course.healed.type == "ok" else "missing"
        marks.append(Mark(course.healed.time_s, kind, f"{said} at {moment(course.healed.time_s)}"))
    if course.absent is not None and course.absent.type == "fail":
        marks.append(Mark(course.absent.time_s, "missing", "still there after the heal"))
    return tuple(marks)


def _change_lane(experiment: Experiment, course: Course) -> Lane:
    begun_s = course.injected.time_s
    end_s = (course.witnessed or course.done or course.injected).time_s
    if course.witnessed is None and course.done is None:
        end_s = experiment.end_s
    witnessed = course.witnessed is not None and course.witnessed.type == "ok"
    label = f"witnessed after {duration(end_s - begun_s)}" if witnessed else "not witnessed"
    title = f"{course.label} {course.fields}: {moment(begun_s)} to {moment(end_s)}, {label}"
    span = Span(begun_s, end_s, "change" if witnessed else "unproven", title, label)
    mark = Mark(end_s, "healed" if witnessed else "missing", label)
    return Lane(course.label, "change", (span,), marks=(mark,), note=course.fields)


def link_lanes(experiment: Experiment) -> tuple[Lane, ...]:
    """
    One thin lane a directed link that was cut or shaped; beyond 12 such links one lane for all.
    """
    since: dict[tuple[str, str], Event] = {}
    spans: dict[tuple[str, str], list[Span]] = {}
    for event in (*experiment.carried.links, *experiment.events.of("link")):
        link = (text_of(event.value, "source"), text_of(event.value, "target"))
        opened = since.pop(link, None)
        if opened is not None:
            spans.setdefault(link, []).append(_link_span(experiment, opened, event.time_s))
        if event.value.get("cut") is True or text_of(event.value, "shape", "open") != "open":
            since[link] = event
    for link, opened in since.items():
        spans.setdefault(link, []).append(_link_span(experiment, opened, experiment.end_s))
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


def _link_span(experiment: Experiment, event: Event, end_s: float) -> Span:
    is_cut = event.value.get("cut") is True
    shape = text_of(event.value, "shape")
    title = (
        f"{text_of(event.value, 'source')} \u2192 {text_of(event.value, 'target')}: "
        f"{shape or 'cut'}, {moment(event.time_s)} to {moment(end_s)}"
    )
    start_s = max(event.time_s, experiment.start_s)
    return Span(start_s, end_s, "cut" if is_cut else "shaped", title)


def _all_links(experiment: Experiment, spans: Sequence[Span]) -> Lane:
    """How many links were not open, from change to change."""
    moments = sorted({experiment.start_s, *(t for one in spans for t in (one.start_s, one.end_s))})
    steps = []
    for start_s, end_s in pairwise(moments):
        number = sum(one.start_s <= start_s and one.end_s >= end_s for one in spans)
        if number:
            title = f"{number} links cut or shaped, {moment(start_s)} to {moment(end_s)}"
            steps.append(Span(start_s, end_s, "cut", title, f"{number}"))
    return Lane("links cut", "links", tuple(steps))
