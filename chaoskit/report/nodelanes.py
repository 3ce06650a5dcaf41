"""
The lanes of nodes: states, releases, leadership, silence, limits, and progress as lines.

Owns: what a test's `state`, `observe`, `gap` and `limit` events look like on a timeline. Refuses:
guessing: between two samples nothing is drawn that neither of them said.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from chaoskit.history import Event
from chaoskit.report.document import number_of, text_of, whole_of
from chaoskit.report.experiment import Experiment, release_of
from chaoskit.report.spans import Lane, Mark, Series, Span, joined, thinned, without_level_middles
from chaoskit.report.wording import count, moment

_DOWN = frozenset({"paused", "stopped", "exited"})


def node_lanes(experiment: Experiment) -> tuple[Lane, ...]:
    """One lane a node, in the cluster's order."""
    samples = _by_node(experiment.events.of("observe"))
    states = _by_node([*experiment.carried.states, *experiment.events.of("state")])
    gaps = _by_node(experiment.events.of("gap"))
    limits = _by_node(experiment.events.of("limit"))
    return tuple(
        _lane(
            experiment,
            node,
            samples=samples.get(node, []),
            states=states.get(node, []),
            extra=(*_gaps(gaps.get(node, [])), *_limits(experiment, limits.get(node, []))),
        )
        for node in experiment.nodes
    )


def _by_node(events: Sequence[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.process, []).append(event)
    return found


def _lane(
    experiment: Experiment,
    node: str,
    *,
    samples: list[Event],
    states: list[Event],
    extra: tuple[Span, ...],
) -> Lane:
    under = joined((*_spoken(experiment, node, samples), *extra))
    return Lane(
        label=node,
        kind="node",
        spans=_states(experiment, node, states, samples),
        under=under,
        marks=_exits(experiment, states),
    )


def _states(
    experiment: Experiment, node: str, states: list[Event], samples: list[Event]
) -> tuple[Span, ...]:
    ready = [event.time_s for event in samples if event.value.get("ready") is True]
    spans: list[Span] = []
    shown = before = ""
    ends = [*(event.time_s for event in states[1:]), experiment.end_s]
    for event, end_s in zip(states, ends, strict=False):  # a node that never started has no state
        if end_s < experiment.start_s:
            continue
        start_s = max(event.time_s, experiment.start_s)
        state = text_of(event.value, "state", "unknown")
        release = text_of(event.value, "release") or release_of(experiment, node)
        label = _state_label(event, state, release if release != shown else "")
        title = f"{node} {state} {_why(event)}{moment(event.time_s)} to {moment(end_s)}"
        title += f", release {release}" if release else ""
        if state == "running":
            shown = release
            first = next((at for at in ready if at >= start_s), None)
            begins = event.time_s > experiment.start_s and before != "paused"
            if begins:
                until = end_s if first is None else min(first, end_s)
                spans.append(Span(start_s, until, "starting", f"{node} starting, not ready yet"))
                start_s = until
        kind = state if state in _DOWN or state == "running" else "unknown"
        spans.append(Span(start_s, end_s, kind, title, label))
        before = state
    return tuple(spans)


def _state_label(event: Event, state: str, release: str) -> str:
    if state == "running":
        return release
    code = whole_of(event.value, "exit_code")
    said = {"exited": "exit", "stopped": "stopped, exit"}.get(state, "")
    return f"{said} {code}" if said and code is not None else state


def _why(event: Event) -> str:
    if text_of(event.value, "state") == "running":
        return ""
    return "(by us) " if event.value.get("signalled") is True else "(by itself) "


def _exits(experiment: Experiment, states: list[Event]) -> tuple[Mark, ...]:
    return tuple(
        Mark(
            event.time_s,
            "exit",
            f"{event.process} exited by itself, code {event.value.get('exit_code')}, "
            f"at {moment(event.time_s)}",
        )
        for event in states
        if text_of(event.value, "state") == "exited"
        and event.value.get("signalled") is not True
        and event.time_s >= experiment.start_s
    )


def _spoken(experiment: Experiment, node: str, samples: list[Event]) -> tuple[Span, ...]:
    """Leadership and silence, from each sample to the next."""
    if not samples:  # a test that ended before anybody looked
        return ()
    spans = []
    ends = [*(event.time_s for event in samples[1:]), experiment.end_s]
    for event, end_s in zip(samples, ends, strict=True):
        if event.type == "fail":
            cause = text_of(event.value, "cause", "no answer")
            spans.append(
                Span(event.time_s, end_s, "silent", f"{node} did not answer us: {cause}", cause)
            )
        elif text_of(event.value, "role") == "leader":
            term = whole_of(event.value, "term")
            at = "" if term is None else f" in term {term}"
            spans.append(Span(event.time_s, end_s, "leader", f"{node} says it leads{at}", "leader"))
    return tuple(spans)


def _gaps(events: list[Event]) -> tuple[Span, ...]:
    spans = []
    for event in events:
        start_s, end_s = number_of(event.value, "from_s"), number_of(event.value, "to_s")
        if start_s is not None and end_s is not None:
            spans.append(Span(start_s, end_s, "gap", f"{event.process}: no sample was taken"))
    return tuple(spans)


def _limits(experiment: Experiment, events: list[Event]) -> tuple[Span, ...]:
    spans, since = [], dict[str, Event]()
    for event in events:
        probe = text_of(event.value, "probe")
        opened = since.pop(probe, None)
        if opened is not None:
            spans.append(_over(opened, event.time_s))
        if event.value.get("over") is True:
            since[probe] = event
    spans += [_over(opened, experiment.end_s) for opened in since.values()]
    return tuple(spans)


def _over(event: Event, end_s: float) -> Span:
    value, limit = number_of(event.value, "value_s"), number_of(event.value, "limit_s")
    probe = text_of(event.value, "probe", "probe")
    title = f"{event.process}: {probe} over its limit, {value} s against {limit} s"
    return Span(event.time_s, end_s, "over", title, f"{probe} over its limit")


def progress(experiment: Experiment, buckets: int) -> tuple[Series, ...]:
    """A line of progress for each node; it breaks where the node did not answer."""
    by_node = _by_node(experiment.events.of("observe"))
    found = (_progress_of(node, by_node.get(node, []), buckets) for node in experiment.nodes)
    return tuple(series for series in found if series.needed)


def _progress_of(node: str, samples: list[Event], buckets: int) -> Series:
    pieces: list[list[tuple[float, float]]] = [[]]
    for event in samples:
        value = number_of(event.value, "progress") if event.type == "ok" else None
        if value is not None:
            pieces[-1].append((event.time_s, value))
        elif pieces[-1]:
            pieces.append([])
    whole = tuple(without_level_middles(tuple(piece)) for piece in pieces if piece)
    length = sum(len(piece) for piece in whole)
    thin = tuple(
        thinned(piece, max(1, round(buckets * len(piece) / max(length, 1)))) for piece in whole
    )
    return Series(node, thin, length)


def releases_seen(experiment: Experiment, node: str) -> str:
    """The releases a node said it ran, in order: `3.4.23 → 3.5.16`; "" when it never said."""
    said = [
        text_of(event.value, "version")
        for event in experiment.events.of("observe")
        if event.process == node and event.type == "ok" and text_of(event.value, "version")
    ]
    changes = said[:1] + [after for before, after in pairwise(said) if after != before]
    return " \u2192 ".join(changes[:6])


def last_progress(experiment: Experiment, node: str) -> str:
    """The last progress a node showed, as text."""
    for event in reversed(experiment.events.events):
        if event.process == node and event.f == "observe" and event.type == "ok":
            return count(number_of(event.value, "progress"))
    return count(None)
