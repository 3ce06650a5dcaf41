"""Companions beside nodes, on an engine that only notes what is asked of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from chaoskit.backend import ProcessSpec
from chaoskit.companion import FOLDER, Companion
from chaoskit.companions_docker import Companions
from chaoskit.engine import ContainerSpec
from chaoskit.errors import ChaosError
from chaoskit.journal import Journal
from tests.fakes import OWNER


@dataclass
class NotingEngine:
    """Every container says its number of starts, once each."""

    asked: list[str] = field(default_factory=list)
    specs: list[ContainerSpec] = field(default_factory=list)
    refuses: bool = False

    def create_container(self, spec: ContainerSpec) -> str:
        self.specs.append(spec)
        self.asked.append(f"create {spec.network}")
        return f"c{len(self.specs)}"

    def attach(self, container: str) -> Generator[bytes, None, None]:
        self.asked.append(f"attach {container}")
        return (line for line in [b"up\n"])

    def start(self, container: str) -> None:
        self.asked.append(f"start {container}")
        if self.refuses:
            raise ChaosError("no such network")

    def kill(self, container: str) -> None:
        self.asked.append(f"kill {container}")

    def remove_container(self, container: str) -> None:
        self.asked.append(f"remove {container}")


@dataclass
class Rig:
    """Companions of one cluster."""

    folder: Path

    def __post_init__(self) -> None:
        self.engine = NotingEngine()
        self.journal = Journal("beside", folder=self.folder / "journal")
        self.companions = Companions(
            self.engine,  # type: ignore[arg-type]
            self.journal,
            self.journal.name("c1"),
            self.folder / "scratch",
            OWNER,
        )
        beside = Companion("proxy:1", ("proxy",), {"sub/conf": b"listen"}, lambda _: False)
        self.log = self.folder / "logs" / "companion.log"
        self.spec = ProcessSpec(
            node="a",
            argv=("run",),
            image="image",
            data=self.folder,
            config=self.folder,
            beside=beside,
            log=self.folder / "logs" / "log",
        )


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_it_shares_the_network_of_its_node_and_nothing_else(rig: Rig) -> None:
    rig.companions.create(rig.spec, "node-1")
    (made,) = rig.engine.specs
    assert (made.network, made.address, made.image) == ("container:node-1", "", "proxy:1")
    (mount,) = made.mounts
    assert (mount.target, mount.read_only) == (FOLDER, True)
    written = mount.source / "sub" / "conf"
    assert (written.read_bytes(), written.stat().st_mode & 0o777) == (b"listen", 0o400)
    assert mount.source.stat().st_uid == OWNER[0]


def test_each_start_of_the_node_starts_it_anew(rig: Rig) -> None:
    """The network it was started in went with its node's last life."""
    rig.companions.create(rig.spec, "node-1")
    rig.companions.end("a")
    rig.companions.start("a")
    rig.companions.start("a")
    rig.companions.end("a")
    rig.companions.end("a")
    rig.companions.close()
    once = ["attach c1", "start c1"]
    assert rig.engine.asked == [
        "create container:node-1",
        *once,
        "kill c1",
        *once,
        "kill c1",
        "remove c1",
    ]
    assert len(rig.log.read_text().splitlines()) == 2


def test_what_changed_is_made_anew_and_what_is_gone_is_removed(rig: Rig) -> None:
    rig.companions.create(rig.spec, "node-1")
    rig.companions.create(rig.spec, "node-2")
    rig.companions.create(replace(rig.spec, beside=None), "node-3")
    rig.companions.start("a")
    assert rig.engine.asked == [
        "create container:node-1",
        "remove c1",
        "create container:node-2",
        "remove c2",
    ]
    assert rig.journal.outstanding() == (), "what is gone is nobody's to remove any more"


def test_one_that_does_not_start_leaves_nothing_open(rig: Rig) -> None:
    rig.companions.create(rig.spec, "node-1")
    rig.engine.refuses = True
    with pytest.raises(ChaosError):
        rig.companions.start("a")
    assert not rig.log.exists()
