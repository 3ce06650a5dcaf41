"""
A cluster that is none: what faults, experiments and leases ask of one, with nothing behind it.

`World` is what the stand-in's one fault changes and what its probe and its meter look at; a test
tells it how to disobey. Everything goes to a real recorder, so that what is judged is real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Self, cast

from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.fault import Testimony, Witness, target
from chaoskit.history import History, Recorder
from chaoskit.invariant import Invariant
from chaoskit.sighting import Meter, Probe, Sighting
from chaoskit.system import Endpoint, Observation, Operation, Port, Release, System, Traffic
from chaoskit.workload import Tally

NODES = ("a", "b", "c")
LEADER = "b"


def still(**more: Any) -> System:
    """A system of three nodes that do nothing by themselves."""
    values: dict[str, Any] = {
        "name": "still",
        "nodes": NODES,
        "ports": (Port("peer", 7001, linked=True), Port("client", 7002)),
        "quorum": 2,
        "releases": (Release("1", image="still:1"), Release("2", image="still:2")),
        "command": lambda placement: ["still", "--name", placement.name],
        "observe": lambda _endpoint, _timeout_s: Observation(ready=True, progress=1, digest="d"),
    }
    return System(**values | more)


@dataclass
class World:
    """What is: `jammed`, and how often somebody `met` it; and what does not go as it should."""

    jammed: bool = False
    met: int = 0
    refuses: bool = False
    half_way: Exception | None = None
    does_nothing: bool = False
    stays: bool = False
    heal_raises: bool = False
    blind: bool = False
    blinks: int = 0
    """So many of the next looks see nothing."""
    within_s: float = 0.05
    meter_breaks: bool = False
    gone_by_itself: bool = False
    log: list[str] = field(default_factory=list)

    def look(self) -> Sighting:
        """The probe: it leaves a trace on the meter, as probes over a network do."""
        self.log.append("look")
        self.blinks -= 1
        if self.blind or self.blinks >= 0:
            raise ChaosError("what it looks at cannot be seen")
        self.met += 1 if self.jammed else 0
        return Sighting(present=self.jammed, detail="jammed" if self.jammed else "free")

    def count(self) -> int:
        """The meter."""
        self.log.append("read")
        if self.meter_breaks:
            raise ChaosError("the counter is gone")
        return self.met

    def witness(self) -> Witness:
        """What proves a jam."""
        probe = Probe("a dial", self.look, "a>b")
        return Witness([probe], [Meter("dials", self.count)], within_s=self.within_s)


@dataclass(frozen=True, slots=True)
class Jam:
    """The one fault of the stand-in."""

    NEEDS: ClassVar = ("nothing",)
    PROOF: ClassVar = "a dial of ours"

    node: str = target()
    others: tuple[str, ...] = target()

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Jam the world."""
        world = cast("StandIn", cluster).world
        if world.refuses:
            raise NotApplicable("nothing to jam")
        world.log.append("inject")
        world.jammed = not world.does_nothing
        if world.half_way:
            raise world.half_way
        yield world.witness()
        world.log.append("heal")
        if world.heal_raises:
            raise OSError("no way back")
        world.jammed = world.stays and world.jammed


@dataclass(frozen=True, slots=True)
class Turn:
    """The one change of the stand-in; its probe looks whether the world is jammed."""

    NEEDS: ClassVar = ("nothing",)
    PROOF: ClassVar = "a dial of ours"

    node: str = target()

    def apply(self, cluster: Cluster) -> Testimony:
        """Jam the world for good."""
        stand_in = cast("StandIn", cluster)
        world = stand_in.world
        if world.half_way:
            raise world.half_way
        world.jammed = not world.does_nothing
        if world.gone_by_itself:
            stand_in.nodes[self.node].state = "exited"
        running = [Probe("its own word", lambda: Sighting(present=False, detail="no answer"))]
        return Testimony(
            [Probe("a dial", world.look)],
            within_s=0.05,
            while_running=running if world.gone_by_itself else (),
        )


class StandInMesh:
    """Links that are bare but for those in `covered`; keeps the calls that wait for them."""

    def __init__(self) -> None:
        self.covered: set[str] = set()
        self._waiting: list[tuple[str, Callable[[], None]]] = []

    def tampered_with(self, name: str) -> bool:
        return name in self.covered

    def when_bare(self, name: str, call: Callable[[], None]) -> None:
        self._waiting.append((name, call))

    def due(self) -> list[Callable[[], None]]:
        due = [one for one in self._waiting if one[0] not in self.covered]
        self._waiting = [one for one in self._waiting if one[0] in self.covered]
        return [call for _, call in due]


class StandIn:
    """Stands in for a `Cluster`; `as_cluster` says so to the type checker."""

    def __init__(
        self,
        folder: Path,
        system: System | None = None,
        *,
        name: str = "c1",
        recorder: Recorder | None = None,
    ) -> None:
        self.system = system or still()
        self.name = name
        self.world = World()
        self.recorder = recorder or Recorder(folder / f"{name}.jsonl")
        self.nodes: dict[str, Any] = {
            node: SimpleNamespace(
                state="running", configuration=SimpleNamespace(release=self.system.releases[0])
            )
            for node in self.system.nodes
        }
        self.silent: set[str] = set()
        self.poisoned = ""
        self.experiment: Any = None
        self.held: list[float] = []
        self.wire = SimpleNamespace(survey=lambda _: self.world.log.append("survey"))
        self.mesh = StandInMesh()
        self.backend = SimpleNamespace(name="none")
        self.meters = SimpleNamespace(open_faults=0, discounting=nullcontext)
        self.pristine = {"links": "open"}
        self.failure: BaseException | None = None
        self.bypass = 0
        self.progress = 0
        self.level = True

    @property
    def as_cluster(self) -> Cluster:
        return cast("Cluster", self)

    def history(self) -> History:
        return self.recorder.history()

    def latest(self) -> dict[str, Observation | None]:
        answer = Observation(ready=True, progress=self.progress, digest="d")
        return {name: None if name in self.silent else answer for name in self.nodes}

    def target(self, name: str) -> str:
        if name == "leader":
            return LEADER
        if name not in self.nodes:
            raise NotApplicable(f"no node is {name!r} now")
        return name

    def node(self, name: str) -> Any:
        return self.nodes[name]

    def poison(self, reason: str) -> None:
        self.poisoned = self.poisoned or reason

    def hold(self, duration_s: float) -> None:
        self.held.append(duration_s)

    def end_load(self) -> None:
        self.world.log.append("end load")

    def tally(self) -> Tally:
        return Tally()

    def is_level(self) -> bool:
        self.raise_failure()
        return self.level

    def endpoint(self, node: str) -> Endpoint:
        return Endpoint(node, "127.0.0.1", {port.name: port.number for port in self.system.ports})

    def record_bypass(self) -> None:
        self.recorder.record("chaoskit", "bypass", {"packets": self.bypass})

    def raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure

    def fingerprint(self) -> dict[str, str]:
        return dict(self.pristine)

    @contextmanager
    def loaded(self, rate_per_s: float) -> Iterator[None]:
        """Nobody asks."""
        yield

    def check(self, *extra: Invariant) -> None:
        self.experiment.check(*extra)

    def leave_standing(self) -> None:
        self.world.log.append("stands")

    def __enter__(self) -> Self:
        self.world.log.append("up")
        return self

    def __exit__(self, *_: object) -> None:
        self.world.log.append("down")

    # -- a history under which every standing promise has evidence ------------------------------

    def starts(self) -> None:
        """As a real cluster starts: its nodes run, its links are open."""
        self._say("started")
        for node in self.nodes:
            value = {"state": "running", "signalled": True, "exit_code": None, "release": "1"}
            self.recorder.record(node, "state", value | {"incarnation": 1})
        self._say("steady")

    def _say(self, event: str) -> None:
        value: Mapping[str, Any] = {
            "cluster": self.name,
            "event": event,
            "system": self.system.name,
            "nodes": list(self.system.nodes),
            "quorum": self.system.quorum,
            "driven": self.system.driven,
            "progress_bound_s": self.system.progress_bound_s,
            "releases": dict.fromkeys(self.nodes, "1"),
            "images": dict.fromkeys(self.nodes, "sha256:0"),
        }
        self.recorder.record("chaoskit", "cluster", value)

    def sees(self, node: str, progress: int, *, digest: str = "d") -> None:
        """A sample of a node."""
        value = {"ready": True, "version": "1", "role": "", "term": 1, "progress": progress}
        value |= {"digest": digest, "detail": {}, "took_s": 0.001}
        self.recorder.record(node, "observe", value, kind="ok")

    def works(self) -> None:
        """Every node is asked and answers, and all are seen at the same two, higher progresses."""
        for number, node in enumerate(self.nodes):
            value = {"op": number, "node": node, "key": "k", "value": str(number)}
            self.recorder.record("client 1", "put", value, kind="invoke")
            self.recorder.record("client 1", "put", value, kind="ok")
            for progress in (1, 2):
                self.sees(node, self.progress + progress)
        self.progress += 2


class Idle:
    """A client whose operations come out as `outcome` says."""

    def __init__(self, outcome: Callable[[Operation], Mapping[str, Any]]) -> None:
        self.outcome = outcome
        self.closed = False

    def invoke(self, operation: Operation) -> Mapping[str, Any]:
        return self.outcome(operation)

    def close(self) -> None:
        self.closed = True


def traffic(outcome: Callable[[Operation], Mapping[str, Any]], **more: Any) -> Traffic:
    """Traffic of numbered puts whose clients do what `outcome` does."""

    def operations(random: Any) -> Iterator[Operation]:
        while True:
            yield Operation("put", {"key": "k", "value": str(random.getrandbits(16))})

    return Traffic(connect=lambda *_: Idle(outcome), operations=operations, **more)
