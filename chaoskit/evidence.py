"""
Evidence: no evidence, no verdict.

Owns: `faults_were_felt`, the check of the harness itself: every fault was effective, was effective
still when it was healed, was felt, was healed, and was gone, each by every probe that looked; every
change was witnessed; no event is missing from the record. Refuses: guesses in place of a missing
event. What is missing is INVALID (the run says nothing of the system), a heal or change that failed
is INFRA (the harness did).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chaoskit.history import Event, History
from chaoskit.verdict import Reason, Verdict

_BY = "faults_were_felt"
_KINDS = ("effective", "felt", "heal", "absent", "witnessed")


def _snake(name: str) -> str:
    """The class name as people read it: SlowStorage is slow_storage."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@dataclass(frozen=True, slots=True)
class _Case:
    """One fault or change with all events that carry its id."""

    opening: Event
    events: Sequence[Event]

    @property
    def name(self) -> str:
        what = self.opening.value.get("fault") or self.opening.value.get("change") or "fault"
        where = " ".join(self.opening.value["targets"])
        return f"{_snake(what)} on {where}" if where else _snake(what)

    def of(self, f: str, *kinds: str) -> list[Event]:
        return [event for event in self.events if event.f == f and event.type in kinds]

    def missing(self, text: str, because: Iterable[Event] = ()) -> Reason:
        said = list(because)
        return Reason(
            Verdict.INVALID,
            _BY,
            f"{self.name} {text}{_said(said)}",
            (self.opening.index, *(event.index for event in said)),
        )

    def broken(self, text: str, because: Sequence[Event]) -> Reason:
        return Reason(
            Verdict.INFRA,
            _BY,
            f"{self.name}: {text}{_said(because)}",
            (self.opening.index, *(event.index for event in because)),
        )


def _said(events: Sequence[Event]) -> str:
    """What the last of the events said in its own words, behind a colon; empty for none."""
    if not events:
        return ""
    value = events[-1].value
    words = [str(value[key]) for key in ("probe", "meter", "detail") if value.get(key)]
    if "before" in value and "after" in value:
        words.append(f"{value['before']} -> {value['after']}")
    return ": " + ", ".join(words) if words else ""


def _grew(event: Event) -> bool:
    """Whether a meter said to have been felt did grow, as far as it is a number."""
    before, after = event.value.get("before"), event.value.get("after")
    if isinstance(before, int | float) and isinstance(after, int | float):
        return after > before
    return True


def _probes(events: Iterable[Event]) -> set[str]:
    return {str(event.value.get("probe")) for event in events}


def _names(probes: Iterable[str]) -> str:
    return ", ".join(sorted(probes))


@dataclass(frozen=True, slots=True)
class _Course:
    """A fault's evidence, laid out in time: what counts only before the heal, or only after."""

    case: _Case
    heal_at: int | None
    healed_at: int | None

    def effective(self) -> list[Reason]:
        """By every probe, and by every probe again just before the heal."""
        looks = [
            event
            for event in self.case.of("effective", "ok", "fail")
            if self.heal_at is None or event.index < self.heal_at
        ]
        first = [event for event in looks if not event.value.get("again")]
        again = [event for event in looks if event.value.get("again")]
        blind = [event for event in first if event.type == "fail"]
        seen = _probes(first) - _probes(blind)
        if blind or not first:
            return [self.case.missing("was not seen to be effective", blind)]
        if _probes(again) - seen:
            names = _names(_probes(again) - seen)
            return [self.case.missing(f"was never looked at when it began, by {names}", again)]
        lost = [event for event in again if event.type == "fail"]
        if lost or _probes(again) != seen:
            names = _names(_probes(lost) | (seen - _probes(again)))
            text = f"was effective, but not shown to be so still just before its heal, by {names}"
            return [self.case.missing(text, lost)]
        return []

    def felt(self) -> list[Reason]:
        """By one meter at least, which grew before the heal."""
        meters = self.case.of("felt", "ok", "fail")
        if any(
            event.type == "ok"
            and _grew(event)
            and (self.heal_at is None or event.index < self.heal_at)
            for event in meters
        ):
            return []
        saw = self.case.of("effective", "ok")
        how = "was effective but never felt" if saw else "was never felt"
        ends = [event.time_s for event in self.case.events if event.index == self.heal_at]
        end_s = ends[0] if ends else self.case.events[-1].time_s
        return [self.case.missing(f"{how} in {end_s - self.case.opening.time_s:.1f} s", meters)]

    def healed(self) -> list[Reason]:
        failed = self.case.of("heal", "fail")
        if failed:
            return [self.case.broken("its heal failed", failed)]
        if not self.case.of("heal", "invoke") or self.healed_at is None:
            return [self.case.missing("was not healed")]
        return []

    def absent(self) -> list[Reason]:
        """By every probe that had seen it, after the heal."""
        if self.healed_at is None:
            return [self.case.missing("was never shown to be gone")]
        after = [
            event for event in self.case.of("absent", "ok", "fail") if event.index > self.healed_at
        ]
        there = [event for event in after if event.type == "fail"]
        unsaid = _probes(self.case.of("effective", "ok", "fail")) - _probes(after)
        if there or unsaid or not after:
            names = _names(_probes(there) | unsaid)
            text = "was healed but not shown to be gone" + (f", by {names}" if names else "")
            return [self.case.missing(text, there)]
        return []


def _fault(case: _Case) -> list[Reason]:
    refused = case.of("fault", "fail")
    if refused:
        text = f"{case.name} is not applicable here: {refused[0].value['cause']}"
        return [Reason(Verdict.UNKNOWN, _BY, text, (case.opening.index, refused[0].index))]
    healed = [event.index for event in case.of("heal", "ok")]
    heals = [event.index for event in case.of("heal", "invoke")] + healed
    course = _Course(case, min(heals, default=None), min(healed, default=None))
    return [*course.effective(), *course.felt(), *course.healed(), *course.absent()]


def _change(case: _Case) -> list[Reason]:
    failed = case.of("change", "fail")
    if failed:
        return [case.broken("the change failed", failed)]
    reasons: list[Reason] = []
    if not case.of("change", "ok"):
        reasons.append(case.missing("was begun and not ended"))
    witnesses = case.of("witnessed", "ok", "fail")
    denied = any(event.type == "fail" for event in witnesses)
    if not witnesses or (denied and not case.opening.value.get("asks")):
        reasons.append(case.missing("was not witnessed", case.of("witnessed", "fail")))
    return reasons


def _holes(history: History) -> list[Reason]:
    """Events that were recorded and are not there, from the start of the scope (if any) on."""
    starts = [event for event in history.of("scope") if event.value["event"] == "start"]
    begin = (starts or list(history.events[:1]))[0].index if history.events else 0
    indices = [event.index for event in history.events if event.index >= begin]
    return [
        Reason(
            Verdict.INVALID,
            "record",
            f"the record has a hole between events {one} and {other}",
            (one, other),
        )
        for one, other in pairwise(indices)
        if other != one + 1
    ]


def faults_were_felt(history: History) -> tuple[Reason, ...]:
    """
    Why the history proves nothing: each missing or failed piece of evidence, fault by fault.

    Empty when every fault has `effective` by each probe at its beginning and, with `again`, just
    before its heal; before that a `felt` whose meter grew; a `heal` that succeeded, and after it
    `absent` by each probe; when every change is witnessed; and when no event is missing. Evidence
    of a fault whose beginning is not in the history proves nothing.
    """
    openings: dict[object, Event] = {}
    events: dict[object, list[Event]] = {}
    for event in history.of("fault", "change", *_KINDS):
        identity = event.value["id"]
        if event.f in ("fault", "change") and event.type == "invoke":
            openings[identity] = event
        events.setdefault(identity, []).append(event)
    reasons: list[Reason] = []
    for identity, known in events.items():
        opening = openings.get(identity)
        if opening is None:
            reasons.append(
                Reason(
                    Verdict.INVALID,
                    _BY,
                    f"{known[0].f} of fault {identity}, whose beginning is not in the history",
                    tuple(event.index for event in known),
                )
            )
            continue
        judge = _fault if opening.f == "fault" else _change
        reasons.extend(judge(_Case(opening, known)))
    return (*reasons, *_holes(history))
