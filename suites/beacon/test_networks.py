"""Two networks in one daemon: what ails one leaves the other in time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import apply
from chaoskit.liveness import recovered_within
from chaoskit.system import System
from faults.overwritten_key import OverwrittenKey
from faults.stale_keys import StaleKeys
from suites.beacon.punctuality import networks_keep_time
from suites.beacon.system import DEFAULT, beacon

pytestmark = pytest.mark.nightly

SECOND = "second"
_GROUP = beacon(networks=(DEFAULT, SECOND))


@pytest.fixture
def two(chaos_cluster: Callable[[System], Cluster]) -> Cluster:
    """Five members of two networks; both make a round a second."""
    return chaos_cluster(_GROUP)


def test_shares_of_one_network_that_are_lost_leave_the_other_in_time(two: Cluster) -> None:
    """
    Goal: a network below its threshold is that network's loss alone.
    Runbook: one member after the other starts with another's share of the second network, three.
    Success: that one stands still, the default one makes every round in time, no daemon exits.
    """
    for name in ("n1", "n3", "n4"):
        apply(OverwrittenKey(name, f"share of {SECOND}", by="n2"), to=two)
        two.await_progress(by=5, timeout_s=15)
    kept = networks_keep_time(DEFAULT, bound_s=4, while_stands=SECOND)
    two.check(recovered_within(20), kept)


def test_keys_of_one_network_without_their_scheme_stop_neither(two: Cluster) -> None:
    """
    Goal: keys as releases before 1.5 left them, in one network, are loaded or leave the rest alone.
    Runbook: one member starts with the key pair and share of the second network lacking SchemeName.
    Success: both networks make every round in time, and no daemon exits.
    """
    files = tuple(f"{name} of {SECOND}" for name in ("private key", "public key", "share"))
    apply(StaleKeys("n5", files, field="SchemeName"), to=two)
    two.await_progress(by=10, timeout_s=20)
    two.await_steady_state(timeout_s=20)
    two.check(recovered_within(20), networks_keep_time(DEFAULT, SECOND, bound_s=4))
