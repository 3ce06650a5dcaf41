"""On whose programs a run's nodes ran, by its own record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from chaoskit.errors import UsageError
from chaoskit.history import Recorder
from chaoskit.provenance import Provenance, never_started, provenance_of

GIVEN = ("beacon@v1=image:1", "beacon@v2=image:2")


def ran(folder: Path, *releases: str, system: str = "beacon", state: str = "running") -> Path:
    """A run in which nodes of these releases were started."""
    folder.mkdir()
    recorder = Recorder(folder / "history.jsonl")
    recorder.record("chaoskit", "cluster", {"event": "started", "system": system})
    for number, release in enumerate(releases):
        recorder.record(f"n{number}", "state", {"state": state, "release": release})
    recorder.close()
    return folder


@pytest.mark.parametrize(
    ("releases", "images", "whose"),
    [
        (("v1", "v2", "v1"), GIVEN, Provenance.GIVEN),
        (("v1",), GIVEN, Provenance.GIVEN),
        (("v1", "v3"), GIVEN, Provenance.BOTH),
        (("v3",), GIVEN, Provenance.OWN),
        (("v1", "v2"), (), Provenance.OWN),
        (("v1",), ("etcd@v1=image:1",), Provenance.OWN),
        ((), GIVEN, Provenance.OWN),
    ],
)
def test_what_was_started_counts(
    tmp_path: Path, releases: Sequence[str], images: Sequence[str], whose: Provenance
) -> None:
    assert provenance_of(ran(tmp_path / "run", *releases), images) is whose


def test_what_was_given_and_never_started_proves_nothing(tmp_path: Path) -> None:
    folder = ran(tmp_path / "run", "v1", state="stopped")
    assert provenance_of(folder, GIVEN) is Provenance.OWN
    assert provenance_of(tmp_path / "none", GIVEN) is Provenance.OWN
    with pytest.raises(UsageError, match="SYSTEM@RELEASE"):
        provenance_of(folder, ["v1"])


def test_what_runs_are_counted_as() -> None:
    assert [one.suffix for one in Provenance] == ["", ", given images", ", some given images"]


def test_a_given_image_that_no_node_was_started_from_is_named(tmp_path: Path) -> None:
    folder = ran(tmp_path / "run", "v1", "v3")
    assert never_started(folder, GIVEN) == ("beacon@v2=image:2",)
    assert never_started(folder, GIVEN[:1]) == ()
    assert never_started(folder, ("etcd@v1=image:1",)) == ("etcd@v1=image:1",)
    assert never_started(tmp_path / "none", GIVEN) == GIVEN
    assert never_started(ran(tmp_path / "stopped", "v1", state="stopped"), GIVEN) == GIVEN
