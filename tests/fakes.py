"""
What stands behind a node or a link when no engine does: a backend of plain children, and servers.

`FakeBackend` runs each node as a child of the test, in the test's own network. `running` starts a
real cluster of toys on a backend of chaoskit's own; `toxiproxy` a real server on loopback.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

from chaoskit import clock
from chaoskit.backend import Layout, LinkPlace, ProcessSpec
from chaoskit.cluster import Cluster
from chaoskit.engine import Completed
from chaoskit.errors import ChaosError
from chaoskit.loopback import free_prefix
from chaoskit.packets import Traffic
from chaoskit.session import Choices, Session, open_session
from chaoskit.setting import Setting
from chaoskit.system import System
from chaoskit.toxiproxy import ToxiproxyClient, Unreachable, server_binary

T = TypeVar("T")
REPOSITORY = Path(__file__).resolve().parent.parent
OWNER = (10001, 10001)


def layout(folder: Path, nodes: Sequence[str]) -> Layout:
    """Addresses of this process: nodes from .10, the harness's links from .20, links from .30."""
    prefix = _own_area(os.getpid())
    own = {node: f"{prefix}.{10 + i}" for i, node in enumerate(nodes)}
    pairs = [(one, other) for one in nodes for other in nodes if one != other]
    links = tuple(
        LinkPlace(source, target, f"{prefix}.{30 + i}", own[target])
        for i, (source, target) in enumerate(pairs)
    )
    return Layout(
        links=links,
        watch={node: f"{prefix}.{20 + i}" for i, node in enumerate(nodes)},
        watch_upstream=own,
        nodes=own,
        hosts={node: {name: name for name in nodes} for node in nodes},
        bind=own,
        proxies=(f"{prefix}.2", f"{prefix}.3"),
        data={node: str(folder / node / "data") for node in nodes},
        config={node: str(folder / node / "config") for node in nodes},
        proxy_loopback=f"{prefix}.1",
    )


class FakeBackend:
    """A `Backend` whose nodes are children of the test; `counts` is what its kernel counted."""

    name = "fake"
    owner = OWNER

    def __init__(
        self, folder: Path, nodes: Sequence[str], *, api: tuple[str, int] = ("127.0.0.1", 1)
    ) -> None:
        self.layout = layout(folder, nodes)
        self.api = api
        self.counts: dict[str, Traffic] | None = None
        self.bypassed: int | None = None
        self.specs: dict[str, ProcessSpec] = {}
        self.said: list[str] = []
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._ends: dict[str, int] = {}

    @property
    def counts_packets(self) -> bool:
        return self.counts is not None

    @property
    def mesh_api(self) -> tuple[str, int]:
        return self.api

    @property
    def watch_api(self) -> tuple[str, int]:
        return self.api

    def prepare(self) -> None:
        self.said.append("prepare")

    def start_proxies(self) -> None:
        self.said.append("start_proxies")

    def create(self, spec: ProcessSpec) -> None:
        self.said.append(f"create {spec.node}")
        self.specs[spec.node] = spec

    def output(self, node: str) -> Generator[bytes, None, None]:
        reading, self._ends[node] = os.pipe()

        def chunks() -> Generator[bytes, None, None]:
            with open(reading, "rb", buffering=0) as file:  # noqa: PTH123
                while chunk := file.read(4096):
                    yield chunk

        return chunks()

    def start(self, node: str) -> int:
        self.said.append(f"start {node}")
        end = self._ends.pop(node)
        child = subprocess.Popen(list(self.specs[node].argv), stdout=end, stderr=end)
        os.close(end)
        self._children[node] = child
        return child.pid

    def stop(self, node: str, *, timeout_s: float) -> None:
        self.said.append(f"stop {node}")
        child = self._children[node]
        child.terminate()
        child.send_signal(signal.SIGCONT)
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)

    def kill(self, node: str) -> None:
        self.said.append(f"kill {node}")
        self._children[node].kill()
        self._children[node].wait(10)

    def bury(self, node: str) -> None:
        self.said.append(f"bury {node}")

    def pause(self, node: str) -> None:
        self.said.append(f"pause {node}")
        self._children[node].send_signal(signal.SIGSTOP)

    def unpause(self, node: str) -> None:
        self.said.append(f"unpause {node}")
        self._children[node].send_signal(signal.SIGCONT)

    def is_paused(self, node: str) -> bool:
        return "\tT" in Path(f"/proc/{self.pid(node)}/status").read_text().split("State:")[1][:3]

    def exit_code(self, node: str) -> int | None:
        code = self._children[node].poll()
        return code if code is None or code >= 0 else 128 - code

    def image_id(self, node: str) -> str:
        return f"sha256:{self.specs[node].image}" if node in self._children else ""

    def inspect(self, node: str) -> Mapping[str, Any]:
        return {"argv": list(self.specs[node].argv)}

    def pid(self, node: str) -> int:
        child = self._children.get(node)
        if child is None or child.poll() is not None:
            raise ChaosError(f"{node} does not run")
        return child.pid

    def execute(self, node: str, argv: Sequence[str]) -> Completed:
        done = subprocess.run(list(argv), capture_output=True, check=False, timeout=10)
        return Completed(done.returncode, done.stdout, done.stderr)

    def inside(self, node: str, call: Callable[[], T], *, timeout_s: float) -> T:
        return call()

    def inside_proxy(self, call: Callable[[], T], *, timeout_s: float) -> T:
        return call()

    def traffic(self) -> Mapping[str, Traffic] | None:
        return None if self.counts is None else dict(self.counts)

    def went_round(self) -> int | None:
        return self.bypassed

    def close(self) -> None:
        for child in self._children.values():
            child.kill()
            child.wait(10)
        for end in self._ends.values():
            os.close(end)


_HELD: list[socket.socket] = []
_GIVEN: set[tuple[str, int]] = set()
_DRAWS = 50


def own_prefix(use: str) -> str:
    """
    127.x.y, of whose addresses no other process uses one as long as this one runs.

    Tests at fixed addresses cannot be run twice at a time, as `make test` does (unit and mutants).
    """
    prefix, held = free_prefix(f"{use} of process {os.getpid()}")
    _HELD.append(held)
    return prefix


@functools.cache
def _own_area(pid: int) -> str:
    return own_prefix(f"what the fakes of {pid} share")


def own_host() -> str:
    """An address of this process's own, for servers whose port the kernel has to choose first."""
    return f"{_own_area(os.getpid())}.9"


def free_port(host: str) -> int:
    """
    A port that nobody listens at, of a host of one's own: nobody else takes it before we do.

    No two calls answer the same, which the kernel would: nobody listens there yet.
    """
    with ExitStack() as taken:
        for _ in range(_DRAWS):
            listener = taken.enter_context(socket.create_server((host, 0)))
            port: int = listener.getsockname()[1]
            if (host, port) not in _GIVEN:
                _GIVEN.add((host, port))
                return port
    raise AssertionError(
        f"{len(_GIVEN)} ports were given away, and {_DRAWS} draws were all of them"
    )


@contextmanager
def toxiproxy() -> Iterator[tuple[str, int]]:
    """A real Toxiproxy server on loopback; where its API answers."""
    place = (own_host(), free_port(own_host()))
    quiet = subprocess.DEVNULL
    argv = [str(server_binary()), "-host", place[0], "-port", str(place[1])]
    with subprocess.Popen(argv, stdout=quiet, stderr=quiet) as process:

        def answers() -> bool:
            with ToxiproxyClient(*place, timeout_s=1.0) as client:
                try:
                    return bool(client.version())
                except Unreachable:
                    return False

        try:
            clock.wait_until(answers, what="toxiproxy-server", timeout_s=30.0)
            yield place
        finally:
            process.kill()


@contextmanager
def serving(address: str, port: int, behave: Callable[[socket.socket], None]) -> Iterator[None]:
    """Listen there for the length of the block; `behave` gets each connection, then it closes."""
    with serving_on(socket.create_server((address, port)), behave):
        yield


@contextmanager
def serving_on(listener: socket.socket, behave: Callable[[socket.socket], None]) -> Iterator[None]:
    """The same, on a socket that listens."""

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            behave(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    with listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@contextmanager
def opened(
    folder: Path, *, backend: str, say: Callable[[str], None] = lambda _: None, **more: Any
) -> Iterator[Session]:
    """
    A run whose state and run folder lie in `folder`; its backend is "docker" or "process".

    The process backend gets no engine: DOCKER_HOST names a socket that is not there.
    """
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        if backend == "process":
            patch.setenv("DOCKER_HOST", f"unix://{folder}/no-engine")
        values: dict[str, Any] = {
            "seed": "7f3a",
            "project": REPOSITORY,
            "runs": folder / "runs",
            "command": "the tests",
            "backend": backend,
        }
        choices = Choices(**values | more)
        yield stack.enter_context(open_session(choices, system="toys", say=say))


@contextmanager
def running(
    folder: Path, system: System, *, backend: str, **setting: Any
) -> Iterator[tuple[Session, Cluster]]:
    """A cluster of `system` in a run of its own."""
    with (
        opened(folder, backend=backend) as session,
        session.cluster(system, Setting(release="1", **setting)) as cluster,
    ):
        yield session, cluster
