"""Row E8: one slow disk."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from chaoskit.plan import Plan
from faults.slow_storage import SlowStorage
from suites.incidents.writes import FACTOR, calibration, puts_stay_near_the_calibrated


@pytest.mark.chaos(storage=True)
def test_one_slow_disk_does_not_slow_writes(etcd: Cluster, chaos_plan: Plan) -> None:
    """
    Goal: a quorum of quick disks is enough for quick writes.
    Runbook: the median put is measured; the disk of the plan's member gets slow, by far more than
    that; it gets well.
    Success: the median put takes at most 10 times as long meanwhile; nothing is lost.
    """
    etcd.await_progress(by=80, timeout_s=30)
    usual = calibration(etcd.history())
    etcd.recorder.record("chaoskit", "calibration", usual)
    # on a disk that is slow by itself, the plan's delay could be less than the promise allows
    delay_s = max(float(chaos_plan.inputs["delay_s"]), 2 * FACTOR * usual["median_s"])
    with inject(SlowStorage(chaos_plan.inputs["slow"], delay_s), into=etcd) as fault:
        fault.await_felt(timeout_s=10)
        etcd.hold(float(chaos_plan.inputs["slow_for_s"]))
    etcd.await_steady_state(timeout_s=20)
    etcd.check(puts_stay_near_the_calibrated(delay_s=delay_s), recovered_within(20))
