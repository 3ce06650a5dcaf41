"""Our members and real ones in one group; needs an image for v2.1.4-real (docs/real-drand.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import apply, inject
from chaoskit.liveness import recovered_within
from chaoskit.system import System
from faults.kill import Kill
from suites.beacon.mixing import TakeOver, told_apart

pytestmark = pytest.mark.containers("what changes hands there is an image")
OURS, REAL = "v2.1.4", "v2.1.4-real"
_GROUP = told_apart((OURS,))


@pytest.fixture
def mixed(chaos_cluster: Callable[[System], Cluster]) -> Cluster:
    """Five members of one program; which one says the test's marker."""
    return chaos_cluster(_GROUP)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(REAL, marks=pytest.mark.chaos(release=OURS)),
        pytest.param(OURS, marks=pytest.mark.chaos(release=REAL)),
    ],
)
def test_two_that_change_hands_sign_with_the_rest(mixed: Cluster, other: str) -> None:
    """
    Goal: on the same keys another program makes the same chain, fetches it, and is needed for it.
    Runbook: two of five members change hands; two of the other three are killed; eight rounds.
    Success: one signature a round, every round in time, none missing, all level within 20 s.
    """
    for name in ("n1", "n2"):
        apply(TakeOver(name, to=other), to=mixed)
        mixed.await_steady_state(timeout_s=20)
    with inject(Kill("n3"), into=mixed) as one, inject(Kill("n4"), into=mixed):
        one.await_felt(timeout_s=10)
        mixed.await_progress(by=8, timeout_s=20)
    mixed.await_steady_state(timeout_s=20)
    mixed.check(recovered_within(20))
