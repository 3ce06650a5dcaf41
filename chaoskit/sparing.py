"""
The spare-member test: the others that can be spared stand still, so that a quorum needs this one.

Owns: whom to spare, and carrying the test out under load: what is asked then must be acknowledged
within the system's bound of progress, and what moves by itself must move on. Refuses: a verdict;
`contribution` judges from the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from chaoskit import catalogue, clock
from chaoskit.cluster import Cluster
from chaoskit.contribution import MOVED_ON
from chaoskit.fault import inject
from chaoskit.history import History
from chaoskit.operations import Attempt, attempts
from chaoskit.rehearsal_plan import LEADER

_POLL_S = 0.05
_FELT_TIMEOUT_S = 20.0


def spared(nodes: Sequence[str], quorum: int, member: str, roles: Mapping[str, str]) -> list[str]:
    """
    The others to be paused so that a quorum needs `member`; a leader only when it must be.

    Answers len(nodes) - quorum names, so that exactly a quorum is left.
    """
    others = [name for name in nodes if name != member]
    ranked = sorted(others, key=lambda name: roles.get(name) == LEADER)
    return ranked[: len(nodes) - quorum]


def roles_of(cluster: Cluster) -> dict[str, str]:
    """Each node's role as its observer saw it last; those that do not answer are left out."""
    return {name: one.role for name, one in cluster.latest().items() if one is not None}


@dataclass(frozen=True, slots=True)
class Contribution:
    """
    Who stood still, and how long after that until an operation asked then was acknowledged.

    Of a system that moves by itself: until it had moved on.
    """

    paused: tuple[str, ...]
    after_s: float


def prove_contribution(cluster: Cluster, member: str) -> Contribution:
    """
    Carry out the spare-member test under the load that is on.

    Raises WaitTimedOut when nothing is acknowledged within the system's bound of progress.
    """
    system = cluster.system
    spares = spared(tuple(cluster.nodes), system.quorum, member, roles_of(cluster))
    with ExitStack() as pauses:
        injected = [
            pauses.enter_context(inject(catalogue.make("Pause", {"node": name}), into=cluster))
            for name in spares
        ]
        since, begun_s = cluster.recorder.count(), clock.monotonic()
        if system.driven:
            clock.wait_until(
                lambda: any(_asked_and_answered(cluster.history().since(since))),
                what=f"an acknowledged operation that needs {member}",
                timeout_s=system.progress_bound_s,
                poll_s=_POLL_S,
            )
        else:
            cluster.await_progress(by=MOVED_ON, timeout_s=system.progress_bound_s)
        after_s = clock.monotonic() - begun_s
        for fault in injected:
            fault.await_felt(timeout_s=_FELT_TIMEOUT_S)
    return Contribution(tuple(spares), after_s)


def _asked_and_answered(history: History) -> Iterator[Attempt]:
    return (one for one in attempts(history) if one.acknowledged and one.needs_quorum)
