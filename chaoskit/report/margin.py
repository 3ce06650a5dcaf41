"""
The margin to the quorum and the time in which liveness was owed, as chaoskit.quorate computes them.

Owns: turning its intervals into a lane and into windows. Refuses: a second reading of the rule. A
history whose facts it cannot fold (it trusts its events, a report does not) has no margin lane.
"""

from __future__ import annotations

from dataclasses import replace

from chaoskit import quorate
from chaoskit.history import History
from chaoskit.report.document import text_of
from chaoskit.report.experiment import Experiment
from chaoskit.report.spans import Lane, Span, joined
from chaoskit.report.wording import moment, plural

Standing = tuple[quorate.Timeline, ...]


def standing_of(history: History) -> Standing | None:
    """The timelines of all clusters of a run; None when the history's facts cannot be folded."""
    try:
        return quorate.timelines(history)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _intervals(experiment: Experiment, standing: Standing) -> list[quorate.Interval]:
    started = experiment.cluster
    name = text_of(started.value, "cluster") if started else ""
    return [
        interval
        for one in standing
        if one.cluster == name
        for interval in one.intervals
        if interval.end_s > experiment.start_s and interval.start_s < experiment.end_s
    ]


def margin_lane(experiment: Experiment, standing: Standing) -> tuple[Lane, ...]:
    """The margin from change to change; no lane when the cluster is not known."""
    spans = joined(_margin(interval) for interval in _intervals(experiment, standing))
    named = tuple(
        replace(span, label="") if before is not None and before.label == span.label else span
        for before, span in zip((None, *spans), spans, strict=False)
    )
    return (Lane("margin to quorum", "margin", named),) if named else ()


def _margin(interval: quorate.Interval) -> Span:
    margin = interval.margin
    healthy = ", ".join(sorted(interval.healthy)) or "none"
    title = f"healthy: {healthy}; quorum {interval.quorum}; "
    if margin < 0:
        return Span(
            interval.start_s,
            interval.end_s,
            "margin lost",
            f"{title}{plural(-margin, 'connected node')} too few: liveness is not owed",
            "no quorum",
        )
    kind = "margin none" if margin == 0 else "margin some"
    title += f"{plural(margin, 'more node')} may be lost"
    return Span(interval.start_s, interval.end_s, kind, title, f"margin {margin}")


def not_owed(experiment: Experiment, standing: Standing) -> tuple[Span, ...]:
    """The windows in which the nodes were no quorum, so that no progress was owed."""
    windows: list[Span] = []
    for interval in _intervals(experiment, standing):
        if interval.quorate:
            continue
        start_s = interval.start_s
        if windows and windows[-1].end_s == start_s:
            start_s = windows.pop().start_s
        title = f"liveness not owed: no quorum, {moment(start_s)} to {moment(interval.end_s)}"
        windows.append(Span(start_s, interval.end_s, "notowed", title, "liveness not owed"))
    return tuple(windows)
