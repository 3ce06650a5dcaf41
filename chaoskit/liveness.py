"""
Coming back: what has to happen after the last heal, and within what time.

Owns: `recovered_within`, when each node was back (`caught_up`), and the windows of faults and
recovery (`fault_windows`). Refuses: default bounds. A change counts like a heal: after it the
cluster has to be whole again.

Back means: a sample that began after the heal says ready, and shows at least the progress that
any node had shown when the heal ended. A node that we stopped or paused ourselves and left so
until the end of the bound is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation
from chaoskit.verdict import Kind


def heals(history: History) -> tuple[Event, ...]:
    """The ends of heals and changes that succeeded, in order."""
    return tuple(event for event in history.of("heal", "change") if event.type == "ok")


def heal_times(history: History) -> tuple[float, ...]:
    """When each heal ended that succeeded, in order; changes are not among them."""
    return tuple(event.time_s for event in history.of("heal") if event.type == "ok")


def _clusters(history: History) -> Iterator[tuple[str, ...]]:
    """The nodes of each cluster that started in the history and did not stop in it."""
    live: dict[str, tuple[str, ...]] = {}
    for event in history.of("cluster"):
        if event.value["event"] == "started":
            live[event.value["cluster"]] = tuple(event.value["nodes"])
        elif event.value["event"] == "stopped":
            live.pop(event.value["cluster"], None)
    yield from live.values()


def _kept_down(history: History, node: str, end_s: float) -> bool:
    """Whether the node's latest state until `end_s` is one that we put it into."""
    latest = [
        event for event in history.of("state") if event.process == node and event.time_s <= end_s
    ]
    if not latest:
        return False
    value = latest[-1].value
    return value["state"] in ("stopped", "paused") or (
        value["state"] == "exited" and value["signalled"]
    )


@dataclass(frozen=True, slots=True)
class _Return:
    """A node's way back: the sample that shows it, or all that were taken in vain."""

    node: str
    back: Event | None
    samples: tuple[Event, ...]


def _returns(history: History, nodes: Sequence[str], heal: Event) -> list[_Return]:
    level = max(
        (
            event.value["progress"]
            for event in history.of("observe")
            if event.process in nodes
            and event.type == "ok"
            and event.time_s <= heal.time_s
            and event.value.get("progress") is not None
        ),
        default=None,
    )
    samples: dict[str, list[Event]] = {node: [] for node in nodes}
    for event in history.of("observe"):
        began_s = event.time_s - event.value.get("took_s", 0.0)
        if event.process in samples and began_s >= heal.time_s:
            samples[event.process].append(event)

    def back(event: Event) -> bool:
        if event.type != "ok" or not event.value["ready"]:
            return False
        return level is None or (event.value.get("progress") or 0) >= level

    return [
        _Return(node, next(filter(back, taken), None), tuple(taken))
        for node, taken in samples.items()
    ]


def caught_up(history: History, heal: Event) -> Mapping[str, float | None]:
    """For each node, seconds from the end of `heal` until it was back; None: never seen so."""
    return {
        way.node: None if way.back is None else way.back.time_s - heal.time_s
        for nodes in _clusters(history)
        for way in _returns(history, nodes, heal)
    }


def _late(history: History, way: _Return, heal: Event, bound_s: float) -> Violation | None:
    """
    The violation, if the node was not back in time.

    Raises Inconclusive when it was not seen for part of the time.
    """
    end_s = heal.time_s + bound_s
    if way.back is not None and way.back.time_s <= end_s:
        return None
    if _kept_down(history, way.node, end_s):
        return None
    unseen = [
        gap
        for gap in history.of("gap")
        if gap.process == way.node
        and gap.value["from_s"] < end_s
        and gap.value["to_s"] > heal.time_s
    ]
    in_time = [event for event in way.samples if event.time_s <= end_s]
    if not in_time:
        seen_s = min(end_s, history.end_s) - heal.time_s
        raise Inconclusive(
            f"no sample of {way.node} was begun in the {seen_s:.3f} s after the heal"
        )
    if unseen:
        raise Inconclusive(f"{way.node} was not observed all through {bound_s:g} s after the heal")
    if way.back is None and history.end_s < end_s:
        raise Inconclusive(
            f"{way.node} was not back {history.end_s - heal.time_s:.3f} s after the heal, when the "
            f"history ends; the bound is {bound_s:g} s"
        )
    last = in_time[-1]
    said = (
        f"ready {last.value['ready']}, progress {last.value.get('progress')}"
        if last.type == "ok"
        else str(last.value.get("cause"))
    )
    when = "not at all" if way.back is None else f"after {way.back.time_s - heal.time_s:.3f} s"
    return Violation(
        f"{way.node} was back {when}, not within {bound_s:g} s of the last heal "
        f"({heal.time_s:.3f} s); at the end of the bound: {said}",
        (heal.index, last.index, *(() if way.back is None else (way.back.index,))),
    )


def recovered_within(bound_s: float) -> Invariant:
    """
    Make the promise: after the last heal or change every node is back within `bound_s` seconds.

    Liveness. Source: the steady-state hypothesis of chaos engineering: what was broken and mended
    returns to what it was. Inconclusive: nothing was healed, or a node was not observed.
    """

    def judge(history: History) -> Sequence[Violation]:
        ends = heals(history)
        if not ends:
            raise Inconclusive("nothing was healed or changed, so nothing had to come back")
        violations: list[Violation] = []
        missing: Inconclusive | None = None
        waited = 0
        for nodes in _clusters(history):
            for way in _returns(history, nodes, ends[-1]):
                try:
                    late = _late(history, way, ends[-1], bound_s)
                except Inconclusive as unseen:
                    missing = missing or unseen
                    continue
                violations.extend([late] if late else [])
                waited += way.back is not None
        if violations:
            return violations
        if missing is not None:
            raise missing
        if not waited:
            raise Inconclusive("no node was left running after the last heal")
        return ()

    return Invariant(f"recovered_within_{bound_s:g}_s", Kind.LIVENESS, judge)


def fault_windows(history: History) -> tuple[tuple[float, float], ...]:
    """
    The windows of faults and of the recovery from them, (start_s, end_s), in order, disjoint.

    A window begins when a fault's injection or a change does. It ends at the first `cluster` event
    `steady` after its heal (the change's end), else with the history.
    """
    windows: list[tuple[float, float]] = []
    open_ids: set[object] = set()
    start_s: float | None = None
    for event in history.of("fault", "heal", "change", "cluster"):
        if event.f == "cluster":
            if event.value["event"] == "steady" and start_s is not None and not open_ids:
                windows.append((start_s, event.time_s))
                start_s = None
        elif event.type == "invoke" and event.f in ("fault", "change"):
            open_ids.add(event.value["id"])
            start_s = event.time_s if start_s is None else start_s
        elif event.type != "invoke":
            open_ids.discard(event.value["id"])
    if start_s is not None:
        windows.append((start_s, history.end_s))
    return tuple(windows)
