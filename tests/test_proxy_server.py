"""A proxy in a network of its own: on a bridge of the test's, before it is started, and its end."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from chaoskit import proc, proxy_server
from chaoskit.clock import wait_until
from chaoskit.errors import ChaosError
from chaoskit.journal import Journal
from chaoskit.ownership import Kind
from chaoskit.packets import Leg
from chaoskit.proxy_server import API_PORT, Berth, ProxyServer
from chaoskit.toxiproxy import ProxySpec, ToxiproxyClient

OWNER = (10001, 10001)
NUMBER = os.getpid() % 250
BRIDGE, HOST, ADDRESS = f"ckt{os.getpid()}", f"10.94.{NUMBER}.1", f"10.94.{NUMBER}.5"
DEVICE = f"{BRIDGE}m"
LINK = f"10.94.{NUMBER}.129"
LONG_S = 30.0  # no machine takes that long for what is meant to be done in time


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def bridge() -> Iterator[str]:
    ip("link", "add", BRIDGE, "type", "bridge")
    ip("addr", "add", f"{HOST}/24", "dev", BRIDGE)
    ip("link", "set", BRIDGE, "up")
    yield BRIDGE
    ip("link", "del", BRIDGE)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(f"proxy-{os.getpid()}", folder=tmp_path)
    yield made
    assert made.finish() == ()


def await_end_of_device() -> None:
    """The kernel takes a network's devices away some time after its last process."""
    wait_until(lambda: DEVICE not in devices(), what="the device's end", timeout_s=30)


def devices() -> str:
    return ip("-o", "link", "show")


@pytest.fixture
def made(journal: Journal) -> Iterator[ProxyServer]:
    """A server that has not been started; stopped when the test has not done it."""
    leg = Leg("n1>n2", LINK, "192.0.2.1", HOST)
    berth = Berth(ADDRESS, 24, f"10.94.{NUMBER}.128/25", BRIDGE, DEVICE)
    server = ProxyServer("ck-mesh", berth, [leg], owner=OWNER)
    yield server
    server.stop(journal)
    await_end_of_device()


@pytest.mark.engine
def test_it_forwards_its_links_counts_them_and_is_gone_with_its_device(
    bridge: str, made: ProxyServer, journal: Journal, tmp_path: Path
) -> None:
    made.start(journal, log=tmp_path / "log")
    (entry,) = journal.outstanding()
    assert (entry.kind, entry.identity) == (Kind.PROCESS, "ck-mesh")
    process = made._process
    assert process is not None
    environment = Path(f"/proc/{process.pid}/environ").read_text()
    assert f"CHAOSKIT_RUN={journal.run}" in environment, "the reaper knows it by this"
    assert proc.command_line(process.pid)[0] == "toxiproxy-server", "what a person sees"
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    said = {line.split(":")[0]: line.split(":")[1].split() for line in status}
    assert said["Uid"] == said["Gid"] == ["10001"] * 4
    assert said["Groups"] == []
    sets = [said[name][0] for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")]
    assert set(sets) == {"0" * 16}
    assert said["NoNewPrivs"] == ["1"]
    assert said.get("Groups") == []
    ours, theirs = (Path(f"/proc/{one}/ns/net").stat().st_ino for one in ("self", process.pid))
    assert theirs != ours

    with (
        socket.create_server((HOST, 0)) as target,
        ToxiproxyClient(ADDRESS, API_PORT, timeout_s=LONG_S) as client,
    ):
        port = target.getsockname()[1]
        client.populate([ProxySpec("n1>n2", f"{LINK}:88", f"192.0.2.1:{port}")])  # a low port too
        with socket.create_connection((LINK, 88), LONG_S) as dead:
            assert dead.recv(1) == b"", "the target is in the gate of the dead at first"
        made.counters.revive([HOST])
        place = (LINK, 88)
        with socket.create_connection(place, LONG_S) as connection, target.accept()[0] as other:
            connection.sendall(b"x" * 100)
            assert other.recv(200) == b"x" * 100
        assert made.counters.read()["n1>n2"].opened == 2
    assert DEVICE in devices()

    made.stop(journal)
    assert not proc.alive(process.pid)
    assert journal.outstanding() == ()
    await_end_of_device()
    made.stop(journal)  # twice is fine


@pytest.mark.engine
def test_a_server_that_ends_at_once_is_told_with_its_last_words(
    bridge: str,
    made: ProxyServer,
    journal: Journal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = tmp_path / "toxiproxy-server"
    program.write_bytes(Path("/bin/false").resolve().read_bytes())
    program.chmod(0o755)
    monkeypatch.setattr(proxy_server, "server_binary", lambda: program)
    with pytest.raises(ChaosError, match="ck-mesh ended at once with 1"):
        made.start(journal, log=tmp_path / "log")


@pytest.mark.engine
def test_one_that_may_not_be_run_is_told(
    bridge: str,
    made: ProxyServer,
    journal: Journal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = tmp_path / "toxiproxy-server"
    program.touch(mode=0o600)
    monkeypatch.setattr(proxy_server, "server_binary", lambda: program)
    with pytest.raises(ChaosError, match=r"ended at once with 126: .*Permission denied"):
        made.start(journal, log=tmp_path / "log")


@pytest.mark.engine
def test_without_its_bridge_nothing_is_started(
    made: ProxyServer, journal: Journal, tmp_path: Path
) -> None:
    with pytest.raises(ChaosError, match="ip -batch failed"):
        made.start(journal, log=tmp_path / "log")
    assert made._process is None


def test_before_its_start_it_has_neither_network_nor_counters(made: ProxyServer) -> None:
    for ask in (lambda: made.counters, lambda: made.namespace):
        with pytest.raises(ChaosError, match="ck-mesh has not been started"):
            ask()


@pytest.mark.engine
def test_no_other_thread_of_ours_comes_into_its_network(
    bridge: str, made: ProxyServer, journal: Journal, tmp_path: Path
) -> None:
    """Before a fork gRPC ends its threads; it starts them again in the thread that forked."""
    with grpc.insecure_channel(f"{HOST}:1") as channel:
        channel.subscribe(lambda _: None, try_to_connect=True)
        made.start(journal, log=tmp_path / "log")
        inside = Path(f"/proc/self/task/{made.namespace.pid}/ns/net").stat().st_ino
        tasks = {path for path in Path("/proc/self/task").iterdir() if path.name.isdigit()}
        assert len(tasks) > 3, "gRPC has threads"
        networks = {path.name: (path / "ns/net").stat().st_ino for path in tasks if path.exists()}
        assert [one for one in networks if networks[one] == inside] == [str(made.namespace.pid)]
