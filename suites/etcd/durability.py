"""
Acknowledged writes survive: the one promise for which a store exists.

Owns: what each acknowledged write is held against after the load (members' last snapshots, later
writes). Refuses: to call a write lost because a member has not caught up with it.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Violation, safety
from chaoskit.operations import Attempt
from suites.etcd.readings import Snapshot, name_of, nodes_of, snapshots_of, writes_of


def _shown_otherwise(write: Attempt, snapshot: Snapshot) -> str:
    """How a snapshot that is new enough contradicts the write; empty when it does not."""
    revision, pair = write.result["revision"], snapshot.pairs.get(write.value["key"])
    if pair is None:
        return "absent"
    if pair.mod_revision < revision:
        return f"at {pair.value} of revision {pair.mod_revision}"
    if pair.mod_revision == revision and pair.value != write.value["value"]:
        return f"at {pair.value} of the same revision"
    return ""


@dataclass(frozen=True, slots=True)
class _After:
    """
    What is known of the store after the load: what a write that was acknowledged is held against.

    Attributes
    ----------
    last: the last snapshot of each node.
    writes: acknowledged writes in the order in which they were asked; `lowest` has, at the same
        place, the one with the lowest revision from there on.
    whole: index of the first event from which on the cluster was steady and left alone.

    """

    nodes: frozenset[str]
    last: tuple[Snapshot, ...]
    writes: tuple[Attempt, ...]
    lowest: tuple[Attempt, ...]
    whole: int

    def lower_since(self, write: Attempt) -> Attempt | None:
        """A write asked after this one was acknowledged, and given no later revision."""
        assert write.completion is not None
        at = bisect(self.writes, write.completion.index, key=lambda one: one.invoke.index)
        if at == len(self.writes):
            return None
        other = self.lowest[at]
        return other if other.result["revision"] <= write.result["revision"] else None


def _lower(one: Attempt, other: Attempt) -> Attempt:
    return one if one.result["revision"] < other.result["revision"] else other


def _after(history: History) -> _After:
    writes = writes_of(history)
    lowest = list(accumulate(reversed(writes), _lower))
    never = history.events[-1].index + 1 if history.events else 0
    whole = never
    for event in history.of("cluster", "state", "heal", "change"):
        if event.f != "cluster":
            whole = never
        elif event.value["event"] == "steady":
            whole = min(whole, event.index)
    return _After(
        nodes=frozenset(nodes_of(history)),
        last=tuple({one.node: one for one in snapshots_of(history)}.values()),
        writes=tuple(writes),
        lowest=tuple(reversed(lowest)),
        whole=whole,
    )


def _lost(write: Attempt, after: _After) -> Violation | None:
    """
    The violation, if the write is gone.

    Raises Inconclusive when no snapshot taken after it reaches its revision and nothing proves
    that none ever will.
    """
    assert write.completion is not None
    acknowledged, revision = write.completion, write.result["revision"]
    later = [one for one in after.last if one.invoked > acknowledged.index]
    reaching = [one for one in later if one.revision >= revision]
    contradicting = [one for one in reaching if _shown_otherwise(write, one)]
    if reaching and not contradicting:
        return None
    said = (
        f"{name_of(write)} acknowledged by {write.node} at {acknowledged.time_s:.3f} s "
        f"(revision {revision})"
    )
    if contradicting:
        where = ", ".join(f"{_shown_otherwise(write, one)} on {one.node}" for one in contradicting)
        since_s = min(one.answer.time_s for one in contradicting)
        return Violation(
            f"{said}, {where} from {since_s:.3f} s",
            (*write.events, *(one.answer.index for one in contradicting)),
        )
    lower = after.lower_since(write)
    if lower is not None:
        return Violation(
            f"{said}, and {name_of(lower)} asked after that was given revision "
            f"{lower.result['revision']} by {lower.node}",
            (*write.events, *lower.events),
        )
    whole = [one for one in later if one.invoked > after.whole]
    if after.nodes <= {one.node for one in whole}:
        highest = max(one.revision for one in whole)
        return Violation(
            f"{said}, and no member is beyond revision {highest} any more",
            (*write.events, *(one.answer.index for one in whole)),
        )
    raise Inconclusive(f"{said}: no snapshot taken later shows that revision")


@safety
def acknowledged_writes_survive(history: History) -> Sequence[Violation]:
    """
    An acknowledged write is in every later snapshot that reaches its revision, and in some.

    Safety. Source: etcd's API guarantees, durability: any completed operation is durable. A newer
    value of the key with a higher revision is no loss. The last snapshot of each node counts. Where
    none reaches the revision, the write is lost when a later write was given no later revision, or
    when every node was read after the last heal, change or restart and a steady state after it.
    """
    after = _after(history)
    if not after.writes:
        raise Inconclusive("no write was acknowledged")
    violations: list[Violation] = []
    missing: Inconclusive | None = None
    for write in after.writes:
        try:
            lost = _lost(write, after)
        except Inconclusive as unseen:
            missing = missing or unseen
            continue
        violations.extend([lost] if lost else [])
    if not violations and missing is not None:
        raise missing
    return violations
