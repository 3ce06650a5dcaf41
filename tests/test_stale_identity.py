"""A stale identity: which line of whose files is turned, what sees it, how it is turned back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from chaoskit import artifacts
from chaoskit.cluster import Cluster
from chaoskit.conversation import Mode
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.node import Folders
from chaoskit.system import Artifact, ArtifactKind, Endpoint
from faults.stale_identity import StaleIdentity
from tests.stand_in import still

GROUP = b"""Threshold = 2
TLS = true

[[Nodes]]
  Address = "a:7001"
  TLS = true
  Index = 0

[[Nodes]]
  Address = "b:7001"
  Key = "0b"
  TLS = true
  Index = 1

[[Nodes]]
  Address = "b:70011"
  TLS = true
"""
TURNED = GROUP.replace(b'  Key = "0b"\n  TLS = true', b'  Key = "0b"\n  TLS = false')
ARTIFACTS = (
    Artifact("key", "key", ArtifactKind.KEY, secret=True, in_data=True),
    Artifact("group", "group", ArtifactKind.CONFIG, in_data=True, flag="TLS"),
    Artifact("identity", "identity", ArtifactKind.KEY, in_data=True, flag="TLS"),
)


@dataclass
class FakeNode:
    """A node with a child of ours for a process; every start notes the group that it finds."""

    name: str
    folders: Folders
    process: subprocess.Popen[bytes] | None = None
    state: str = "stopped"
    read: list[bytes] = field(default_factory=list)

    @property
    def pid(self) -> int:
        if self.process is None:
            raise ChaosError(f"{self.name} does not run")
        return self.process.pid

    def placement(self) -> SimpleNamespace:
        hosts = {"a": "a", "b": "b", "c": "c"}
        return SimpleNamespace(hosts=hosts, data=str(self.folders.data), config="/none")

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process, self.state = None, "stopped"

    def start(self) -> None:
        self.read.append((self.folders.data / "group").read_bytes())
        self.process, self.state = subprocess.Popen(["sleep", "600"]), "running"


@dataclass
class Rig:
    nodes: dict[str, FakeNode]
    cluster: Cluster
    failed: dict[str, int]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    nodes: dict[str, FakeNode] = {}
    for name in ("a", "b", "c"):
        data = tmp_path / name
        data.mkdir()
        (data / "key").write_bytes(b"TLS = true\n")
        (data / "group").write_bytes(GROUP)
        (data / "identity").write_bytes(f'Address = "{name}:7001"\nTLS = true\n'.encode())
        nodes[name] = FakeNode(name, Folders(data, tmp_path))
        nodes[name].start()
    failed = {"b": 0}

    def failures(endpoint: Endpoint, _timeout_s: float) -> Mapping[str, int]:
        assert endpoint.node == "a"
        return failed

    def require_running(*names: str) -> None:
        if down := [name for name in names if nodes[name].state != "running"]:
            raise NotApplicable(f"{down[0]} is down")

    system = still(artifacts=ARTIFACTS, failures=failures)
    cluster = SimpleNamespace(
        system=system,
        node=nodes.__getitem__,
        require_running=require_running,
        link=lambda source, target: SimpleNamespace(
            name=f"{source}>{target}", source=source, target=target
        ),
        wire=SimpleNamespace(linked_port=lambda: system.linked_ports[0]),
        endpoint=lambda node: Endpoint(node, "127.0.0.1", {}),
        backend=SimpleNamespace(name="none", counts_packets=False),
    )
    yield Rig(nodes, cast("Cluster", cluster), failed)
    for node in nodes.values():
        if node.process is not None:
            node.stop()


def group(rig: Rig, name: str) -> bytes:
    return (rig.nodes[name].folders.data / "group").read_bytes()


def test_a_holder_starts_on_the_old_flag_and_then_on_its_own(rig: Rig) -> None:
    with StaleIdentity("b", ("a",)).inject(rig.cluster) as witness:
        assert [one.name for one in witness.probes] == ["group of a"], "its identity is its own"
        assert witness.probes[0].look().present
        rig.nodes["a"].state = "paused"  # whatever else is done to it
    assert not witness.probes[0].look().present
    assert rig.nodes["a"].read == [GROUP, TURNED, GROUP]
    assert [rig.nodes[name].read for name in ("b", "c")] == [[GROUP], [GROUP]]


def test_what_it_has_on_file_of_itself_is_turned_too(rig: Rig) -> None:
    own = rig.nodes["b"].folders.data / "identity"
    with StaleIdentity("b", ("a", "b")).inject(rig.cluster) as witness:
        names = ["group of a", "group of b", "identity of b"]
        assert [one.name for one in witness.probes] == names
        assert all(one.look().present for one in witness.probes)
        assert own.read_bytes() == b'Address = "b:7001"\nTLS = false\n'
        assert (own.parent / "key").read_bytes() == b"TLS = true\n", "it has no flag of the kind"
    assert not any(one.look().present for one in witness.probes)
    assert own.read_bytes() == b'Address = "b:7001"\nTLS = true\n'


def test_a_flag_that_is_false_becomes_true(rig: Rig) -> None:
    (rig.nodes["a"].folders.data / "group").write_bytes(TURNED)
    with StaleIdentity("b", ("a",)).inject(rig.cluster) as witness:
        assert group(rig, "a") == GROUP
        assert witness.probes[0].look().present
    assert group(rig, "a") == TURNED


def test_what_the_holder_wrote_meanwhile_stays(rig: Rig) -> None:
    with StaleIdentity("b", ("a",)).inject(rig.cluster):
        (rig.nodes["a"].folders.data / "group").write_bytes(TURNED + b"Epoch = 2\n")
    assert group(rig, "a") == GROUP + b"Epoch = 2\n"


def test_it_is_felt_by_what_failed_with_that_node(rig: Rig) -> None:
    with StaleIdentity("b", ("a",)).inject(rig.cluster) as witness:
        (meter,) = witness.meters
        assert (meter.name, meter.read()) == ("what failed with b", 0)
        rig.failed.update(b=2, c=7)
        assert meter.read() == 2


@pytest.mark.parametrize(
    ("left", "right", "wrong"),
    [(GROUP, Mode.TLS, Mode.PLAINTEXT), (TURNED, Mode.PLAINTEXT, Mode.TLS)],
)
def test_where_packets_are_heard_the_holders_dials_are_too(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, left: bytes, right: Mode, wrong: Mode
) -> None:
    said = {"a>b": right, "c>b": right}
    monkeypatch.setattr(rig.cluster.backend, "counts_packets", True)
    monkeypatch.setattr("chaoskit.linkevidence.overheard", lambda _, link, **__: said[link.name])
    for name in ("a", "b", "c"):
        (rig.nodes[name].folders.data / "group").write_bytes(left)
    with StaleIdentity("b", ("a", "b", "c")).inject(rig.cluster) as witness:
        probes = {one.name: one for one in witness.probes if one.link}
        assert list(probes) == ["what a says on a>b", "what c says on c>b"]
        assert not any(one.look().present for one in probes.values()), "its files alone are wrong"
        said["a>b"] = wrong
        assert [one.look().present for one in probes.values()] == [True, False]
    assert probes["what a says on a>b"].look().present, "it has not dialled otherwise since"
    said["a>b"] = right
    assert not probes["what a says on a>b"].look().present


def test_it_is_not_seen_while_nobody_was_started_on_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_place(path: Path, content: bytes) -> None:
        path.write_bytes(content)
        monkeypatch.setattr(rig.nodes["a"], "start", lambda: None)

    pid = rig.nodes["a"].process
    monkeypatch.setattr(rig.nodes["a"], "stop", lambda: None)
    monkeypatch.setattr("faults.stale_identity.overwrite", in_place)
    with StaleIdentity("b", ("a",)).inject(rig.cluster) as witness:
        assert rig.nodes["a"].process is pid
        assert group(rig, "a") == TURNED
        assert not witness.probes[0].look().present
    monkeypatch.undo()


def test_it_is_there_while_who_read_it_runs(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are mended, and nobody is started on them."""
    with StaleIdentity("b", ("a",)).inject(rig.cluster) as witness:
        assert witness.probes[0].look().present
        monkeypatch.setattr(rig.nodes["a"], "stop", lambda: None)
        monkeypatch.setattr(rig.nodes["a"], "start", lambda: None)
    assert group(rig, "a") == GROUP
    assert witness.probes[0].look().present
    monkeypatch.undo()


def test_a_write_that_fails_is_made_good(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    real = artifacts.overwrite
    tries: list[Path] = []

    def fails_once(path: Path, content: bytes) -> None:
        tries.append(path)
        if len(tries) == 2:
            raise OSError("no space")
        real(path, content)

    monkeypatch.setattr("faults.stale_identity.overwrite", fails_once)
    with (
        pytest.raises(OSError, match="no space"),
        StaleIdentity("b", ("a", "c")).inject(rig.cluster),
    ):
        pytest.fail("the body is not run")
    assert [group(rig, name) for name in ("a", "c")] == [GROUP, GROUP]
    assert [rig.nodes[name].state for name in ("a", "c")] == ["running", "running"]


@pytest.mark.parametrize(
    ("at", "left", "why"),
    [
        (("b",), GROUP, "nobody dials b"),
        ((), GROUP, "nobody dials b"),
        (("a",), GROUP.replace(b"TLS", b"Tls"), "no file of a has a flag of b"),
        (("a",), GROUP.replace(b'"b:7001"', b'"x:7001"'), "no file of a has a flag of b"),
        (("a",), GROUP.replace(b'"b:7001"', b'"sub-b:7001"'), "no file of a has a flag of b"),
        (("a",), b"", "no file of a has a flag of b"),
    ],
)
def test_where_nothing_can_be_stale_nothing_is_touched(
    rig: Rig, at: tuple[str, ...], left: bytes, why: str
) -> None:
    (rig.nodes["a"].folders.data / "group").write_bytes(left)
    with pytest.raises(NotApplicable, match=why), StaleIdentity("b", at).inject(rig.cluster):
        pytest.fail("the body is not run")
    assert [len(node.read) for node in rig.nodes.values()] == [1, 1, 1]
    assert group(rig, "a") == left


def test_a_holder_that_is_down_is_left_alone(rig: Rig) -> None:
    rig.nodes["a"].stop()
    with (
        pytest.raises(NotApplicable, match="a is down"),
        StaleIdentity("b", ("a",)).inject(rig.cluster),
    ):
        pytest.fail("the body is not run")


def test_nodes_that_tell_no_failures_cannot_have_it(rig: Rig) -> None:
    rig.cluster.system = still(artifacts=ARTIFACTS)
    with (
        pytest.raises(NotApplicable, match="do not tell"),
        StaleIdentity("b", ("a",)).inject(rig.cluster),
    ):
        pytest.fail("the body is not run")
    assert len(rig.nodes["a"].read) == 1
