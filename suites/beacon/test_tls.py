"""TLS between members that does not match, and certificates that must not be trusted: v1 alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from chaoskit.cluster import Cluster
from chaoskit.errors import Inconclusive
from chaoskit.fault import Fault, inject
from chaoskit.handshake import Outcome
from chaoskit.history import Event, History
from chaoskit.invariant import Violation, safety
from chaoskit.liveness import recovered_within
from chaoskit.system import System
from faults.kill import Kill
from faults.tls_mismatch import TlsMismatch, WrongPort
from faults.wrong_certificate import Flaw, WrongCertificate
from suites.beacon.readings import rounds_of
from suites.beacon.system import beacon

pytestmark = pytest.mark.chaos(release="v1.5.8")

_GROUP = beacon(tls=True)
_THREE = beacon(3, threshold=2, tls=True)
_FLAWS: tuple[Flaw, ...] = ("foreign_authority", "expired", "wrong_name")
_SETTLED_S = 1.5  # a partial signature under way, and facts that are recorded late


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
@pytest.mark.parametrize("flaw", _FLAWS)
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
    [TlsMismatch("n1"), *(WrongCertificate("n1", flaw) for flaw in _FLAWS)],
    ids=lambda one: getattr(one, "flaw", type(one).__name__),
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


def _without_a_threshold(history: History) -> Iterator[tuple[float, float, int]]:
    """
    While no member is reached by a threshold of those that run, itself among them.

    From when to when, and by which event. Whose certificate is distrusted is what our own
    handshakes met, each way for itself: such a member still hands its signature to others.
    """
    (threshold,) = {one.value["quorum"] for one in history.of("cluster") if "quorum" in one.value}
    running: set[str] = set()
    distrusted: set[tuple[str, str]] = set()
    since: Event | None = None
    for event in history.of("state", "handshake"):
        if event.f == "state":
            is_up = event.value["state"] == "running"
            (running.add if is_up else running.discard)(event.process)
            # it may come back with another certificate
            distrusted = {way for way in distrusted if way[1] != event.process}
        else:
            way = (event.value["source"], event.value["target"])
            met = event.value["detail"].partition(",")[0]
            bad = event.type == "fail" and met == Outcome.TLS  # who is not up yet is not distrusted
            (distrusted.add if bad else distrusted.discard)(way)
        held = (sum((one, node) not in distrusted for one in running) for node in running)
        if max(held, default=0) < threshold:
            since = since or event
        elif since is not None:
            yield since.time_s, event.time_s, since.index
            since = None
    if since is not None:
        yield since.time_s, history.end_s, since.index


@safety
def no_round_while_nobody_holds_a_threshold(history: History) -> Sequence[Violation]:
    """
    While no member is reached by a threshold of partial signatures, its own included, no new round.

    Safety. Source: threshold signatures (Boldyreva 2003), fewer shares than the threshold sign
    nothing. Accused is a round newer than all that were shown until 1.5 s after that began.
    """
    shown = rounds_of(history)
    violations: list[Violation] = []
    tried = False
    for start_s, end_s, cause in _without_a_threshold(history):
        from_s = start_s + _SETTLED_S
        newest = max((one.number for one in shown if one.time_s <= from_s), default=0)
        within = [one for one in shown if from_s < one.time_s < end_s]
        tried = tried or bool(within)
        violations += [
            Violation(
                f"{one.node} showed round {one.number} at {one.time_s:.3f} s, newer than {newest}, "
                f"while nobody held a threshold ({start_s:.3f} to {end_s:.3f} s)",
                (cause, *one.events),
            )
            for one in within
            if one.number > newest
        ][:1]
    if not tried:
        raise Inconclusive("nobody was asked while nobody held a threshold")
    return violations


@pytest.mark.nightly
@pytest.mark.parametrize("flaw", _FLAWS)
def test_below_the_threshold_no_flaw_is_overlooked(
    chaos_cluster: Callable[[System], Cluster], flaw: Flaw
) -> None:
    """
    Goal: two that run and do not trust each other are no threshold of two: no round is made.
    Runbook: two of three members restart with flawed certificates, the third is killed; six
        seconds; all are as before.
    Success: no round meanwhile; afterwards all that are due, none missing, level within 30 s.
    """
    group = chaos_cluster(_THREE)
    with (
        inject(WrongCertificate("n1", flaw), into=group) as one,
        inject(WrongCertificate("n2", flaw), into=group) as two,
        inject(Kill("n3"), into=group) as kill,
    ):
        for fault in (one, two, kill):
            fault.await_felt(timeout_s=15)
        group.hold(6)
    group.await_steady_state(timeout_s=30)
    group.check(no_round_while_nobody_holds_a_threshold, recovered_within(30))
