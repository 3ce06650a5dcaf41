"""Artifacts, found by the names that a system gives them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from chaoskit.artifacts import file_of, overwrite
from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.node import Folders
from chaoskit.system import Artifact, ArtifactKind
from tests.stand_in import still

ARTIFACTS = (
    Artifact("share", "group/share", ArtifactKind.SHARE, secret=True, in_data=True),
    Artifact("certificate", "leaf.pem", ArtifactKind.CERTIFICATE),
    Artifact("rounds", "db", ArtifactKind.DATABASE, in_data=True),
)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    folders = Folders(tmp_path / "data", tmp_path / "config")
    (folders.data / "group").mkdir(parents=True)
    (folders.data / "group" / "share").write_bytes(b"s")
    (folders.data / "db").mkdir()
    folders.config.mkdir()
    (folders.config / "leaf.pem").write_bytes(b"c")
    node = SimpleNamespace(folders=folders)
    made = SimpleNamespace(system=still(artifacts=ARTIFACTS), node=lambda _: node)
    return cast("Cluster", made)


@pytest.mark.parametrize(("name", "content"), [("share", b"s"), ("certificate", b"c")])
def test_a_file_is_found_where_it_lies(cluster: Cluster, name: str, content: bytes) -> None:
    assert file_of(cluster, "a", name).read_bytes() == content


@pytest.mark.parametrize(
    ("name", "says"),
    [("key", "no artifact 'key': share, certificate, rounds"), ("rounds", "is no file")],
)
def test_what_is_no_file_is_not_applicable(cluster: Cluster, name: str, says: str) -> None:
    with pytest.raises(NotApplicable, match=says):
        file_of(cluster, "a", name)


@pytest.mark.parametrize("content", [b"", b"short", b"longer than what was there before"])
def test_an_overwritten_file_keeps_its_mode_and_nothing_of_its_content(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "share"
    path.write_bytes(b"what was there before")
    path.chmod(0o600)
    before = path.stat()
    overwrite(path, content)
    after = path.stat()
    assert path.read_bytes() == content
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
