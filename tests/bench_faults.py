"""
How soon a fault is in force, and how many a minute can be put in, felt, taken out and verified.

Owns: one cluster of three under load, on which faults follow each other; every number is read from
its history. Refuses: a fault that was not felt or not gone: it raises, and there is no figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit import clock
from chaoskit.cluster import Cluster
from chaoskit.fault import Fault, inject
from chaoskit.history import Event
from chaoskit.session import Session
from chaoskit.setting import Setting
from chaoskit.system import System
from faults.kill import Kill
from faults.partition import Isolate
from faults.pause import Pause
from faults.slow_storage import SlowStorage

_FELT_TIMEOUT_S = 15.0
_STEADY_TIMEOUT_S = 20.0
_LOAD_PER_S = 20.0


@dataclass(frozen=True, slots=True)
class Cycles:
    """Onsets in seconds by name of the fault; cycles a minute of cuts, kills and pauses."""

    onsets_s: dict[str, list[float]]
    a_minute: float
    cycle_s: dict[str, list[float]]


def _cycle(cluster: Cluster, fault: Fault) -> None:
    with inject(fault, into=cluster) as injection:
        injection.await_felt(timeout_s=_FELT_TIMEOUT_S)
    cluster.await_steady_state(timeout_s=_STEADY_TIMEOUT_S)


def _of(events: Sequence[Event], number: int) -> list[Event]:
    return [event for event in events if event.value["id"] == number]


def _onsets(cluster: Cluster) -> dict[str, list[float]]:
    """By fault: when its last probe saw it. Raises for one that was not felt or is not gone."""
    history = cluster.history()
    found: dict[str, list[float]] = {}
    for event in history.of("fault"):
        number = event.value["id"]
        for f in ("felt", "absent"):
            if not any(one.type == "ok" for one in _of(history.of(f), number)):
                raise AssertionError(f"fault {number} ({event.value['fault']}) was not {f}")
        first = [
            one.value["onset_s"]
            for one in _of(history.of("effective"), number)
            if not one.value["again"]
        ]
        found.setdefault(event.value["fault"], []).append(max(first))
    return found


def cycles(session: Session, system: System, release: str, *, times: int) -> Cycles:
    """`times` cuts, kills and pauses of a node in turn, then as many slow storages."""
    node = system.nodes[-1]
    quick: list[Fault] = [Isolate(node), Kill(node), Pause(node)]
    cycle_s: dict[str, list[float]] = {}
    with session.cluster(system, Setting(release, storage=True)) as cluster:
        with cluster.loaded(_LOAD_PER_S):
            begun_s = clock.monotonic()
            for fault in quick * times:
                since_s = clock.monotonic()
                _cycle(cluster, fault)
                took = cycle_s.setdefault(type(fault).__name__, [])
                took.append(clock.monotonic() - since_s)
            took_s = clock.monotonic() - begun_s
            for _ in range(times):
                _cycle(cluster, SlowStorage(node, delay_s=0.1))
        return Cycles(_onsets(cluster), 60 * len(quick) * times / took_s, cycle_s)
