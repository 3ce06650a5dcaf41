"""Changes of files: what lies there when the node starts, whose it is, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.node import Folders
from chaoskit.system import Artifact, ArtifactKind
from faults.overwritten_key import OverwrittenKey
from faults.restarting import Restart
from faults.stale_keys import StaleKeys
from tests.stand_in import still

KEY = b'Key = "00ff"\nSchemeName = "some"\n'
ARTIFACTS = (
    Artifact("key", "key", ArtifactKind.KEY, secret=True, in_data=True),
    Artifact("share", "share", ArtifactKind.SHARE, secret=True, in_data=True),
)


@dataclass
class FakeNode:
    """A node whose process is this one until it is ended; every start notes what it reads."""

    name: str
    folders: Folders
    pid: int = 1
    state: str = "running"
    done: list[str] = field(default_factory=list)
    read: list[dict[str, bytes]] = field(default_factory=list)

    def stop(self) -> None:
        self.done.append("stop")
        self.state = "stopped"

    def kill(self) -> None:
        self.done.append("kill")
        self.state = "stopped"

    def start(self) -> None:
        self.done.append("start")
        files = self.folders.data.iterdir()
        self.read.append({path.name: path.read_bytes() for path in files})
        self.state = "running"
        (self.folders.data / "key").write_bytes(KEY)  # as real ones do: written anew


@dataclass
class Rig:
    nodes: dict[str, FakeNode]
    cluster: Cluster


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    nodes = {}
    for name in ("a", "b"):
        folders = Folders(tmp_path / name / "data", tmp_path / name / "config")
        folders.data.mkdir(parents=True)
        (folders.data / "key").write_bytes(KEY.replace(b"00", name.encode() * 2))
        (folders.data / "share").write_bytes(b'Share = "1"\n  SchemeName= "some"\n')
        (folders.data / "key").chmod(0o600)
        nodes[name] = FakeNode(name, folders)

    def require_running(name: str) -> None:
        if nodes[name].state != "running":
            raise NotApplicable(f"{name} is {nodes[name].state}")

    cluster = SimpleNamespace(
        system=still(artifacts=ARTIFACTS),
        node=nodes.__getitem__,
        require_running=require_running,
    )
    return Rig(nodes, cast("Cluster", cluster))


def test_the_other_ones_key_lies_there_at_the_start(rig: Rig) -> None:
    theirs = (rig.nodes["b"].folders.data / "key").read_bytes()
    testimony = OverwrittenKey("a", "key", by="b").apply(rig.cluster)
    node = rig.nodes["a"]
    assert node.done == ["stop", "start"]
    assert node.read[0]["key"] == theirs
    assert (node.folders.data / "key").stat().st_mode & 0o777 == 0o600
    assert rig.nodes["b"].done == []
    lay = testimony.probes[1].look()
    assert (lay.present, lay.detail) == (True, "lay there so")
    assert not testimony.probes[0].look().present, "process 1 still runs"


def test_a_key_that_is_the_same_is_not_overwritten(rig: Rig) -> None:
    with pytest.raises(NotApplicable, match="the same"):
        OverwrittenKey("a", "share", by="b").apply(rig.cluster)
    assert rig.nodes["a"].done == []


def test_a_field_is_gone_at_the_start_and_the_rest_is_there(rig: Rig) -> None:
    testimony = StaleKeys("a", ("key", "share"), field="SchemeName").apply(rig.cluster)
    node = rig.nodes["a"]
    assert node.done == ["stop", "start"]
    assert node.read == [{"key": b'Key = "aaff"\n', "share": b'Share = "1"\n'}]
    assert [probe.look().present for probe in testimony.probes[1:]] == [True, True]
    assert b"SchemeName" in (node.folders.data / "key").read_bytes(), "it wrote the field anew"


@pytest.mark.parametrize("missing", ["Scheme", "Missing", "chemeName"])
def test_a_field_that_is_not_there_cannot_be_missing(rig: Rig, missing: str) -> None:
    with pytest.raises(NotApplicable, match="has no field"):
        StaleKeys("a", ("key",), field=missing).apply(rig.cluster)
    assert rig.nodes["a"].done == []


@pytest.mark.parametrize(("artifacts", "field"), [((), "x"), (("key",), "")])
def test_stale_keys_name_what_they_lack(artifacts: tuple[str, ...], field: str) -> None:
    with pytest.raises(ValueError, match="need"):
        StaleKeys("a", artifacts, field=field)


@pytest.mark.parametrize(("how", "done"), [("kill", "kill"), ("stop", "stop")])
def test_a_restart_ends_it_as_asked(rig: Rig, how: str, done: str) -> None:
    Restart("a", how=how).apply(rig.cluster)  # type: ignore[arg-type]  # as a plan's file says
    assert rig.nodes["a"].done == [done, "start"]


def test_a_restart_is_by_force_or_asked() -> None:
    with pytest.raises(ValueError, match="none of kill, stop"):
        Restart("a", how="burn")  # type: ignore[arg-type]  # as a plan's file may say


@pytest.mark.parametrize(
    "change",
    [
        OverwrittenKey("a", "key", by="b"),
        StaleKeys("a", ("key",), field="SchemeName"),
        Restart("a"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_who_does_not_run_is_not_changed(
    rig: Rig, change: OverwrittenKey | StaleKeys | Restart
) -> None:
    rig.nodes["a"].state = "stopped"
    with pytest.raises(NotApplicable):
        change.apply(rig.cluster)
    assert rig.nodes["a"].done == []
