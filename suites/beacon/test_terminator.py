"""Members of v2 behind nginx, which ends TLS: well configured, and in the ways that are wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaoskit.cluster import Cluster
from chaoskit.companion import LOG
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from chaoskit.system import System
from faults.kill import Kill
from faults.misconfigured_proxy import MisconfiguredProxy
from suites.beacon.system import BEHIND, beacon
from suites.beacon.terminator import Front, Request, named, requests

pytestmark = [
    pytest.mark.chaos(release="v2.1.4"),
    pytest.mark.nightly,
    pytest.mark.containers("nothing stands beside a node without containers"),
]

_GROUP = beacon(4, threshold=3, period_s=3, catchup_period_s=1, terminated=True)


@pytest.fixture
def terminated(chaos_cluster: Callable[[System], Cluster]) -> Cluster:
    """Four members behind nginx, three of which make a round, under load, in time."""
    return chaos_cluster(_GROUP)


def test_members_behind_nginx_survive_the_loss_of_one(terminated: Cluster) -> None:
    """
    Goal: TLS that somebody else ends carries partials and syncs as TLS of a member's own does.
    Runbook: one of four members is killed, the threshold is left; four rounds; it comes back.
    Success: every round in time, no fork, all level within 20 s.
    """
    with inject(Kill("n1"), into=terminated) as fault:
        fault.await_felt(timeout_s=10)
        terminated.await_progress(by=4, timeout_s=25)
    terminated.await_steady_state(timeout_s=20)
    terminated.check(recovered_within(20))


@pytest.mark.parametrize(
    "way", [Front.HTTP1, Front.WRONG_MODE, Front.TWICE], ids=lambda one: one.name
)
def test_a_badly_configured_proxy_is_named_and_no_member_is_blamed(
    terminated: Cluster, way: Front
) -> None:
    """
    Goal: a member whose proxy is set up wrongly costs the others no round, and its proxy says how.
    Runbook: one member restarts behind such a proxy; four rounds; its proxy is set right.
    Success: the log names the way, every round in time at the others, all level within 20 s.
    """
    with inject(MisconfiguredProxy("n1", way.name), into=terminated) as fault:
        fault.await_felt(timeout_s=15)
        terminated.await_progress(by=1, timeout_s=10)
        before = {node: len(_asked(terminated, node)) for node in ("n1", "n2")}
        terminated.await_progress(by=3, timeout_s=20)
        assert terminated.latest()["n1"] is not None
        asked = {node: _asked(terminated, node)[first:] for node, first in before.items()}
        assert named(asked["n1"], BEHIND) is way
        assert named(asked["n2"], BEHIND) is Front.RIGHT
    terminated.await_steady_state(timeout_s=20)
    terminated.check(recovered_within(20))


def _asked(cluster: Cluster, node: str) -> list[Request]:
    with cluster.node(node).log.path.with_name(LOG).open(encoding="utf-8") as lines:
        return requests(lines)
