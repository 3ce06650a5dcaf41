"""
From nothing to members that answer, for nodes whose first round is due later; and what they hold.

Owns: when each node of a cluster was first observed, by the history, beside raw engine calls; and
the memory of a node's process. A steady state is not waited for in these times: a beacon's genesis
is seconds ahead, however quick its members are.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from chaoskit.cluster import Cluster
from chaoskit.session import Session
from chaoskit.setting import Setting
from chaoskit.system import Endpoint, System, Unobserved
from tests.bench_start import Ready, raw_s

_ANSWER_TIMEOUT_S = 0.5
_KIB = 1024


def answers(system: System) -> Ready:
    """Whether a node shows itself at all."""

    def ready(endpoint: Endpoint) -> bool:
        with suppress(Unobserved):
            system.observe(endpoint, _ANSWER_TIMEOUT_S)
            return True
        return False

    return ready


def _memory_bytes(cluster: Cluster) -> list[int]:
    """Of each node's process what is its own, and its part of what it shares."""
    found = []
    for node in cluster.nodes.values():
        rollup = Path(f"/proc/{node.pid}/smaps_rollup").read_text()
        (line,) = (line for line in rollup.splitlines() if line.startswith("Pss:"))
        found.append(int(line.split()[1]) * _KIB)
    return found


def started(session: Session, system: System, release: str) -> tuple[float, list[int]]:
    """
    Seconds until every node of a cluster of chaoskit's had been observed, mesh and all, and the
    memory of each in bytes once the cluster is steady.
    """
    begun = session.recorder.record("chaoskit", "note", {"text": "a start is measured"})
    with session.cluster(system, Setting(release)) as cluster:
        history = session.recorder.history()
        first = {
            node: next(
                event.time_s
                for event in history.of("observe")
                if event.process == node and event.type == "ok" and event.index > begun.index
            )
            for node in cluster.nodes
        }
        return max(first.values()) - begun.time_s, _memory_bytes(cluster)


def compared(
    session: Session, system: System, release: str, *, rounds: int
) -> tuple[list[float], list[float]]:
    """
    Times of ours and of raw engine calls that dial known addresses or names, whichever is quicker.

    One of each in every round, so that both meet the same machine.
    """
    own: list[float] = []
    peers: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        own.append(started(session, system, release)[0])
        for by_name, times in peers.items():
            times.append(raw_s(system, release, answers(system), by_name=by_name))
    return own, min(peers.values(), key=statistics.median)


def mebibytes(values: Sequence[int]) -> list[float]:
    """In MiB."""
    return [value / _KIB / _KIB for value in values]
