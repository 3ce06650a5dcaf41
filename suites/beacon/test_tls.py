"""TLS between members that does not match, and certificates that must not be trusted: v1 alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import Fault, inject
from chaoskit.liveness import recovered_within
from chaoskit.system import System
from faults.kill import Kill
from faults.tls_mismatch import TlsMismatch, WrongPort
from faults.wrong_certificate import Flaw, WrongCertificate
from suites.beacon.system import beacon

pytestmark = pytest.mark.chaos(release="v1.5.8")

_GROUP = beacon(tls=True)


@pytest.fixture
def secure(chaos_cluster: Callable[[System], Cluster]) -> Cluster:
    """Five members that dial and serve TLS, under load, in time."""
    return chaos_cluster(_GROUP)


def test_a_member_that_serves_plaintext_costs_no_round(secure: Cluster) -> None:
    """
    Goal: four that still agree about TLS are more than the threshold.
    Runbook: one member restarts without its certificate; eight rounds; it restarts with it.
    Success: every round in time, no fork, all level within 20 s.
    """
    with inject(TlsMismatch("n1"), into=secure) as fault:
        fault.await_felt(timeout_s=15)
        secure.await_progress(by=8, timeout_s=25)
    secure.await_steady_state(timeout_s=20)
    secure.check(recovered_within(20))


@pytest.mark.nightly
def test_two_that_serve_plaintext_cost_no_round(secure: Cluster) -> None:
    """
    Goal: three that still agree about TLS are the threshold.
    Runbook: two members restart without their certificates; eight rounds; they restart with them.
    Success: every round in time, no fork, all level within 20 s.
    """
    with (
        inject(TlsMismatch("n1"), into=secure) as one,
        inject(TlsMismatch("n2"), into=secure) as two,
    ):
        one.await_felt(timeout_s=15)
        two.await_felt(timeout_s=15)
        secure.await_progress(by=8, timeout_s=25)
    secure.await_steady_state(timeout_s=20)
    secure.check(recovered_within(20))


@pytest.mark.nightly
def test_a_link_to_the_wrong_port_is_survived(secure: Cluster) -> None:
    """
    Goal: a link that leads to a plaintext port breaks that link and nothing else.
    Runbook: what n1 dials as n2's private port is its metrics port; eight rounds; heal.
    Success: every round in time, no fork, all level within 20 s.
    """
    with inject(WrongPort("n1", "n2", port="metrics"), into=secure) as fault:
        fault.await_felt(timeout_s=15)
        secure.await_progress(by=8, timeout_s=25)
    secure.await_steady_state(timeout_s=20)
    secure.check(recovered_within(20))


@pytest.mark.nightly
@pytest.mark.parametrize("flaw", ["foreign_authority", "expired", "wrong_name"])
def test_a_flawed_certificate_costs_no_round(secure: Cluster, flaw: Flaw) -> None:
    """
    Goal: a member whose certificate must not be trusted is left out, and the rest goes on.
    Runbook: one member restarts with a flawed certificate; eight rounds; it gets its own back.
    Success: every round in time, no fork, all level within 20 s.
    """
    with inject(WrongCertificate("n1", flaw), into=secure) as fault:
        fault.await_felt(timeout_s=15)
        secure.await_progress(by=8, timeout_s=25)
    secure.await_steady_state(timeout_s=20)
    secure.check(recovered_within(20))


@pytest.mark.nightly
@pytest.mark.parametrize(
    "fault",
    [TlsMismatch("n1"), WrongCertificate("n1", "expired")],
    ids=lambda one: type(one).__name__,
)
def test_at_the_threshold_without_it_the_chain_goes_on(secure: Cluster, fault: Fault) -> None:
    """
    Goal: with one member down and one at odds about TLS, three are left, the threshold.
    Runbook: one member restarts at odds with the rest, another is killed; eight rounds; heal both.
    Success: every round in time, no fork, all level within 30 s.
    """
    # first the one whose probes look from all the others
    with inject(fault, into=secure) as odd, inject(Kill("n5"), into=secure) as kill:
        odd.await_felt(timeout_s=15)
        kill.await_felt(timeout_s=10)
        secure.await_progress(by=8, timeout_s=25)
    secure.await_steady_state(timeout_s=30)
    secure.check(recovered_within(30))
