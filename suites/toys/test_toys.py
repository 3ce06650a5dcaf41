"""Honest toys under the faults that every backend can prove."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import Fault, inject
from chaoskit.liveness import recovered_within
from faults.kill import Kill
from faults.partition import Bridge, Isolate, OneWay, Split
from faults.pause import Pause

_FAULTS = (
    Isolate("leader"),
    Split(("n1", "n2")),
    Split(("n1", "n2"), style="dropped"),
    Bridge("leader", "follower"),
    OneWay("leader", ("follower",)),
    Kill("leader"),
    Kill("follower"),
    Pause("leader"),
    Pause("follower"),
)


@pytest.mark.parametrize("fault", _FAULTS, ids=repr)
def test_a_majority_goes_on(five: Cluster, fault: Fault) -> None:
    """
    Goal: three of five are a quorum, so two that are gone or unheard cost nothing.
    Runbook: a fault strikes one or two toys, or a link; progress; it is healed.
    Success: progress within its bound, nothing lost, level within 10 s.
    """
    with inject(fault, into=five) as injected:
        injected.await_felt(timeout_s=10)
        five.await_progress(by=20, timeout_s=20)
    five.await_steady_state(timeout_s=10)
    five.check(recovered_within(10))


def test_nothing_is_acknowledged_without_a_majority(five: Cluster) -> None:
    """
    Goal: two of five acknowledge nothing; three are enough again.
    Runbook: a split of two and three, and one of the three is killed; it comes back.
    Success: no acknowledgement below the quorum, nothing lost, level within 10 s.
    """
    with inject(Split(("n1", "n2")), into=five) as split:
        with inject(Kill("n3"), into=five) as kill:
            split.await_felt(timeout_s=10)
            kill.await_felt(timeout_s=10)
            five.hold(3)
        five.await_progress(by=20, timeout_s=20)
    five.await_steady_state(timeout_s=10)
    five.check(recovered_within(10))
