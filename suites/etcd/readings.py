"""
What a history says of an etcd cluster's keys: acknowledged writes, and snapshots of members.

Owns: reading them out of the events. Refuses: judgement, and several clusters in one history:
revisions of two clusters say nothing of each other (chaoskit.scope cuts a run into its tests).

The operations, beside the event's own `op` and `node`:

* `put` key, value; ok: revision. The store's revision at which the write took effect.
* `get` key, consistency ("linearizable" or "serializable"); ok: value (None: absent), revision
  (the store's revision at the node that answered), mod_revision (of the key; 0: absent).
* `txn` key, expected, value: a compare-and-swap on the value; ok: succeeded, revision.
* `snapshot`: all keys of one node, by a serializable read; ok: revision (the store's revision at
  that node), pairs: {key: [value, mod_revision, version]}. Taken of every node at a test's end.

No key is ever deleted by the load, and a key is written by these operations alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.operations import Attempt, attempts


@dataclass(frozen=True, slots=True)
class Pair:
    """A key's state in a snapshot: value, revision of its last change, number of changes."""

    value: str
    mod_revision: int
    version: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys of one node as that node has them, at the store's revision there."""

    node: str
    revision: int
    pairs: dict[str, Pair]
    invoked: int
    answer: Event


def nodes_of(history: History) -> tuple[str, ...]:
    """The nodes of the one cluster. Raises Inconclusive when there are more or fewer."""
    started = [event for event in history.of("cluster") if event.value["event"] == "started"]
    if len(started) != 1:
        raise Inconclusive(
            f"the history holds {len(started)} clusters; revisions are compared within one"
        )
    return tuple(started[0].value["nodes"])


def snapshots_of(history: History) -> list[Snapshot]:
    """All snapshots that were answered, in the order in which they were asked."""
    taken = History(history.of("snapshot"))
    return [
        Snapshot(
            node=attempt.value["node"],
            revision=attempt.result["revision"],
            pairs={key: Pair(*pair) for key, pair in attempt.result["pairs"].items()},
            invoked=attempt.invoke.index,
            answer=attempt.completion,
        )
        for attempt in attempts(taken)
        if attempt.acknowledged and attempt.completion is not None
    ]


def wrote(attempt: Attempt) -> bool:
    """Whether it is a write that was acknowledged."""
    if attempt.f == "put":
        return attempt.acknowledged
    return attempt.f == "txn" and bool(attempt.result.get("succeeded"))


def writes_of(history: History) -> list[Attempt]:
    """All acknowledged writes, in the order in which they were asked."""
    return [attempt for attempt in attempts(history) if wrote(attempt)]


def name_of(write: Attempt) -> str:
    """A write as people read it."""
    return f"{write.f} {write.value['key']}={write.value['value']}"
