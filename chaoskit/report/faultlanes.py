"""
What was done to the cluster, as recorded: the course of each fault and change, and their lanes.

Owns: following each fault from its injection to its absence and each change to its witness, as
data that the timeline and the evidence table share. Refuses: filling in evidence that is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit.history import Event
from chaoskit.report.document import compact, number_of, object_of, text_of, texts_of
from chaoskit.report.experiment import Experiment
from chaoskit.report.spans import Lane, Mark, Span
from chaoskit.report.wording import count, duration, moment

FIELD_LIMIT = 160
_NAMED_TARGETS = 3


@dataclass(frozen=True, slots=True)
class Course:
    """
    The course of one fault or change; each probe and each meter has an event of its own.

    `effective` are the looks at the beginning, `again` those just before the heal, `absent` those
    after it. A change has `done` and `witnessed` in place of the rest.
    """

    name: str
    targets: tuple[str, ...]
    fields: str
    injected: Event
    effective: tuple[Event, ...] = ()
    felt: tuple[Event, ...] = ()
    again: tuple[Event, ...] = ()
    heal: Event | None = None
    healed: Event | None = None
    absent: tuple[Event, ...] = ()
    done: Event | None = None
    witnessed: tuple[Event, ...] = ()

    @property
    def label(self) -> str:
        """The fault and its targets: `Partition e2`, or how many when they are many."""
        if len(self.targets) > _NAMED_TARGETS:
            return f"{self.name} {len(self.targets)} nodes"
        return " ".join((self.name, *self.targets))

    @property
    def is_change(self) -> bool:
        """It has no way back."""
        return self.injected.f == "change"

    @property
    def proven(self) -> bool:
        """Every probe that looked at its beginning saw it, and one did look."""
        return bool(self.effective) and all(event.type == "ok" for event in self.effective)

    @property
    def seen_to_happen(self) -> bool:
        """Every probe witnessed the change, and one did look."""
        return bool(self.witnessed) and all(event.type == "ok" for event in self.witnessed)

    @property
    def onset_s(self) -> float:
        """After how many seconds the last of its probes saw it, from the start of the injection."""
        return max((number_of(one.value, "onset_s") or 0.0 for one in self.effective), default=0.0)

    @property
    def felt_most(self) -> Event | None:
        """The reading that grew most; different counters are never added up."""
        grown = [event for event in self.felt if event.type == "ok"]
        return max(grown, key=lambda event: growth(event) or 0.0, default=None)


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
    def ended(kind: str) -> tuple[Event, ...]:
        return tuple(event for event in events if event.f == kind and event.type != "invoke")

    effective = ended("effective")
    heals = [event for event in events if event.f == "heal" and event.type == "invoke"]
    return Course(
        name=text_of(injected.value, injected.f, "unnamed"),
        targets=tuple(texts_of(injected.value, "targets")),
        fields=compact(object_of(injected.value, "fields"), limit=FIELD_LIMIT),
        injected=injected,
        effective=tuple(event for event in effective if event.value.get("again") is not True),
        felt=ended("felt"),
        again=tuple(event for event in effective if event.value.get("again") is True),
        heal=heals[0] if heals else None,
        healed=next(iter(ended("heal")), None),
        absent=ended("absent"),
        done=next(iter(ended("change")), None),
        witnessed=ended("witnessed"),
    )


def fault_lanes(experiment: Experiment, found: Sequence[Course]) -> tuple[Lane, ...]:
    """One lane a fault or change."""
    return tuple(
        _change_lane(experiment, one) if one.is_change else _fault_lane(experiment, one)
        for one in found
    )


def _fault_lane(experiment: Experiment, course: Course) -> Lane:
    begun_s = course.injected.time_s
    effective_s = begun_s + course.onset_s if course.proven else begun_s
    ended = course.healed or course.heal
    end_s = max(ended.time_s if ended else experiment.end_s, effective_s)
    spans = [
        Span(
            effective_s,
            end_s,
            "fault" if course.proven else "unproven",
            f"{course.label} {course.fields}: {moment(effective_s)} to {moment(end_s)}"
            + ("" if ended else ", never healed"),
            _fault_label(course, lasted_s=end_s - effective_s),
        )
    ]
    if course.proven and effective_s > begun_s:
        spans.insert(0, Span(begun_s, effective_s, "lead", f"{course.label}: being injected"))
    return Lane(course.label, "fault", tuple(spans), marks=_fault_marks(course), note=course.fields)


def _fault_label(course: Course, *, lasted_s: float) -> str:
    if not course.proven:
        return "not shown to be effective"
    if not course.felt:
        return duration(lasted_s)
    most = course.felt_most
    if most is None:
        return f"{duration(lasted_s)} · not felt"
    meter = text_of(most.value, "meter")
    return f"{duration(lasted_s)} · felt: {count(growth(most))} {meter}".rstrip()


def _fault_marks(course: Course) -> tuple[Mark, ...]:
    marks = [_onset(course, event) for event in course.effective]
    for event in course.felt:
        seen = event.type == "ok"
        said = f"felt: {count(growth(event))}" if seen else "not felt: 0"
        meter = text_of(event.value, "meter")
        kind = "felt" if seen else "quiet" if course.felt_most else "missing"
        marks.append(Mark(event.time_s, kind, f"{said} {meter}, read at {moment(event.time_s)}"))
    if course.healed is not None:
        done = course.healed.type == "ok"
        said = f"{'healed' if done else 'HEAL FAILED'} at {moment(course.healed.time_s)}"
        marks.append(Mark(course.healed.time_s, "healed" if done else "missing", said))
    marks += [
        Mark(
            event.time_s, "missing", f"still there after the heal: {text_of(event.value, 'probe')}"
        )
        for event in course.absent
        if event.type == "fail"
    ]
    return tuple(marks)


def _onset(course: Course, event: Event) -> Mark:
    onset_s, probe = number_of(event.value, "onset_s"), text_of(event.value, "probe")
    said = "effective" if event.type == "ok" else "NOT effective"
    at_s = course.injected.time_s + (onset_s or 0.0)
    kind = "onset" if event.type == "ok" else "missing"
    return Mark(at_s, kind, f"{said} after {duration(onset_s)}, by {probe}")


def _change_lane(experiment: Experiment, course: Course) -> Lane:
    begun_s = course.injected.time_s
    looks = [event.time_s for event in course.witnessed]
    end_s = max(looks) if looks else course.done.time_s if course.done else experiment.end_s
    took = duration(end_s - begun_s)
    label = f"witnessed after {took}" if course.seen_to_happen else "not witnessed"
    title = f"{course.label} {course.fields}: {moment(begun_s)} to {moment(end_s)}, {label}"
    kind = "change" if course.seen_to_happen else "unproven"
    mark = Mark(end_s, "healed" if course.seen_to_happen else "missing", label)
    span = Span(begun_s, end_s, kind, title, label)
    return Lane(course.label, "change", (span,), marks=(mark,), note=course.fields)
