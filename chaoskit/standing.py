"""
Standing promises of every system: one history, no way back, no death of its own accord.

Owns: `no_fork`, `no_rollback`, `no_unexpected_exit`, `nothing_acknowledged_below_quorum`, and the
list of what a system owes at all times (`promises`). Refuses: what a System knows of itself; the
history says which nodes, quorum and bounds there are. `progress_while_quorate` is in
chaoskit.progress, `faults_were_felt` (a check of the harness, not a promise) in chaoskit.evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation, safety
from chaoskit.operations import attempts
from chaoskit.progress import progress_while_quorate
from chaoskit.quorate import begin_s, below_quorum, hung_together, timelines
from chaoskit.system import System
from chaoskit.verdict import Kind

_KILLED = 128 + 9  # the exit code of a process that SIGKILL ended


@safety
def no_fork(history: History) -> Sequence[Violation]:
    """
    Whoever shows the same progress shows the same digest: all nodes, all times, per cluster.

    Safety. Source: state machine replication (Schneider 1990): the state after n commands is one.
    Evidence is a progress shown by two nodes (by one node twice where a cluster has one node).
    """
    violations: list[Violation] = []
    evidence = False
    alone: set[str] = set()
    seen_on: dict[str, dict[int, Event]] = {}
    accused: set[tuple[int, str]] = set()
    for event in history.of("cluster", "observe"):
        value = event.value
        if event.f == "cluster":
            if value["event"] == "started":
                shown: dict[int, Event] = {}  # one for all nodes of this cluster
                seen_on.update(dict.fromkeys(value["nodes"], shown))
                alone = set(value["nodes"]) if len(value["nodes"]) == 1 else set()
            continue
        progress = value.get("progress")
        digest = value.get("digest")
        if progress is None or not digest or event.type != "ok" or event.process not in seen_on:
            continue
        earlier = seen_on[event.process].setdefault(progress, event)
        if earlier is event:
            continue
        evidence = evidence or earlier.process != event.process or event.process in alone
        if earlier.value["digest"] != digest and (progress, event.process) not in accused:
            accused.add((progress, event.process))
            violations.append(
                Violation(
                    f"at progress {progress} {earlier.process} shows {earlier.value['digest']} "
                    f"({earlier.time_s:.3f} s), {event.process} shows {digest} "
                    f"({event.time_s:.3f} s)",
                    (earlier.index, event.index),
                )
            )
    if not violations and not evidence:
        raise Inconclusive("no two nodes were seen at the same progress with a digest")
    return violations


@safety
def no_rollback(history: History) -> Sequence[Violation]:
    """
    A node's progress never goes back while it keeps the same data (per incarnation).

    Safety. Source: design of `Observation.progress`: what was decided stays decided. Data of a
    vintage were decided up to what the node showed when they were taken. A sample that was under
    way when the data were replaced counts for neither incarnation.
    """
    violations: list[Violation] = []
    best: dict[str, tuple[int, Event]] = {}
    incarnations: dict[str, object] = {}
    replaced_s: dict[str, float] = {}
    evidence = False
    for event in history.of("cluster", "state", "observe"):
        node = event.process
        if event.f == "cluster":
            best.update(_shown_before(event))
            continue
        if event.f == "state":
            incarnation = event.value.get("incarnation")
            if node in incarnations and incarnations[node] != incarnation:
                best.pop(node, None)
                replaced_s[node] = event.time_s
            incarnations[node] = incarnation
            continue
        progress = event.value.get("progress")
        if progress is None or event.type != "ok":
            continue
        if node in replaced_s and event.time_s - event.value.get("took_s", 0.0) < replaced_s[node]:
            continue
        earlier = best.get(node)
        best[node] = progress, event
        if earlier is None:
            continue
        evidence = True
        before, showed = earlier
        if progress < before:
            violations.append(
                Violation(
                    f"{node} went back from progress {before} ({showed.time_s:.3f} s) to "
                    f"{progress} ({event.time_s:.3f} s)",
                    (showed.index, event.index),
                )
            )
    if not violations and not evidence:
        raise Inconclusive("no node's progress was seen twice")
    return violations


def _shown_before(event: Event) -> dict[str, tuple[int, Event]]:
    """What the nodes of a cluster that starts on a vintage had shown when that was taken."""
    vintage = event.value.get("vintage")
    if event.value["event"] != "started" or not vintage:
        return {}
    shown = vintage["progress"].items()
    return {node: (progress, event) for node, progress in shown if progress is not None}


def _astray(history: History) -> Sequence[tuple[Event, Event]]:
    """
    From which event to which a fault lasted, heal and absence included, or a change with its
    witnesses, that no probe saw; not a change that asked whether it would succeed.
    """
    spans: dict[object, tuple[Event, Event]] = {}
    unseen: set[object] = set()
    for event in history.of("fault", "effective", "heal", "absent", "change", "witnessed"):
        identity = event.value["id"]
        first = spans.get(identity, (event, event))[0]
        spans[identity] = (first, event)
        looked = event.f == "effective" and not event.value.get("again")
        looked |= event.f == "witnessed" and not first.value.get("asks")
        if looked and event.type == "fail":
            unseen.add(identity)
    return [span for identity, span in spans.items() if identity in unseen]


def _is_within(moment_s: float, spans: Sequence[tuple[Event, Event]]) -> bool:
    return any(first.time_s <= moment_s <= last.time_s for first, last in spans)


def _happened_s(event: Event) -> float:
    """When it happened: a process had ended some time before the engine said with which code."""
    return float(event.value.get("ended_s", event.time_s))


@safety
def no_unexpected_exit(history: History) -> Sequence[Violation]:
    """
    No process ends by itself, but where a fault on that node names an exit as an outcome.

    Safety. An exit is expected when we signalled the process; on a target of a fault with
    `may_exit` from its injection until its absence was established (or the heal ended, when that
    was not); on a target of a change with `may_exit` from its start until the next change. An exit
    from before the scope (carried over as a fact) is not blamed on it again.

    While a fault or change is there that no probe of ours saw, a SIGKILL is nobody's own doing: our
    own hand may have gone astray. Such a run is INVALID and says nothing of who was killed in it.
    """
    begins_s = begin_s(history)
    violations: list[Violation] = []
    excused: dict[str, set[object]] = {}
    targets: dict[object, list[str]] = {}
    evidence = False
    astray = _astray(history)
    told = history.of("state", "fault", "change", "heal", "absent")
    for event in sorted(told, key=lambda one: (_happened_s(one), one.index)):
        value = event.value
        if event.f == "state":
            evidence = True
            at_s, code = _happened_s(event), value.get("exit_code")
            if (
                value["state"] == "exited"
                and not value["signalled"]
                and not excused.get(event.process)
                and event.time_s >= begins_s
                and not (code == _KILLED and _is_within(at_s, astray))
            ):
                said = f"{event.process} exited by itself at {at_s:.3f} s, code {code}"
                violations.append(Violation(said, (event.index,)))
        elif event.type == "invoke" and event.f in ("fault", "change"):
            targets[value["id"]] = value["targets"]
            for node in value["targets"]:
                reasons = excused.setdefault(node, set())
                if event.f == "change":
                    reasons.discard("change")
                if value.get("may_exit"):
                    reasons.add("change" if event.f == "change" else value["id"])
        elif event.f == "absent" or (event.f == "heal" and event.type == "fail"):
            for node in targets.get(value["id"], ()):
                excused.setdefault(node, set()).discard(value["id"])
    if not evidence:
        raise Inconclusive("no process state was recorded")
    return violations


def _unsettled(history: History, allowance_s: float) -> list[tuple[float, float]]:
    """
    When a heal or change was under way: nodes may be back before that was recorded. And while a
    fault was there that no probe saw: what was recorded of it may never have become true.
    """
    spans = [(first.time_s, last.time_s + allowance_s) for first, last in _astray(history)]
    waiting: dict[object, float] = {}
    for event in history.of("heal", "change"):
        if event.type == "invoke":
            waiting[event.value["id"]] = event.time_s
        elif event.value["id"] in waiting:
            spans.append((waiting.pop(event.value["id"]), event.time_s + allowance_s))
    spans.extend((start_s, history.end_s) for start_s in waiting.values())
    return sorted(spans)


def _without(
    start_s: float, end_s: float, spans: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """What is left of start_s..end_s when the sorted spans are taken out."""
    left = []
    for from_s, to_s in spans:
        if from_s < end_s and to_s > start_s:
            left.append((start_s, from_s))
            start_s = max(start_s, to_s)
    left.append((start_s, end_s))
    return [(from_s, to_s) for from_s, to_s in left if to_s > from_s]


def nothing_acknowledged_below_quorum(allowance_s: float = 0.5) -> Invariant:
    """
    Make the promise: what is asked while no quorum can exist is not acknowledged before one can.

    Safety. Source: quorum intersection (Gifford 1979). "No quorum can exist" is the permissive
    reading of chaoskit.quorate, lest a system be accused that found a way we did not think of.
    Accused are operations that need a quorum (chaoskit.operations), invoked and acknowledged
    within one such stretch, less `allowance_s` seconds at either end (facts are recorded a little
    after they became true; leases run out), less any heal or change under way, and less any fault
    that no probe saw (what was recorded of it may never have become true). None is accused that a
    quorum may have heard of, one node after the other, while it was under way. Where no such
    stretch occurred the promise was not put to the test and is kept; where one occurred and
    nothing was asked in it, there is no evidence.
    """

    def judge(history: History) -> Sequence[Violation]:
        violations: list[Violation] = []
        unsettled = _unsettled(history, allowance_s)
        stretches = [
            (from_s, to_s, cause, timeline)
            for timeline in timelines(history)
            for start_s, end_s, cause in below_quorum(timeline)
            for from_s, to_s in _without(start_s + allowance_s, end_s - allowance_s, unsettled)
        ]
        if not stretches:
            return ()
        asked = False
        for attempt in attempts(history):
            if not attempt.needs_quorum:
                continue
            for from_s, to_s, cause, timeline in stretches:
                if not from_s <= attempt.invoke.time_s <= to_s:
                    continue
                if attempt.node is not None and attempt.node not in timeline.nodes:
                    continue
                asked = True
                done = attempt.completion
                if not attempt.acknowledged or done is None or done.time_s > to_s:
                    continue
                begun_s = attempt.invoke.time_s - allowance_s
                heard = hung_together(history, timeline, begun_s, done.time_s)
                if len(heard) < timeline.quorum:
                    violations.append(
                        Violation(
                            f"{attempt.f} by {attempt.node or 'a node'} asked at "
                            f"{attempt.invoke.time_s:.3f} s was acknowledged at {done.time_s:.3f} s"
                            f", while at most {timeline.quorum - 1} of {len(timeline.nodes)} nodes "
                            f"could hear each other ({from_s:.3f} to {to_s:.3f} s)",
                            (cause, *attempt.events),
                        )
                    )
        if not asked:
            raise Inconclusive("below the quorum no operation was asked that needs one")
        return violations

    return Invariant("nothing_acknowledged_below_quorum", Kind.SAFETY, judge)


def promises(
    *,
    shows_digest: bool = True,
    shows_progress: bool = True,
    shows_liveness: bool = True,
    acknowledges: bool = True,
) -> tuple[Invariant, ...]:
    """
    What a system owes at all times; a System leaves out what its observations cannot show.

    Without digests no fork can be seen, without progress no rollback, without load or progress no
    liveness, without operations that need a quorum none acknowledged below it: a promise that can
    never have evidence would make every run UNKNOWN, so it is left out by a word, not in silence.
    """
    return (
        *((no_fork,) if shows_digest else ()),
        *((no_rollback,) if shows_progress else ()),
        no_unexpected_exit,
        *((nothing_acknowledged_below_quorum(),) if acknowledges else ()),
        *((progress_while_quorate,) if shows_liveness else ()),
    )


def promises_of(system: System) -> tuple[Invariant, ...]:
    """
    The promises of `promises` for which a system can show evidence.

    Progress of one that is driven are acknowledged operations: without traffic there are none. A
    digest is that of a progress: without progress there is none to compare.
    """
    return promises(
        shows_digest=system.shows_digest and system.shows_progress,
        shows_progress=system.shows_progress,
        shows_liveness=system.traffic is not None if system.driven else system.shows_progress,
        acknowledges=system.traffic is None or not system.traffic.local,
    )
