"""
One test of a run: what was judged, how, and the part of the history it was judged on.

Owns: cutting a run into its tests by verdicts.json, or by the `scope` events of a run that has no
verdicts yet. Refuses: judging; verdicts, promises and findings are what the file says.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chaoskit.history import Event, History
from chaoskit.report.document import (
    list_of,
    number_of,
    object_of,
    objects_of,
    text_of,
    texts_of,
    whole_of,
)
from chaoskit.report.source import Source

NOT_JUDGED = "NOT JUDGED"
WHOLE_RUN = "the whole run"
_VERDICTS = frozenset({"PASS", "FAIL", "INVALID", "UNKNOWN", "INFRA"})
_OUTCOMES = frozenset({"kept", "broken", "unknown"})


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason for a verdict: by which promise or check, in words, with its events."""

    verdict: str
    by: str
    text: str
    kind: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """What a promise was measured at once: in words, and in seconds against its limit."""

    text: str
    value_s: float | None
    limit_s: float | None


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise: kept, broken or unknown, the findings that say so, and its figures."""

    name: str
    kind: str
    outcome: str
    findings: tuple[Finding, ...]
    measured: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Carried:
    """What held when the test began: the last state of each node, the last shape of each link."""

    states: tuple[Event, ...] = ()
    links: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Experiment:
    """
    A test with its verdict and its events.

    `images` maps nodes to what the engine calls the image they ran from.
    `checks` are findings by no listed promise; `nodes` in the cluster's order; `quorum` None when
    the history does not say; `finished` is false when its scope was never closed; `owed_share` is
    a share of one.
    """

    name: str
    verdict: str
    promises: tuple[Promise, ...]
    checks: tuple[Finding, ...]
    owed_share: float | None
    again: str
    finished: bool
    events: History
    carried: Carried
    cluster: Event | None
    images: dict[str, str]
    nodes: tuple[str, ...]
    start_s: float
    end_s: float

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, those of promises first."""
        return tuple(one for promise in self.promises for one in promise.findings) + self.checks

    @property
    def duration_s(self) -> float:
        """From the first to the last event of the test."""
        return self.end_s - self.start_s


def experiments(source: Source) -> tuple[Experiment, ...]:
    """
    The tests of a run in order of time.

    A scope without a verdict is a test NOT JUDGED; a run without either is one such test.
    """
    cutter = _Cutter(source.history)
    found = [cutter.judged(one) for one in objects_of(source.verdicts or {}, "tests")]
    open_scopes = [
        event
        for event in source.history.of("scope")
        if event.value.get("event") == "start" and not any(one.covers(event.index) for one in found)
    ]
    found += [cutter.unjudged(event) for event in open_scopes]
    if not found:
        return (cutter.everything(),) if len(source.history) else ()
    return tuple(one.experiment for one in sorted(found, key=lambda one: one.first))


@dataclass(frozen=True, slots=True)
class _Cut:
    experiment: Experiment
    first: int
    last: int

    def covers(self, index: int) -> bool:
        return self.first <= index <= self.last


class _Cutter:
    """Slices one history; keeps what is asked of it once a test."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._indices = [event.index for event in history]
        self._clusters = history.of("cluster")
        self._states = history.of("state")
        self._links = history.of("link")

    def judged(self, test: dict[str, Any]) -> _Cut:
        scope = [one for one in list_of(test, "scope") if isinstance(one, int)]
        last_known = self._indices[-1] if self._indices else 0
        first, last = (scope[0], scope[1]) if len(scope) == 2 else (0, last_known)
        return self._cut(test, first, last, finished=True)

    def unjudged(self, start: Event) -> _Cut:
        name = text_of(start.value, "test")
        ends = [
            event.index
            for event in self._history.of("scope")
            if event.index > start.index and event.value.get("test") == name
        ]
        last = ends[0] if ends else self._indices[-1]
        return self._cut({"test": name}, start.index, last, finished=bool(ends))

    def everything(self) -> Experiment:
        first, last = self._indices[0], self._indices[-1]
        return self._cut({"test": WHOLE_RUN}, first, last, finished=True).experiment

    def _cut(self, test: dict[str, Any], first: int, last: int, *, finished: bool) -> _Cut:
        events = self._history.events[
            bisect_left(self._indices, first) : bisect_right(self._indices, last)
        ]
        inside = History(events, started_utc=self._history.started_utc)
        cluster = self._cluster(inside, first, last)
        verdict = text_of(test, "verdict")
        findings = tuple(self._finding(one) for one in objects_of(test, "reasons"))
        promises = _promises(objects_of(test, "promises"), findings)
        named = {promise.name for promise in promises}
        experiment = Experiment(
            name=text_of(test, "test", "unnamed test"),
            verdict=verdict if verdict in _VERDICTS else NOT_JUDGED,
            promises=promises,
            checks=tuple(one for one in findings if one.by not in named),
            owed_share=number_of(test, "owed_share"),
            again=text_of(test, "again"),
            finished=finished,
            events=inside,
            carried=self._carried(first),
            cluster=cluster,
            images=self._images(cluster, last),
            nodes=_nodes(cluster, inside),
            start_s=events[0].time_s if events else 0.0,
            end_s=max((event.time_s for event in events), default=0.0),
        )
        return _Cut(experiment, first, last)

    def _cluster(self, inside: History, first: int, last: int) -> Event | None:
        """The start of the cluster that the scope names, or the last one before its end."""
        names = [text_of(event.value, "cluster") for event in inside.of("scope")[:1]]
        started = [
            event
            for event in self._clusters
            if event.value.get("event") == "started" and event.index <= last
        ]
        named = [event for event in started if text_of(event.value, "cluster") in names]
        before = [event for event in started if event.index <= first]
        within = [event for event in started if event.index > first]
        chosen = named or before[-1:] or within
        return chosen[-1] if chosen else None

    def _images(self, cluster: Event | None, last: int) -> dict[str, str]:
        """The image of each node, by the latest word on this cluster (none before it started)."""
        name = text_of(cluster.value, "cluster") if cluster else ""
        found: dict[str, str] = {}
        for event in self._clusters:
            if text_of(event.value, "cluster") == name and event.index <= last:
                images = object_of(event.value, "images")
                found |= {node: text_of(images, node) for node in images if text_of(images, node)}
        return found

    def _carried(self, first: int) -> Carried:
        states = {event.process: event for event in self._states if event.index < first}
        links = {
            (text_of(event.value, "source"), text_of(event.value, "target")): event
            for event in self._links
            if event.index < first
        }
        return Carried(tuple(states.values()), tuple(links.values()))

    def _finding(self, reason: dict[str, Any]) -> Finding:
        indices = [one for one in list_of(reason, "events") if isinstance(one, int)]
        return Finding(
            verdict=text_of(reason, "verdict"),
            by=text_of(reason, "by"),
            text=text_of(reason, "text"),
            kind=text_of(reason, "kind"),
            events=tuple(event for event in map(self._event, indices) if event is not None),
        )

    def _event(self, index: int) -> Event | None:
        position = bisect_left(self._indices, index)
        if position < len(self._indices) and self._indices[position] == index:
            return self._history.events[position]
        return None


def _promises(listed: Sequence[dict[str, Any]], findings: Sequence[Finding]) -> tuple[Promise, ...]:
    promises = []
    for one in listed:
        name, outcome = text_of(one, "name", "unnamed promise"), text_of(one, "outcome")
        promises.append(
            Promise(
                name=name,
                kind=text_of(one, "kind"),
                outcome=outcome if outcome in _OUTCOMES else "unknown",
                findings=tuple(finding for finding in findings if finding.by == name),
                measured=tuple(map(_figure, objects_of(one, "measured"))),
            )
        )
    order = {"broken": 0, "unknown": 1, "kept": 2}
    return tuple(sorted(promises, key=lambda promise: order[promise.outcome]))


def _figure(told: dict[str, Any]) -> Figure:
    return Figure(text_of(told, "text"), number_of(told, "value_s"), number_of(told, "limit_s"))


def _nodes(cluster: Event | None, inside: History) -> tuple[str, ...]:
    if cluster is not None and texts_of(cluster.value, "nodes"):
        return tuple(texts_of(cluster.value, "nodes"))
    return tuple(sorted({event.process for event in inside.of("state", "observe")}))


def quorum_of(experiment: Experiment) -> int | None:
    """The quorum that the cluster was started with, None when the history does not say."""
    return whole_of(experiment.cluster.value, "quorum") if experiment.cluster else None


def release_of(experiment: Experiment, node: str) -> str:
    """The release that a node was started with, "" when the history does not say."""
    if experiment.cluster is None:
        return ""
    return text_of(object_of(experiment.cluster.value, "releases"), node)


def panels_of(experiment: Experiment, part: str) -> dict[str, Any]:
    """A part of the panels that the system declared (chaoskit.panel), empty when there is none."""
    if experiment.cluster is None:
        return {}
    return object_of(object_of(experiment.cluster.value, "panels"), part)


def curves_of(experiment: Experiment) -> list[dict[str, Any]]:
    """The curves that the system declared."""
    if experiment.cluster is None:
        return []
    return objects_of(object_of(experiment.cluster.value, "panels"), "curves")
