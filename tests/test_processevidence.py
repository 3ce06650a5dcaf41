"""Probes and meters on processes: what they say of real children, and of what lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit import clock
from chaoskit.backend import ProcessSpec
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError
from chaoskit.node import Folders, Node
from chaoskit.processevidence import (
    delayed_calls,
    goes_on,
    holds,
    is_frozen,
    is_full,
    is_gone,
    read_at_start,
    refused_calls,
    reports_version,
    runs_as_configured,
    runs_on,
    started_anew,
    started_from,
    syncs_slowly,
)
from chaoskit.storage_control import Operation, OperationCount, StorageCounters
from chaoskit.system import ConfigFile, Observation
from tests.fakes import FakeBackend

ARGV = ("sleep", "600")


class Child:
    """A node as these probes see it, on a backend of real children."""

    name = "n1"

    def __init__(self, backend: FakeBackend, folder: Path) -> None:
        self.backend = backend
        self.state = "running"
        self.image_id = "sha256:one"
        self.runs: tuple[str, ...] = ARGV
        self.spec = ProcessSpec("n1", ARGV, "", folder, folder)
        self.start()

    def start(self) -> None:
        self.backend.create(self.spec)
        self.backend.output("n1")
        self.backend.start("n1")

    @property
    def pid(self) -> int:
        return self.backend.pid("n1")

    def frozen(self) -> bool:
        return self.backend.is_paused("n1")

    def command_line(self) -> tuple[str, ...]:
        return self.runs

    @property
    def as_node(self) -> Node:
        return cast("Node", self)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    backend = FakeBackend(tmp_path, ("n1",))
    yield Child(backend, tmp_path)
    backend.close()


def test_a_process_goes_on_until_it_is_replaced(child: Child) -> None:
    probe = goes_on(child.as_node)
    pid = child.pid
    assert probe.look().present
    assert probe.look().detail == f"process {pid} runs"
    child.backend.kill("n1")
    assert not probe.look().present
    child.start()
    assert not probe.look().present, "another one runs"
    assert probe.look().detail == f"process {pid} is gone"


def test_what_a_process_has_read_it_runs_on(child: Child, tmp_path: Path) -> None:
    """The order of the world: old file, wrong file, and the right one again."""
    file = tmp_path / "identity"
    file.write_bytes(b"right")
    probe = runs_on(child.as_node, str(file), wanted=lambda text: text == b"wrong")
    file.write_bytes(b"wrong")
    assert not probe.look().present, "nobody was started on it"
    child.backend.kill("n1")
    with pytest.raises(ChaosError):
        probe.look()
    child.start()
    assert probe.look().present
    assert probe.look().detail == f"process {child.pid} finds it so"
    file.write_bytes(b"right")
    assert probe.look().present, "it has read the other one"
    child.backend.kill("n1")
    child.start()
    assert not probe.look().present
    assert probe.look().detail == f"process {child.pid} finds it otherwise"
    file.unlink()
    with pytest.raises(ChaosError, match="identity of n1"):
        probe.look()


def test_gone_is_gone_and_not_replaced(child: Child) -> None:
    probe = is_gone(child.as_node)
    pid = child.pid
    assert probe.look().present is False
    child.backend.kill("n1")
    seen = probe.look()
    assert (seen.present, seen.detail) == (True, f"process {pid} is gone")
    child.start()
    seen = probe.look()
    assert (seen.present, seen.detail) == (False, f"process {child.pid} runs"), "another one runs"


def test_started_anew_is_another_process_and_not_the_one_before(child: Child) -> None:
    probe, before = started_anew(child.as_node), child.pid
    assert probe.look().present is False
    child.backend.kill("n1")
    child.state = "stopped"
    assert probe.look().present is False, "it is gone, and nothing was started"
    child.start()
    child.state = "running"
    seen = probe.look()
    assert seen.present
    assert seen.detail == f"process {before} is gone, process {child.pid} runs"
    child.backend.kill("n1")
    child.state = "exited"
    seen = probe.look()
    assert (seen.present, seen.detail[-9:]) == (True, "is exited"), "what was started has ended"


def test_what_a_start_reads_is_looked_at_before_it(child: Child, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"old")
    lay = read_at_start(child.as_node, file, wanted=lambda text: text == b"old")
    lay_not = read_at_start(child.as_node, file, wanted=lambda text: text == b"new")
    file.write_bytes(b"new")
    assert lay.look().present
    assert not lay_not.look().present


def test_frozen_is_the_kernels_word(child: Child) -> None:
    probe = is_frozen(child.as_node)
    assert not probe.look().present
    child.backend.pause("n1")
    clock.wait_until(lambda: probe.look().present, what="the freeze", timeout_s=30)
    child.backend.unpause("n1")
    clock.wait_until(lambda: not probe.look().present, what="the thaw", timeout_s=30)


@pytest.mark.parametrize(
    ("state", "image", "present"),
    [
        ("running", "sha256:one", True),
        ("exited", "sha256:one", True),
        ("stopped", "sha256:one", False),
        ("running", "sha256:two", False),
    ],
)
def test_started_from(child: Child, state: str, image: str, *, present: bool) -> None:
    child.state, child.image_id = state, image
    seen = started_from(child.as_node, image_id="sha256:one").look()
    assert (seen.present, seen.detail) == (present, f"{state}, from {image}")


def test_a_file_holds_what_was_asked(tmp_path: Path) -> None:
    node = cast("Node", SimpleNamespace(name="n1", folders=Folders(tmp_path, tmp_path)))
    probe = holds(node, ConfigFile("a.conf", b"blue"))
    assert not probe.look().present
    (tmp_path / "a.conf").write_bytes(b"red")
    assert not probe.look().present
    (tmp_path / "a.conf").write_bytes(b"blue")
    assert probe.look().present


def test_its_arguments_are_all_of_them_in_order(child: Child) -> None:
    probe = runs_as_configured(child.as_node, argv=("sleep", "600"))
    assert probe.look().present
    for others in (
        ("sleep", "600", "--more"),
        ("sleep",),
        ("sleep", "6000"),
        ("python3", "/bin/sleep", "6000"),
        ("python3", "/bin/wake", "600"),
        ("python3", "-I", "/bin/sleep", "600"),
    ):
        child.runs = others
        assert not probe.look().present, others
    child.runs = ("python3", "/usr/local/bin/sleep", "600")
    assert probe.look().present, "a script has its interpreter before it"
    alone = runs_as_configured(child.as_node, argv=("wake",))
    for ran, is_it in (
        (("wake",), True),
        (("sh", "/bin/wake"), True),
        (("sh", "wake", "1"), False),
    ):
        child.runs = ran
        assert alone.look().present is is_it, ran
    child.runs = ()
    seen = probe.look()
    assert (seen.present, seen.detail) == (False, "no process")


def test_a_version_is_what_the_observer_heard_now() -> None:
    latest: dict[str, Observation | None] = {"n1": Observation(ready=True, version="2.0")}
    cluster = cast("Cluster", SimpleNamespace(latest=lambda: latest))
    probe = reports_version(cluster, "n1", version="2.0")
    assert probe.look().present
    latest["n1"] = Observation(ready=True, version="1.9")
    assert probe.look().detail == "1.9"
    latest["n1"] = None
    seen = probe.look()
    assert (seen.present, seen.detail) == (False, "no answer")


class Disk:
    """A mount as the probes see it."""

    took_s = 0.2
    full = False
    limits_s: tuple[float, ...] = ()

    def probe_sync_s(self, *, timeout_s: float) -> float:
        self.limits_s += (timeout_s,)
        return self.took_s

    def probe_space(self, *, timeout_s: float) -> bool:
        return self.full

    def counters(self) -> StorageCounters:
        ours = OperationCount(calls=9, delayed=4, refused=2)
        other = OperationCount(calls=50, delayed=50, refused=50)
        return StorageCounters(
            {10001: {Operation.FSYNC: ours, Operation.WRITE: ours}, 0: {Operation.FSYNC: other}}
        )


@pytest.fixture
def stored() -> Node:
    return cast("Node", SimpleNamespace(name="n1", storage=Disk(), owner=10001))


def test_a_sync_is_slow_from_the_delay_on(stored: Node) -> None:
    disk = cast("Any", stored.storage)
    probe = syncs_slowly(stored, at_least_s=0.2)
    assert probe.look().present
    disk.took_s = 0.199
    assert not probe.look().present
    assert min(disk.limits_s) > 0.2, "it waits long enough to see the delay"


def test_full_is_a_write_that_was_refused(stored: Node) -> None:
    probe = is_full(stored)
    assert (probe.look().present, probe.look().detail) == (False, "written")
    cast("Any", stored.storage).full = True
    assert (probe.look().present, probe.look().detail) == (True, "ENOSPC")


def test_meters_count_the_nodes_own_calls_alone(stored: Node) -> None:
    assert delayed_calls(stored, Operation.FSYNC).read() == 4
    refused = refused_calls(stored)
    assert refused.read() == 4, "over all operations"
    assert refused.first() == 4


def test_a_write_that_is_refused_before_the_fault_was_seen_is_felt(stored: Node) -> None:
    refused = refused_calls(stored)
    disk = cast("Any", stored.storage)
    counted = disk.counters
    disk.counters = lambda: SimpleNamespace(total=lambda _: SimpleNamespace(refused=5))
    assert (refused.first(), refused.read()) == (4, 5)
    disk.counters = counted
