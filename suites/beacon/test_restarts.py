"""Members that are restarted, at any moment of a round, one or several."""

from __future__ import annotations

import pytest

from chaoskit import clock
from chaoskit.cluster import Cluster
from chaoskit.fault import apply
from chaoskit.liveness import recovered_within
from faults.restarting import How, Restart

pytestmark = pytest.mark.nightly


def _await_moment(beacon: Cluster, share: float) -> None:
    """Let the time come that is this share of a round after its beginning; rounds take a second."""
    now_s = clock.utc_now().timestamp()
    beacon.hold((share - now_s) % 1.0)


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_restarts_at_any_moment_of_a_round_cost_none(beacon: Cluster, how: How) -> None:
    """
    Goal: a member that is restarted before, while or after it signs costs the others no round.
    Runbook: one member is restarted at five moments of a round, two rounds apart.
    Success: every round in time, no fork, no hole in what it keeps, level within 20 s.
    """
    for share in (0.0, 0.2, 0.4, 0.6, 0.8):
        _await_moment(beacon, share)
        apply(Restart("n1", how=how), to=beacon)
        beacon.await_progress(by=2, timeout_s=15)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))


def test_everybody_restarted_one_after_the_other(beacon: Cluster) -> None:
    """
    Goal: as an operator restarts a group: members go one after the other, and no round is lost.
    Runbook: each is stopped and started when the one before is in time again; ten rounds.
    Success: every round in time, none missing, all level within 20 s.
    """
    for name in beacon.nodes:
        apply(Restart(name, how="stop"), to=beacon)
        beacon.await_steady_state(timeout_s=20)
    beacon.await_progress(by=10, timeout_s=25)
    beacon.check(recovered_within(20))
