"""
The process backend: each node a plain process on loopback, with no engine and no root.

Owns: the two Toxiproxy servers of a cluster and the nodes' processes, at the addresses that
`loopback` lays out. Each directed link has an address of its own with the target's port, so nodes
must take a dial map (`Placement.hosts`). Refuses: signals to anything it did not start; every
process is journalled before it is spawned and carries the run's mark in its environment.

What it lacks: nothing here counts packets, so a fault is felt by what nodes say of their peers
(`System.failures`); there are no images, so what stands for a release is a program of the host's
(`Release.program`, or one that is given); and nodes run as the user who runs chaoskit, who is not
told apart from them on faulty storage.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from chaoskit import proc
from chaoskit.backend import ProcessSpec
from chaoskit.clock import wait_until
from chaoskit.engine import Completed
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.journal import Journal
from chaoskit.loopback import API_PORT, free_prefix, process_layout
from chaoskit.ownership import Kind
from chaoskit.packets import Traffic
from chaoskit.programs import executable_of, program_digest
from chaoskit.toxiproxy import server_binary

T = TypeVar("T")

_EXIT_TIMEOUT_S = 10.0
_BEGIN_TIMEOUT_S = 10.0
_READY_TIMEOUT_S = 10.0
_EXECUTE_TIMEOUT_S = 60.0
_TAIL_POLL_S = 0.05
_CHUNK_BYTES = 65536


@dataclass(slots=True)
class _Life:
    """One start of a node: where its output goes, and its process once there is one."""

    output: Path
    process: subprocess.Popen[bytes] | None = None


class ProcessBackend:
    """One cluster's processes; see `backend.Backend` for what the methods promise."""

    name = "process"
    counts_packets = False

    def __init__(
        self,
        journal: Journal,
        *,
        cluster: str,
        nodes: Sequence[str],
        scratch: Path,
        project: Path,
    ) -> None:
        """Claim a free prefix and lay out `nodes` in it; `project` is the folder they run in."""
        self._journal = journal
        self._name = journal.name(cluster)
        self._scratch = scratch
        self._project = project
        self._nodes = tuple(nodes)
        self._specs: dict[str, ProcessSpec] = {}
        self._programs: dict[str, dict[str, Sequence[str]]] = {}
        self._images: dict[str, str] = {}
        self._lives: dict[str, _Life] = {}
        self._started = 0
        self._proxies: dict[str, subprocess.Popen[bytes]] = {}
        self.owner = (os.getuid(), os.getgid())
        self._prefix, self._held = free_prefix(self._name)
        self.layout = process_layout(self._prefix, self._nodes, scratch)

    @property
    def mesh_api(self) -> tuple[str, int]:
        """Where the proxy between the nodes is controlled."""
        return f"{self._prefix}.2", API_PORT

    @property
    def watch_api(self) -> tuple[str, int]:
        """Where the harness's own proxy is controlled."""
        return f"{self._prefix}.3", API_PORT

    # -- making --------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Nothing is to be made: every address is loopback's."""

    def start_proxies(self) -> None:
        """Start both proxies; a node that is down refuses dials by itself, as loopback does."""
        binary = str(server_binary())
        places = {"mesh": self.mesh_api, "watch": self.watch_api}
        for name, (host, port) in places.items():
            argv = [binary, "-host", host, "-port", str(port)]
            log = self._scratch / f"{name}.log"
            self._proxies[name] = self._spawn(name, argv, log, cwd=self._scratch, environment={})
        for name, place in places.items():
            wait_until(
                lambda name=name, place=place: self._answers(name, place),  # type: ignore[misc]
                what=f"Toxiproxy at {place[0]}:{place[1]}",
                timeout_s=_READY_TIMEOUT_S,
                poll_s=0.005,
            )

    def _answers(self, name: str, place: tuple[str, int]) -> bool:
        code = self._proxies[name].poll()
        if code is not None:
            said = (self._scratch / f"{name}.log").read_text(errors="replace").splitlines()[-3:]
            raise ChaosError(f"toxiproxy-server ended at once with {code}: {' / '.join(said)}")
        with suppress(OSError), socket.create_connection(place, _READY_TIMEOUT_S):
            return True
        return False

    def create(self, spec: ProcessSpec) -> None:
        """Note what to start, `image` in the place of its first word. Raises NotApplicable."""
        if spec.beside is not None:
            raise NotApplicable("nothing stands beside a node without containers")
        program = shlex.split(spec.image) or spec.argv[:1]
        self._specs[spec.node] = replace(spec, argv=(*program, *spec.argv[1:]))
        self._programs[spec.node] = {spec.argv[0]: program}

    def output(self, node: str) -> Generator[bytes, None, None]:
        """The output of the next start of a created node, until it exits."""
        self._started += 1
        life = _Life(self._scratch / node / f"output-{self._started}")
        self._lives[node] = life
        return _follow(life)

    # -- running -------------------------------------------------------------------------------

    def start(self, node: str) -> int:
        """Start it; answers its pid."""
        spec, life = self._specs[node], self._lives[node]
        life.process = self._spawn(
            node,
            spec.argv,
            life.output,
            cwd=self._project,
            environment=spec.environment_at(str(spec.clock)),
        )
        self._images[node] = program_digest(spec.argv, project=self._project)
        return life.process.pid

    def _spawn(
        self,
        name: str,
        argv: Sequence[str],
        output: Path,
        *,
        cwd: Path,
        environment: Mapping[str, str],
    ) -> subprocess.Popen[bytes]:
        """A process of its own session: neither Ctrl-C nor our end reaches it unasked."""
        identity = f"{self._name}-{name}"
        executable = executable_of(argv)
        self._journal.will_create(Kind.PROCESS, identity)
        with output.open("ab") as file:
            try:
                process = subprocess.Popen(
                    argv,
                    executable=executable,
                    cwd=cwd,
                    env=self._environment() | dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise ChaosError(f"cannot start {executable}: {error.strerror}") from error
        with suppress(ChaosError):  # it has ended already; whoever watches it asks for the code
            self._journal.made(identity, process.pid)
        # It was told to be its program a moment before the kernel can say with which arguments.
        wait_until(
            lambda: proc.command_line(process.pid) or process.poll() is not None,
            what=f"{executable} to begin",
            timeout_s=_BEGIN_TIMEOUT_S,
            poll_s=0.001,
        )
        return process

    def _environment(self) -> dict[str, str]:
        # ours comes first, so that `python3` finds its own installation
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        return {"PATH": path, "LANG": "C.UTF-8", **self._journal.environment()}

    def _running(self, node: str) -> subprocess.Popen[bytes]:
        life = self._lives.get(node)
        if life is None or life.process is None or life.process.poll() is not None:
            raise ChaosError(f"{node} does not run")
        return life.process

    def stop(self, node: str, *, timeout_s: float) -> None:
        """SIGTERM, which thaws it too; SIGKILL after `timeout_s`."""
        process = self._running(node)
        process.send_signal(signal.SIGTERM)
        _signal_all(process, signal.SIGCONT)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill(node)
        self.bury(node)

    def kill(self, node: str) -> None:
        """SIGKILL, to the children it may have as well."""
        _end(self._running(node))
        self.bury(node)

    def bury(self, node: str) -> None:
        """Note in the journal that it has exited."""
        self._journal.removed(Kind.PROCESS, f"{self._name}-{node}")

    def pause(self, node: str) -> None:
        """SIGSTOP; returns when the kernel says that it stands still."""
        process = self._running(node)
        _signal_all(process, signal.SIGSTOP)
        wait_until(
            lambda: proc.stopped(process.pid) or process.poll() is not None,
            what=f"{node} to stand still",
            timeout_s=_EXIT_TIMEOUT_S,
            poll_s=0.002,
        )

    def unpause(self, node: str) -> None:
        """SIGCONT; one that is not paused is fine."""
        _signal_all(self._running(node), signal.SIGCONT)

    def is_paused(self, node: str) -> bool:
        """Whether the kernel says that a signal has stopped it."""
        life = self._lives.get(node)
        return bool(life and life.process and proc.stopped(life.process.pid))

    def exit_code(self, node: str) -> int | None:
        """The code of its last exit (128 + signal for a signal); None while it runs."""
        life = self._lives.get(node)
        code = life.process.poll() if life and life.process else None
        return 128 - code if code is not None and code < 0 else code

    def image_id(self, node: str) -> str:
        """The digest of the program it was started from, at that time."""
        return self._images.get(node, "")

    def inspect(self, node: str) -> Mapping[str, Any]:
        """Its pid, its arguments by the kernel's word, and the digest of its program."""
        pid = self.pid(node)
        return {"pid": pid, "argv": list(proc.command_line(pid)), "image": self.image_id(node)}

    def pid(self, node: str) -> int:
        """Its pid. Raises ChaosError when it is down."""
        return self._running(node).pid

    def execute(self, node: str, argv: Sequence[str]) -> Completed:
        """Run a command in the node's folder and environment; its own one by its program."""
        self._running(node)
        spec = self._specs[node]
        argv = (*self._programs[node].get(argv[0], argv[:1]), *argv[1:])
        try:
            done = subprocess.run(
                argv,
                executable=executable_of(argv),
                cwd=self._project,
                env=self._environment() | dict(spec.environment_at(str(spec.clock))),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_EXECUTE_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise ChaosError(f"{argv[0]} beside {node}: no end in {error.timeout:g} s") from error
        code = 128 - done.returncode if done.returncode < 0 else done.returncode
        return Completed(code, done.stdout, done.stderr)

    def inside(self, node: str, call: Callable[[], T], *, timeout_s: float) -> T:  # noqa: ARG002
        """Run `call` here: all nodes share our network. Raises ChaosError when it is down."""
        self._running(node)
        return call()

    def inside_proxy(self, call: Callable[[], T], *, timeout_s: float) -> T:  # noqa: ARG002
        """Run `call` here."""
        return call()

    # -- counting ------------------------------------------------------------------------------

    def traffic(self) -> Mapping[str, Traffic] | None:
        """None: nothing counts packets here."""
        return None

    def went_round(self) -> int | None:
        """None: nothing sees who dials a node's own address."""
        return None

    # -- ending --------------------------------------------------------------------------------

    def close(self) -> None:
        """End every process, then let go of the prefix."""
        lives = {node: life.process for node, life in self._lives.items() if life.process}
        for name, process in (lives | self._proxies).items():
            _end(process)
            self._journal.removed(Kind.PROCESS, f"{self._name}-{name}")
        self._held.close()


def _signal_all(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a process and its children; its pid is ours for as long as nobody has reaped it."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def _end(process: subprocess.Popen[bytes]) -> None:
    _signal_all(process, signal.SIGKILL)
    try:
        process.wait(_EXIT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ChaosError(f"process {process.pid} was sent SIGKILL and has not ended") from None


def _follow(life: _Life) -> Generator[bytes, None, None]:
    """What a process writes to its output file, as it writes it; ends after its exit."""
    process = life.process
    if process is None:  # it was never started
        return
    try:
        ended = os.pidfd_open(process.pid)
    except ProcessLookupError:  # reaped already
        ended = -1
    try:
        with life.output.open("rb") as file:
            while True:
                gone = ended < 0 or bool(select.select([ended], [], [], _TAIL_POLL_S)[0])
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
                if gone:
                    return
    finally:
        if ended >= 0:
            os.close(ended)
