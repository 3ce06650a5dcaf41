"""Left behind: who is upgraded and who is not, what is owed for both, and what is refused."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.system import Observation, Release, System
from faults.left_behind import LeftBehind
from tests.stand_in import still

ONE, TWO = (
    Release("1", image="still:1", version="1.0"),
    Release("2", image="still:2", version="2.0"),
)


@dataclass
class FakeNode:
    """A node whose process is this one; what it runs is the image that it was upgraded to."""

    name: str
    pid: int = field(default_factory=os.getpid)
    state: str = "running"
    image_id: str = "id of still:1"
    release: Release = ONE

    @property
    def configuration(self) -> SimpleNamespace:
        return SimpleNamespace(release=self.release)

    def upgrade(self, release: Release, *, image: str) -> None:
        self.release, self.image_id = release, f"id of {image}"


@dataclass
class Rig:
    nodes: dict[str, FakeNode]
    cluster: Cluster
    says: dict[str, str]


def made(system: System | None = None) -> Rig:
    system = system or still(releases=(ONE, TWO))
    nodes = {name: FakeNode(name) for name in system.nodes}
    says: dict[str, str] = {}

    def require_running(name: str) -> None:
        if nodes[name].state != "running":
            raise NotApplicable(f"{name} is {nodes[name].state}")

    def latest() -> dict[str, Observation | None]:
        return {
            name: Observation(ready=True, version=says.get(name, node.release.version))
            for name, node in nodes.items()
        }

    cluster = SimpleNamespace(
        system=system,
        nodes=nodes,
        node=nodes.__getitem__,
        require_running=require_running,
        image=lambda release: release.image,
        image_id=lambda image: f"id of {image}",
        latest=latest,
    )
    return Rig(nodes, cast("Cluster", cluster), says)


def test_all_but_one_go_and_each_is_looked_at() -> None:
    rig = made()
    testimony = LeftBehind("b", to="2").apply(rig.cluster)
    assert {name: node.release.label for name, node in rig.nodes.items()} == {
        "a": "2",
        "b": "1",
        "c": "2",
    }
    assert [(one.name, one.look().present) for one in testimony.probes] == [
        ("the image of a", True),
        ("the image of c", True),
        ("the process of b", True),
    ]
    assert [(one.name, one.look().present) for one in testimony.while_running] == [
        ("the version that a reports", True),
        ("the version that c reports", True),
        ("the version that b reports", True),
    ]


def test_one_that_was_taken_along_is_not_left_behind() -> None:
    rig = made()
    testimony = LeftBehind("b", to="2").apply(rig.cluster)
    rig.says["b"] = "2.0"
    assert [one.look().present for one in testimony.while_running] == [True, True, False]


def test_one_that_was_started_anew_is_not_left_behind() -> None:
    rig = made()
    rig.nodes["b"].pid = 2**22 + 1  # nobody's: as if it had ended meanwhile
    testimony = LeftBehind("b", to="2").apply(rig.cluster)
    assert [one.look().present for one in testimony.probes] == [True, True, False]


def test_another_that_was_left_too_shows() -> None:
    rig = made()
    testimony = LeftBehind("b", to="2").apply(rig.cluster)
    rig.nodes["c"].image_id, rig.says["c"] = "id of still:1", "1.0"
    assert [one.look().present for one in testimony.probes] == [True, False, True]
    assert [one.look().present for one in testimony.while_running] == [True, False, True]


@pytest.mark.parametrize(
    ("state", "to", "why"),
    [
        ("stopped", "2", "b is stopped"),
        ("running", "1", "b runs 1 already"),
        ("running", "3", "none of its releases"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(state: str, to: str, why: str) -> None:
    rig = made()
    rig.nodes["b"].state = state
    with pytest.raises(NotApplicable, match=why):
        LeftBehind("b", to=to).apply(rig.cluster)
    assert {node.release.label for node in rig.nodes.values()} == {"1"}


def test_nobody_is_left_behind_alone() -> None:
    rig = made(still(nodes=("b",), quorum=1, releases=(ONE, TWO)))
    with pytest.raises(NotApplicable, match="nobody"):
        LeftBehind("b", to="2").apply(rig.cluster)
