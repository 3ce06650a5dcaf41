"""
The page as data: everything the template shows, in the order in which it shows it.

Owns: putting a run folder's parts together. Refuses: markup, and judging.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chaoskit.report.catchup import CatchUp, catch_up
from chaoskit.report.document import compact, object_of, objects_of, text_of
from chaoskit.report.drawing import draw_strip, draw_timeline
from chaoskit.report.evidence import EvidenceRow, evidence
from chaoskit.report.experiment import (
    Experiment,
    Finding,
    Promise,
    experiments,
)
from chaoskit.report.faultlanes import courses, fault_lanes
from chaoskit.report.harnesslog import Said, harness_lines
from chaoskit.report.load import Load, load
from chaoskit.report.loadchart import draw_load
from chaoskit.report.margin import Standing, standing_of
from chaoskit.report.mergedlog import MergedLog, merged_log
from chaoskit.report.nodetable import Excerpt, NodeRow, Read, Window, excerpt, node_rows, read_logs
from chaoskit.report.panelchart import Panels, draw_panels
from chaoskit.report.panelnumbers import Numbers, numbers
from chaoskit.report.panels import contributions, plots
from chaoskit.report.rehearsal import Rehearsal, rehearsal
from chaoskit.report.shapes import Drawing
from chaoskit.report.source import Source
from chaoskit.report.spans import Detail
from chaoskit.report.summary import (
    Fact,
    about,
    facts,
    header_of,
    owed_in_words,
    sentence,
    utc,
    verdict_of,
)
from chaoskit.report.timeline import timeline, violation_time_s
from chaoskit.report.wording import count, duration, moment, plural, share

_SMALL_FROM = 12
_OPEN_UP_TO = 4
_REMARKS = 12
_LINES, _LINES_SMALL = 400, 100  # of all nodes' logs together, in the merged log of a test
_PLAN_CHARACTERS = 20_000
_STEPS = 200
_NOT_FACTS = frozenset({"steps", "schema", "rehearsal", "tests"})


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
    panels: Panels
    panels_drawing: Drawing | None
    numbers: tuple[Numbers, ...]
    catch_up: CatchUp | None
    log: MergedLog
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
    rehearsal: Rehearsal | None
    about: tuple[Fact, ...]
    command: str
    notes: tuple[str, ...]
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
    done = [harness_lines(one) for one in found]
    most = _LINES if len(found) < _SMALL_FROM else _LINES_SMALL
    windows = [_window(one, its, most) for one, its in zip(found, done, strict=True)]
    reads = read_logs(source.folder, windows)
    started = _started(source)
    tests = tuple(
        _test(number, one, _Read(read, window, its), standing or (), started, many=len(found))
        for number, (one, read, window, its) in enumerate(
            zip(found, reads, windows, done, strict=True), start=1
        )
    )
    header = header_of(source)
    host = object_of(header, "host")
    calibration = object_of(host, "calibration") or object_of(header, "calibration")
    plan = source.plan or {}
    verdict = verdict_of(header, found)
    rehearsed = rehearsal(
        source.rehearsal,
        source.plan,
        verdict,
        [one.name for one in found],
        reason=next((one.text for test in found for one in test.findings), ""),
    )
    return Page(
        run=text_of(header, "run", source.folder.name),
        verdict=verdict,
        rehearsal=rehearsed,
        sentence=sentence(header, found),
        about=about(header, found, host, started),
        command=text_of(header, "command"),
        notes=tuple(notes),
        strip=_strip(source, found, started) if len(found) > 1 else None,
        tests=tests,
        kinds=frozenset(kind for test in tests for kind in test.kinds),
        host=facts({key: one for key, one in host.items() if key != "calibration"}),
        calibration=facts(calibration),
        plan=facts({key: one for key, one in plan.items() if key not in _NOT_FACTS}),
        steps=tuple(compact(one, limit=200) for one in objects_of(plan, "steps")[:_STEPS]),
        plan_text=json.dumps(source.plan, indent=1, ensure_ascii=False)[:_PLAN_CHARACTERS]
        if source.plan
        else "",
        owed=owed_in_words(found),
    )


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
        started = datetime.fromisoformat(source.history.started_utc)
    except ValueError:
        return None
    return started.replace(tzinfo=UTC) if started.tzinfo is None else started.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of the logs for a test, by which window, beside what the harness did."""

    logs: Read
    window: Window
    done: Sequence[Said]


def _window(experiment: Experiment, done: Sequence[Said], most: int) -> Window:
    broken = [one for one in experiment.findings if one.verdict == "FAIL" and one.events]
    first = min(broken, key=violation_time_s, default=None)
    return Window(
        experiment.start_s,
        experiment.end_s,
        None if first is None else violation_time_s(first),
        "" if first is None else first.by,
        moments=tuple(one.time_s for one in done if one.weighty),
        most=max(most // max(len(experiment.nodes), 1), 1),
    )


def _test(
    number: int,
    experiment: Experiment,
    read: _Read,
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
    faults = fault_lanes(experiment, followed)
    recovery = catch_up(experiment, followed)
    panels = Panels(plots(experiment, detail), recovery, contributions(experiment))
    drawn, samples = shown.thinning
    started_utc = utc(started, shown.start_s)
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
        faults=_counted([course.label for course in followed]),
        promises=experiment.promises,
        checks=experiment.checks,
        remarks=_remarks(experiment),
        timeline=draw_timeline(shown, started_utc=started_utc),
        kinds=shown.kinds,
        thinning=f"Progress lines: {count(drawn)} of {count(samples)} points drawn, in each short "
        "stretch the first, the lowest, the highest and the last."
        if drawn < samples
        else "",
        panels=panels,
        panels_drawing=draw_panels(panels, shown, faults, started_utc=started_utc, detail=detail),
        numbers=numbers(panels.plots, panels.held),
        catch_up=recovery,
        log=merged_log(experiment, read.done, read.logs.kept, read.logs.written, started),
        evidence=tuple(evidence(course) for course in followed),
        load=its_load,
        load_drawing=draw_load(its_load, shown, faults, detail),
        nodes=node_rows(experiment, read.logs),
        excerpt=excerpt(read.window, read.logs),
        finished=experiment.finished,
    )


def _counted(labels: Sequence[str]) -> tuple[str, ...]:
    """Each label once, with how often it was there if more than once."""
    told = []
    for label in dict.fromkeys(labels):
        times = labels.count(label)
        told.append(f"{label} × {times}" if times > 1 else label)  # noqa: RUF001 - for people
    return tuple(told)


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
    """What the harness noted beside the verdict: notes, and a machine over its limits."""
    remarks = [
        f"{moment(event.time_s)}: {text_of(event.value, 'text')}"
        for event in experiment.events.of("note")
    ]
    over = [one for one in experiment.events.of("machine") if one.value.get("over") is True]
    if over:
        first = {key: value for key, value in over[0].value.items() if key != "over"}
        said = f"the machine was over its limit: {compact(first, limit=120)}"
        last = moment(over[-1].time_s)
        more = f", and {plural(len(over) - 1, 'more time')} until {last}" if over[1:] else ""
        remarks.append(f"{moment(over[0].time_s)}: {said}{more}")
    more_remarks = len(remarks) - _REMARKS
    if more_remarks > 0:
        return (*remarks[:_REMARKS], f"and {more_remarks} more")
    return tuple(remarks)


def _strip(source: Source, found: Sequence[Experiment], started: datetime | None) -> Drawing:
    tests = [(one.start_s, one.end_s, one.verdict, one.name.rpartition("::")[2]) for one in found]
    return draw_strip(tests, 0.0, source.history.end_s, utc(started, 0.0))
