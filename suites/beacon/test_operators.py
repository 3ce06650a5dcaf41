"""What operators do at a bad moment, and what they leave undone: commands, upgrades, identities."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import apply, inject
from chaoskit.liveness import recovered_within
from chaoskit.system import System
from faults.kill import Kill
from faults.left_behind import LeftBehind
from faults.operator_error import OperatorError
from faults.stale_identity import StaleIdentity
from suites.beacon.operating import GENERATE, STOP
from suites.beacon.system import beacon

_OTHERS = ("n2", "n3", "n4", "n5")
_IMAGES = pytest.mark.containers("what is upgraded there is an image")
_CONTROL = pytest.mark.containers("there members listen to their operators at ports of any number")
_BESIDE = pytest.mark.containers("nothing stands beside a node without containers")


def _three_go_on(group: Cluster) -> None:
    """Two are killed, so that each of the others is needed; eight rounds; they come back."""
    with inject(Kill("n4"), into=group) as one, inject(Kill("n5"), into=group):
        one.await_felt(timeout_s=10)
        group.await_progress(by=8, timeout_s=25)
    group.await_steady_state(timeout_s=20)


@pytest.mark.nightly
@pytest.mark.chaos(release="v1.5.8")
def test_a_stale_identity_costs_no_round(beacon: Cluster) -> None:
    """
    Goal: a member whose identity says what is true no longer is missed on that link alone.
    Runbook: one other has it on file that n1 speaks TLS, which it does not; eight rounds; mended.
    Success: every round in time, no fork, all level within 20 s.
    """
    with inject(StaleIdentity("n1", ("n2",)), into=beacon) as fault:
        fault.await_felt(timeout_s=15)
        beacon.await_progress(by=8, timeout_s=25)
    beacon.await_steady_state(timeout_s=20)
    beacon.check(recovered_within(20))


@pytest.mark.nightly
@pytest.mark.chaos(release="v1.5.8")
def test_a_key_generated_beside_a_member_costs_no_round(beacon: Cluster) -> None:
    """
    Goal: whoever overwrites a key pair that is in use loses no round before the next start.
    Runbook: generate-keypair beside a member, at a release that takes its pair for none; then two
        others are killed, so that it is one of the threshold; eight rounds; they come back.
    Success: every round in time, no fork, all level within 20 s.
    """
    apply(OperatorError("n1", GENERATE), to=beacon)
    _three_go_on(beacon)
    beacon.check(recovered_within(20))


@pytest.mark.nightly
@_IMAGES
@pytest.mark.chaos(release="v1.5.8")
def test_one_left_behind_is_still_counted_on(beacon: Cluster) -> None:
    """
    Goal: a member that missed a small upgrade signs with those that did not.
    Runbook: all but n1 go to v1.5.11; then two of these are killed; eight rounds; they come back.
    Success: every round in time while three run, no fork, all level within 20 s.
    """
    apply(LeftBehind("n1", to="v1.5.11"), to=beacon)
    beacon.await_steady_state(timeout_s=30)
    _three_go_on(beacon)
    beacon.check(recovered_within(20))


@pytest.mark.nightly
@_BESIDE
@pytest.mark.chaos(release="v2.0.0-testnet")
def test_a_member_that_everybody_dials_in_the_old_mode_costs_no_round(
    chaos_cluster: Callable[[System], Cluster],
) -> None:
    """
    Goal: where the key says who speaks TLS, one whose key says it wrongly is one lost, no more.
    Runbook: behind nginx, the four others have it on file that n1 speaks plaintext; thirty rounds;
        mended.
    Success: every round in time, no fork, all level within 30 s.
    """
    group = chaos_cluster(beacon(terminated=True))
    with inject(StaleIdentity("n1", _OTHERS), into=group) as fault:
        fault.await_felt(timeout_s=20)
        group.await_progress(by=30, timeout_s=60)
    group.await_steady_state(timeout_s=30)
    group.check(recovered_within(30))


@pytest.mark.nightly
@_IMAGES
@pytest.mark.chaos(release="v1.5.7")
def test_one_left_behind_that_is_refused_costs_the_others_no_round(beacon: Cluster) -> None:
    """
    Goal: a member whose partial signatures are refused for its age is one lost, and still follows.
    Runbook: all but n1 go to v2.0.4, which takes nothing of v1.5.7; thirty rounds.
    Success: every round in time, no fork, all level within 20 s.
    """
    apply(LeftBehind("n1", to="v2.0.4"), to=beacon)
    beacon.await_progress(by=30, timeout_s=60)
    beacon.check(recovered_within(20))


@pytest.mark.nightly
@_CONTROL
def test_one_stopped_while_another_is_down_costs_no_round(beacon: Cluster) -> None:
    """
    Goal: a member that its operator stops at a bad moment is one lost: three of five go on.
    Runbook: while n5 is killed the operator of n1 stops it by its own command; eight rounds; n5
        comes back, n1 does not.
    Success: every round in time, no fork.
    """
    with inject(Kill("n5"), into=beacon) as fault:
        fault.await_felt(timeout_s=10)
        apply(OperatorError("n1", STOP), to=beacon, may_exit=True)
        beacon.await_progress(by=8, timeout_s=25)
    beacon.await_progress(by=8, timeout_s=20)
    beacon.check()
