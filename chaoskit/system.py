"""
A system under test, as data: what to run, how to watch it, what it owes.

Owns: the nouns that a suite's `system.py` fills in (`System`, `Port`, `Release`, `Artifact`,
`Timing`), what a node is told when it starts (`Placement`), and what an observer may see
(`Observation`). Refuses: containers, clusters and clocks; nothing here does I/O.

Only `command` and `observe` have to be given beside names, ports and releases; the rest has
defaults, so that a first System is some twenty lines (docs/adding-a-system.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from random import Random
from typing import Any, Protocol

from chaoskit.certificates import Credential
from chaoskit.command import Command
from chaoskit.companion import Companion
from chaoskit.invariant import Invariant
from chaoskit.panel import Panels


@dataclass(frozen=True, slots=True)
class Port:
    """
    A port on which every node of a system listens.

    Attributes
    ----------
    linked: other nodes dial it, so each directed pair gets a link of its own through the proxy.
    secure: it serves TLS by the cluster's authority unless a node's settings say otherwise.
    plaintext: the settings under which a node serves this port in plaintext (for tls_mismatch).
    http2: what it speaks is HTTP/2 (gRPC): it greets whoever connects, so that a question of ours
        on a link has to be one of HTTP/2.

    """

    name: str
    number: int
    linked: bool = False
    secure: bool = False
    http2: bool = False
    plaintext: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1024 < self.number < 65536:
            raise ValueError(f"port {self.name}: {self.number} is not in 1025..65535")


@dataclass(frozen=True, slots=True)
class Release:
    """
    One release of a system: an image, or for the process backend a program.

    `recipe` is a command, relative to the suite's project, that makes the image when the engine
    does not have it. `program` takes the place of the first word of a node's command where there
    are no images; none: that word is the program. `version` is what the node itself must report
    when it runs this release.
    """

    label: str
    image: str = ""
    recipe: tuple[str, ...] = ()
    program: tuple[str, ...] = ()
    version: str = ""


class ArtifactKind(StrEnum):
    """What a fault may find in an artifact."""

    KEY = "key"
    SHARE = "share"
    CERTIFICATE = "certificate"
    CONFIG = "config"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Artifact:
    """
    A file or folder of a node that a fault may touch.

    `path` is relative to the node's configuration folder, or to its data folder when `in_data`.
    A secret one is never copied into a run folder, a report or a log. `flag` names the line in
    which a text file says `true` or `false` of a node, beside the address by which it is dialled.
    """

    name: str
    path: str
    kind: ArtifactKind
    secret: bool = False
    in_data: bool = False
    flag: str = ""


class TimingKind(StrEnum):
    """Who sets a time constant; only `protocol` is ever scaled."""

    PROTOCOL = "protocol"
    LIBRARY = "library"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Timing:
    """A time constant in seconds: its real value, who sets it, by which knob, and its floor."""

    name: str
    value_s: float
    kind: TimingKind
    knob: str = ""
    floor_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file in a node's configuration folder: a relative path and its bytes."""

    path: str
    content: bytes
    secret: bool = False


@dataclass(frozen=True, slots=True)
class InitialFile:
    """
    A file that lies in a node's data folder before its first start: a relative path and its bytes.

    `secrets` are the keys and shares in it, each as the bytes that they are (not as they are
    written in the file): no log or report of ours lets them pass, and the file is the node's alone.
    """

    path: str
    content: bytes
    secrets: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """
    What a node is told when it starts.

    Attributes
    ----------
    name: the node; peers: all nodes of the cluster, this one included, in order.
    release: the label of the release it will run.
    settings: the system's settings with this node's own on top.
    hosts: for each node the host to dial it by: its name, or in the process backend the address
        of the link to it.
    bind: the address to listen on.
    ports: port numbers by name.
    data, config: absolute folders as the node sees them; the first writable, the second not.
    proxies: source addresses under which peers and observers appear (for systems that check them).
    credential, authority_pem: where a port is secure, its certificate and whom it shall trust.

    """

    name: str
    peers: tuple[str, ...]
    release: str
    settings: Mapping[str, str]
    hosts: Mapping[str, str]
    bind: str
    ports: Mapping[str, int]
    data: str
    config: str
    proxies: tuple[str, ...] = ()
    credential: Credential | None = None
    authority_pem: bytes = b""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    Where the harness reaches a node, through its own links: an address and ports by name.

    `peers`: each peer's name, by the host by which this node dials it, for what it says of them.
    """

    node: str
    address: str
    ports: Mapping[str, int]
    peers: Mapping[str, str] = field(default_factory=dict)

    def url(self, port: str, path: str = "", *, scheme: str = "http") -> str:
        """The URL of a path on one of the node's ports."""
        return f"{scheme}://{self.address}:{self.ports[port]}{path}"


@dataclass(frozen=True, slots=True)
class Observation:
    """
    What a node said of itself in one sample.

    Attributes
    ----------
    ready: it serves, by its own word.
    version: the release it says it is.
    role: "leader", "follower" or what the system calls it; term: its election term or epoch.
    progress: a counter that never goes back within one incarnation of the data (height, revision).
    digest: of the state at `progress`: two nodes at the same progress must show the same one.
    detail: further facts, JSON values, for this system's own invariants.

    """

    ready: bool
    version: str = ""
    role: str = ""
    term: int | None = None
    progress: int | None = None
    digest: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


class Unobserved(Exception):
    """A sample was taken and the node did not answer: `cause` is refused, timed_out, closed..."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the load: its kind (`put`, `get`, ...) and its arguments, JSON values."""

    f: str
    value: Mapping[str, Any]


class Rejected(Exception):
    """The operation certainly had no effect; recorded as `fail`."""


class OutcomeUnknown(Exception):
    """The operation may have had an effect, now or later; recorded as `info`."""


class Client(Protocol):
    """A client of the system, used by one thread at a time."""

    def invoke(self, operation: Operation) -> Mapping[str, Any]:
        """Carry it out; answers its result. Raises Rejected or OutcomeUnknown."""
        ...

    def close(self) -> None:
        """Let go of its connections."""
        ...


@dataclass(frozen=True, slots=True)
class Traffic:
    """
    How to put load on a system.

    `connect(endpoint, timeout_s)` makes a client of one node; `operations(random)` is the endless
    stream of operations, drawn from the plan's randomness alone. `snapshot`, where the system can
    tell, is an operation that reads everything one node holds, for comparison across nodes.
    `local`: every operation is answered by one node out of what it has, and none needs a quorum (a
    chain that clients only read); then nothing can be acknowledged too early either.
    """

    connect: Callable[[Endpoint, float], Client]
    operations: Callable[[Random], Iterator[Operation]]
    timeout_s: float = 2.0
    snapshot: Operation | None = None
    local: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What a node's wall clock said: the Unix time is `from_s` or later, and before `until_s`."""

    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Clock:
    """
    How the wall clock of a node is seen from outside.

    `ask(endpoint, timeout_s)` has the node tell the time now; raises Unobserved. `stamp(line)` is
    the Unix time that a line of its log bears, None where it bears none: only lines of what the
    node does by itself or for its clients. A clock that is more than `limit_s` seconds off makes
    the node unhealthy.
    """

    ask: Callable[[Endpoint, float], Told]
    stamp: Callable[[str], float | None]
    limit_s: float = 1.0


InitialData = Callable[[Sequence[Placement]], Mapping[str, Sequence[InitialFile]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """
    A system under test; pure data and pure functions.

    Attributes
    ----------
    quorum: how many healthy, connected nodes the system needs to make progress.
    releases: oldest first.
    command: the argv of a node; environment, files: likewise from its placement.
    initial_data: each node's data folder before its first start; asked once, with all placements.
    observe(endpoint, timeout_s): one sample of a node; raises Unobserved.
    steady(observations): all nodes answered and the cluster is in its steady state.
    shows_progress, shows_digest: observations carry them; else no rollback, no fork can be judged.
    driven: progress needs load (a store), unlike a chain that moves by itself.
    progress_bound_s: while quorate, the longest time without progress that is still kept.
    settle_s: after this time whatever the system does by itself after a change has been done.
    settings: defaults that a node's own settings override.
    invariants: promises that always hold, beside the standing ones.
    failures(endpoint, timeout_s): what a node says went wrong with each peer since it started, by
        the peer's name; raises Unobserved. How faults are felt where nothing counts packets; None:
        the nodes do not tell.
    traffic: how to put load on it; None: it cannot be loaded.
    clock: how a node's wall clock is seen, where it can be set: its program is linked dynamically,
        so that it loads a shim. None: a static one, as most that are written in Go, or a mute one.
    beside: what stands beside a node; None: nothing. Only where nodes are containers.
    commands: what a person may run beside a node, in words of its own; None: nothing.
    panels: what a report draws of its observations, beside what it draws of every system.

    """

    name: str
    nodes: tuple[str, ...]
    ports: tuple[Port, ...]
    quorum: int
    releases: tuple[Release, ...]
    command: Callable[[Placement], Sequence[str]]
    observe: Callable[[Endpoint, float], Observation]
    environment: Callable[[Placement], Mapping[str, str]] = lambda _: {}
    files: Callable[[Placement], Sequence[ConfigFile]] = lambda _: ()
    initial_data: InitialData = lambda _: {}
    steady: Callable[[Mapping[str, Observation]], bool] = lambda seen: all(
        one.ready for one in seen.values()
    )
    shows_progress: bool = True
    shows_digest: bool = True
    driven: bool = True
    progress_bound_s: float = 5.0
    settle_s: float = 5.0
    stop_timeout_s: float = 10.0
    start_timeout_s: float = 30.0
    settings: Mapping[str, str] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    timings: tuple[Timing, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    failures: Callable[[Endpoint, float], Mapping[str, int]] | None = None
    traffic: Traffic | None = None
    clock: Clock | None = None
    beside: Callable[[Placement], Companion | None] | None = None
    commands: Callable[[Placement], Sequence[Command]] | None = None
    panels: Panels = field(default_factory=Panels)

    def __post_init__(self) -> None:
        if not 1 <= self.quorum <= len(self.nodes):
            raise ValueError(f"{self.name}: quorum {self.quorum} of {len(self.nodes)} nodes")
        if len(set(self.nodes)) != len(self.nodes):
            raise ValueError(f"{self.name}: two nodes of one name")
        if not self.releases:
            raise ValueError(f"{self.name}: no release")

    def said(self) -> dict[str, Any]:
        """What the history says of it at the start of a cluster, as JSON values."""
        return {
            "system": self.name,
            "nodes": list(self.nodes),
            "quorum": self.quorum,
            "driven": self.driven,
            "progress_bound_s": self.progress_bound_s,
            "panels": asdict(self.panels),
        }

    @property
    def linked_ports(self) -> tuple[Port, ...]:
        """The ports that peers dial."""
        return tuple(port for port in self.ports if port.linked)

    def release(self, prefix: str) -> Release:
        """
        The one release whose label is `prefix`, or begins with it at a dot or dash.

        Raises LookupError that lists the releases when none or several match.
        """
        exact = [one for one in self.releases if one.label == prefix]
        near = [one for one in self.releases if one.label.startswith((f"{prefix}.", f"{prefix}-"))]
        found = exact or near
        if len(found) == 1:
            return found[0]
        known = ", ".join(one.label for one in self.releases)
        what = "is none of" if not found else "matches more than one of"
        raise LookupError(f"{self.name} {prefix} {what} its releases: {known}")
