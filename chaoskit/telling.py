"""
What happened to a cluster, told in short phrases from its history.

Owns: the phrases about one fault or change (when it was effective or witnessed, what felt it, when
it was healed, when the nodes were level again, who led, what went on) that a demo and a report's
summary need. Refuses: anything but the history; a phrase that has no evidence there is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaoskit.history import Event, History

_MILLISECONDS_BELOW_S = 1.0


def duration(value_s: float) -> str:
    """Seconds for people: "11 ms", "1.6 s"."""
    if value_s < _MILLISECONDS_BELOW_S:
        return f"{value_s * 1000:.0f} ms"
    return f"{value_s:.1f} s"


@dataclass(frozen=True, slots=True)
class Course:
    """The events of one fault, or of one change, in a history."""

    history: History
    fault: Event

    @property
    def number(self) -> int:
        """The fault's number in its run."""
        return int(self.fault.value["id"])

    def _of(self, f: str, kind: str = "ok") -> list[Event]:
        return [
            event
            for event in self.history.of(f)
            if event.value["id"] == self.number and event.type == kind
        ]

    @property
    def is_change(self) -> bool:
        """Whether there is no way back."""
        return self.fault.f == "change"

    @property
    def healed_s(self) -> float | None:
        """When the heal returned, or the change had been carried out."""
        heals = self._of("change" if self.is_change else "heal")
        return heals[-1].time_s if heals else None

    def effective(self) -> str:
        """When every probe had seen it."""
        if self.is_change:
            after = [event.value["after_s"] for event in self._of("witnessed")]
            return f"witnessed after {duration(max(after))}" if after else "not witnessed"
        onsets = [event.value["onset_s"] for event in self._of("effective")]
        first = [
            event.value["onset_s"] for event in self._of("effective") if not event.value["again"]
        ]
        return f"effective after {duration(max(first))}" if onsets and first else ""

    def felt(self) -> str:
        """What grew on another channel while it was in force, and by how much; of a change none."""
        if self.is_change:
            return ""
        grown = [
            f"{event.value['after'] - event.value['before']} {event.value['meter']}"
            for event in self._of("felt")
        ]
        return f"felt: {', '.join(grown)}" if grown else "not felt"

    def healed(self) -> str:
        """How long it was there; a change is."""
        if self.is_change:
            return ""
        if self.healed_s is None:
            return "never healed"
        return f"healed {duration(self.healed_s - self.fault.time_s)} later"

    def level_again(self) -> str:
        """How long after the heal every node answered ready, in the same term."""
        if self.healed_s is None:
            return ""
        latest: dict[str, Event] = {}
        nodes = _nodes(self.history)
        for event in self.history.of("observe"):
            if event.time_s < self.healed_s:
                continue
            latest[event.process] = event
            if _level(latest, nodes):
                after = "it" if self.is_change else "that"
                return f"level {duration(event.time_s - self.healed_s)} after {after}"
        return "not level since"

    def new_leader(self) -> str:
        """Who took over while it was in force, and after how long."""
        end_s = self.healed_s or self.history.end_s
        before = [
            event
            for event in self.history.of("observe")
            if event.time_s < self.fault.time_s and event.value.get("role") == "leader"
        ]
        if not before:
            return ""
        old = before[-1]
        for event in self.history.of("observe"):
            if not self.fault.time_s < event.time_s < end_s:
                continue
            value = event.value
            if value.get("role") == "leader" and value["term"] > old.value["term"]:
                took = duration(event.time_s - self.fault.time_s)
                return f"new leader {event.process} after {took}"
        return f"leader {old.process} stays"

    def went_on(self, step: str) -> str:
        """How far anybody's progress, counted in `step`, went since; until the heal, of a fault."""
        end_s = self.history.end_s if self.is_change else self.healed_s or self.history.end_s
        before, since = 0, 0
        for event in self.history.of("observe"):
            progress = event.value.get("progress") or 0
            if event.time_s < self.fault.time_s:
                before = max(before, progress)
            elif event.time_s <= end_s:
                since = max(since, progress)
        if not since:
            return ""
        if since <= before:
            return f"no {step} after {before}"
        return f"{step}s {before + 1} to {since} {'since' if self.is_change else 'meanwhile'}"


def _nodes(history: History) -> list[str]:
    clusters = history.of("cluster")
    return list(clusters[-1].value["nodes"]) if clusters else []


def _level(latest: dict[str, Event], nodes: list[str]) -> bool:
    if set(latest) != set(nodes) or any(event.type != "ok" for event in latest.values()):
        return False
    values = [event.value for event in latest.values()]
    return all(value["ready"] for value in values) and (
        len({value["term"] for value in values}) == 1
    )


def courses(history: History) -> list[Course]:
    """The faults and changes of a history, in order."""
    return [
        Course(history, event) for event in history.of("fault", "change") if event.type == "invoke"
    ]
