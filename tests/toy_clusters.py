"""
Real clusters of toys for tests that try every fault: the cases, and one cluster at a time.

Owns: which fault is shown on which cluster, and using a cluster again as long as it is found as it
was made; it is rebuilt otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from chaoskit import clock
from chaoskit.cluster import Cluster
from chaoskit.command import Command
from chaoskit.session import Choices, Session, open_session
from chaoskit.setting import Setting
from chaoskit.system import (
    Artifact,
    ArtifactKind,
    ConfigFile,
    InitialFile,
    Placement,
    System,
)
from faults.broken_connections import HalfOpenConnections, ResetConnections, SlowClose
from faults.flapping_links import FlappingLinks
from faults.full_disk import FullDisk
from faults.kill import Kill
from faults.left_behind import LeftBehind
from faults.misconfigured_proxy import MisconfiguredProxy
from faults.operator_error import OperatorError
from faults.overwritten_key import OverwrittenKey
from faults.partition import Bridge, Isolate, OneWay, Split
from faults.pause import Pause
from faults.reconfigure import Reconfigure
from faults.restarting import Restart
from faults.slow_link import NarrowLink, SlowLink
from faults.slow_storage import SlowStorage
from faults.stale_identity import StaleIdentity
from faults.stale_keys import StaleKeys
from faults.tls_mismatch import TlsMismatch, WrongPort
from faults.upgrade import Upgrade
from faults.wrong_certificate import WrongCertificate
from faults.wrong_clock import WrongClock
from suites.beacon.system import beacon
from suites.etcd.system import SYSTEM as ETCD
from suites.toys.system import toys
from tests.sabotage import Actuator

REPOSITORY = Path(__file__).resolve().parent.parent
LOAD_PER_S = 40.0
STEADY_TIMEOUT_S = 60.0
PROGRESS_BOUND_S = 120.0
"""
Longer than the systems' own, which their suites hold them to: here the harness's evidence is
judged, and a machine that stalls for seconds shall not be what a verdict is about.
"""

PLAIN, STORED, SECURE, FOREIGN = "plain", "stored", "secure", "foreign"
KEYED, CLOCKED = "keyed", "clocked"
TERMINATED, SILENT = "terminated", "silent"
COMMANDED, DEALT, UNBORN = "commanded", "dealt", "unborn"
NEWEST = (FOREIGN, TERMINATED, SILENT)
"""Those that start at their newest release."""
LABELS = {DEALT: "v1.5.8", UNBORN: "v1.5.8"}
"""Those that start at a certain one."""
IDENTITY = Artifact("identity", "identity.toml", ArtifactKind.KEY)
PASSWORD = Artifact("password", "password", ArtifactKind.KEY, in_data=True)
RENEW = "renew"


def _identity(placement: Placement) -> list[ConfigFile]:
    """A key as people keep them; no toy reads it."""
    return [ConfigFile(IDENTITY.path, f'SchemeName = "s"\nKey = "{placement.name}"\n'.encode())]


def _passwords(placements: Sequence[Placement]) -> Mapping[str, Sequence[InitialFile]]:
    """The same; it lies where a command can change it."""
    return {one.name: [InitialFile(PASSWORD.path, b"first")] for one in placements}


# A second of work, so that it is still seen where whoever looks waits long for a core.
_RENEWS = """\
import pathlib, sys, time, uuid
while time.process_time() < 1:
    pass
pathlib.Path(sys.argv[1]).write_text(uuid.uuid4().hex)
"""


def _commands(placement: Placement) -> Sequence[Command]:
    """Makes a password anew, another one each time."""
    words = ("python3", "-c", _RENEWS, f"{placement.data}/{PASSWORD.path}")
    return [Command(RENEW, words, rewrites=(PASSWORD.name,))]


def _patient(system: System) -> System:
    """How soon it starts and goes on is not what these tests are about."""
    return replace(system, start_timeout_s=STEADY_TIMEOUT_S, progress_bound_s=PROGRESS_BOUND_S)


TOYS = _patient(toys(3))
SYSTEMS: dict[str, System] = {
    PLAIN: TOYS,
    STORED: TOYS,
    SECURE: _patient(toys(3, secure=True)),
    KEYED: replace(TOYS, files=_identity, artifacts=(IDENTITY,)),
    COMMANDED: replace(TOYS, initial_data=_passwords, artifacts=(PASSWORD,), commands=_commands),
    CLOCKED: TOYS,
    # toys keep their connections: a slow close is nothing to them
    FOREIGN: _patient(ETCD),
    # nothing stands before a toy; members talk without being asked, but not before their genesis;
    # rounds that are three seconds apart may be later than those of a second
    TERMINATED: _patient(beacon(3, threshold=2, period_s=3, terminated=True)),
    SILENT: replace(
        _patient(beacon(3, threshold=2, terminated=True, genesis_in_s=3600.0)),
        steady=lambda _: True,
    ),
    # no toy goes by what is on file of another
    DEALT: _patient(beacon(3, threshold=2, period_s=3)),
    UNBORN: replace(_patient(beacon(3, threshold=2, genesis_in_s=3600.0)), steady=lambda _: True),
}


@dataclass(frozen=True)
class Case:
    """
    A fault or change, on which cluster, what carries it out, and in how many calls; `hits` are the
    nodes on which that acts where they are not the targets.
    """

    thing: Any
    kind: str
    actuator: Actuator
    calls: int = 2
    hits: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        flaw = getattr(self.thing, "flaw", "") or getattr(self.thing, "style", "")
        return type(self.thing).__name__ + (f"-{flaw}" if flaw else "")

    @property
    def heals(self) -> bool:
        return hasattr(self.thing, "inject")


LINK = ("leader", "follower")
# up again before anybody gives the run up; some are left however late a busy machine sees the first
FLAPS = ((0.0, 0.4), (1.0, 2.0), *((4.0 + 2.0 * number, 1.0) for number in range(30)))
CASES = [
    Case(Split(("follower",), style="refused"), PLAIN, Actuator.TOXIPROXY),
    Case(Split(("follower",), style="dropped"), PLAIN, Actuator.TOXIPROXY),
    Case(Isolate("leader"), PLAIN, Actuator.TOXIPROXY),
    Case(Bridge(*LINK), PLAIN, Actuator.TOXIPROXY),
    Case(OneWay("leader", ("follower",)), PLAIN, Actuator.TOXIPROXY),
    Case(SlowLink(*LINK, delay_s=0.1), PLAIN, Actuator.TOXIPROXY),
    Case(NarrowLink(*LINK), PLAIN, Actuator.TOXIPROXY),
    Case(ResetConnections(*LINK), PLAIN, Actuator.TOXIPROXY),
    Case(HalfOpenConnections(*LINK), PLAIN, Actuator.TOXIPROXY),
    Case(FlappingLinks(*LINK, downs=FLAPS), PLAIN, Actuator.TOXIPROXY),
    Case(Kill("follower"), PLAIN, Actuator.ENGINE, calls=1),
    Case(Pause("follower"), PLAIN, Actuator.ENGINE, calls=1),
    Case(Restart("follower"), PLAIN, Actuator.ENGINE, calls=1),
    Case(Upgrade("follower", to="2"), PLAIN, Actuator.RECREATION, calls=1),
    Case(LeftBehind("n1", to="2"), PLAIN, Actuator.RECREATION, calls=1, hits=("n2", "n3")),
    Case(SlowStorage("follower", delay_s=0.4), STORED, Actuator.STORAGE, calls=1),
    Case(FullDisk("follower"), STORED, Actuator.STORAGE, calls=1),
    Case(
        StaleKeys("follower", ("identity",), field="SchemeName"),
        KEYED,
        Actuator.ARTIFACTS,
        calls=1,
    ),
    Case(OverwrittenKey("n1", "identity", by="n2"), KEYED, Actuator.ARTIFACTS, calls=1),
    Case(OperatorError("follower", RENEW), COMMANDED, Actuator.COMMANDS, calls=1),
    Case(StaleIdentity("n1", ("n2",)), DEALT, Actuator.ARTIFACTS, calls=1, hits=("n2",)),
    Case(WrongClock("follower"), CLOCKED, Actuator.CLOCK, calls=1),
    Case(WrongPort("leader", "follower"), SECURE, Actuator.TOXIPROXY, calls=1),
    Case(TlsMismatch("follower"), SECURE, Actuator.FILES, calls=1),
    Case(WrongCertificate("follower", "foreign_authority"), SECURE, Actuator.FILES, calls=1),
    Case(WrongCertificate("follower", "expired"), SECURE, Actuator.FILES, calls=1),
    Case(WrongCertificate("follower", "wrong_name"), SECURE, Actuator.FILES, calls=1),
    Case(Reconfigure("follower", {"peer_tls": "off"}), SECURE, Actuator.FILES, calls=1),
    Case(MisconfiguredProxy("n1"), TERMINATED, Actuator.FILES, calls=1),
    Case(SlowClose(*LINK, delay_s=0.3), FOREIGN, Actuator.TOXIPROXY),
]


def _found(cluster: Cluster) -> dict[str, str]:
    """Its fingerprint, but for which process of a node runs: many faults restart one."""
    return {
        name: said.split()[0] if name.endswith(" process") else said
        for name, said in cluster.fingerprint().items()
    }


@dataclass
class Bench:
    """One cluster at a time, used again while it is found as it was made."""

    session: Session
    _kind: str = ""
    _stack: ExitStack = field(default_factory=ExitStack)
    _cluster: Cluster | None = None
    _pristine: dict[str, str] = field(default_factory=dict)

    def cluster(self, kind: str) -> Cluster:
        """A cluster of this kind as it was made, with a leader."""
        held = self._cluster
        if held is not None and kind == self._kind and self._is_pristine(held):
            held.await_steady_state(timeout_s=STEADY_TIMEOUT_S)
            self.await_leader(held)
            return held
        self.close()
        known = SYSTEMS[kind].releases
        release = LABELS.get(kind) or known[-1 if kind in NEWEST else 0].label
        setting = Setting(
            release=release,
            storage=kind == STORED,
            clocks=kind == CLOCKED,
            load_per_s=LOAD_PER_S,
        )
        cluster = self._stack.enter_context(self.session.cluster(SYSTEMS[kind], setting))
        self._cluster, self._kind, self._pristine = cluster, kind, _found(cluster)
        self.await_leader(cluster)
        return cluster

    def await_leader(self, cluster: Cluster) -> None:
        """Toys elect one when they are asked; the others may be candidates; beacons have none."""

        def led() -> bool:
            roles = [one.role for one in cluster.latest().values() if one is not None]
            followers = len(cluster.nodes) - 1
            return not any(roles) or sorted(roles) == ["follower"] * followers + ["leader"]

        def asked_and_led() -> bool:
            with cluster.loaded(LOAD_PER_S):
                clock.wait_until(led, what="toys with a leader", timeout_s=STEADY_TIMEOUT_S)
            return led()  # what was under way when the load ended may have cost it its office

        if not led():
            clock.wait_until(asked_and_led, what="a leader that stays", timeout_s=STEADY_TIMEOUT_S)

    def _is_pristine(self, cluster: Cluster) -> bool:
        return not cluster.poisoned and _found(cluster) == self._pristine

    def close(self) -> None:
        """Take the cluster down."""
        self._cluster = None
        self._stack.close()
        self._stack = ExitStack()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("sabotage")
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    choices = Choices(
        seed="7f3a",
        project=REPOSITORY,
        runs=folder,
        command="make sabotage",
        subnets="10.237.0.0/16",
    )
    try:
        with open_session(choices, system="toys", say=lambda _: None) as session:
            made = Bench(session)
            try:
                yield made
            finally:
                made.close()
    finally:
        if before is None:
            del os.environ["XDG_STATE_HOME"]
        else:
            os.environ["XDG_STATE_HOME"] = before
