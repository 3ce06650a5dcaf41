"""TLS between peers that does not match, and certificates that must not be trusted."""

from __future__ import annotations

import pytest

from chaoskit.cluster import Cluster
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from faults.tls_mismatch import TlsMismatch, WrongPort
from faults.wrong_certificate import Flaw, WrongCertificate


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_member_that_serves_plaintext_costs_no_majority(etcd: Cluster, role: str) -> None:
    """
    Goal: the two members that still agree about TLS are a quorum.
    Runbook: one member restarts and serves its peers in plaintext; progress; it restarts right.
    Success: nothing lost, level within 20 s of the heal.
    """
    with inject(TlsMismatch(role), into=etcd) as fault:
        fault.await_felt(timeout_s=15)
        etcd.await_progress(by=40, timeout_s=30)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))


def test_a_link_to_the_wrong_port_is_survived(etcd: Cluster) -> None:
    """
    Goal: a link that leads to a plaintext port breaks that link and nothing else.
    Runbook: what the leader dials as one follower's peer port is its client port; progress; heal.
    Success: nothing lost, level within 20 s.
    """
    with inject(WrongPort("leader", "follower"), into=etcd) as fault:
        fault.await_felt(timeout_s=15)
        etcd.await_progress(by=40, timeout_s=30)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))


@pytest.mark.parametrize("flaw", ["foreign_authority", "expired", "wrong_name"])
def test_a_flawed_certificate_costs_no_majority(etcd: Cluster, flaw: Flaw) -> None:
    """
    Goal: a member whose certificate must not be trusted is left out, and the rest goes on.
    Runbook: a follower restarts with a flawed certificate; progress; it gets its own back.
    Success: nothing lost, level within 20 s.
    """
    with inject(WrongCertificate("follower", flaw), into=etcd) as fault:
        fault.await_felt(timeout_s=15)
        etcd.await_progress(by=40, timeout_s=30)
    etcd.await_steady_state(timeout_s=20)
    etcd.check(recovered_within(20))
