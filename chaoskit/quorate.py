"""
Quorate: while when the protocol owed liveness, computed from outside.

Owns: the fold of the facts (`cluster`, `state`, `link`, `handshake`, `limit`) into stretches of
time in which nothing changed, and the two readings of "a quorum is there". Refuses: what a fault
declares of itself; only facts that were measured count.

The strict reading, for what is owed: a and b are connected when neither link between them is cut
and the latest handshake failed on neither; a node is healthy when it runs and no probe of it is
over its limit; the cluster is quorate when some clique of at least `quorum` healthy nodes exists.
The permissive reading, for what must not happen: a quorum is conceivable when at least `quorum`
nodes that are not known to be down hang together by links of which one direction is open. What is
quorate is conceivable; between the two nothing is owed and nothing forbidden.

A fact belongs to the cluster that started last among those that name its node. A link, handshake
or limit of which nothing was recorded counts as open, good, kept; a state as not running (strict)
and as running (permissive).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import combinations

from chaoskit.history import Event, History

Pair = frozenset[str]
Direction = tuple[str, str]


def _near(nodes: Sequence[str], connected: AbstractSet[Pair]) -> list[int]:
    """For each of the nodes the set of those that it is connected with, as bits by position."""
    place = {node: at for at, node in enumerate(nodes)}
    near = [0] * len(nodes)
    for one, other in connected:
        if one in place and other in place:
            near[place[one]] |= 1 << place[other]
            near[place[other]] |= 1 << place[one]
    return near


def _has_clique(near: Sequence[int], candidates: int, size: int) -> bool:
    """Whether some `size` of the candidates (bits) are all connected with one another."""
    waiting = [(size, candidates)]
    while waiting:
        need, among = waiting.pop()
        if need <= 0:
            return True
        while among.bit_count() >= need:
            first = among & -among
            among ^= first
            waiting.append((need - 1, among & near[first.bit_length() - 1]))
    return False


def largest_clique(nodes: Collection[str], connected: AbstractSet[Pair]) -> frozenset[str]:
    """The largest set of `nodes` of which every two are connected; of equals the first by name."""
    names = sorted(nodes)
    near = _near(names, connected)
    best: tuple[int, ...] = ()
    waiting: list[tuple[tuple[int, ...], int]] = [((), (1 << len(names)) - 1)]
    while waiting:
        clique, among = waiting.pop()
        if len(clique) > len(best):
            best = clique
        branches = []
        while among and len(clique) + among.bit_count() > len(best):
            first = among & -among
            among ^= first
            at = first.bit_length() - 1
            branches.append(((*clique, at), among & near[at]))
        waiting.extend(reversed(branches))
    return frozenset(names[at] for at in best)


def quorate(healthy: Collection[str], connected: AbstractSet[Pair], quorum: int) -> bool:
    """Whether at least `quorum` of the healthy nodes are all connected with one another."""
    near = _near(list(healthy), connected)
    return _has_clique(near, (1 << len(near)) - 1, quorum)


def voters(healthy: Collection[str], connected: AbstractSet[Pair], quorum: int) -> frozenset[str]:
    """The healthy nodes that belong to some clique of at least `quorum`."""
    names = list(healthy)
    near = _near(names, connected)
    return frozenset(
        node
        for node, beside in zip(names, near, strict=True)
        if _has_clique(near, beside, quorum - 1)
    )


def margin(healthy: Collection[str], connected: AbstractSet[Pair], quorum: int) -> int:
    """
    How many more healthy nodes may be lost, whichever they are, before the quorum is lost.

    Below 0 when it is lost already: -1 says that one node is missing in the largest clique.
    """
    spare = len(largest_clique(healthy, connected)) - quorum
    if spare < 0 or spare == len(healthy) - quorum:
        return spare
    near = _near(list(healthy), connected)
    everybody = (1 << len(near)) - 1
    bits = [1 << at for at in range(len(near))]
    for lost in range(1, len(near) + 1):
        if not all(
            _has_clique(near, everybody - sum(gone), quorum) for gone in combinations(bits, lost)
        ):
            return lost - 1
    return len(near)


def largest_component(nodes: Collection[str], linked: AbstractSet[Pair]) -> frozenset[str]:
    """The largest set of `nodes` that hang together; of equals the one with the first name."""
    names = sorted(nodes)
    near = _near(names, linked)
    rest = (1 << len(names)) - 1
    best = 0
    while rest:
        component, border = 0, rest & -rest
        while border:
            first = border & -border
            component |= first
            border = (border | near[first.bit_length() - 1]) & ~component
        rest &= ~component
        if component.bit_count() > best.bit_count():
            best = component
    return frozenset(node for at, node in enumerate(names) if best >> at & 1)


@dataclass(frozen=True, slots=True)
class Interval:
    """
    A stretch of time, start_s <= t < end_s, in which no fact about the cluster changed.

    Attributes
    ----------
    cause: index of the event with which it began.
    healthy, connected: the nodes and pairs that are so by the strict reading.
    quorate: liveness is owed; conceivable: a quorum may exist by the permissive reading.

    """

    start_s: float
    end_s: float
    cause: int
    healthy: frozenset[str]
    connected: frozenset[Pair]
    quorum: int
    quorate: bool
    conceivable: bool

    @property
    def margin(self) -> int:
        """How many more healthy nodes may be lost; below 0 when the quorum is lost."""
        return margin(self.healthy, self.connected, self.quorum)


@dataclass(frozen=True, slots=True)
class Timeline:
    """
    One cluster's intervals, without holes, from where the history begins to its end.

    `driven` and `progress_bound_s` are what its System says (chaoskit.system.System).
    """

    cluster: str
    nodes: tuple[str, ...]
    quorum: int
    driven: bool
    progress_bound_s: float
    intervals: tuple[Interval, ...]


@dataclass(slots=True)
class _Facts:
    """What is known of one cluster's nodes and links at one moment."""

    nodes: tuple[str, ...]
    quorum: int
    states: dict[str, str] = field(default_factory=dict)
    over: dict[str, set[str]] = field(default_factory=dict)
    cut: set[Direction] = field(default_factory=set)
    failed: set[Direction] = field(default_factory=set)
    connected: set[Pair] = field(default_factory=set)
    open: set[Pair] = field(default_factory=set)

    def __post_init__(self) -> None:
        every = {Pair(pair) for pair in combinations(self.nodes, 2)}
        self.connected, self.open = set(every), every

    def take(self, event: Event) -> None:
        value = event.value
        if event.f == "state":
            self.states[event.process] = value["state"]
        elif event.f == "limit":
            change = set.add if value["over"] else set.discard
            change(self.over.setdefault(event.process, set()), value["probe"])
        else:
            bad = value["cut"] if event.f == "link" else event.type != "ok"
            known = self.cut if event.f == "link" else self.failed
            link = (value["source"], value["target"])
            (known.add if bad else known.discard)(link)
            self._between(link)

    def _between(self, link: Direction) -> None:
        """Connected: both directions good. Open: one direction not cut."""
        back = link[::-1]
        good = not any(one in known for one in (link, back) for known in (self.cut, self.failed))
        (self.connected.add if good else self.connected.discard)(Pair(link))
        (self.open.discard if {link, back} <= self.cut else self.open.add)(Pair(link))

    def names(self, event: Event) -> bool:
        """Whether the event is about one of these nodes, or a link between two."""
        value = event.value
        ends = (event.process,) if event.f == "state" else (value["source"], value["target"])
        return all(one in self.nodes for one in ends)

    def standing(self) -> list[str]:
        """The nodes that are not known to be down."""
        return [n for n in self.nodes if self.states.get(n, "running") == "running"]

    def hanging(self) -> set[Pair]:
        """Pairs of such nodes of which one direction is open."""
        down = set(self.nodes) - set(self.standing())
        return {pair for pair in self.open if not pair & down}

    def interval(self, event: Event, begin_s: float) -> Interval:
        """What holds from `event` on, as an interval without length."""
        healthy = frozenset(
            node
            for node in self.nodes
            if self.states.get(node) == "running" and not self.over.get(node)
        )
        connected = frozenset(self.connected)
        start_s = max(event.time_s, begin_s)
        return Interval(
            start_s=start_s,
            end_s=start_s,
            cause=event.index,
            healthy=healthy,
            connected=connected,
            quorum=self.quorum,
            quorate=quorate(healthy, connected, self.quorum),
            conceivable=len(largest_component(self.standing(), self.open)) >= self.quorum,
        )


def _same(one: Interval, other: Interval) -> bool:
    return (one.healthy, one.connected, one.conceivable) == (
        other.healthy,
        other.connected,
        other.conceivable,
    )


@dataclass(slots=True, eq=False)
class _Fold:
    """A timeline under construction."""

    started: Event
    facts: _Facts
    current: Interval
    done: list[Interval] = field(default_factory=list)

    @property
    def cluster(self) -> str:
        return str(self.started.value["cluster"])

    def take(self, event: Event, begin_s: float) -> None:
        self.facts.take(event)
        following = self.facts.interval(event, begin_s)
        if _same(self.current, following):
            return
        self.close(following.start_s)
        self.current = following

    def close(self, end_s: float) -> None:
        if end_s > self.current.start_s:
            self.done.append(replace(self.current, end_s=end_s))

    def timeline(self) -> Timeline:
        value = self.started.value
        return Timeline(
            cluster=self.cluster,
            nodes=self.facts.nodes,
            quorum=self.facts.quorum,
            driven=value["driven"],
            progress_bound_s=value["progress_bound_s"],
            intervals=tuple(self.done),
        )


def begin_s(history: History) -> float:
    """
    Where the time to be judged begins: at the first `scope` start, else with the first event.

    What a slice holds of the time before (see chaoskit.scope) are facts carried over.
    """
    for event in history.of("scope"):
        if event.value["event"] == "start":
            return event.time_s
    return history.events[0].time_s if history.events else 0.0


def timelines(history: History) -> tuple[Timeline, ...]:
    """One timeline for each cluster that started in the history, in that order."""
    begins_s = begin_s(history)
    folds: list[_Fold] = []
    owner: dict[str, _Fold] = {}
    live: list[_Fold] = []
    for event in history.of("cluster", "state", "link", "handshake", "limit"):
        if event.f == "cluster":
            if event.value["event"] == "started":
                facts = _Facts(tuple(event.value["nodes"]), event.value["quorum"])
                fold = _Fold(event, facts, facts.interval(event, begins_s))
                folds.append(fold)
                live.append(fold)
                owner.update(dict.fromkeys(facts.nodes, fold))
            elif event.value["event"] == "stopped":
                for fold in [f for f in live if f.cluster == event.value["cluster"]]:
                    fold.close(event.time_s)
                    live.remove(fold)
            continue
        if event.f in ("state", "limit"):
            met = owner.get(event.process)
        else:
            met = owner.get(event.value["source"])
            if met is not owner.get(event.value["target"]):
                continue  # a link of the harness, or between clusters
        if met is not None and met in live:
            met.take(event, begins_s)
    for fold in live:
        fold.close(history.end_s)
    return tuple(fold.timeline() for fold in folds)


def below_quorum(timeline: Timeline) -> tuple[tuple[float, float, int], ...]:
    """Maximal stretches in which no quorum is conceivable: start_s, end_s, index of the cause."""
    found: list[tuple[float, float, int]] = []
    for interval in timeline.intervals:
        if interval.conceivable:
            continue
        if found and found[-1][1] == interval.start_s:
            found[-1] = (found[-1][0], interval.end_s, found[-1][2])
        else:
            found.append((interval.start_s, interval.end_s, interval.cause))
    return tuple(found)


def hung_together(
    history: History, timeline: Timeline, from_s: float, to_s: float
) -> frozenset[str]:
    """
    The most nodes that hang together by what was so at any moment of a stretch of time.

    The permissive reading over time: links that were open in one direction, between nodes not known
    to be down, each at some moment from `from_s` to `to_s`, and not all at one. What waits at a
    node for others' messages may get them one after the other.
    """
    facts: _Facts | None = None
    linked: set[Pair] = set()
    for event in history.of("cluster", "state", "link"):
        if event.time_s > to_s:
            break
        if event.f == "cluster":
            if facts is None and event.value["cluster"] == timeline.cluster:
                facts = _Facts(timeline.nodes, timeline.quorum)
        elif facts is not None and facts.names(event):
            if event.time_s > from_s:  # what held until then
                linked |= facts.hanging()
            facts.take(event)
    if facts is not None:
        linked |= facts.hanging()
    return largest_component(timeline.nodes, linked)


def owed_share(history: History, windows: Sequence[tuple[float, float]]) -> float | None:
    """
    The share, 0.0 to 1.0, of the windows (start_s, end_s) in which liveness was owed.

    Windows must not overlap one another. None when they and the clusters' lives share no time.
    """
    total_s = owed_s = 0.0
    for timeline in timelines(history):
        for interval in timeline.intervals:
            for start_s, end_s in windows:
                length_s = min(end_s, interval.end_s) - max(start_s, interval.start_s)
                if length_s > 0:
                    total_s += length_s
                    owed_s += length_s if interval.quorate else 0.0
    return owed_s / total_s if total_s else None
