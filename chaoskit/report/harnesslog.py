"""
What the harness did and saw, as lines of a log.

Owns: words for its own events: faults and changes from the injection to the absence, links, states
of nodes, and when a node stopped answering, answered again or changed its role. Refuses: samples
that say nothing new, and operations; the load has a chart of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaoskit.history import Event
from chaoskit.report.document import compact, number_of, object_of, text_of, texts_of, whole_of
from chaoskit.report.experiment import Experiment, Finding
from chaoskit.report.wording import count, duration

LIMIT = 300
_TOGETHER_S = 0.2
_CHARACTERS = 240
_OF_A_FAULT = ("fault", "change", "effective", "felt", "heal", "absent", "witnessed")
_TOLD = (*_OF_A_FAULT, "state", "handshake", "scope", "limit", "note", "gap")


@dataclass(frozen=True, slots=True)
class Said:
    """A line: when, in words; `weighty`: something was done to the cluster or went wrong."""

    time_s: float
    text: str
    weighty: bool = False


def harness_lines(experiment: Experiment) -> list[Said]:
    """Every line of a test, in order of time."""
    events = experiment.events
    names = {
        text_of(event.value, "id"): " ".join(
            (text_of(event.value, event.f, "unnamed"), *texts_of(event.value, "targets"))
        )
        for event in events.of("fault", "change")
        if event.type == "invoke"
    }
    lines = [said for event in events.of(*_TOLD) for said in _said(event, names)]
    lines += _links(events.of("link"))
    lines += _voices(events.of("observe"))
    lines += _stalls(events.of("machine"))
    lines += [
        Said(max(event.time_s for event in finding.events), _finding(finding), weighty=True)
        for finding in experiment.findings
        if finding.events
    ]
    return sorted(lines, key=lambda said: said.time_s)


def _finding(finding: Finding) -> str:
    return f"{finding.by}: {finding.text}"[:_CHARACTERS]


def _said(event: Event, names: dict[str, str]) -> Iterator[Said]:
    name = names.get(text_of(event.value, "id"), "")
    words = _of_a_fault(event, name) or _of_the_cluster(event)
    weighty = event.type == "fail" or event.f in {"fault", "heal", "change", "state"}
    if words:
        yield Said(event.time_s, words[:_CHARACTERS], weighty=weighty)


def _of_a_fault(event: Event, name: str) -> str:
    """A line of the course of a fault or change; "" for another event."""
    value, good = event.value, event.type != "fail"
    words = ""
    match event.f:
        case "fault" | "change" if event.type == "invoke":
            words = f"{event.f} {name} begins: {compact(object_of(value, 'fields'), limit=120)}"
        case "effective":
            still = "still " if value.get("again") is True and good else ""
            seen = f"{still}effective" if good else "NOT effective"
            words = f"{name}: {seen} after {_after(event, 'onset_s')}"
        case "felt":
            before, after = number_of(value, "before"), number_of(value, "after")
            counted = f"{count(before)} \u2192 {count(after)} {text_of(value, 'meter')}"
            words = f"{name}: {'felt' if good else 'stood still'}, {counted}"
        case "heal" if event.type != "invoke":
            words = f"{name} {'healed' if good else 'HEAL FAILED'}"
        case "change":
            words = f"{name} {'done' if good else 'FAILED'}"
        case "absent":
            words = f"{name}: {'gone' if good else 'STILL THERE'} after {_after(event, 'after_s')}"
        case "witnessed":
            seen = "witnessed" if good else "NOT witnessed"
            words = f"{name}: {seen} after {_after(event, 'after_s')}"
    return words


def _after(event: Event, key: str) -> str:
    return f"{duration(number_of(event.value, key))}, by {text_of(event.value, 'probe')}"


def _of_the_cluster(event: Event) -> str:
    """A line of a node, a link's handshake or the test; "" for another event."""
    value = event.value
    over = value.get("over") is True
    words = ""
    match event.f:
        case "state":
            words = _state(event)
        case "handshake":
            pair = f"{text_of(value, 'source')} \u2192 {text_of(value, 'target')}"
            words = f"our handshake {pair} {'succeeds' if event.type != 'fail' else 'FAILS'}"
        case "scope":
            words = f"the test {'begins' if text_of(value, 'event') == 'start' else 'ends'}"
        case "limit":
            probe = text_of(value, "probe")
            words = f"{event.process}: {probe} {'over' if over else 'under'} its limit"
        case "note":
            words = text_of(value, "text")
        case "gap":
            words = f"{event.process} was not sampled for a while"
    return words


def _state(event: Event) -> str:
    state, code = text_of(event.value, "state", "unknown"), whole_of(event.value, "exit_code")
    by = "" if state == "running" else " by us" if event.value.get("signalled") else " BY ITSELF"
    return f"{event.process} is {state}{'' if code is None else f', code {code}'}{by}"


def _links(events: Sequence[Event]) -> Iterator[Said]:
    """A line for all links that came to be shaped alike at once."""
    begun: Event | None = None
    pairs: list[str] = []
    for event in [*events, None]:
        alike = (
            event is not None
            and begun is not None
            and _shape(event) == _shape(begun)
            and event.time_s - begun.time_s <= _TOGETHER_S
        )
        if begun is not None and not alike:
            text = f"{_shape(begun)}: {' '.join(pairs)}"
            yield Said(begun.time_s, text[:_CHARACTERS], weighty=True)
            begun, pairs = None, []
        if event is not None:
            begun = begun or event
            pairs.append(f"{text_of(event.value, 'source')}>{text_of(event.value, 'target')}")


def _shape(event: Event) -> str:
    shape = text_of(event.value, "shape", "open")
    if event.value.get("cut") is True:
        return f"links cut ({shape})" if shape != "cut" else "links cut"
    return "links open" if set(shape.split(", ")) == {"open"} else f"links shaped ({shape})"


def _voices(samples: Sequence[Event]) -> Iterator[Said]:
    """When a node fell silent or spoke again, and when it took another role."""
    before: dict[str, str] = {}
    for event in samples:
        now = _voice(event)
        was = before.get(event.process)
        if now != was and (was is not None or event.type != "ok"):
            yield Said(event.time_s, f"{event.process} {now}")
        before[event.process] = now


def _stalls(measured: Sequence[Event]) -> Iterator[Said]:
    """When the machine went over its limits, and when it was within them again."""
    before = False
    for event in measured:
        over = event.value.get("over") is True
        if over != before:
            said = "over its limits" if over else "within its limits again"
            yield Said(event.time_s, f"the machine is {said}", weighty=over)
        before = over


def _voice(event: Event) -> str:
    if event.type != "ok":
        return f"does not answer us: {text_of(event.value, 'cause', 'no answer')}"
    role, term = text_of(event.value, "role"), whole_of(event.value, "term")
    if not role:
        return "answers us"
    return f"says it is {role}" + ("" if term is None else f" in term {term}")
