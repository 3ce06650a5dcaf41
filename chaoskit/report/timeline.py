"""
The timeline of a test: everything that happened, lane by lane, on one axis of seconds.

Owns: pure geometry in time, from an experiment to lanes and series. Refuses: pixels (drawing) and
judging: margin and owed liveness come from chaoskit.quorate, violations from the verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit.report.experiment import Experiment, Finding
from chaoskit.report.faultlanes import Course, fault_lanes
from chaoskit.report.linklanes import link_lanes
from chaoskit.report.margin import Standing, margin_lane, not_owed
from chaoskit.report.nodelanes import node_lanes, progress
from chaoskit.report.spans import Detail, Lane, Mark, Series, Span, clipped
from chaoskit.report.wording import moment

_BUCKETS: dict[Detail, int] = {"full": 200, "small": 50}
_VIOLATIONS = 24


@dataclass(frozen=True, slots=True)
class Timeline:
    """
    Lanes from the top, the progress of each node, and moments that cross all lanes.

    `not_owed` are the windows in which the system owed no progress; `violations` the moments at
    which a broken promise was seen, `causes` the earlier events of the same findings.
    """

    start_s: float
    end_s: float
    lanes: tuple[Lane, ...]
    progress: tuple[Series, ...]
    not_owed: tuple[Span, ...]
    violations: tuple[Mark, ...]
    causes: tuple[Mark, ...]

    @property
    def thinning(self) -> tuple[int, int]:
        """Points drawn and points needed, over all lines of progress."""
        return sum(one.drawn for one in self.progress), sum(one.needed for one in self.progress)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of everything on it: what a key to it has to explain."""
        found = {span.kind for span in self.not_owed}
        found.update(mark.kind for mark in (*self.violations, *self.causes))
        for lane in self.lanes:
            found.update(one.kind for one in (*lane.spans, *lane.under))
            found.update(mark.kind for mark in lane.marks)
        return frozenset("exited" if kind == "stopped" else kind for kind in found)


def timeline(
    experiment: Experiment, found: tuple[Course, ...], standing: Standing, detail: Detail
) -> Timeline:
    """The timeline of one test; `small` draws lines with fewer points (runs of many tests)."""
    start_s, end_s = experiment.start_s, max(experiment.end_s, experiment.start_s + 0.001)
    lanes = (
        *node_lanes(experiment),
        *fault_lanes(experiment, found),
        *link_lanes(experiment),
        *margin_lane(experiment, standing),
    )
    broken = [one for one in experiment.findings if one.verdict == "FAIL" and one.events]
    return Timeline(
        start_s=start_s,
        end_s=end_s,
        lanes=tuple(_within(lane, start_s, end_s) for lane in lanes),
        progress=progress(experiment, _BUCKETS[detail]),
        not_owed=clipped(not_owed(experiment, standing), start_s, end_s),
        violations=_violations(broken[:_VIOLATIONS]),
        causes=tuple(mark for one in broken[:_VIOLATIONS] for mark in _causes(one)),
    )


def _within(lane: Lane, start_s: float, end_s: float) -> Lane:
    return Lane(
        lane.label,
        lane.kind,
        clipped(lane.spans, start_s, end_s),
        clipped(lane.under, start_s, end_s),
        tuple(mark for mark in lane.marks if start_s <= mark.at_s <= end_s),
        lane.note,
    )


def violation_time_s(finding: Finding) -> float:
    """When a finding was seen: at the last of its events."""
    return max(event.time_s for event in finding.events)


def _violations(broken: Sequence[Finding]) -> tuple[Mark, ...]:
    """A mark a finding, in order of time; the first of each promise has its name as label."""
    marks: list[Mark] = []
    named: set[str] = set()
    for finding in sorted(broken, key=violation_time_s):
        at_s = violation_time_s(finding)
        label = "" if finding.by in named else f"{finding.by} {moment(at_s)}"
        named.add(finding.by)
        title = f"{finding.by} at {moment(at_s)}: {finding.text}"
        marks.append(Mark(at_s, "violation", title, label))
    return tuple(marks)


def _causes(finding: Finding) -> tuple[Mark, ...]:
    last_s = violation_time_s(finding)
    return tuple(
        Mark(event.time_s, "cause", f"{finding.by}: {event.process} {event.f} {event.type}")
        for event in finding.events[:4]
        if event.time_s < last_s
    )
