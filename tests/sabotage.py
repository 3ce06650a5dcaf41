"""
Actuators that lie: the switch of the sabotage tests, which chaoskit itself does not have.

Owns: wrapping what carries out a fault, and nothing else: the Toxiproxy client with its read-back,
the engine's calls on containers with its word on their state, our own signal to a container's
process, the rules of a faulty mount with their read-back, the edits of a node's files, what is
written over its artifacts, the commands that are run beside it, and how its clock is set. Whatever
looks for evidence is left alone.

| way | the actuators |
| --- | --- |
| honest | do as they are told |
| nothing | answer success and do nothing; whoever asks them hears what was asked for |
| elsewhere | do it to another link, node, mount or folder, and say that they did as told |
| late | do it when the heal begins |
| half_way | do the first part, then raise |
| no_heal | inject, answer success to the heal, and do nothing |
| failing_heal | inject, and raise when they are to heal |
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from unittest import mock

from chaoskit import artifacts, backend_docker, identity
from chaoskit.backend_docker import DockerBackend
from chaoskit.cluster import Cluster
from chaoskit.engine import Completed, ContainerSpec, ContainerState, Engine
from chaoskit.errors import ChaosError, EngineFailed
from chaoskit.identity import Identity
from chaoskit.node import Configuration, Node
from chaoskit.storage import FaultyMount
from chaoskit.storage_control import StorageFailed, StorageRules
from chaoskit.toxics import Toxic
from chaoskit.toxiproxy import ProxyState, ToxiproxyClient, Unreachable
from chaoskit.wallclock import RIGHT, Skew, WallClock
from faults import overwritten_key, stale_identity, stale_keys

# How long a backend waits for the end of a process that a lying engine never signalled; one that
# is signalled has the time that it takes.
_EXIT_TIMEOUT_S = 0.5
_WHO_OVERWRITES = (overwritten_key, stale_identity, stale_keys)


class Way(StrEnum):
    """In what way the actuators lie."""

    HONEST = "honest"
    NOTHING = "nothing"
    ELSEWHERE = "elsewhere"
    LATE = "late"
    HALF_WAY = "half_way"
    NO_HEAL = "no_heal"
    FAILING_HEAL = "failing_heal"


INJECT, HEAL = "inject", "heal"


@dataclass
class Liar:
    """
    Decides for each call of an actuator what becomes of it.

    `calls` is how many calls one injection makes; half-way is after the first, or within the only.
    """

    way: Way
    calls: int
    failure: Callable[[], Exception]
    _seen: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _owed: list[Callable[[], object]] = field(default_factory=list)

    def does(
        self,
        phase: str,
        *,
        act: Callable[[], object],
        elsewhere: Callable[[], object],
        lie: Callable[[], object],
    ) -> None:
        """Carry out one call: `act` as told, `elsewhere` the same to the victim, `lie` says so."""
        with self._lock:  # links are changed side by side
            self._does(phase, act, elsewhere, lie)

    def _does(
        self,
        phase: str,
        act: Callable[[], object],
        elsewhere: Callable[[], object],
        lie: Callable[[], object],
    ) -> None:
        match self.way, phase:
            case Way.NOTHING, _:
                lie()
            case Way.ELSEWHERE, _:
                elsewhere()
                lie()
            case Way.LATE, "inject":
                self._owed.append(act)
                lie()
            case Way.LATE, "heal":
                owed, self._owed = self._owed, []
                for one in owed:
                    one()
                act()
                lie()
            case Way.HALF_WAY, "inject":
                self._seen += 1
                if self._seen == 1:
                    act()
                if self._seen >= min(2, self.calls):
                    raise self.failure()
            case Way.NO_HEAL, "heal":
                lie()
            case Way.FAILING_HEAL, "heal":
                raise self.failure()
            case _:
                act()


# -- Toxiproxy -----------------------------------------------------------------------------------


@dataclass
class LyingToxiproxy:
    """Wraps one client's changes; `proxies` tells what was asked for. `victim` is a proxy."""

    liar: Liar
    client: ToxiproxyClient
    victim: str
    _said: dict[str, dict[str, Any]] = field(default_factory=dict)
    _hit: int = 0

    def patches(self) -> list[Any]:
        """What to patch, as mock.patch objects."""
        real = self.client
        proxies, add, remove = real.proxies, real.add_toxic, real.remove_toxic
        enable, lead = real.set_enabled, real.set_upstream
        upstreams = {name: state.upstream for name, state in proxies().items()}

        def set_enabled(*names: str, enabled: bool) -> Mapping[str, ProxyState]:
            for name in names:
                self.liar.does(
                    HEAL if enabled else INJECT,
                    act=lambda name=name: enable(name, enabled=enabled),  # type: ignore[misc]
                    elsewhere=lambda: enable(self.victim, enabled=enabled),
                    lie=lambda name=name: self._say(name, enabled=enabled),  # type: ignore[misc]
                )
            return told()

        def set_upstream(name: str, upstream: str) -> None:
            heals = upstream == upstreams[name]
            there = upstreams[self.victim] if heals else upstream
            self.liar.does(
                HEAL if heals else INJECT,
                act=lambda: lead(name, upstream),
                elsewhere=lambda: lead(self.victim, there),
                lie=lambda: self._say(name, upstream=upstream),
            )

        def add_toxic(proxy: str, toxic: Toxic) -> None:
            def elsewhere() -> None:
                if toxic not in proxies()[self.victim].toxics:
                    add(self.victim, toxic)

            self.liar.does(
                INJECT,
                act=lambda: add(proxy, toxic),
                elsewhere=elsewhere,
                lie=lambda: self._say_toxics(proxy, lambda said: (*said, toxic)),
            )

        def remove_toxic(proxy: str, name: str) -> None:
            def elsewhere() -> None:
                if name in [toxic.name for toxic in proxies()[self.victim].toxics]:
                    remove(self.victim, name)

            def without(said: tuple[Toxic, ...]) -> tuple[Toxic, ...]:
                return tuple(toxic for toxic in said if toxic.name != name)

            self.liar.does(
                HEAL,
                act=lambda: remove(proxy, name),
                elsewhere=elsewhere,
                lie=lambda: self._say_toxics(proxy, without),
            )

        def told() -> Mapping[str, ProxyState]:
            found = dict(proxies())
            for name, said in self._said.items():
                found[name] = replace(found[name], **said)
            if self.liar.way is Way.ELSEWHERE:
                found[self.victim] = replace(
                    found[self.victim], enabled=True, toxics=(), upstream=upstreams[self.victim]
                )
            return found

        names = {
            "set_enabled": set_enabled,
            "set_upstream": set_upstream,
            "add_toxic": add_toxic,
            "remove_toxic": remove_toxic,
            "proxies": told,
        }
        return [mock.patch.object(real, name, one) for name, one in names.items()]

    def _say(self, name: str, **said: Any) -> None:
        self._said.setdefault(name, {}).update(said)

    def _say_toxics(
        self, name: str, change: Callable[[tuple[Toxic, ...]], tuple[Toxic, ...]]
    ) -> None:
        said = self._said.setdefault(name, {})
        said["toxics"] = change(said.get("toxics", ()))


# -- the engine ----------------------------------------------------------------------------------


@dataclass
class LyingEngine:
    """
    Wraps the engine's calls on containers, and our own signal to a container's init; `state` tells
    what was asked for.

    `target` and `victim` are containers. A release is changed by creating the container anew: that
    is the injection then, and elsewhere is the image it had before.
    """

    liar: Liar
    engine: Engine
    target: str
    victim: str
    changes: bool = False
    _said: dict[str, Any] = field(default_factory=dict)

    def patches(self) -> list[Any]:
        """What to patch, as mock.patch objects."""
        real = self.engine
        before, name_of_target = real.state(self.target), str(real.inspect(self.target)["Name"])
        calls: dict[str, Callable[..., None]] = {
            name: getattr(real, name) for name in ("kill", "pause", "unpause", "start", "stop")
        }
        state, create, remove = real.state, real.create_container, real.remove_container
        end = identity.kill

        def wrapped(name: str, phase: str, said: Mapping[str, Any]) -> Callable[..., None]:
            def call(container: str, **more: Any) -> None:
                if container != self.target:
                    calls[name](container, **more)
                    return
                self.liar.does(
                    phase,
                    act=lambda: calls[name](container, **more),
                    elsewhere=lambda: calls[name](self.victim, **more),
                    lie=lambda: self._said.update(said),
                )

            return call

        def told(container: str) -> ContainerState:
            found = state(container)
            return replace(found, **self._said) if container == self.target else found

        def create_container(spec: ContainerSpec) -> str:
            if spec.name != name_of_target.removeprefix("/"):
                return create(spec)  # of another node, which changes with it
            made: list[str] = []
            self.liar.does(
                INJECT,
                act=lambda: made.append(create(spec)),
                elsewhere=lambda: made.append(create(replace(spec, image=before.image))),
                lie=lambda: self._said.update(image=self._image(spec.image)),
            )
            if made and self.liar.way is Way.ELSEWHERE:
                self._said.clear()
            return made[0] if made else self.target

        def remove_container(container: str) -> None:
            if container != self.target or self.liar.way is not Way.NOTHING:
                remove(container)

        def kill(process: Identity, *, timeout_s: float) -> bool:
            """The backend's own hand: the signal to a container's init."""
            if process.pid != before.pid:
                return end(process, timeout_s=timeout_s)
            ended_by_us: list[bool] = []

            def elsewhere() -> None:
                other = identity.of(state(self.victim).pid)
                assert other is not None
                end(other, timeout_s=timeout_s)

            self.liar.does(
                INJECT,
                act=lambda: ended_by_us.append(end(process, timeout_s=timeout_s)),
                elsewhere=elsewhere,
                lie=lambda: self._said.update(ended),
            )
            return all(ended_by_us)

        running = {"running": True, "paused": False, "pid": before.pid, "status": "running"}
        ended = {"running": False, "pid": 0, "exit_code": 137, "status": "exited"}
        names: dict[str, Callable[..., Any]] = {"state": told}
        if self.changes:
            names |= {"create_container": create_container, "remove_container": remove_container}
            if self.liar.way is Way.NOTHING:
                names |= {"stop": wrapped("stop", INJECT, ended | {"exit_code": 0})}
                names |= {"start": wrapped("start", HEAL, running)}
        else:
            names |= {
                "kill": wrapped("kill", INJECT, ended),
                "start": wrapped("start", HEAL, running),
                "pause": wrapped("pause", INJECT, {"paused": True, "status": "paused"}),
                "unpause": wrapped("unpause", HEAL, running),
            }
        brief = [mock.patch.object(backend_docker, "_EXIT_TIMEOUT_S", _EXIT_TIMEOUT_S)]
        return [
            *(mock.patch.object(real, name, one) for name, one in names.items()),
            *([] if self.changes else [mock.patch.object(identity, "kill", kill)]),
            *(brief if self.changes and self.liar.way is Way.NOTHING else []),
        ]

    def _image(self, reference: str) -> str:
        found = self.engine.image(reference)
        assert found is not None
        return found[0]


# -- storage and files ---------------------------------------------------------------------------


@dataclass
class LyingMount:
    """Wraps the rules of one mount; `victim` is another node's."""

    liar: Liar
    mount: FaultyMount
    victim: FaultyMount
    _said: list[StorageRules] = field(default_factory=list)

    def patches(self) -> list[Any]:
        """What to patch, as mock.patch objects."""
        there, real, read = self.victim.set_rules, self.mount.set_rules, self.mount.rules

        def set_rules(rules: StorageRules) -> None:
            self.liar.does(
                HEAL if rules == StorageRules() else INJECT,
                act=lambda: real(rules),
                elsewhere=lambda: there(rules),
                lie=lambda: self._said.append(rules),
            )

        def rules() -> StorageRules:
            return self._said[-1] if self._said else read()

        return [
            mock.patch.object(self.mount, "set_rules", set_rules),
            mock.patch.object(self.mount, "rules", rules),
        ]


@dataclass
class LyingFiles:
    """Wraps the edits of one node's configuration; `victim` is another node."""

    liar: Liar
    node: Node
    victim: Node

    def patches(self) -> list[Any]:
        """What to patch, as mock.patch objects."""
        own, others = self.node.configuration, self.victim.configuration
        real, there = self.node.configure, self.victim.configure

        def configure(configuration: Configuration, *, image: str = "") -> None:
            heals = configuration == own
            self.liar.does(
                HEAL if heals else INJECT,
                act=lambda: real(configuration, image=image),
                elsewhere=lambda: there(others if heals else configuration),
                lie=lambda: None,
            )

        return [mock.patch.object(self.node, "configure", configure)]


@dataclass
class LyingArtifacts:
    """
    Wraps what is written over the files of one node; `victim` is another node.

    To write what was there at first is to heal.
    """

    liar: Liar
    node: Node
    victim: Node
    _first: dict[Path, bytes] = field(default_factory=dict)

    def patches(self) -> list[Any]:
        """What to patch, as mock.patch objects."""
        real = artifacts.overwrite
        own, others = self.node.folders, self.victim.folders

        def overwrite(path: Path, content: bytes) -> None:
            in_data = path.is_relative_to(own.data)
            there = (
                others.data / path.relative_to(own.data)
                if in_data
                else others.config / path.relative_to(own.config)
            )
            heals = self._first.setdefault(path, path.read_bytes()) == content
            self.liar.does(
                HEAL if heals else INJECT,
                act=lambda: real(path, content),
                elsewhere=lambda: real(there, content),
                lie=lambda: None,
            )

        return [mock.patch.object(one, "overwrite", overwrite) for one in _WHO_OVERWRITES]


@dataclass
class LyingCommands:
    """Wraps the commands that are run in one container, with their answers; `victim` is another."""

    liar: Liar
    engine: Engine
    target: str
    victim: str

    def patches(self) -> list[Any]:
        """What to patch, as mock.patch objects."""
        real = self.engine.execute

        def execute(container: str, argv: Sequence[str]) -> Completed:
            assert container == self.target
            answers: list[Completed] = []
            self.liar.does(
                INJECT,
                act=lambda: answers.append(real(container, argv)),
                elsewhere=lambda: answers.append(real(self.victim, argv)),
                lie=lambda: None,
            )
            return answers[0] if answers else Completed(0, b"done", b"")

        return [mock.patch.object(self.engine, "execute", execute)]


@dataclass
class LyingClock:
    """Wraps how one node's clock is set, with its read-back; `victim` is another node."""

    liar: Liar
    node: Node
    victim: Node
    _said: list[Skew] = field(default_factory=list)

    def patches(self) -> list[Any]:
        """What to patch, as mock.patch objects."""
        real, read = WallClock.set, WallClock.skew
        own, other = self.node.folders.clock, self.victim.folders.clock
        assert other is not None

        def set_clock(clock: WallClock, skew: Skew) -> None:
            assert clock.folder == own
            self.liar.does(
                HEAL if skew == RIGHT else INJECT,
                act=lambda: real(clock, skew),
                elsewhere=lambda: real(WallClock(other), skew),
                lie=lambda: self._said.append(skew),
            )

        def skew_of(clock: WallClock) -> Skew:
            return self._said[-1] if self._said else read(clock)

        return [
            mock.patch.object(WallClock, "set", set_clock),
            mock.patch.object(WallClock, "skew", skew_of),
        ]


# -- the switch ----------------------------------------------------------------------------------


class Actuator(StrEnum):
    """What carries out a fault."""

    TOXIPROXY = "toxiproxy"
    ENGINE = "engine"
    RECREATION = "recreation"
    STORAGE = "storage"
    FILES = "files"
    ARTIFACTS = "artifacts"
    COMMANDS = "commands"
    CLOCK = "clock"


_FAILURES: Mapping[Actuator, Callable[[], Exception]] = {
    Actuator.TOXIPROXY: lambda: Unreachable(None, "sabotaged: the connection broke"),
    Actuator.ENGINE: lambda: EngineFailed("sabotaged: the engine answered 500"),
    Actuator.RECREATION: lambda: EngineFailed("sabotaged: the engine answered 500"),
    Actuator.STORAGE: lambda: StorageFailed("sabotaged: the daemon does not answer"),
    Actuator.FILES: lambda: OSError(errno.EIO, "sabotaged: input/output error"),
    Actuator.ARTIFACTS: lambda: OSError(errno.EIO, "sabotaged: input/output error"),
    Actuator.COMMANDS: lambda: EngineFailed("sabotaged: the engine answered 500"),
    Actuator.CLOCK: lambda: ChaosError("sabotaged: the clock's control file is gone"),
}


@contextmanager
def sabotaged(
    cluster: Cluster, actuator: Actuator, way: Way, *, targets: tuple[str, ...], calls: int
) -> Iterator[None]:
    """
    Let one actuator of a docker cluster lie for the length of the block.

    `targets` are the nodes of the fault that is going to be injected; the victim of a fault that
    goes elsewhere is none of them, or a link that joins one of them to somebody else.
    """
    liar = Liar(way, calls, _FAILURES[actuator])
    others = [node for node in cluster.nodes if node not in targets]
    backend = cluster.backend
    assert isinstance(backend, DockerBackend)
    match actuator:
        case Actuator.TOXIPROXY:
            one, other = others[0], [*others[1:], targets[-1]][0]
            proxy = next(iter(cluster.link(one, other).routes.values())).proxy
            patches = LyingToxiproxy(liar, cluster.mesh.client, proxy).patches()
        case Actuator.ENGINE | Actuator.RECREATION:
            containers = backend._containers
            patches = LyingEngine(
                liar,
                backend._engine,
                containers[targets[0]],
                containers[others[-1]],
                changes=actuator is Actuator.RECREATION,
            ).patches()
        case Actuator.STORAGE:
            patches = LyingMount(
                liar, cluster.storage(targets[0]), cluster.storage(others[-1])
            ).patches()
        case Actuator.FILES:
            patches = LyingFiles(liar, cluster.node(targets[0]), cluster.node(others[-1])).patches()
        case Actuator.ARTIFACTS:
            patches = LyingArtifacts(
                liar, cluster.node(targets[0]), cluster.node(others[-1])
            ).patches()
        case Actuator.COMMANDS:
            containers = backend._containers
            patches = LyingCommands(
                liar, backend._engine, containers[targets[0]], containers[others[-1]]
            ).patches()
        case Actuator.CLOCK:
            patches = LyingClock(liar, cluster.node(targets[0]), cluster.node(others[-1])).patches()
    for one_patch in patches:
        one_patch.start()
    try:
        yield
    finally:
        for one_patch in reversed(patches):
            one_patch.stop()
