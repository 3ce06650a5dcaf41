"""What tells a cluster that was left as it was found from one that was not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from chaoskit.node import Folders
from chaoskit.pristine import fingerprint
from chaoskit.system import Artifact, ArtifactKind

ARTIFACTS = (
    Artifact("key", "key", ArtifactKind.KEY, in_data=True),
    Artifact("journal", "journal", ArtifactKind.DATABASE, in_data=True),
    Artifact("config", "config", ArtifactKind.CONFIG),
)
NOWHERE = Folders(Path("/nowhere"), Path("/nowhere"))


@dataclass
class Links:
    open: bool = True

    def pristine(self) -> bool:
        return self.open


@dataclass
class Rules:
    delays: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {"delays": self.delays}


@dataclass
class Running:
    """What is asked of a node."""

    state: str = "running"
    pid: int = 41
    image_id: str = "sha256:aa"
    argv: tuple[str, ...] = ("serve", "--name", "a")
    files: str = "digest"
    laid: Rules | None = None
    folders: Folders = NOWHERE

    def command_line(self) -> tuple[str, ...]:
        return self.argv

    def config_digest(self) -> str:
        return self.files

    @property
    def has_storage(self) -> bool:
        return self.laid is not None

    @property
    def storage(self) -> Any:
        return self

    def rules(self) -> Rules:
        assert self.laid is not None
        return self.laid


def taken(links: Links, **nodes: Running) -> dict[str, str]:
    return fingerprint(cast("Any", links), cast("Any", nodes), ARTIFACTS)


@pytest.mark.parametrize(
    ("after", "changed"),
    [
        (Running(), set()),
        (Running(pid=42), {"a process"}),
        (Running(state="paused"), {"a process"}),
        (Running(argv=()), {"a process", "a arguments"}),
        (Running(argv=("serve",)), {"a arguments"}),
        (Running(image_id="sha256:bb"), {"a image"}),
        (Running(files="other"), {"a configuration"}),
    ],
)
def test_each_difference_has_its_name(after: Running, changed: set[str]) -> None:
    before, now = taken(Links(), a=Running(), b=Running()), taken(Links(), a=after, b=Running())
    assert {name for name in before if before[name] != now[name]} == changed


def test_links_and_rules_of_a_disk_count_too() -> None:
    before = taken(Links(), a=Running(laid=Rules()))
    assert taken(Links(), a=Running(laid=Rules())) == before
    assert taken(Links(open=False), a=Running(laid=Rules()))["links"] != before["links"]
    assert taken(Links(), a=Running(laid=Rules(["fsync"])))["a storage"] != before["a storage"]


def test_a_node_on_a_plain_folder_has_no_rules_to_change() -> None:
    assert "a storage" not in taken(Links(), a=Running())


@pytest.mark.parametrize(
    ("name", "differs"), [("key", True), ("journal", False), ("config", False), ("other", False)]
)
def test_what_a_command_did_to_the_data_counts(
    tmp_path: Path,
    name: str,
    differs: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Configuration has a digest of its own, and a database grows by itself."""
    node = Running(folders=Folders(tmp_path, tmp_path / "config"))
    before = taken(Links(), a=node)
    (tmp_path / name).write_bytes(b"new")
    now = taken(Links(), a=node)
    assert {one for one in before if before[one] != now[one]} == (
        {"a artifacts"} if differs else set()
    )
