"""Operator errors: real commands beside a real process, what witnesses them, and what does not."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit import commandevidence
from chaoskit.cluster import Cluster
from chaoskit.command import Command
from chaoskit.engine import Completed
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.history import Recorder
from chaoskit.node import Folders
from chaoskit.system import Artifact, ArtifactKind
from faults.operator_error import OperatorError
from tests.stand_in import still

ARTIFACTS = (
    Artifact("key", "key", ArtifactKind.KEY, secret=True, in_data=True),
    Artifact("share", "share", ArtifactKind.SHARE, secret=True, in_data=True),
)
LONG_S = 30.0  # no machine takes that long for what is meant to be done in time
# what a command does, once it is told to go on
SCRIPT = """
import os, pathlib, sys
sys.stdin.read()
did, data, pid = sys.argv[1:]
if did in ("both", "key"):
    pathlib.Path(data, "key").write_text("new")
if did == "both":
    pathlib.Path(data, "share").write_text("new")
if did == "end":
    os.kill(int(pid), 9)
sys.exit(did == "refuses")
"""


@dataclass
class FakeNode:
    """A node whose process is a child of ours, and beside which commands are run."""

    name: str
    folders: Folders
    process: subprocess.Popen[bytes]
    run: Callable[[Sequence[str]], Completed]
    state: str = "running"

    @property
    def pid(self) -> int:
        if self.process.poll() is not None:
            raise ChaosError(f"{self.name} does not run")
        return self.process.pid

    def placement(self) -> SimpleNamespace:
        return SimpleNamespace(name=self.name, data=str(self.folders.data))

    def execute(self, argv: Sequence[str]) -> Completed:
        return self.run(argv)


@dataclass
class Really:
    """Runs a command, which goes on once its process was `found`: not before anybody looked."""

    found: threading.Event

    def __call__(self, argv: Sequence[str]) -> Completed:
        pipe = subprocess.PIPE
        with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe) as child:
            assert self.found.wait(LONG_S)
            said, errors = child.communicate(timeout=LONG_S)
        return Completed(child.returncode, said, errors)


def not_at_all(argv: Sequence[str]) -> Completed:
    del argv
    return Completed(0, b"done", b"")


@dataclass
class Rig:
    node: FakeNode
    cluster: Cluster
    recorder: Recorder

    def said(self) -> list[Any]:
        return [event.value["text"] for event in self.recorder.history().of("note")]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a process was found that is the one looked for."""
    made = threading.Event()
    is_it = commandevidence._is

    def noted(runs: tuple[str, ...], argv: Sequence[str]) -> bool:
        answer = is_it(runs, argv)
        if answer:
            made.set()
        return answer

    monkeypatch.setattr(commandevidence, "_is", noted)
    return made


@pytest.fixture
def rig(tmp_path: Path, found: threading.Event) -> Iterator[Rig]:
    (tmp_path / "key").write_text("old")
    (tmp_path / "share").write_text("old")
    with subprocess.Popen(["sleep", "600"]) as child:
        node = FakeNode("a", Folders(tmp_path, tmp_path), child, Really(found))

        def commands(placement: Any) -> Sequence[Command]:
            def named(name: str, **leaves: Any) -> Command:
                words = (sys.executable, "-c", SCRIPT, name, placement.data, str(child.pid))
                return Command(name, words, **leaves)

            both = ("key", "share")
            return (
                named("both", rewrites=both),
                named("key", rewrites=both),
                named("refuses", rewrites=both),
                named("end", ends=True),
                named("stays", ends=True),
            )

        def require_running(name: str) -> None:
            if node.state != "running":
                raise NotApplicable(f"{name} is {node.state}")

        recorder = Recorder(tmp_path / "history.jsonl")
        cluster = SimpleNamespace(
            system=still(artifacts=ARTIFACTS, commands=commands),
            node=lambda _: node,
            require_running=require_running,
            recorder=recorder,
        )
        yield Rig(node, cast("Cluster", cluster), recorder)
        child.kill()


def witnessed(rig: Rig, change: OperatorError) -> list[bool]:
    return [one.look().present for one in change.apply(rig.cluster).probes]


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        ("both", [True, True, True]),
        ("key", [True, True, False]),
        ("refuses", [True, False, False]),
        ("end", [True, True]),
        ("stays", [True, False]),
    ],
)
def test_a_command_is_witnessed_by_all_that_it_leaves(
    rig: Rig, command: str, seen: list[bool]
) -> None:
    assert witnessed(rig, OperatorError("a", command)) == seen
    assert rig.said() == [f"{command} beside a: exit code {int(command == 'refuses')}"]


@pytest.mark.parametrize("command", ["both", "refuses"])
def test_one_that_may_be_refused_is_witnessed_by_its_process(rig: Rig, command: str) -> None:
    assert witnessed(rig, OperatorError("a", command, may_be_refused=True)) == [True]


@pytest.mark.parametrize("may_be_refused", [False, True])
def test_a_command_that_was_never_run_is_witnessed_by_nothing(
    rig: Rig,
    may_be_refused: bool,  # noqa: FBT001 - both
) -> None:
    """Whatever its answer says."""
    rig.node.run = not_at_all
    seen = witnessed(rig, OperatorError("a", "both", may_be_refused=may_be_refused))
    assert seen == [False] if may_be_refused else [False, False, False]


def test_a_command_that_is_not_the_system_s_is_refused(rig: Rig) -> None:
    known = "both, key, refuses, end, stays"
    with pytest.raises(NotApplicable, match=f"no command 'none' beside a: {known}"):
        OperatorError("a", "none").apply(rig.cluster)
    rig.cluster.system = still(artifacts=ARTIFACTS)
    with pytest.raises(NotApplicable, match="it declares none"):
        OperatorError("a", "both").apply(rig.cluster)
    assert rig.said() == []


def test_what_it_would_leave_has_to_be_there(rig: Rig) -> None:
    (rig.node.folders.data / "share").unlink()
    with pytest.raises(NotApplicable, match="share"):
        OperatorError("a", "both").apply(rig.cluster)
    assert (rig.node.folders.data / "key").read_text() == "old"


def test_a_node_that_does_not_run_has_nobody_beside_it(rig: Rig) -> None:
    rig.node.state = "stopped"
    with pytest.raises(NotApplicable, match="a is stopped"):
        OperatorError("a", "both").apply(rig.cluster)
    assert rig.said() == []
