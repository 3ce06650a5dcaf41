"""Changes: an upgrade of one member, a setting of one member."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import apply, inject
from chaoskit.liveness import recovered_within
from faults.kill import Kill
from faults.left_behind import LeftBehind
from faults.reconfigure import Reconfigure
from faults.upgrade import Upgrade


@pytest.mark.chaos(release="3.6.16")
def test_a_rolling_upgrade_by_one_minor_loses_nothing(etcd: Cluster) -> None:
    """
    Goal: members of two neighbouring minors work together, and the last one ends the upgrade.
    Runbook: the followers go from 3.6 to 3.7 one after the other, then the leader, under load.
    Success: each reports its new version; nothing lost; level within 20 s.
    """
    leader = etcd.target("leader")
    for name in [*(node for node in etcd.nodes if node != leader), leader]:
        apply(Upgrade(name, to="3.7.3"), to=etcd)
        etcd.await_steady_state(timeout_s=30)
        etcd.await_progress(by=20, timeout_s=20)
    etcd.check(recovered_within(20))


@pytest.mark.nightly
@pytest.mark.chaos(release="3.6.16")
def test_one_left_behind_by_a_minor_works_with_the_rest(etcd: Cluster) -> None:
    """
    Goal: a member that missed an upgrade by one minor is counted on by those that did not.
    Runbook: under load the leader and one follower go from 3.6 to 3.7 at once, the other one
        misses it; then the leader is killed, which leaves a majority of both; it comes back.
    Success: nothing lost; level within 20 s.
    """
    apply(LeftBehind("follower", to="3.7.3"), to=etcd)
    etcd.await_steady_state(timeout_s=30)
    with inject(Kill("leader"), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        etcd.await_progress(by=20, timeout_s=20)
    etcd.await_steady_state(timeout_s=30)
    etcd.check(recovered_within(20))


def test_a_setting_of_one_member_can_be_changed(etcd: Cluster) -> None:
    """
    Goal: a member restarts with another setting while the others go on.
    Runbook: one follower gets a larger quota; progress.
    Success: it runs with the new argument; nothing lost; level within 20 s.
    """
    apply(Reconfigure("follower", {"quota_bytes": "536870912"}), to=etcd)
    etcd.await_steady_state(timeout_s=30)
    etcd.await_progress(by=20, timeout_s=20)
    etcd.check(recovered_within(20))
