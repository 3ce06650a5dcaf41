"""Vintages: a release is started on data that another one really left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from faults.kill import Kill
from suites.etcd.system import SYSTEM


@pytest.mark.nightly
@pytest.mark.parametrize(("old", "new"), [("3.4.23", "3.5.16"), ("3.5.16", "3.5.35")])
def test_a_release_goes_on_with_what_its_predecessor_left(
    chaos_cluster: Callable[..., Cluster],
    chaos_vintage: Callable[..., str],
    old: str,
    new: str,
) -> None:
    """
    Goal: what an old release decided is there under the new one, and survives its first fault.
    Runbook: the old release is loaded and stopped; the new one starts on its data; one dies.
    Success: no member begins below what it had shown; nothing lost; level within 20 s.
    """
    vintage = chaos_vintage(SYSTEM, old, {}, 60.0)
    etcd = chaos_cluster(SYSTEM, release=new, vintage=vintage)
    with inject(Kill("follower"), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        etcd.await_progress(by=20, timeout_s=20)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))
