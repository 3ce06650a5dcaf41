"""
One node of a cluster: a process with a state machine, and the files it runs on.

Owns: its configuration (release, settings, certificate, edited files), its folders on this host,
its faulty storage, its log, and its states: created, running, paused, stopped, exited. Refuses: a
transition the state does not allow, and an exit that goes unnoticed.
"""

from __future__ import annotations

import hashlib
import os
import select
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from chaoskit import proc
from chaoskit.backend import Backend, ProcessSpec
from chaoskit.certificates import Credential
from chaoskit.clock import wait_until
from chaoskit.companion import stands
from chaoskit.engine import Completed
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.history import Recorder
from chaoskit.nodelog import NodeLog
from chaoskit.storage import FaultyMount
from chaoskit.system import Placement, Release, System

_EXIT_CODE_TIMEOUT_S = 10.0
_WATCH_POLL_S = 0.5
_SECRET_MODE, _OPEN_MODE = 0o400, 0o444


@dataclass(frozen=True, slots=True)
class Configuration:
    """
    What a node runs by. `edits` are files of its configuration folder as a fault or a change
    left them, by relative path; they win over what the system makes of the rest.
    """

    release: Release
    settings: Mapping[str, str] = field(default_factory=dict)
    credential: Credential | None = None
    edits: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Folders:
    """Its folders here: `data` as it gets them, `clock` (chaoskit.wallclock) if it can be set."""

    data: Path
    config: Path
    clock: Path | None = None


@dataclass(slots=True)
class _Life:
    """One start of a node; `ending` once somebody has asked, or seen, that it ends."""

    ending: bool = False


class Node:
    """A node; made by `Cluster`, which also owns its folders."""

    def __init__(
        self,
        name: str,
        *,
        system: System,
        backend: Backend,
        recorder: Recorder,
        log: NodeLog,
        folders: Folders,
        configuration: Configuration,
        authority_pem: bytes,
        image: str,
        storage: FaultyMount | None,
        keep_secret: Callable[[bytes], None],
    ) -> None:
        self.name = name
        self.state = "created"
        self.incarnation = 1
        self.configuration = configuration
        self.folders = folders
        self.image = image
        self._storage = storage
        self._keep_secret = keep_secret
        self._system = system
        self._backend = backend
        self._recorder = recorder
        self.log = log
        self._authority_pem = authority_pem
        self._life = _Life()
        self._created_as: ProcessSpec | None = None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    # -- what it is ----------------------------------------------------------------------------

    def placement(self) -> Placement:
        """What the node is told when it starts with its present configuration."""
        layout = self._backend.layout
        return Placement(
            name=self.name,
            peers=self._system.nodes,
            release=self.configuration.release.label,
            settings=dict(self._system.settings) | dict(self.configuration.settings),
            hosts=layout.hosts[self.name],
            bind=layout.bind[self.name],
            ports={port.name: port.number for port in self._system.ports},
            data=layout.data[self.name],
            config=layout.config[self.name],
            proxies=layout.proxies,
            credential=self.configuration.credential,
            authority_pem=self._authority_pem,
        )

    @property
    def storage(self) -> FaultyMount:
        """Its faulty storage. Raises NotApplicable when its data lies on a plain folder."""
        if self._storage is None:
            raise NotApplicable(f"{self.name} has no faulty storage: start the cluster with it")
        return self._storage

    @property
    def has_storage(self) -> bool:
        """Whether its data lies on faulty storage."""
        return self._storage is not None

    @property
    def owner(self) -> int:
        """The uid under which it runs."""
        return self._backend.owner[0]

    @property
    def pid(self) -> int:
        """The pid on this host of its own process. Raises ChaosError when it is down."""
        return self._backend.pid(self.name)

    @property
    def image_id(self) -> str:
        """The digest of what it runs; empty before its first start."""
        return self._backend.image_id(self.name)

    def frozen(self) -> bool:
        """Whether the kernel says that it is frozen."""
        return self._backend.is_paused(self.name)

    def command_line(self) -> tuple[str, ...]:
        """The argv of its running process, by the kernel's word; empty when it is down."""
        with suppress(ChaosError):
            return proc.command_line(self.pid)
        return ()

    def config_digest(self) -> str:
        """SHA-256 over its configuration folder and how its clock is set: paths and contents."""
        digest = hashlib.sha256()
        folders = [one for one in (self.folders.config, self.folders.clock) if one is not None]
        for path in sorted(path for folder in folders for path in folder.rglob("*")):
            if path.is_file():
                digest.update(f"{path}\0".encode() + path.read_bytes() + b"\0")
        return digest.hexdigest()

    # -- files ---------------------------------------------------------------------------------

    def configure(self, configuration: Configuration, *, image: str = "") -> None:
        """Write the files of `configuration`; a running node goes on with its old arguments."""
        self.configuration = configuration
        self.image = image or self.image
        files = {
            file.path: (file.content, file.secret) for file in self._system.files(self.placement())
        }
        for path, content in configuration.edits.items():
            files[path] = (content, files.get(path, (b"", False))[1])
        for found in self.folders.config.rglob("*"):
            if found.is_file() and str(found.relative_to(self.folders.config)) not in files:
                found.unlink()
        for relative, (content, secret) in files.items():
            self._write(self.folders.config / relative, content, secret=secret)

    def _write(self, path: Path, content: bytes, *, secret: bool) -> None:
        """Replace a file in one step; a secret one is for the node alone, and in no log of ours."""
        if secret:
            self._keep_secret(content)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.chmod(_SECRET_MODE if secret else _OPEN_MODE)
        if os.geteuid() == 0:
            os.chown(draft, *self._backend.owner)
        draft.replace(path)

    # -- transitions ---------------------------------------------------------------------------

    def create(self) -> None:
        """Make its process ready to start with its present configuration."""
        wanted = self._wanted()
        self._backend.create(wanted)
        self._created_as = wanted

    def _wanted(self) -> ProcessSpec:
        placement = self.placement()
        return ProcessSpec(
            node=self.name,
            argv=tuple(self._system.command(placement)),
            image=self.image,
            data=self.folders.data,
            config=self.folders.config,
            environment=self._system.environment(placement),
            clock=self.folders.clock,
            beside=stands(self._system.beside, placement),
            log=self.log.path,
        )

    def start(self) -> None:
        """Start it; created anew first when its image, its arguments or the like have changed."""
        self._expect("created", "stopped", "exited")
        if self._created_as != self._wanted():
            self.create()
        output = self._backend.output(self.name)
        life = self._life = _Life()  # its watcher's own: a late one must not end the next life
        try:
            pid = self._backend.start(self.name)
        except ChaosError:
            output.close()  # nothing would ever end it
            raise
        self._become("running")
        self._spawn(lambda: self.log.copy(output), "log")
        self._spawn(lambda: self._watch(pid, life), "watch")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after the system's stop time-out."""
        self._end(lambda: self._backend.stop(self.name, timeout_s=self._system.stop_timeout_s))
        self._tell_stopped()

    def kill(self) -> None:
        """SIGKILL."""
        self._end(lambda: self._backend.kill(self.name))
        self._tell_stopped()

    def _end(self, end: Callable[[], None]) -> None:
        self._expect("running", "paused")
        with self._lock:
            self._life.ending = True
        end()
        self.state = "stopped"

    def _tell_stopped(self) -> None:
        """Record that it was stopped, with the exit code that the backend says."""
        self._become("stopped", signalled=True, exit_code=self._exit_code())

    def pause(self) -> None:
        """Freeze it."""
        self._expect("running")
        self._backend.pause(self.name)
        self._become("paused")

    def unpause(self) -> None:
        """Thaw it."""
        self._expect("paused")
        self._backend.unpause(self.name)
        self._become("running")

    def restart(self) -> None:
        """Stop it unless it is down, then start it."""
        if self.state in {"running", "paused"}:
            self.stop()
        self.start()

    def upgrade(self, release: Release, *, image: str) -> None:
        """Stop, another release on the same data, start."""
        if self.state in {"running", "paused"}:
            self.stop()
        self.configure(replace(self.configuration, release=release), image=image)
        self.start()

    @contextmanager
    def down(self) -> Iterator[None]:
        """
        SIGKILL for the length of the block, then start.

        The block begins when the process is dead. That it has ended, by the backend's word, is
        recorded when that comes, and waited for before the start.
        """
        self._end(lambda: self._backend.kill(self.name))
        with ThreadPoolExecutor(1, thread_name_prefix=f"ended-{self.name}") as pool:
            told = pool.submit(self._tell_stopped)
            try:
                yield
            finally:
                told.result()
                self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Freeze for the length of the block."""
        self.pause()
        try:
            yield
        finally:
            self.unpause()

    @contextmanager
    def reconfigured(self, configuration: Configuration) -> Iterator[None]:
        """Restart with another configuration for the length of the block, then with its own."""
        before = self.configuration
        self.stop()
        try:
            self.configure(configuration)
            self.start()
            yield
        finally:
            if self.state in {"running", "paused"}:
                self.stop()
            self.configure(before)
            self.start()

    def execute(self, argv: Sequence[str]) -> Completed:
        """Run a command beside it, in its world."""
        self._expect("running")
        return self._backend.execute(self.name, argv)

    def retire(self) -> None:
        """From now on its exit is expected: the cluster is being taken down."""
        with self._lock:
            self._life.ending = True

    def close(self) -> None:
        """Wait for its watcher and its log to end; the process must be gone by now."""
        for thread in self._threads:
            thread.join(timeout=_EXIT_CODE_TIMEOUT_S)

    # -- bookkeeping ---------------------------------------------------------------------------

    def _expect(self, *states: str) -> None:
        if self.state not in states:
            raise ChaosError(
                f"{self.name} is {self.state}; this needs it {' or '.join(states)} "
                f"(its log: {self.log.path})"
            )

    def _become(self, state: str, *, signalled: bool = True, **told: float) -> None:
        self.state = state
        self._recorder.record(
            self.name,
            "state",
            {
                "state": state,
                "signalled": signalled,
                "exit_code": None,
                "release": self.configuration.release.label,
                "incarnation": self.incarnation,
                **told,
            },
        )

    def _exit_code(self) -> int:
        """By the backend's word; an engine learns of an exit some 100 ms after it."""

        def known() -> tuple[int] | None:
            code = self._backend.exit_code(self.name)
            return None if code is None else (code,)

        what = f"the exit code of {self.name}"
        return wait_until(known, what=what, timeout_s=_EXIT_CODE_TIMEOUT_S)[0]

    def _watch(self, pid: int, life: _Life) -> None:
        """Notice an exit that nobody asked for."""
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid) if pid else -1
            if descriptor >= 0:
                try:
                    while not select.select([descriptor], [], [], _WATCH_POLL_S)[0]:
                        if life.ending and not proc.alive(pid):
                            break
                finally:
                    os.close(descriptor)
        ended_s = self._recorder.now_s()  # the engine's word on it may take its time
        with self._lock:
            if life.ending:
                return
            life.ending = True
        with suppress(ChaosError):  # torn down meanwhile
            self._backend.bury(self.name)
            self._become("exited", signalled=False, exit_code=self._exit_code(), ended_s=ended_s)

    def _spawn(self, call: Callable[[], None], what: str) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=call, name=f"{what}-{self.name}", daemon=True)
        self._threads.append(thread)
        thread.start()
