"""
For each fault the same test with the workload off: effective, never felt, INVALID; one that is
shown by what a node itself says on the wire is not seen to be effective either.

On toys, which say nothing to each other unless a client asks: nothing of theirs can meet a fault;
beacons say nothing before their genesis.
"""

from __future__ import annotations

import importlib
import socket
from dataclasses import replace

import pytest

from chaoskit import clock
from chaoskit.backend_docker import DockerBackend
from chaoskit.cluster import Cluster
from chaoskit.errors import InvariantViolated, NotApplicable
from chaoskit.experiment import Experiment, summary
from chaoskit.fault import NotEffective, inject
from chaoskit.targets import resolved
from chaoskit.verdict import Verdict
from faults.partition import Bridge, Isolate
from faults.slow_link import SlowLink
from suites.toys.system import PEER_PORT
from tests.toy_clusters import (
    CASES,
    DEALT,
    FOREIGN,
    LOAD_PER_S,
    PLAIN,
    SILENT,
    STEADY_TIMEOUT_S,
    TERMINATED,
    UNBORN,
    Bench,
    Case,
    bench,
)

__all__ = ["bench"]
pytestmark = pytest.mark.engine

QUIET_S = 0.7
QUIET_TIMEOUT_S = 60.0
INSTEAD = {FOREIGN: PLAIN, TERMINATED: SILENT, DEALT: UNBORN}
BY_ITS_OWN_WORDS = ("StaleIdentity",)
IN_VAIN_S = 4.0
FAULTS = [replace(case, kind=INSTEAD.get(case.kind, case.kind)) for case in CASES if case.heals]


def await_quiet(cluster: Cluster) -> None:
    """
    The test before may have left an operation that its node still tries to bring about.

    A node that gets no core is silent, too, with something unread: each has to answer in the quiet,
    and to have nothing under way. What nodes wait for on a link takes them 0.5 s at most; one that
    is behind may stay so until the next operation.
    """
    seen = [cluster.meters.read()]
    since_s = [clock.monotonic()]

    def quiet() -> bool:
        looked_s, now = clock.monotonic(), cluster.meters.read()
        if now != seen[-1]:
            seen.append(now)
            since_s.append(clock.monotonic())
        answered = cluster.observers.all_asked_since(since_s[-1])
        latest = cluster.latest().values()
        idle = all(one is not None and not one.detail.get("waiting") for one in latest)
        return looked_s - since_s[-1] >= QUIET_S and answered and idle

    clock.wait_until(quiet, what="nodes to say nothing", timeout_s=QUIET_TIMEOUT_S, poll_s=0.1)


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.name)
def test_without_a_workload_no_fault_is_felt(
    bench: Bench, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = bench.cluster(case.kind)
    fault, _ = resolved(case.thing, cluster)
    await_quiet(cluster)
    experiment = Experiment(cluster, f"{case.name} without a workload", "pytest")
    experiment.begin()
    cluster.experiment = experiment
    if case.name in BY_ITS_OWN_WORDS:
        module = importlib.import_module(type(case.thing).__module__)
        monkeypatch.setattr(module, "_WITHIN_S", IN_VAIN_S)
        with pytest.raises(NotEffective), inject(fault, into=cluster):
            pytest.fail("nobody said anything")
        lacks = "was not seen to be effective"
    else:
        with inject(fault, into=cluster) as injected:
            cluster.hold(QUIET_S)
            assert not injected.felt()
        lacks = "was effective but never felt"
    with pytest.raises(InvariantViolated):
        cluster.check()
    verdict = experiment.end(None)
    assert verdict.verdict is Verdict.INVALID, summary(verdict)
    assert lacks in summary(verdict)


def test_two_faults_on_one_link_each_have_their_evidence(bench: Bench) -> None:
    cluster = bench.cluster(PLAIN)
    one, other = list(cluster.nodes)[:2]
    experiment = Experiment(cluster, "an isolation within a slow link", "pytest")
    experiment.begin()
    cluster.experiment = experiment
    with cluster.loaded(LOAD_PER_S):
        with inject(SlowLink(one, other, delay_s=0.1), into=cluster) as slow:
            slow.await_felt(timeout_s=60)
            with inject(Isolate(one), into=cluster) as cut:
                cut.await_felt(timeout_s=60)
            with (
                pytest.raises(NotApplicable, match="could not be told"),
                inject(Bridge(one, other), into=cluster),
            ):
                pytest.fail("what two faults do to one link was told apart")
        cluster.await_steady_state(timeout_s=STEADY_TIMEOUT_S)
        with pytest.raises(InvariantViolated):  # by the one that was not applicable
            cluster.check()
    verdict = experiment.end(None)
    missing = [one.verdict for one in verdict.reasons if one.by == "faults_were_felt"]
    assert missing == [Verdict.UNKNOWN], verdict.reasons
    absent = cluster.history().since(verdict.scope[0]).of("absent")
    numbers = [one.value["id"] for one in absent]
    assert numbers == sorted(numbers, key=lambda number: number == numbers[-1])
    assert {one.type for one in absent} == {"ok"}


def test_one_packet_round_the_proxy_is_infra(bench: Bench) -> None:
    cluster = bench.cluster(PLAIN)
    backend = cluster.backend
    assert isinstance(backend, DockerBackend)
    experiment = Experiment(cluster, "a packet goes round", "pytest")
    experiment.begin()
    cluster.experiment = experiment
    one, other = list(cluster.nodes)[:2]

    def packet() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as past:
            past.sendto(b"x", (backend.layout.nodes[other], PEER_PORT))

    with cluster.loaded(LOAD_PER_S):
        cluster.await_progress(by=5, timeout_s=60)
        assert backend.went_round() == 0
        backend.inside(one, packet, timeout_s=5.0)
        clock.wait_until(lambda: backend.went_round() > 0, what="the count", timeout_s=30)
        with pytest.raises(InvariantViolated):
            cluster.check()
    verdict = experiment.end(None)
    cluster.poison("a packet went round its proxy")
    assert verdict.verdict is Verdict.INFRA, summary(verdict)
    assert summary(verdict) == "bypass: 1 packets tried to go round the proxy"
