"""
Half an hour without a fault, and half an hour with one that can be borne at every moment.

Whether a round is missing is read at the end, of the newest that each member keeps
(suites.beacon.client). CHAOS_LONG_MINUTES makes it longer or shorter.
"""

from __future__ import annotations

import os
from itertools import count

import pytest

from chaoskit import clock
from chaoskit.cluster import Cluster
from chaoskit.fault import Fault, inject
from chaoskit.liveness import recovered_within
from faults.broken_connections import HalfOpenConnections, ResetConnections
from faults.kill import Kill
from faults.partition import Isolate, OneWay, Split
from faults.pause import Pause
from faults.slow_link import SlowLink

pytestmark = pytest.mark.nightly

_MINUTES = 30.0


@pytest.fixture(scope="module")
def length_s() -> float:
    """How long a run is."""
    return 60 * float(os.environ.get("CHAOS_LONG_MINUTES", _MINUTES))


def test_without_faults(beacon: Cluster, length_s: float) -> None:
    """
    Goal: nothing is found where nothing was done, however long one looks.
    Runbook: thirty minutes.
    Success: every round in time, no fork, none missing.
    """
    beacon.hold(length_s)
    beacon.check()


@pytest.mark.containers("slow and half-open links are told by the kernel's counters")
def test_with_faults_that_can_be_borne(beacon: Cluster, length_s: float) -> None:
    """
    Goal: two of five can be spared, whichever they are, as often as one likes.
    Runbook: thirty minutes; one fault after the other on one member or two, each for five rounds.
    Success: every round in time, no fork, none missing, all level within 30 s of each heal.
    """
    end_s = clock.monotonic() + length_s
    for number in count():  # until the time is over
        if clock.monotonic() >= end_s:
            break
        with inject(_bearable(number, beacon.system.nodes), into=beacon) as fault:
            fault.await_felt(timeout_s=15)
            beacon.await_progress(by=5, timeout_s=20)
        beacon.await_steady_state(timeout_s=30)
    beacon.check(recovered_within(30))


def _bearable(number: int, nodes: tuple[str, ...]) -> Fault:
    """The faults in turn, each time on the next members: eight of the one, five of the other."""
    one, other = nodes[number % len(nodes)], nodes[(number + 1) % len(nodes)]
    faults: tuple[Fault, ...] = (
        Kill(one),
        SlowLink(one, other, delay_s=0.3),
        Isolate(one),
        Pause(one),
        ResetConnections(one, other),
        Split((one, other)),
        HalfOpenConnections(one, other),
        OneWay(one, (other,)),
    )
    return faults[number % len(faults)]
