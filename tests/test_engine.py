"""The engine: what is asked for is so, what is gone is fine to remove, failures are ours."""

from __future__ import annotations

import gc
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chaoskit.addressing import free_subnets
from chaoskit.clock import wait_until
from chaoskit.engine import ContainerSpec, Engine, Mount, NoSuchObject
from chaoskit.errors import EngineFailed

IMAGE = "chaoskit/base:local"
LABEL = "chaoskit-test-engine"
NAME = f"ck-test-engine-{os.getpid()}"
_RANGE = "10.235.0.0/16"
# The SDK forgets the socket of a connection that fails while its client is made.
_LEAKS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


@pytest.fixture(scope="module")
def network(engine: Engine) -> Iterator[tuple[str, str]]:
    """A network of ours, and an address in it."""
    subnet = free_subnets(engine.subnets(), within=_RANGE)[0]
    bridge = f"ckt{os.getpid() % 100000}"
    made = engine.create_network(NAME, subnet=subnet, bridge=bridge, labels={LABEL: NAME})
    assert subnet in engine.subnets()
    yield NAME, subnet.replace(".0/22", ".10")
    engine.remove_network(made)


@pytest.fixture
def container(engine: Engine, network: tuple[str, str], tmp_path: Path) -> Iterator[str]:
    """A created container that says a word, writes where it may, and waits."""
    (tmp_path / "read").mkdir()
    (tmp_path / "write").mkdir(mode=0o777)
    (tmp_path / "write").chmod(0o777)
    script = "echo began; echo x > /write/file; touch /read/file 2>/dev/null || echo refused; "
    script += "touch /file 2>/dev/null || echo read-only; exec sleep 600"
    identifier = engine.create_container(
        ContainerSpec(
            name=NAME,
            image=IMAGE,
            command=["sh", "-c", script],
            network=network[0],
            address=network[1],
            labels={LABEL: NAME},
            hosts={"peer": "10.1.2.3"},
            environment={"WORD": "value"},
            mounts=[
                Mount(tmp_path / "read", "/read", read_only=True),
                Mount(tmp_path / "write", "/write"),
            ],
            user="65534:65534",
            hostname="node",
        )
    )
    yield identifier
    engine.remove_container(identifier)


@pytest.mark.engine
def test_a_container_runs_confined_and_as_it_was_asked_for(
    engine: Engine, container: str, network: tuple[str, str], tmp_path: Path
) -> None:
    assert engine.state(container).status == "created"
    said: list[bytes] = []
    output = engine.attach(container)
    reading = threading.Thread(target=lambda: said.extend(output))
    reading.start()
    engine.start(container)
    wait_until(lambda: b"read-only" in b"".join(said), what="its words", timeout_s=30)
    assert b"".join(said).split() == [b"began", b"refused", b"read-only"]
    assert (tmp_path / "write/file").read_text() == "x\n"
    state = engine.state(container)
    assert (state.running, state.paused, state.status) == (True, False, "running")
    assert Path(f"/proc/{state.pid}").exists()
    document = engine.inspect(container)
    host = document["HostConfig"]
    assert (host["CapDrop"], host["ReadonlyRootfs"], host["Init"]) == (["ALL"], True, True)
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert document["NetworkSettings"]["Networks"][network[0]]["IPAddress"] == network[1]
    # `getent hosts` asks for IPv6 first, of a server of names that is not there
    asked = ["sh", "-c", "id -u; hostname; echo $WORD; getent ahostsv4 peer | head -n1; exit 7"]
    done = engine.execute(container, asked)
    assert done.exit_code == 7
    assert done.stdout.split() == [b"65534", b"node", b"value", b"10.1.2.3", b"STREAM", b"peer"]
    engine.pause(container)
    assert engine.state(container).paused
    engine.unpause(container)
    assert not engine.state(container).paused
    engine.kill(container)
    wait_until(lambda: not engine.state(container).running, what="its end", timeout_s=30)
    assert engine.state(container).exit_code == 137
    reading.join(10)
    assert not reading.is_alive()


@pytest.mark.engine
def test_what_is_ours_is_found_by_its_label_alone(engine: Engine, container: str) -> None:
    found = {(one.kind, one.name) for one in engine.list_labelled(f"{LABEL}={NAME}")}
    assert found == {("container", NAME), ("network", NAME)}
    assert {one.id for one in engine.list_labelled(LABEL) if one.kind == "container"} == {container}
    assert engine.list_labelled(f"{LABEL}=another") == ()


@pytest.mark.engine
def test_what_is_gone_is_fine_to_remove_and_an_error_to_ask(engine: Engine) -> None:
    for remove in (engine.remove_container, engine.remove_network, engine.remove_volume):
        remove("no-such-thing")
    assert engine.image("no/such:image") is None
    for call in (engine.start, engine.kill, engine.pause, engine.state, engine.inspect):
        with pytest.raises(NoSuchObject, match="no-such-thing"):
            call("no-such-thing")


@pytest.mark.engine
def test_a_refusal_is_ours_with_what_was_tried(engine: Engine, network: tuple[str, str]) -> None:
    taken = next(one for one in engine.subnets() if one.split(".")[:2] == _RANGE.split(".")[:2])
    with pytest.raises(EngineFailed, match=f"creating network {NAME}-2: the engine answered"):
        engine.create_network(f"{NAME}-2", subnet=taken, bridge="ckt2", labels={})
    assert network[0] == NAME


@_LEAKS
def test_no_engine_is_an_error_with_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    with pytest.raises(EngineFailed, match="is the engine running\\? `chaoskit doctor`"):
        Engine()
    gc.collect()


@_LEAKS
def test_an_engine_that_hangs_up_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "engine"))
        listening.listen()

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    listening.accept()[0].close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine")
        with pytest.raises(EngineFailed, match="connecting to the container engine"):
            Engine()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    gc.collect()
