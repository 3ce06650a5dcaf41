"""From TLS that a v1 ends itself to TLS that nginx ends before a v2: it comes with the upgrade."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import apply
from chaoskit.liveness import recovered_within
from chaoskit.system import System
from faults.upgrade import Upgrade
from suites.beacon.system import beacon

pytestmark = [
    pytest.mark.chaos(release="v1.5.11"),
    pytest.mark.nightly,
    pytest.mark.containers("nothing stands beside a node without containers"),
]


def test_an_upgrade_puts_a_proxy_before_each_member_and_costs_no_round(
    chaos_cluster: Callable[[System], Cluster],
) -> None:
    """
    Goal: from TLS in the binary to TLS that nginx ends, one member after the other, costs no round.
    Runbook: each of four members, three of which make a round, goes to v2 and gets an nginx with
        the certificate that it had; ten rounds.
    Success: all reach each other after each step, every round in time, all level within 20 s.
    """
    group = chaos_cluster(beacon(4, threshold=3, tls=True, terminated=True))
    for name in group.nodes:
        apply(Upgrade(name, to="v2.0.4"), to=group)
        group.await_steady_state(timeout_s=20)
    group.await_progress(by=10, timeout_s=20)
    group.check(recovered_within(20))
