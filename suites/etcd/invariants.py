"""
What etcd promises, as functions of the history; written from the promise, knowing no release.

Owns: the five promises below. Refuses: several clusters in one history: revisions of two clusters
say nothing of each other, so such a history is judged scope by scope (chaoskit.scope).

The operations they read, beside the event's own `op` and `node`:

* `put` key, value; ok: revision. The store's revision at which the write took effect.
* `get` key, consistency ("linearizable" or "serializable"); ok: value (None: absent), revision
  (the store's revision at the node that answered), mod_revision (of the key; 0: absent).
* `txn` key, expected, value: a compare-and-swap on the value; ok: succeeded, revision.
* `snapshot`: all keys of one node, by a serializable read; ok: revision (the store's revision at
  that node), pairs: {key: [value, mod_revision, version]}. Taken of every node at a test's end.

No key is ever deleted by the load, and a key is written by these operations alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation, safety
from chaoskit.linearizability import not_linearizable
from chaoskit.operations import Attempt, attempts
from chaoskit.verdict import Kind

# Steps of the search on one key: some seconds. A key with 1000 operations of 5 clients takes 2000.
_STEP_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class _Pair:
    """A key's state in a snapshot: value, revision of its last change, number of changes."""

    value: str
    mod_revision: int
    version: int


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """All keys of one node as that node has them, at the store's revision there."""

    node: str
    revision: int
    pairs: dict[str, _Pair]
    invoked: int
    answer: Event


def _nodes(history: History) -> tuple[str, ...]:
    started = [event for event in history.of("cluster") if event.value["event"] == "started"]
    if len(started) != 1:
        raise Inconclusive(
            f"the history holds {len(started)} clusters; revisions are compared within one"
        )
    return tuple(started[0].value["nodes"])


def _snapshots(history: History) -> list[_Snapshot]:
    taken = History(history.of("snapshot"))
    return [
        _Snapshot(
            node=attempt.value["node"],
            revision=attempt.result["revision"],
            pairs={key: _Pair(*pair) for key, pair in attempt.result["pairs"].items()},
            invoked=attempt.invoke.index,
            answer=attempt.completion,
        )
        for attempt in attempts(taken)
        if attempt.acknowledged and attempt.completion is not None
    ]


def _wrote(attempt: Attempt) -> bool:
    """Whether it is a write that was acknowledged."""
    if attempt.f == "put":
        return attempt.acknowledged
    return attempt.f == "txn" and bool(attempt.result.get("succeeded"))


def _writes(history: History) -> list[Attempt]:
    return [attempt for attempt in attempts(history) if _wrote(attempt)]


def _name(write: Attempt) -> str:
    return f"{write.f} {write.value['key']}={write.value['value']}"


def _shown_otherwise(write: Attempt, snapshot: _Snapshot) -> str:
    """How a snapshot that is new enough contradicts the write; empty when it does not."""
    revision, pair = write.result["revision"], snapshot.pairs.get(write.value["key"])
    if pair is None:
        return "absent"
    if pair.mod_revision < revision:
        return f"at {pair.value} of revision {pair.mod_revision}"
    if pair.mod_revision == revision and pair.value != write.value["value"]:
        return f"at {pair.value} of the same revision"
    return ""


def _lost(write: Attempt, snapshots: Sequence[_Snapshot], nodes: Sequence[str]) -> Violation | None:
    """
    The violation, if the write is gone. `snapshots` are the last of each node.

    Raises Inconclusive when no snapshot taken after it reaches its revision, and not every node
    was read.
    """
    assert write.completion is not None
    acknowledged, revision = write.completion, write.result["revision"]
    later = [one for one in snapshots if one.invoked > acknowledged.index]
    reaching = [one for one in later if one.revision >= revision]
    contradicting = [one for one in reaching if _shown_otherwise(write, one)]
    if reaching and not contradicting:
        return None
    said = f"{_name(write)} acknowledged by {write.node} at {acknowledged.time_s:.3f} s"
    if contradicting:
        where = ", ".join(f"{_shown_otherwise(write, one)} on {one.node}" for one in contradicting)
        since_s = min(one.answer.time_s for one in contradicting)
        return Violation(
            f"{said} (revision {revision}), {where} from {since_s:.3f} s",
            (*write.events, *(one.answer.index for one in contradicting)),
        )
    if set(nodes) <= {one.node for one in later}:
        highest = max(one.revision for one in later)
        return Violation(
            f"{said} (revision {revision}), and no member is beyond revision {highest} any more",
            (*write.events, *(one.answer.index for one in later)),
        )
    raise Inconclusive(f"{said}: no snapshot taken later shows revision {revision}")


@safety
def acknowledged_writes_survive(history: History) -> Sequence[Violation]:
    """
    An acknowledged write is in every later snapshot that reaches its revision, and in some.

    Safety. Source: etcd's API guarantees, durability: any completed operation is durable. A newer
    value of the key with a higher revision is no loss. The latest snapshot of each node counts.
    """
    nodes = _nodes(history)
    snapshots = list({one.node: one for one in _snapshots(history)}.values())
    writes = _writes(history)
    if not writes:
        raise Inconclusive("no write was acknowledged")
    violations: list[Violation] = []
    missing: Inconclusive | None = None
    for write in writes:
        try:
            lost = _lost(write, snapshots, nodes)
        except Inconclusive as unseen:
            missing = missing or unseen
            continue
        violations.extend([lost] if lost else [])
    if not violations and missing is not None:
        raise missing
    return violations


def _differences(one: _Snapshot, other: _Snapshot) -> list[str]:
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


def _pair_text(pair: _Pair | None) -> str:
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
                    f"revision {revision} was given to {_name(earlier)} by {earlier.node} and to "
                    f"{_name(write)} by {write.node}",
                    (*earlier.events, *write.events),
                )
            )
    return found


def _shown_against(
    writes: Sequence[Attempt], history: History, snapshots: Sequence[_Snapshot]
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
                    f"revision {revision} is {_name(write)} by {write.node}, and {key}={value} on "
                    f"{node}",
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
    nodes = _nodes(history)
    snapshots = _snapshots(history)
    writes = _writes(history)
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
    _nodes(history)
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
            if revision < least or (_wrote(attempt) and revision == least):
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
