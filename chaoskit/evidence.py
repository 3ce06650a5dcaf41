"""
Evidence: no evidence, no verdict.

Owns: `faults_were_felt`, the check of the harness itself: every fault was effective, was effective
still when it was healed, was felt, was healed, and was gone; every change was witnessed. Refuses:
guesses in place of a missing event. What is missing is INVALID (the run says nothing of the
system), a heal or change that failed is INFRA (the harness did).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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


def _fault(case: _Case) -> list[Reason]:
    reasons: list[Reason] = []
    heals = case.of("heal", "invoke")
    healed = case.of("heal", "ok")
    heal_at = min((event.index for event in [*heals, *healed]), default=None)
    healed_at = min((event.index for event in healed), default=None)

    def before_heal(events: Sequence[Event]) -> list[Event]:
        return [event for event in events if heal_at is None or event.index < heal_at]

    effective = case.of("effective", "ok")
    if not [event for event in before_heal(effective) if not event.value.get("again")]:
        reasons.append(
            case.missing("was never shown to be effective", case.of("effective", "fail"))
        )
    elif not [event for event in before_heal(effective) if event.value.get("again")]:
        reasons.append(
            case.missing(
                "was effective, but not shown to be so still just before its heal",
                case.of("effective", "fail"),
            )
        )
    felt = before_heal(case.of("felt", "ok"))
    if not [event for event in felt if _grew(event)]:
        how = "was effective but never felt" if effective else "was never felt"
        end_s = (
            case.events[-1].time_s
            if heal_at is None
            else min(event.time_s for event in case.events if event.index == heal_at)
        )
        reasons.append(
            case.missing(
                f"{how} in {end_s - case.opening.time_s:.1f} s", [*case.of("felt", "fail"), *felt]
            )
        )
    failed = case.of("heal", "fail")
    if failed:
        reasons.append(case.broken("its heal failed", failed))
    elif not heals or not healed:
        reasons.append(case.missing("was not healed"))
    absent = [
        event
        for event in case.of("absent", "ok")
        if healed_at is not None and event.index > healed_at
    ]
    if not absent:
        reasons.append(
            case.missing("was healed but not shown to be gone", case.of("absent", "fail"))
            if healed
            else case.missing("was never shown to be gone", case.of("absent", "fail"))
        )
    return reasons


def _change(case: _Case) -> list[Reason]:
    failed = case.of("change", "fail")
    if failed:
        return [case.broken("the change failed", failed)]
    reasons: list[Reason] = []
    if not case.of("change", "ok"):
        reasons.append(case.missing("was begun and not ended"))
    if not case.of("witnessed", "ok"):
        reasons.append(case.missing("was never witnessed", case.of("witnessed", "fail")))
    return reasons


def faults_were_felt(history: History) -> tuple[Reason, ...]:
    """
    Why the history proves nothing: each missing or failed piece of evidence, fault by fault.

    Empty when every fault has, in this order, an `effective`, one more with `again`, a `felt`
    whose meter grew, a `heal` that succeeded and an `absent`; and every change is witnessed.
    Evidence for a fault that is not in the history is itself a gap in the record.
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
    return tuple(reasons)
