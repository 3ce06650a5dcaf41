"""
The page as data: everything the template shows, in the order in which it shows it.

Owns: putting a run folder's parts together and saying the verdict in one sentence. Refuses:
markup, and judging.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaoskit.report.document import compact, number_of, object_of, objects_of, text_of, whole_of
from chaoskit.report.drawing import draw_strip, draw_timeline
from chaoskit.report.evidence import EvidenceRow, evidence
from chaoskit.report.experiment import (
    NOT_JUDGED,
    Experiment,
    Finding,
    Promise,
    experiments,
    release_of,
)
from chaoskit.report.faultlanes import courses, fault_lanes
from chaoskit.report.load import Load, load
from chaoskit.report.loadchart import draw_load
from chaoskit.report.margin import Standing, standing_of
from chaoskit.report.nodetable import Excerpt, NodeRow, Read, Window, excerpt, node_rows, read_logs
from chaoskit.report.shapes import Drawing
from chaoskit.report.source import Source
from chaoskit.report.spans import Detail
from chaoskit.report.timeline import timeline, violation_time_s
from chaoskit.report.wording import count, duration, moment, plural, share

_SMALL_FROM = 12
_OPEN_UP_TO = 4
_REMARKS = 12
_PLAN_CHARACTERS = 20_000
_STEPS = 200
_ORDER = ("FAIL", "INFRA", "INVALID", "UNKNOWN", NOT_JUDGED, "PASS")
_MEANING = {
    "PASS": "kept every promise, and every fault was felt",
    "FAIL": "broke a promise",
    "INVALID": "proves nothing: what was to be broken is not shown to have been broken",
    "UNKNOWN": "cannot be told: evidence is missing",
    "INFRA": "says nothing of the system: the harness or the machine failed",
    NOT_JUDGED: "was not judged: the run did not get that far",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and a value, both for people."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ExperimentPage:
    """One test: the parts of the report that belong to it."""

    number: int
    path: str
    name: str
    verdict: str
    headline: str
    again: str
    opened: bool
    duration: str
    owed: str
    faults: tuple[str, ...]
    promises: tuple[Promise, ...]
    checks: tuple[Finding, ...]
    remarks: tuple[str, ...]
    timeline: Drawing
    kinds: frozenset[str]
    thinning: str
    evidence: tuple[EvidenceRow, ...]
    load: Load
    load_drawing: Drawing | None
    nodes: tuple[NodeRow, ...]
    excerpt: Excerpt | None
    finished: bool


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report of a run."""

    run: str
    verdict: str
    sentence: str
    about: tuple[Fact, ...]
    command: str
    notes: tuple[str, ...]
    tally: tuple[tuple[str, int], ...]
    strip: Drawing | None
    tests: tuple[ExperimentPage, ...]
    kinds: frozenset[str]
    host: tuple[Fact, ...]
    calibration: tuple[Fact, ...]
    plan: tuple[Fact, ...]
    steps: tuple[str, ...]
    plan_text: str
    owed: str


def page(source: Source) -> Page:
    """Put the report of a run together; never raises for what its folder holds."""
    found = experiments(source)
    standing = standing_of(source.history)
    notes = [*source.notes, *_missing(source, found)]
    if standing is None:
        notes.append("the margin to the quorum is not shown: some facts in the history are corrupt")
    reads = read_logs(source.folder, [_window(one) for one in found])
    started = _started(source)
    tests = tuple(
        _test(number, one, read, standing or (), started, many=len(found))
        for number, (one, read) in enumerate(zip(found, reads, strict=True), start=1)
    )
    header = _header(source)
    host = object_of(header, "host")
    calibration = object_of(host, "calibration") or object_of(header, "calibration")
    plan = source.plan or {}
    return Page(
        run=text_of(header, "run", source.folder.name),
        verdict=_verdict(header, found),
        sentence=_sentence(header, found),
        about=_about(header, found, host, started),
        command=text_of(header, "command"),
        notes=tuple(notes),
        tally=_tally(found),
        strip=_strip(source, found, started) if len(found) > 1 else None,
        tests=tests,
        kinds=frozenset(kind for test in tests for kind in test.kinds),
        host=_facts({key: one for key, one in host.items() if key != "calibration"}),
        calibration=_facts(calibration),
        plan=_facts({key: one for key, one in plan.items() if key not in {"steps", "schema"}}),
        steps=tuple(compact(one, limit=200) for one in objects_of(plan, "steps")[:_STEPS]),
        plan_text=json.dumps(source.plan, indent=1, ensure_ascii=False)[:_PLAN_CHARACTERS]
        if source.plan
        else "",
        owed=_owed(found),
    )


def _header(source: Source) -> dict[str, Any]:
    """What is said of the run as a whole: verdicts.json, else the first event of the history."""
    told = next((event.value for event in source.history.of("run")), {})
    argv = told.get("argv")
    typed = " ".join(map(str, argv)) if isinstance(argv, list) else text_of(told, "argv")
    again = {"command": typed} if typed else {}
    return {**again, **told, **(source.verdicts or {})}


def _missing(source: Source, found: Sequence[Experiment]) -> list[str]:
    notes = []
    if source.verdicts is None:
        notes.append("no verdicts.json: the run did not finish, or was not judged yet")
    elif source.verdicts.get("finished") is False:
        notes.append("the run was cut short, or still runs: this is what was judged until then")
    if not found:
        notes.append("the history holds no event")
    return notes


def _started(source: Source) -> datetime | None:
    try:
        return datetime.fromisoformat(source.history.started_utc)
    except ValueError:
        return None


def _utc(started: datetime | None, time_s: float) -> str:
    """The UTC time of a moment of the run, "" when it is not known."""
    if started is None or not 0 <= time_s < 10_000_000:
        return ""
    at = datetime.fromtimestamp(started.timestamp() + time_s, tz=started.tzinfo)
    return f"{at:%H:%M:%S} UTC"


def _window(experiment: Experiment) -> Window:
    broken = [one for one in experiment.findings if one.verdict == "FAIL" and one.events]
    first = min(broken, key=violation_time_s, default=None)
    return Window(
        experiment.start_s,
        experiment.end_s,
        None if first is None else violation_time_s(first),
        "" if first is None else first.by,
    )


def _test(
    number: int,
    experiment: Experiment,
    read: Read,
    standing: Standing,
    started: datetime | None,
    *,
    many: int,
) -> ExperimentPage:
    followed = courses(experiment)
    detail: Detail = "small" if many >= _SMALL_FROM else "full"
    shown = timeline(experiment, followed, standing, detail)
    its_load = load(experiment.events, shown.start_s, shown.end_s, detail)
    path, _, name = experiment.name.rpartition("::")
    drawn, samples = shown.thinning
    return ExperimentPage(
        number=number,
        path=path,
        name=name,
        verdict=experiment.verdict,
        headline=_headline(experiment),
        again=experiment.again,
        opened=experiment.verdict != "PASS" or many <= _OPEN_UP_TO,
        duration=duration(experiment.duration_s),
        owed=share(experiment.owed_share),
        faults=tuple(course.label for course in followed),
        promises=experiment.promises,
        checks=experiment.checks,
        remarks=_remarks(experiment),
        timeline=draw_timeline(shown, started_utc=_utc(started, shown.start_s)),
        kinds=shown.kinds,
        thinning=f"Progress lines: {count(drawn)} of {count(samples)} points drawn, in each short "
        "stretch the first, the lowest, the highest and the last."
        if drawn < samples
        else "",
        evidence=tuple(evidence(course) for course in followed),
        load=its_load,
        load_drawing=draw_load(
            its_load, shown.start_s, shown.end_s, fault_lanes(experiment, followed), detail
        ),
        nodes=node_rows(experiment, read),
        excerpt=excerpt(_window(experiment), read),
        finished=experiment.finished,
    )


def _headline(experiment: Experiment) -> str:
    """The finding that decided, or what a test without one says."""
    for finding in experiment.findings:
        if finding.verdict == experiment.verdict:
            return finding.text
    if experiment.verdict == "PASS":
        kept = sum(one.outcome == "kept" for one in experiment.promises)
        return f"{plural(kept, 'promise')} kept"
    return "" if experiment.finished else "its end is not in the history"


def _remarks(experiment: Experiment) -> tuple[str, ...]:
    """What the harness noted beside the verdict: notes, a machine over its limit, a way round."""
    remarks = []
    for event in experiment.events.of("note", "machine", "bypass"):
        at = moment(event.time_s)
        if event.f == "note":
            remarks.append(f"{at}: {text_of(event.value, 'text')}")
        elif event.f == "machine" and event.value.get("over") is True:
            said = compact({k: v for k, v in event.value.items() if k != "over"}, limit=120)
            remarks.append(f"{at}: the machine was over its limit: {said}")
        elif event.f == "bypass" and (number_of(event.value, "packets") or 0) > 0:
            packets = count(number_of(event.value, "packets"))
            remarks.append(f"{at}: {packets} packets tried to go round the proxy")
    more = len(remarks) - _REMARKS
    return (*remarks[:_REMARKS], f"and {more} more") if more > 0 else tuple(remarks)


def _owed(found: Sequence[Experiment]) -> str:
    shares = sorted(one.owed_share for one in found if one.owed_share is not None)
    if not shares:
        return ""
    least, most = share(shares[0]), share(shares[-1])
    said = most if least == most else f"{least} to {most}"
    return (
        f"In {said} of the time of faults and recovery the nodes were a quorum, so that progress "
        f"was owed ({plural(len(shares), 'test')})."
    )


def _verdict(header: dict[str, Any], found: Sequence[Experiment]) -> str:
    said = text_of(header, "verdict")
    if said in _MEANING:
        return said
    return NOT_JUDGED if not found else min((one.verdict for one in found), key=_ORDER.index)


def _tally(found: Sequence[Experiment]) -> tuple[tuple[str, int], ...]:
    counts = ((verdict, sum(one.verdict == verdict for one in found)) for verdict in _ORDER)
    return tuple((verdict, number) for verdict, number in counts if number)


def _system(header: dict[str, Any], found: Sequence[Experiment]) -> str:
    releases = sorted({release_of(one, node) for one in found for node in one.nodes} - {""})
    named = [text_of(one.cluster.value, "system") for one in found if one.cluster]
    name = text_of(header, "system") or next(filter(None, named), "the system")
    shown = ", ".join(releases[:6])
    return f"{name} {shown}" if releases else name


def _sentence(header: dict[str, Any], found: Sequence[Experiment]) -> str:
    system, verdict = _system(header, found), _verdict(header, found)
    if len(found) == 1:
        one = found[0]
        deciding = [finding.by for finding in one.findings if finding.verdict == verdict]
        said = f"broke {deciding[0]}" if verdict == "FAIL" and deciding else _MEANING[verdict]
        return f"{one.name.rpartition('::')[2]} on {system} {said}."
    said = ", ".join(f"{number} {name}" for name, number in _tally(found))
    return (
        f"{plural(len(found), 'test')} on {system}: {said}."
        if found
        else f"Nothing was recorded on {system}."
    )


def _about(
    header: dict[str, Any],
    found: Sequence[Experiment],
    host: dict[str, Any],
    started: datetime | None,
) -> tuple[Fact, ...]:
    nodes = sorted({len(one.nodes) for one in found})
    ended_s = max((one.end_s for one in found), default=0.0)
    facts = [
        Fact("nodes", ", ".join(str(one) for one in nodes)),
        Fact("seed", text_of(header, "seed")),
        Fact("started", f"{started:%Y-%m-%d %H:%M:%S} UTC" if started else ""),
        Fact("took", duration(ended_s)),
        Fact("host", _host(host)),
    ]
    return tuple(fact for fact in facts if fact.value)


def _host(host: dict[str, Any]) -> str:
    """The host in a few words; all that is known of it stands at the end of the page."""
    cores = whole_of(host, "cores")
    kernel, memory = text_of(host, "kernel"), number_of(host, "memory_bytes")
    words = [
        text_of(host, "distribution"),
        f"kernel {kernel}" if kernel else "",
        plural(cores, "core") if cores is not None else "",
        f"{memory / 2**30:.1f}\u202fGiB" if memory else "",
    ]
    return ", ".join(word for word in words if word)


def _strip(source: Source, found: Sequence[Experiment], started: datetime | None) -> Drawing:
    tests = [(one.start_s, one.end_s, one.verdict, one.name.rpartition("::")[2]) for one in found]
    return draw_strip(tests, 0.0, source.history.end_s, _utc(started, 0.0))


def _facts(document: dict[str, Any]) -> tuple[Fact, ...]:
    """A document as facts; the unit at the end of a name becomes the unit of its value."""
    return tuple(_fact(key, document) for key in document)


def _fact(key: str, document: dict[str, Any]) -> Fact:
    number, words = number_of(document, key), key.replace("_", " ")
    if number is not None and key.endswith("_s"):
        return Fact(words[:-2], duration(number))
    if number is not None and key.endswith("_bytes"):
        return Fact(words[:-6], f"{number / 2**30:.1f}\u202fGiB")
    if number is not None and key.endswith("_share"):
        return Fact(words, share(number))
    return Fact(words, compact(document[key], limit=300))
