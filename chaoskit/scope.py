"""
Scopes: a run's history cut into its tests.

Owns: which events one test is judged on. Refuses: a slice that needs the rest of the run: what
was known of its cluster when the test began is carried over as the events that said so (latest
`state`, `limit`, `link` and `handshake` facts, each node's highest progress in its present data,
and all of a fault that was still in force).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit.history import Event, History
from chaoskit.invariant import Invariant
from chaoskit.judge import Judgement, judge
from chaoskit.verdict import Reason, Verdict, decide

_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """
    One test on one cluster: its slice of the run, judged by itself.

    `ended` is False when the run stopped (a kill, a time-out) before the test did, or when the
    test is still running.
    """

    test: str
    cluster: str
    history: History
    ended: bool


class _Carried:
    """What is known at a moment of the run, as the events that said so."""

    def __init__(self) -> None:
        self.clusters: dict[str, list[Event]] = {}
        self.facts: dict[_Key, Event] = {}
        self.faults: dict[object, list[Event]] = {}

    def take(self, event: Event) -> None:
        value = event.value
        match event.f:
            case "cluster":
                self._cluster(event)
            case "state":
                before = self.facts.get(("state", event.process))
                if before is not None and (
                    before.value.get("incarnation") != value.get("incarnation")
                ):
                    self.facts.pop(("observe", event.process), None)
                self.facts["state", event.process] = event
            case "limit":
                self.facts["limit", event.process, value["probe"]] = event
            case "link" | "handshake":
                self.facts[event.f, value["source"], value["target"]] = event
            case "observe":
                self._progress(event)
            case "fault" if event.type == "invoke":
                self.faults[value["id"]] = [event]
            case "fault":  # refused, before anything was changed
                self.faults.pop(value["id"], None)
            case "effective" | "felt" | "heal":
                self._fault(event)

    def _cluster(self, event: Event) -> None:
        """A cluster that starts begins anew: what was known of its nodes' names is over."""
        if event.value["event"] != "started":
            self.clusters.setdefault(event.value["cluster"], []).append(event)
            return
        nodes = set(event.value["nodes"])
        self.facts = {
            key: known for key, known in self.facts.items() if not nodes.intersection(key[1:3])
        }
        self.faults = {
            identity: events
            for identity, events in self.faults.items()
            if not nodes.intersection(events[0].value["targets"])
        }
        self.clusters[event.value["cluster"]] = [event]

    def _progress(self, event: Event) -> None:
        progress = event.value.get("progress")
        if event.type != "ok" or progress is None:
            return
        before = self.facts.get(("observe", event.process))
        if before is None or before.value["progress"] <= progress:
            self.facts["observe", event.process] = event

    def _fault(self, event: Event) -> None:
        identity = event.value["id"]
        if event.f == "heal" and event.type != "invoke":
            self.faults.pop(identity, None)
        elif identity in self.faults:
            self.faults[identity].append(event)

    def of(self, cluster: str) -> list[Event]:
        """What a test on `cluster` that begins now has to be told, in order."""
        started = self.clusters.get(cluster, [])
        nodes = {node for event in started for node in event.value.get("nodes", ())}
        facts = [known for key, known in self.facts.items() if set(key[1:3]) & nodes]
        faults = [event for events in self.faults.values() for event in events]
        return sorted([*started, *facts, *faults], key=lambda event: event.index)


def scopes(history: History) -> tuple[Scope, ...]:
    """The run's tests in the order in which they began; the last may still be open."""
    begun: dict[tuple[str, str], tuple[int, list[Event]]] = {}
    found: list[tuple[int, list[Event], int | None]] = []
    carried = _Carried()
    for at, event in enumerate(history.events):
        if event.f != "scope":
            carried.take(event)
            continue
        key = (event.value["test"], event.value["cluster"])
        if event.value["event"] == "start":
            begun[key] = (at, carried.of(event.value["cluster"]))
        elif key in begun:
            found.append((*begun.pop(key), at))
    found.extend((start_at, told, None) for start_at, told in begun.values())
    found.sort(key=lambda one: one[0])
    return tuple(_scope(history, start_at, told, end_at) for start_at, told, end_at in found)


def _scope(history: History, start_at: int, told: Sequence[Event], end_at: int | None) -> Scope:
    start = history.events[start_at]
    within = history.events[start_at : None if end_at is None else end_at + 1]
    return Scope(
        test=start.value["test"],
        cluster=start.value["cluster"],
        history=History([*told, *within], started_utc=history.started_utc),
        ended=end_at is not None,
    )


def judge_scope(scope: Scope, invariants: Sequence[Invariant]) -> Judgement:
    """Judge a saved test; one that the run's end cut off is UNKNOWN at best."""
    found = judge(scope.history, invariants)
    if scope.ended:
        return found
    cut = Reason(Verdict.UNKNOWN, "scope", f"the run stopped before {scope.test} ended")
    reasons = (*found.reasons, cut)
    return Judgement(decide(reasons), reasons, found.promises, found.owed_share, found.counts)
