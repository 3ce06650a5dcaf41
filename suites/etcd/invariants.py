"""
What etcd promises, as functions of the history; written from the promise, knowing no release.

Owns: what holds of etcd at all times (`PROMISES`); `acknowledged_writes_survive` is in
suites.etcd.durability, the promise about leaders, which a test asks for, in suites.etcd.leadership.
The operations' values are described in suites.etcd.readings. Refuses: several clusters in one
history: their revisions say nothing of each other, so it is judged scope by scope (chaoskit.scope).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation, safety
from chaoskit.linearizability import not_linearizable
from chaoskit.operations import Attempt, attempts
from chaoskit.verdict import Kind
from suites.etcd.durability import acknowledged_writes_survive
from suites.etcd.readings import Pair, Snapshot, name_of, nodes_of, snapshots_of, writes_of, wrote

# Steps of the search on one key: some seconds. A key with 1000 operations of 5 clients takes 2000.
_STEP_LIMIT = 1_000_000


def _differences(one: Snapshot, other: Snapshot) -> list[str]:
    """What two snapshots say differently of the revisions that both have reached."""
    both = min(one.revision, other.revision)
    found = []
    for key in sorted(one.pairs.keys() | other.pairs.keys()):
        mine, its = one.pairs.get(key), other.pairs.get(key)
        changed_since = any(pair is not None and pair.mod_revision > both for pair in (mine, its))
        if mine != its and not changed_since:
            found.append(
                f"{key} is {_pair_text(mine)} on {one.node}, {_pair_text(its)} on {other.node}"
            )
    return found


def _pair_text(pair: Pair | None) -> str:
    return "absent" if pair is None else f"{pair.value} (revision {pair.mod_revision})"


def _two_writes(writes: Sequence[Attempt]) -> list[Violation]:
    """Acknowledged writes that were given one revision."""
    first: dict[int, Attempt] = {}
    found = []
    for write in writes:
        revision = write.result["revision"]
        earlier = first.setdefault(revision, write)
        if earlier is not write:
            found.append(
                Violation(
                    f"revision {revision} was given to {name_of(earlier)} by {earlier.node} and to "
                    f"{name_of(write)} by {write.node}",
                    (*earlier.events, *write.events),
                )
            )
    return found


def _shown_against(
    writes: Sequence[Attempt], history: History, snapshots: Sequence[Snapshot]
) -> list[Violation]:
    """Snapshots and reads that show another key or value at an acknowledged write's revision."""
    by_revision = {write.result["revision"]: write for write in writes}
    shown: list[tuple[int, str, str, str, tuple[int, ...]]] = [
        (pair.mod_revision, key, pair.value, one.node, (one.answer.index,))
        for one in snapshots
        for key, pair in one.pairs.items()
    ]
    shown += [
        (
            read.result["mod_revision"],
            read.value["key"],
            read.result["value"],
            read.node or "",
            read.events,
        )
        for read in attempts(history)
        if read.f == "get" and read.result.get("mod_revision")
    ]
    found = []
    for revision, key, value, node, events in shown:
        write = by_revision.get(revision)
        if write is not None and (key, value) != (write.value["key"], write.value["value"]):
            found.append(
                Violation(
                    f"revision {revision} is {name_of(write)} by {write.node}, and "
                    f"{key}={value} on {node}",
                    (*write.events, *events),
                )
            )
    return found


@safety
def one_value_per_revision(history: History) -> Sequence[Violation]:
    """
    A revision is one write, the same on all members.

    Safety. Source: etcd's API guarantees: revisions count the store's changes, in one total order.
    Compared: the latest snapshot of each node with each other's, up to the revision that both have
    reached; acknowledged writes with each other, with snapshots and with reads.
    """
    nodes = nodes_of(history)
    snapshots = snapshots_of(history)
    writes = writes_of(history)
    violations = _two_writes(writes) + _shown_against(writes, history, snapshots)
    latest = {one.node: one for one in snapshots}
    ordered = [latest[node] for node in nodes if node in latest]
    for at, one in enumerate(ordered):
        for other in ordered[at + 1 :]:
            found = _differences(one, other)
            if found:
                more = f" (and {len(found) - 1} more keys)" if len(found) > 1 else ""
                violations.append(
                    Violation(f"{found[0]}{more}", (one.answer.index, other.answer.index))
                )
    unread = [node for node in nodes if node not in latest]
    if not violations and unread:
        raise Inconclusive(f"no snapshot of {' '.join(unread)} was taken")
    return violations


@safety
def revision_never_goes_back(history: History) -> Sequence[Violation]:
    """
    What is asked after an answer is answered at that answer's revision or a later one.

    Safety. Source: etcd's API guarantees: revisions only grow, and linearizable operations respect
    real time. Linearizable operations are compared with all linearizable ones that were answered
    before they were asked (a write must be later, not equal); serializable reads with what the
    same node answered before, as long as it keeps its data (per incarnation).
    """
    nodes_of(history)
    violations: list[Violation] = []
    highest: Event | None = None
    highest_of: dict[str, Event] = {}
    floors: dict[int, tuple[Event | None, Event | None]] = {}
    incarnations: dict[str, object] = {}
    by_event = {
        index: attempt
        for attempt in attempts(history)
        if "revision" in attempt.result
        for index in attempt.events
    }
    compared = False
    for event in history.events:
        if event.f == "state":
            incarnation = event.value.get("incarnation")
            if incarnations.setdefault(event.process, incarnation) != incarnation:
                incarnations[event.process] = incarnation
                highest_of.pop(event.process, None)
            continue
        attempt = by_event.get(event.index)
        if attempt is None:
            continue
        node = attempt.node or ""
        if event.type == "invoke":
            floors[event.index] = (
                highest if attempt.needs_quorum else None,
                highest_of.get(node),
            )
            continue
        revision = event.value["revision"]
        for floor in floors.pop(attempt.invoke.index):
            if floor is None:
                continue
            compared = True
            least = floor.value["revision"]
            if revision < least or (wrote(attempt) and revision == least):
                violations.append(
                    Violation(
                        f"{attempt.f} by {node} answered revision {revision} at "
                        f"{event.time_s:.3f} s, asked after revision {least} was answered at "
                        f"{floor.time_s:.3f} s",
                        (floor.index, *attempt.events),
                    )
                )
                break
        if attempt.needs_quorum and (highest is None or revision > highest.value["revision"]):
            highest = event
        at_node = highest_of.get(node)
        if at_node is None or revision > at_node.value["revision"]:
            highest_of[node] = event
    if not violations and not compared:
        raise Inconclusive("no two answers with a revision followed one another")
    return violations


def reads_are_linearizable(*, step_limit: int = _STEP_LIMIT) -> Invariant:
    """
    Make the promise: some order of each key's operations explains all answers, in real time.

    Safety. Source: Herlihy and Wing 1990; etcd's API guarantees for all but serializable reads.
    """
    return Invariant(
        "reads_are_linearizable", Kind.SAFETY, partial(not_linearizable, step_limit=step_limit)
    )


PROMISES = (
    acknowledged_writes_survive,
    one_value_per_revision,
    revision_never_goes_back,
    reads_are_linearizable(),
)
