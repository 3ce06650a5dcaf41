"""A group that stood still, and comes level again within a bound: at a period of three seconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from chaoskit.system import System
from faults.kill import Kill
from faults.partition import Split
from suites.beacon.punctuality import catch_up_bound_s
from suites.beacon.system import beacon

pytestmark = pytest.mark.nightly

PERIOD_S, CATCHUP_PERIOD_S = 3, 1  # catching up at a third of the pace needs a period above it
_GROUP = beacon(period_s=PERIOD_S, catchup_period_s=CATCHUP_PERIOD_S)
_HALT_S = 24.0
BOUND_S = catch_up_bound_s(
    int(_HALT_S / PERIOD_S) + 2, period_s=PERIOD_S, catchup_period_s=CATCHUP_PERIOD_S
)


@pytest.fixture
def slow(chaos_cluster: Callable[[System], Cluster]) -> Cluster:
    """Five members, a round every three seconds, late ones a second apart."""
    return chaos_cluster(_GROUP)


def test_a_group_that_was_down_comes_level(slow: Cluster) -> None:
    """
    Goal: after a halt the rounds that were due are made, faster than new ones come due.
    Runbook: three of five are killed for 24 s; they start again.
    Success: none missing, no fork, everybody in time within the bound of row A11.
    """
    first, second, third = (Kill(name) for name in ("n1", "n2", "n3"))
    with inject(first, into=slow), inject(second, into=slow), inject(third, into=slow) as last:
        last.await_felt(timeout_s=20)
        slow.hold(_HALT_S)
    slow.await_steady_state(timeout_s=BOUND_S)
    slow.check(recovered_within(BOUND_S))


def test_a_group_that_was_cut_apart_comes_level(slow: Cluster) -> None:
    """
    Goal: as after a halt by kills, when every process had stayed up and redials by itself.
    Runbook: one member is killed and two are cut off from two, for 24 s; both are healed.
    Success: none missing, no fork, everybody in time within the bound of row A11.
    """
    with inject(Split(("n1", "n2")), into=slow) as split, inject(Kill("n5"), into=slow):
        split.await_felt(timeout_s=20)
        slow.hold(_HALT_S)
    slow.await_steady_state(timeout_s=BOUND_S)
    slow.check(recovered_within(BOUND_S))
