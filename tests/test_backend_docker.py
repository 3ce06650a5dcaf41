"""Nodes as containers: apart from each other, gated when dead, counted, and gone afterwards."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaoskit import backend_docker, clock, proc
from chaoskit.backend import ProcessSpec
from chaoskit.backend_docker import DockerBackend
from chaoskit.cluster import Cluster
from chaoskit.engine import ContainerState, Engine
from chaoskit.errors import ChaosError, EngineFailed, UsageError, WaitTimedOut
from chaoskit.handshake import Outcome
from chaoskit.networks import MiscountedNetwork, Network
from chaoskit.ownership import Kind
from chaoskit.packets import Traffic
from chaoskit.removal import Thing
from chaoskit.session import Session
from chaoskit.setting import Setting
from suites.toys.system import CLIENT_PORT, PEER_PORT, toys
from tests.fakes import running

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]
WAIT_S = 20.0


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, Cluster]]:
    """Three toys on faulty storage; every test leaves them running and level."""
    with running(tmp_path_factory.mktemp("docker"), toys(), backend="docker", storage=True) as up:
        yield up


@pytest.fixture
def cluster(both: tuple[Session, Cluster]) -> Cluster:
    return both[1]


def docker_of(cluster: Cluster) -> DockerBackend:
    assert isinstance(cluster.backend, DockerBackend)
    return cluster.backend


def states(cluster: Cluster, node: str) -> list[tuple[str, bool, int | None]]:
    return [
        (one.value["state"], one.value["signalled"], one.value["exit_code"])
        for one in cluster.history().of("state")
        if one.process == node
    ]


def await_answer(cluster: Cluster, source: str, target: str) -> None:
    clock.wait_until(
        lambda: cluster.wire.ask(source, target, timeout_s=0.5).answered,
        what=f"an answer on {source}>{target}",
        timeout_s=WAIT_S,
    )


def require_refused(cluster: Cluster, source: str, target: str) -> None:
    """The proxy's dial is refused, which is at once: an address that is gone is unreachable."""
    met = cluster.wire.ask(source, target, timeout_s=5.0)
    assert met.kind in {Outcome.CLOSED, Outcome.RESET, Outcome.REFUSED}
    upstream = (cluster.link(source, target).upstream_host, PEER_PORT)
    with pytest.raises(ConnectionRefusedError):
        docker_of(cluster).inside_proxy(
            lambda: socket.create_connection(upstream, 20.0).close(), timeout_s=30.0
        )


# -- what a node is ----------------------------------------------------------------------------


def test_a_node_has_no_privilege(cluster: Cluster) -> None:
    found = docker_of(cluster).inspect("n1")
    host = found["HostConfig"]
    assert found["Config"]["User"] == "10001:10001"
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert any("no-new-privileges" in one for one in host["SecurityOpt"])
    config = next(one for one in found["Mounts"] if one["Destination"] == "/config")
    assert not config["RW"]


def test_its_process_is_the_programs_and_not_the_inits(cluster: Cluster) -> None:
    node = cluster.node("n1")
    assert node.command_line()[1:3] == ("-m", "nodes.toys")
    assert proc.alive(node.pid)
    done = cluster.execute("n1", "sh", "-c", "id -u; hostname; echo err >&2; exit 3")
    assert (done.exit_code, done.stdout, done.stderr) == (3, b"10001\nn1\n", b"err\n")


def test_its_data_lies_on_the_faulty_storage(cluster: Cluster) -> None:
    node = cluster.node("n1")
    before = node.storage.counters().total(node.owner).calls
    cluster.execute("n1", "touch", "/data/touched")
    assert (node.folders.data / "touched").exists()
    assert node.storage.counters().total(node.owner).calls > before


def test_its_log_is_written_while_it_runs(both: tuple[Session, Cluster]) -> None:
    session, cluster = both
    for name in cluster.nodes:
        log = session.folder.nodes / name / "log"
        clock.wait_until(
            lambda log=log: b"serves" in log.read_bytes(),  # type: ignore[misc]
            what=f"the log of {name}",
            timeout_s=WAIT_S,
        )
        assert cluster.node(name).state == "running"


def test_a_name_is_the_link_to_its_node_and_unknown_ones_fail_at_once(cluster: Cluster) -> None:
    hosts = cluster.execute("n1", "cat", "/etc/hosts").stdout.decode()
    assert f"{cluster.link('n1', 'n2').address}\tn2" in hosts
    # whom nobody answers there: no forwarder is waited for
    assert cluster.execute("n1", "cat", "/etc/resolv.conf").stdout == b"nameserver 127.0.0.1\n"
    asked = cluster.execute(
        "n1", "python3", "-c", "import socket; socket.getaddrinfo('nobody.example', 1)"
    )
    assert asked.exit_code == 1
    assert b"gaierror" in asked.stderr


# -- counting ----------------------------------------------------------------------------------


def test_a_dial_of_ours_is_counted_once_on_its_link_alone(cluster: Cluster) -> None:
    before = cluster.meters.read()
    assert cluster.wire.dial("n1", "n3", timeout_s=2.0).kind is Outcome.ACCEPTED
    after = cluster.meters.read()
    moved = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert moved == {"n1>n3": Traffic(opened=1)}


def test_nothing_goes_round_the_proxy_and_one_packet_that_tries_counts_one(
    cluster: Cluster,
) -> None:
    backend = docker_of(cluster)
    assert backend.went_round() == 0

    def packet() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as open_socket:
            open_socket.sendto(b"x", (backend.layout.nodes["n2"], PEER_PORT))

    backend.inside("n1", packet, timeout_s=5.0)
    clock.wait_until(lambda: backend.went_round() > 0, what="the count", timeout_s=30)
    assert backend.went_round() == 1
    cluster.record_bypass()
    assert cluster.history().of("bypass")[-1].value == {"packets": 1}


# -- dying and coming back ----------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, 137), (signal.SIGTERM, 0)])
def test_an_exit_that_nobody_asked_for_closes_its_links_at_once(
    cluster: Cluster, number: signal.Signals, code: int
) -> None:
    backend, node = docker_of(cluster), cluster.node("n3")
    address = backend.layout.nodes["n3"]
    assert address not in backend._mesh.counters.dead()
    os.kill(node.pid, number)
    clock.wait_until(lambda: node.state == "exited", what="the exit of n3", timeout_s=WAIT_S)
    assert states(cluster, "n3")[-1] == ("exited", False, code)
    assert backend._mesh.counters.dead() == backend._watch.counters.dead() == {address}
    require_refused(cluster, "n1", "n3")
    with pytest.raises(ChaosError, match="n3 does not run"):
        backend.inside("n3", lambda: None, timeout_s=1.0)
    node.start()
    assert backend._mesh.counters.dead() == backend._watch.counters.dead() == frozenset()
    await_answer(cluster, "n1", "n3")
    cluster.await_steady_state(timeout_s=WAIT_S)


def test_a_kill_is_ours_and_a_restart_gives_its_links_back(cluster: Cluster) -> None:
    node = cluster.node("n2")
    with node.down():
        require_refused(cluster, "n1", "n2")
    assert states(cluster, "n2")[-2:] == [("stopped", True, 137), ("running", True, None)]
    await_answer(cluster, "n1", "n2")
    node.restart()
    assert [one[0] for one in states(cluster, "n2")[-2:]] == ["stopped", "running"]
    await_answer(cluster, "n1", "n2")
    cluster.await_steady_state(timeout_s=WAIT_S)


class NoKill:
    """An engine that is not asked to kill, and says all the rest."""

    def __init__(self, engine: Engine) -> None:
        self.real = engine
        self.killed: list[str] = []

    def kill(self, container: str) -> None:
        self.killed.append(container)
        self.real.kill(container)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def test_a_kill_is_our_own_signal_and_over_before_the_engine_says_so(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, node = docker_of(cluster), cluster.node("n2")
    engine = NoKill(backend._engine)
    monkeypatch.setattr(backend, "_engine", engine)
    own, init = node.pid, backend._pids["n2"]
    with node.down():
        assert not proc.alive(own)
        assert not proc.alive(init)
        assert backend._mesh.counters.dead() == {backend.layout.nodes["n2"]}
    assert engine.killed == []
    assert states(cluster, "n2")[-2:] == [("stopped", True, 137), ("running", True, None)]
    await_answer(cluster, "n1", "n2")
    cluster.await_steady_state(timeout_s=WAIT_S)


@pytest.mark.parametrize("why", ["paused", "another's"])
def test_what_a_signal_of_ours_cannot_end_or_must_not_hit_the_engine_kills(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    backend, node = docker_of(cluster), cluster.node("n2")
    engine = NoKill(backend._engine)
    monkeypatch.setattr(backend, "_engine", engine)
    if why == "paused":
        node.pause()
    else:  # as the pid of an engine on another machine would be
        backend._pids["n2"] = os.getpid()  # until its next start
    real = backend._engine.state(backend._containers["n2"]).pid
    monkeypatch.setattr(backend_docker, "_EXIT_TIMEOUT_S", 2.0)
    with node.down():
        assert engine.killed == [backend._containers["n2"]]
        clock.wait_until(lambda: not proc.alive(real), what="its end", timeout_s=WAIT_S)
    assert states(cluster, "n2")[-2:] == [("stopped", True, 137), ("running", True, None)]
    await_answer(cluster, "n1", "n2")
    cluster.await_steady_state(timeout_s=WAIT_S)


def test_a_pause_is_the_kernels_and_healed_when_the_body_raises(cluster: Cluster) -> None:
    node = cluster.node("n1")

    def body() -> None:
        with node.paused():
            assert node.frozen()
            assert proc.frozen(node.pid)
            raise OSError("the body")

    with pytest.raises(OSError, match="the body"):
        body()
    assert not node.frozen()
    docker_of(cluster).unpause("n1")  # one that is not paused is fine
    assert [one[0] for one in states(cluster, "n1")[-2:]] == ["paused", "running"]


def test_an_upgrade_keeps_the_data(cluster: Cluster) -> None:
    node = cluster.node("n1")
    with cluster.loaded(20):
        cluster.await_progress(by=5, timeout_s=WAIT_S)
    journal = (node.folders.data / "journal").read_bytes()
    before = node.image_id
    release = cluster.system.release("2")
    node.upgrade(release, image=cluster.image(release))
    cluster.await_steady_state(timeout_s=WAIT_S)
    assert node.image_id != before
    assert node.image_id == cluster.image_id("chaoskit/toys:2")
    assert (node.folders.data / "journal").read_bytes().startswith(journal)
    seen = cluster.latest()["n1"]
    assert seen is not None
    assert seen.version == "2"
    node.upgrade(cluster.system.release("1"), image=cluster.image(cluster.system.release("1")))
    assert node.image_id == before
    cluster.await_steady_state(timeout_s=WAIT_S)


def test_a_configuration_is_taken_back_byte_for_byte(cluster: Cluster) -> None:
    node = cluster.node("n2")
    before, digest = cluster.fingerprint(), node.config_digest()
    edited = replace(node.configuration, edits={"extra.toml": b"x = 1\n"})
    with node.reconfigured(edited):
        assert cluster.execute("n2", "cat", "/config/extra.toml").stdout == b"x = 1\n"
    assert node.config_digest() == digest
    cluster.await_steady_state(timeout_s=WAIT_S)
    changed = {name for name, said in cluster.fingerprint().items() if before[name] != said}
    assert changed == {"n2 process"}, "it has another pid and is the same otherwise"


# -- several, failed, and gone -------------------------------------------------------------------


def test_two_clusters_share_nothing_and_do_not_reach_each_other(
    both: tuple[Session, Cluster],
) -> None:
    session, one = both
    first = docker_of(one)
    with session.cluster(toys(), Setting(release="1")) as other:
        second = docker_of(other)
        assert first._bridge != second._bridge
        subnets = [ipaddress.ip_network(each._plan.subnet) for each in (first, second)]
        assert not subnets[0].overlaps(subnets[1])
        theirs = second.layout
        places = [
            (theirs.nodes["n1"], CLIENT_PORT),
            (theirs.links[0].address, PEER_PORT),
            (theirs.watch["n1"], CLIENT_PORT),
            second.mesh_api,
        ]
        for place in places:
            # they are there: what is in their own world reaches them
            socket.create_connection(place, 2.0).close()

            def dial(place: tuple[str, int] = place) -> None:
                socket.create_connection(place, 0.3).close()

            with pytest.raises(OSError, match=r"unreachable|timed out"):
                first.inside("n1", dial, timeout_s=5.0)
        rules = subprocess.run(["iptables-save"], capture_output=True, check=True).stdout
        assert second._bridge.encode() in rules
    assert all(one.latest().values()), "the first was not disturbed"
    rules = subprocess.run(["iptables-save"], capture_output=True, check=True).stdout
    assert second._bridge.encode() not in rules
    assert first._bridge.encode() in rules


def test_a_start_that_fails_leaves_nothing(both: tuple[Session, Cluster]) -> None:
    session, _ = both
    system = toys()
    broken = replace(
        system, command=lambda _: ["python3", "-c", "raise SystemExit(5)"], start_timeout_s=1.0
    )
    cluster = session.cluster(broken, Setting(release="1", storage=True))
    scratch = cluster._workshop.scratch
    with pytest.raises(WaitTimedOut, match="the steady state of toys"):
        cluster.__enter__()
    codes = [one.value["exit_code"] for one in cluster.history().of("state")]
    assert codes.count(5) == 3, "all exited by themselves, and were seen to"
    assert not scratch.exists()
    assert str(scratch) not in Path("/proc/self/mountinfo").read_text()
    labelled = session.engine.list_labelled(f"chaoskit.run={session.folder.name}")
    assert labelled, "the other cluster's"
    prefix = docker_of(cluster)._prefix
    assert [one.name for one in labelled if one.name.startswith(prefix)] == []


def test_a_range_without_room_is_said_at_once(both: tuple[Session, Cluster]) -> None:
    session, cluster = both
    taken = docker_of(cluster)._plan.subnet
    for subnets, error, words in (
        (taken, ChaosError, "no free subnet is left"),
        ("10.0.0.0/24", UsageError, "no range of /22"),
    ):
        with pytest.raises(error, match=words):
            DockerBackend(
                session.engine,
                docker_of(cluster)._journal,
                cluster="c9",
                nodes=("n1",),
                scratch=Path("/nowhere"),
                subnets=subnets,
            )


class Miscounting:
    """An engine that never lets go of a network, whose last endpoint it has counted twice."""

    def start(self, container: str) -> None:
        raise AssertionError(container)

    def remove_network(self, network: str) -> None:
        raise MiscountedNetwork(f"removing network {network}: it has active endpoints")


def test_a_network_that_the_engine_miscounted_is_left_to_a_later_sweep(
    both: tuple[Session, Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, cluster = both
    monkeypatch.setattr(backend_docker, "_EXIT_TIMEOUT_S", 0.3)
    backend = DockerBackend(
        session.engine,
        docker_of(cluster)._journal,
        cluster="c8",
        nodes=("n1",),
        scratch=Path("/nowhere"),
        subnets="10.231.0.0/16",
    )
    network = Thing(Kind.NETWORK, backend._prefix)
    backend._make_network()
    made = backend._network
    assert made is not None
    monkeypatch.setattr(backend, "_network", Network(Miscounting(), made.id, name="c8"))
    backend.close()
    assert network in outstanding(backend)
    monkeypatch.setattr(backend, "_network", made)
    backend.close()
    assert network not in outstanding(backend)


def outstanding(backend: DockerBackend) -> set[Thing]:
    """What a backend's journal has, and was not removed."""
    return {Thing(one.kind, one.identity) for one in backend._journal.outstanding()}


class Busy:
    """An engine on a machine too busy to freeze a container but for the last time it is asked."""

    def __init__(self, *, asks: int, running: bool = True) -> None:
        self.asks, self.running = asks, running

    def pause(self, _: str) -> None:
        self.asks -= 1
        if self.asks:
            raise EngineFailed("the engine answered 500: unable to freeze")

    def state(self, _: str) -> ContainerState:
        return ContainerState("", self.running, paused=False, pid=0, exit_code=0, image="")


def test_a_node_that_could_not_be_frozen_at_once_is_asked_for_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = docker_of(cluster)
    monkeypatch.setattr(backend_docker, "_FREEZE_AGAIN_S", 0.0)
    busy = Busy(asks=3)
    monkeypatch.setattr(backend, "_engine", busy)
    backend.pause("n1")
    assert busy.asks == 0
    never = Busy(asks=-1)
    monkeypatch.setattr(backend, "_engine", never)
    with pytest.raises(EngineFailed, match="unable to freeze"):
        backend.pause("n1")
    assert never.asks == -1 - backend_docker._FREEZE_TRIES
    gone = Busy(asks=-1, running=False)
    monkeypatch.setattr(backend, "_engine", gone)
    with pytest.raises(EngineFailed):
        backend.pause("n1")
    assert gone.asks == -2, "one that does not run is not asked for again"


def test_what_was_never_created_cannot_be_asked(both: tuple[Session, Cluster]) -> None:
    session, cluster = both
    backend = DockerBackend(
        session.engine,
        docker_of(cluster)._journal,
        cluster="c9",
        nodes=("n1",),
        scratch=Path("/nowhere"),
        subnets="10.231.0.0/16",
    )
    with pytest.raises(ChaosError, match="n1 does not run"):
        backend.pid("n1")
    assert not backend.is_paused("n1")
    assert backend.image_id("n1") == ""
    spec = ProcessSpec("n1", ["true"], "chaoskit/toys:none", Path("/nowhere"), Path("/nowhere"))
    with pytest.raises(EngineFailed):
        backend.create(spec)
