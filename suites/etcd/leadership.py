"""
Who may disturb a leader: nobody, as long as it and a majority are left alone.

Owns: the one promise about leader and term. Refuses: to blame a member for what was done to it: a
node counts as disturbed from when that began, not from when its end was recorded, and a link as
soon as anything but "open" was asked of it, be it only a delay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Violation, liveness
from chaoskit.quorate import Interval, Pair, Timeline, begin_s, timelines, voters

# A leader that is asked to stop hands its office on before its process ends; where neither a fault
# nor a change says when it was asked, this much is allowed (etcd 3.5 takes 1.4 s to stop).
_STOPPING_S = 2.0
# After whatever changed in the cluster, elections may be under way: etcd's time-out is 1 to 2 s.
_SETTLING_S = 2.0
# Between two elections that one member calls: --election-timeout, at its least.
_ELECTION_S = 1.0


def elections_explain(gained: int, *, members: int, elapsed_s: float) -> bool:
    """
    Whether `members` could have raised the term by `gained` by elections of their own.

    A stalled machine lets members miss heartbeats, but each waits a whole election time-out before
    each new term (Raft, section 5.2): what rose faster came from somebody else.
    """
    return gained <= members * (1 + elapsed_s / _ELECTION_S)


@dataclass(frozen=True, slots=True)
class _Disturbance:
    """A node's time from the beginning of what was done to it until it was seen not healthy."""

    node: str
    from_s: float
    to_s: float


def _disturbances(history: History) -> list[_Disturbance]:
    found: list[_Disturbance] = []
    under: dict[object, Event] = {}
    for event in history.of("fault", "change", "heal", "state", "limit"):
        value = event.value
        if event.f in ("fault", "change", "heal"):
            if event.type == "invoke" and event.f != "heal":
                under[value["id"]] = event
            elif event.type != "invoke":
                under.pop(value["id"], None)
            continue
        if value["over"] if event.f == "limit" else value["state"] != "running":
            begun = [one.time_s for one in under.values() if event.process in one.value["targets"]]
            from_s = min([event.time_s - _STOPPING_S, *begun])
            found.append(_Disturbance(event.process, from_s, event.time_s))
    return found


@dataclass(frozen=True, slots=True)
class _Reign:
    """A leader as it was first seen, and what has been good ever since."""

    leader: str
    term: int
    seen: Event
    healthy: frozenset[str]
    connected: frozenset[Pair]

    def majority(self, quorum: int, spared: frozenset[str]) -> frozenset[str]:
        """The nodes but `spared` that form a clique of at least `quorum` with the leader."""
        healthy = self.healthy - spared
        if self.leader not in healthy:
            return frozenset()
        near = {node for node in healthy if Pair((node, self.leader)) in self.connected}
        beside = voters(near, self.connected, quorum - 1)
        return beside | {self.leader} if beside or quorum == 1 else frozenset()

    def with_only(self, healthy: frozenset[str], connected: frozenset[Pair]) -> _Reign:
        return _Reign(
            self.leader,
            self.term,
            self.seen,
            self.healthy & healthy,
            self.connected & connected,
        )


@dataclass(slots=True)
class _Sweep:
    """One cluster's observations in order, beside what was good at the time."""

    timeline: Timeline
    disturbances: Sequence[_Disturbance]
    times: dict[int, float]
    at: int = -1
    shaped: set[tuple[str, str]] = field(default_factory=set)
    changed_s: float = 0.0
    highest: int = -1
    reign: _Reign | None = None
    last: Event | None = None
    reigns: int = 0
    confirmed: int = 0
    violations: list[Violation] = field(default_factory=list)

    @property
    def interval(self) -> Interval:
        return self.timeline.intervals[self.at]

    def _undisturbed(self) -> frozenset[Pair]:
        touched = {Pair(link) for link in self.shaped}
        return self.interval.connected - touched

    def _narrow(self) -> None:
        """Keep of the reign what is still good; it is over when that is no majority any more."""
        if self.reign is None:
            return
        left = self.reign.with_only(self.interval.healthy, self._undisturbed())
        self.reign = left if left.majority(self.timeline.quorum, frozenset()) else None

    def advance(self, time_s: float) -> bool:
        """Go to the interval of `time_s`; False when there is none."""
        intervals = self.timeline.intervals
        while self.at + 1 < len(intervals) and intervals[self.at + 1].start_s <= time_s:
            self.at += 1
            self.changed_s = self.times.get(self.interval.cause, self.interval.start_s)
            self._narrow()
        return self.at >= 0 and time_s <= self.interval.end_s

    def link(self, event: Event) -> None:
        link = (event.value["source"], event.value["target"])
        if not set(link) <= set(self.timeline.nodes):
            return
        ports = set(event.value["shape"].split(", "))
        opened = ports == {"open"} and not event.value["cut"]
        if opened == (link not in self.shaped):
            return
        (self.shaped.discard if opened else self.shaped.add)(link)
        self.changed_s = event.time_s
        if self.at >= 0:
            self._narrow()

    def observation(self, event: Event) -> None:
        term, role = event.value.get("term"), event.value.get("role")
        if term is None:
            return
        reign = self.reign
        if reign is not None:
            self._compare(reign, event)
        if (
            self.reign is None
            and role == "leader"
            and term >= self.highest
            and event.time_s - self.changed_s >= _SETTLING_S
        ):
            begun = _Reign(event.process, term, event, self.interval.healthy, self._undisturbed())
            if begun.majority(self.timeline.quorum, frozenset()):
                self.reign = begun
                self.last = event
                self.reigns += 1
        self.highest = max(self.highest, term)

    def _compare(self, reign: _Reign, event: Event) -> None:
        quorum, term = self.timeline.quorum, event.value["term"]
        other_leader = event.value.get("role") == "leader" and event.process != reign.leader
        if term < reign.term or not (term > reign.term or other_leader):
            if event.process == reign.leader:
                self.confirmed += 1
                self.last = event
            return
        spared = frozenset(
            one.node for one in self.disturbances if one.from_s <= event.time_s <= one.to_s
        )
        majority = reign.majority(quorum, spared)
        if event.process in majority:
            # its own time is from the last word of the leader on: what was before changed nothing
            last = self.last or reign.seen
            self.violations.append(
                Violation(
                    f"{reign.leader} led in term {reign.term} ({reign.seen.time_s:.3f} to "
                    f"{last.time_s:.3f} s) with "
                    f"{' '.join(sorted(majority - {reign.leader})) or 'nobody else'} undisturbed, "
                    f"yet {event.process} is {event.value.get('role')} in term {term} at "
                    f"{event.time_s:.3f} s",
                    (last.index, event.index),
                    excusable=elections_explain(
                        term - reign.term,
                        members=len(majority),
                        elapsed_s=event.time_s - last.time_s,
                    ),
                )
            )
        if event.process in reign.majority(quorum, frozenset()):
            self.reign = None


@liveness
def leader_and_term_stay_while_a_majority_is_undisturbed(history: History) -> Sequence[Violation]:
    """
    While a leader and enough others for a majority are left alone, leader and term stay.

    Liveness: elections answer to missed heartbeats, so that a stalled machine may be to blame,
    unless the term rose by more than elections of those left alone could.
    Source: Ongaro's thesis, section 9.6 (pre-vote): a server that was cut off must not disrupt the
    cluster when it returns. Left alone are nodes that are healthy and links between them that are
    good and "open", from the first sight of the leader on (2 s after the last change in the
    cluster); members outside that majority may be broken and come back as they like. A gap of the
    observers hides nothing for long: terms never go back.
    """
    times = {event.index: event.time_s for event in history.events}
    begins_s = begin_s(history)
    disturbances = _disturbances(history)
    sweeps = [_Sweep(timeline, disturbances, times) for timeline in timelines(history)]
    for event in history.of("link", "observe"):
        for sweep in sweeps:
            if event.f == "link":
                sweep.advance(event.time_s)
                sweep.link(event)
                continue
            seen = event.type == "ok" and event.time_s >= begins_s
            if seen and event.process in sweep.timeline.nodes and sweep.advance(event.time_s):
                sweep.observation(event)
    violations = [one for sweep in sweeps for one in sweep.violations]
    if not violations and not any(sweep.confirmed for sweep in sweeps):
        raise Inconclusive("no leader with an undisturbed majority was seen twice")
    return violations
