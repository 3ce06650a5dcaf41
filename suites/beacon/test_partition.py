"""Members that cannot hear each other: above, at and below the threshold of three of five."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import Fault, inject
from chaoskit.liveness import recovered_within
from faults.kill import Kill
from faults.partition import Bridge, Isolate, OneWay, Split, Style
from suites.beacon.telling import members_tell_within

_ABOVE = (Isolate("n1"), Bridge("n1", "n2"), OneWay("n1", ("n2", "n3")))


@pytest.mark.parametrize("fault", _ABOVE, ids=lambda fault: type(fault).__name__)
def test_who_is_not_needed_costs_no_round(beacon: Cluster, fault: Fault) -> None:
    """
    Goal: whoever can be spared costs no round.
    Runbook: links of one member are cut; eight rounds; they are whole again.
    Success: every round in time, no fork, all level within 20 s.
    """
    with inject(fault, into=beacon) as injected:
        injected.await_felt(timeout_s=10)
        beacon.await_progress(by=8, timeout_s=20)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))


@pytest.mark.nightly
@pytest.mark.parametrize("style", ["refused", "dropped"])
def test_a_cut_is_told(beacon: Cluster, style: Style) -> None:
    """
    Goal: an operator sees the margin go: each member tells which peers it cannot reach.
    Runbook: one member is cut off, loudly or in silence, for twelve rounds; it comes back.
    Success: all five tell within 8 s, and within 20 s that it is over.
    """
    with inject(Isolate("n1", style=style), into=beacon) as fault:
        fault.await_felt(timeout_s=10)
        beacon.await_progress(by=12, timeout_s=25)
    beacon.await_steady_state(timeout_s=25)
    beacon.check(recovered_within(25), members_tell_within(8, back_within_s=20))


@pytest.mark.nightly
@pytest.mark.parametrize("style", ["refused", "dropped"])
def test_three_of_five_go_on(beacon: Cluster, style: Style) -> None:
    """
    Goal: a split of two and three costs no round: the three are the threshold.
    Runbook: two members are cut off from three; eight rounds; heal.
    Success: every round in time, no fork, the two level within 30 s of the heal.
    """
    with inject(Split(("n1", "n2"), style=style), into=beacon) as fault:
        fault.await_felt(timeout_s=10)
        beacon.await_progress(by=8, timeout_s=20)
    beacon.await_steady_state(timeout_s=30)
    beacon.check(recovered_within(30))


def test_below_the_threshold_there_is_no_round(beacon: Cluster) -> None:
    """
    Goal: two and two that cannot hear each other, one being down, make no round, and catch up.
    Runbook: a split, and one of the three is killed, for eight seconds; both are healed.
    Success: no round meanwhile; afterwards all that are due, none missing, level within 30 s.
    """
    with inject(Split(("n1", "n2")), into=beacon) as split, inject(Kill("n3"), into=beacon) as kill:
        split.await_felt(timeout_s=10)
        kill.await_felt(timeout_s=10)
        beacon.hold(8)
    beacon.await_steady_state(timeout_s=30)
    beacon.check(recovered_within(30))
