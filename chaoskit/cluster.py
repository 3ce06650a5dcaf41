"""
A running system: its nodes, its links, its observers and its load.

Owns: bringing a system up from nothing to its steady state and taking it down again, and what a
test may ask of it. Refuses: faults (those go through `fault.inject`) and verdicts (`judge`).
Entering a cluster starts it, leaving stops it; in between `scope` marks the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from random import Random
from types import TracebackType
from typing import Self, TypeVar

from chaoskit import clock, provision
from chaoskit.assembly import endpoints, wired
from chaoskit.backend import Backend
from chaoskit.certificates import Authority, Credential, Validity
from chaoskit.engine import Completed
from chaoskit.errors import ChaosError, NotApplicable, UsageError, WaitTimedOut
from chaoskit.history import History, Recorder
from chaoskit.hostdisk import HostDisk
from chaoskit.invariant import Invariant
from chaoskit.loading import Loading
from chaoskit.mesh import Link
from chaoskit.node import Node
from chaoskit.observer import Observers
from chaoskit.packetmeters import PacketMeters
from chaoskit.pristine import fingerprint
from chaoskit.setting import Judged, Setting
from chaoskit.storage import FaultyMount
from chaoskit.surroundings import watched
from chaoskit.system import Endpoint, Observation, Release, System
from chaoskit.vintage import Vintage
from chaoskit.wire import Wire
from chaoskit.workload import Tally

T = TypeVar("T")
_WORKERS = 8
_ROLE_TIMEOUT_S = 5.0


class Cluster:
    """A system that runs; see `Setting` for what can be chosen."""

    def __init__(
        self,
        system: System,
        setting: Setting,
        *,
        name: str,
        backend: Backend,
        recorder: Recorder,
        workshop: provision.Workshop,
        random: Random,
        vintage: Vintage | None = None,
    ) -> None:
        self.system = system
        self.setting = setting
        self.name = name
        self.backend = backend
        self.recorder = recorder
        self.random = random
        self._vintage = vintage
        self.authority: Authority | None = None
        self.nodes: dict[str, Node] = {}
        self.poisoned = ""
        self.experiment: Judged | None = None
        self._workshop = workshop
        self._cleanup = ExitStack()
        self._loading = Loading(system, self._endpoints, recorder, random)
        self._standing = False
        self.meters = PacketMeters(backend)

    # -- coming up and going down --------------------------------------------------------------

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._close_nodes)
            stack.callback(self._workshop.clear)
            stack.callback(self.backend.close)
            stack.callback(self._retire)
            self._prepare(stack)
            with ThreadPoolExecutor(_WORKERS, thread_name_prefix="start") as pool:
                starting = [pool.submit(node.start) for node in self.nodes.values()]
                self._watches = stack.enter_context(
                    watched(
                        self.nodes,
                        self._endpoints(),
                        self.recorder,
                        backend=self.backend,
                        proxy=self.mesh.client,
                        disk=HostDisk(self._workshop.scratch),
                        clock=self.system.clock if self.setting.clocks else None,
                    )
                )
                for one in starting:
                    one.result()
                started_s = clock.monotonic()
                self.observers = stack.enter_context(
                    Observers(self.system, self._endpoints(), self.recorder)
                )
                kept = pool.submit(self._workshop.inspect, self.nodes, self.backend)
                self._await_steady(since_s=started_s, timeout_s=self.system.start_timeout_s)
                kept.result()
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._standing:
            return
        self._record_self("stopped")
        self._cleanup.__exit__(kind, error, trace)

    def _retire(self) -> None:
        """From now on exits are expected."""
        for node in self.nodes.values():
            node.retire()

    def _close_nodes(self) -> None:
        for node in self.nodes.values():
            node.close()

    def _prepare(self, stack: ExitStack) -> None:
        """The network; then proxies on one side, the nodes' files and processes on the other."""
        if any(port.secure for port in self.system.ports):
            self.authority = Authority()
        self.backend.prepare()
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="prepare") as pool:
            proxies = pool.submit(self.backend.start_proxies)
            self.nodes = self._workshop.furnish(
                self.system,
                self._release(),
                self._settings(),
                self.backend,
                self.authority,
                self.recorder,
                faulty=self.setting.storage,
                clocks=self.setting.clocks,
                vintage=self._vintage,
            )
            creating = [pool.submit(node.create) for node in self.nodes.values()]
            proxies.result()
            self._record_self("started")
            self.mesh = stack.enter_context(wired(self.system, self.backend, self.recorder))
            for one in creating:
                one.result()
        self.wire = Wire(self.system, self.backend, self.nodes, self.mesh, self.recorder)

    def _release(self) -> Release:
        """Which release nodes start with. Raises UsageError that lists the releases."""
        try:
            return self.system.release(self.setting.release)
        except LookupError as error:
            raise UsageError(str(error)) from None

    def _settings(self) -> dict[str, str]:
        """Those asked for, on top of those with which the data were made."""
        return {
            **(self._vintage.left.settings if self._vintage else {}),
            **dict(self.setting.settings),
        }

    def _endpoints(self) -> dict[str, Endpoint]:
        return endpoints(self.system, self.backend.layout)

    def _record_self(self, event: str) -> None:
        self.recorder.record(
            "chaoskit",
            "cluster",
            {
                "cluster": self.name,
                "event": event,
                **self.system.said(),
                "releases": {
                    name: node.configuration.release.label for name, node in self.nodes.items()
                },
                "images": {name: node.image_id for name, node in self.nodes.items()},
                "vintage": self._vintage.told() if self._vintage is not None else None,
            },
        )

    # -- asking --------------------------------------------------------------------------------

    def node(self, name: str) -> Node:
        """The node of that name. Raises NotApplicable, naming those there are."""
        try:
            return self.nodes[name]
        except KeyError:
            raise NotApplicable(
                f"{self.system.name} has no node {name!r}: {', '.join(self.nodes)}"
            ) from None

    def target(self, name: str) -> str:
        """
        The node that `name` means: itself, or the node last seen in the role `name`.

        While some node does not answer, somebody in that role is waited for: one sample that timed
        out does not tell. Raises NotApplicable when it is neither a node nor a role seen then.
        """
        if name in self.nodes:
            return name

        def told() -> tuple[str, ...] | None:
            """Who is in that role, nobody when all answer; None when that cannot be told yet."""
            seen = self.observers.latest()
            found = [node for node, one in seen.items() if one is not None and one.role == name]
            return (*found, "") if found or None not in seen.values() else None

        try:
            found = clock.wait_until(told, what=f"the {name}", timeout_s=_ROLE_TIMEOUT_S)[0]
        except WaitTimedOut:
            found = ""
        if not found:
            seen = self.observers.latest()
            roles = {node: one.role if one else "no answer" for node, one in seen.items()}
            raise NotApplicable(f"no node of {self.system.name} is {name!r} now: {roles}")
        return found

    def link(self, source: str, target: str) -> Link:
        """The directed link by which `source` dials `target`."""
        return self.mesh.link(source, target)

    def storage(self, node: str) -> FaultyMount:
        """A node's faulty storage. Raises NotApplicable when the cluster was started without."""
        return self.node(node).storage

    def credential(
        self, node: str, *, authority: Authority | None = None, validity: Validity = "valid"
    ) -> Credential:
        """
        A certificate for a node, issued by `authority` or the cluster's own.

        Raises NotApplicable when the system has no secure port.
        """
        issuer = authority or self.authority
        if issuer is None:
            raise NotApplicable(f"{self.system.name} has no secure port")
        return self._workshop.credential(self.backend, issuer, node, validity=validity)

    def image(self, release: Release) -> str:
        """The reference of a release's image, made when the engine does not have it."""
        return self._workshop.image(self.system, release)

    def image_id(self, reference: str) -> str:
        """The digest of an image the engine has."""
        return self._workshop.image_id(reference)

    def hidden(self) -> tuple[bytes, ...]:
        """The keys and shares that lay in the nodes' data before their first start."""
        return self._workshop.hidden()

    def endpoint(self, node: str) -> Endpoint:
        """Where the harness reaches a node."""
        return self._endpoints()[node]

    def latest(self) -> dict[str, Observation | None]:
        """Each node's last answer to its observer; None while it does not answer."""
        return self.observers.latest()

    def history(self) -> History:
        """Everything recorded so far in this run."""
        return self.recorder.history()

    def execute(self, node: str, *argv: str) -> Completed:
        """Run a command beside a node, in its world."""
        return self.node(node).execute(argv)

    # -- awaiting ------------------------------------------------------------------------------

    def await_steady_state(self, *, timeout_s: float) -> None:
        """
        Wait until every node answers and the system calls the answers its steady state.

        What was seen before this call does not count.
        """
        self._await_steady(since_s=clock.monotonic(), timeout_s=timeout_s)

    def _await_steady(self, *, since_s: float, timeout_s: float) -> None:
        """As `await_steady_state`; samples that began at `since_s` or later count."""

        def steady() -> bool:
            seen = self.observers.latest()
            answers = {node: one for node, one in seen.items() if one is not None}
            fresh = self.observers.all_asked_since(since_s)
            return fresh and len(answers) == len(seen) and self.system.steady(answers)

        clock.wait_until(
            steady,
            what=f"the steady state of {self.system.name}",
            timeout_s=timeout_s,
            last=lambda: str(self.observers.latest()),
        )
        with self.meters.discounting():
            self.wire.survey_again()
        self._record_self("steady")

    def await_progress(self, *, by: int, timeout_s: float) -> None:
        """
        Wait until the cluster has moved on by `by`: acknowledged operations where the system is
        driven by load, else the highest progress seen on any node.
        """
        before = self._progress()
        clock.wait_until(
            lambda: self._progress() >= before + by,
            what=f"progress by {by} from {before}",
            timeout_s=timeout_s,
            last=lambda: str(self._progress()),
        )

    def _progress(self) -> int:
        if self.system.driven and (done := self._loading.tally()) is not None:
            return done.acknowledged
        seen = self.observers.latest().values()
        return max((one.progress or 0 for one in seen if one is not None), default=0)

    def await_that(self, predicate: Callable[[], T | None], *, what: str, timeout_s: float) -> T:
        """Wait for something of the test's own."""
        return clock.wait_until(predicate, what=what, timeout_s=timeout_s)

    def hold(self, duration_s: float) -> None:
        """Let the experiment run on as it is for `duration_s`: what happens is recorded."""
        clock.pause(duration_s)
        self.observers.raise_failure()

    # -- load ----------------------------------------------------------------------------------

    def loaded(self, rate_per_s: float) -> AbstractContextManager[None]:
        """Load the cluster evenly for the length of the block; not at 0, nor without traffic."""
        return self._loading.loaded(rate_per_s)

    def tally(self) -> Tally:
        """What came of this load's operations so far."""
        return self._loading.tally() or Tally()

    def end_load(self) -> None:
        """End the load now, if there is one; what is under way comes to its end."""
        self._loading.end()

    def is_level(self) -> bool:
        """Whether every node that answers shows the same progress."""
        return len({one.progress for one in self.observers.latest().values() if one}) <= 1

    # -- health of the harness -----------------------------------------------------------------

    def check(self, *extra: Invariant) -> None:
        """
        End this test and judge it: the last act of a suite test.

        Raises InvariantViolated unless it comes out PASS, ChaosError outside of a test.
        """
        if self.experiment is None:
            raise ChaosError("check() ends an experiment, and none is under way on this cluster")
        self.experiment.check(*extra)

    def leave_standing(self) -> None:
        """Do not take it down when it is left: the run's keeper does, when its time is over."""
        self._standing = True

    def poison(self, reason: str) -> None:
        """Say that the cluster must not be used again."""
        self.poisoned = self.poisoned or reason

    def fingerprint(self) -> dict[str, str]:
        """What a test must leave as it found it, by name."""
        return fingerprint(self.mesh, self.nodes, self.system.artifacts)

    def record_bypass(self) -> None:
        """Record how many packets tried to go round the proxy since the cluster began."""
        if (packets := self.backend.went_round()) is not None:
            self.recorder.record("chaoskit", "bypass", {"packets": packets})

    def require_running(self, *names: str) -> None:
        """Raise NotApplicable unless these nodes run."""
        for name in names:
            if self.node(name).state != "running":
                raise NotApplicable(f"{name} is {self.node(name).state}, not running")

    def raise_failure(self) -> None:
        """Raise what ended an observer or a client of the load, if one ended."""
        for one in (self.observers, *self._watches, self._loading):
            one.raise_failure()
