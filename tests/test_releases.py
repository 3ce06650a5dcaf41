"""The file of releases: read in order, and anything else refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.errors import UsageError
from chaoskit.releases import read_releases
from chaoskit.system import Release


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "releases.toml"


def test_releases_are_read_in_order(path: Path) -> None:
    path.write_text(
        '[[release]]\nlabel = "3.4.23"\nimage = "x:1"\nrecipe = ["make", "it"]\n'
        'version = "3.4.23"\n[[release]]\nlabel = "3.5"\nprogram = ["x", "--as", "3.5"]\n'
    )
    assert read_releases(path) == (
        Release("3.4.23", image="x:1", recipe=("make", "it"), version="3.4.23"),
        Release("3.5", program=("x", "--as", "3.5")),
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "a list of releases has labels, each once"),
        ('[[release]]\nlabel = "1"\n[[release]]\nlabel = "1"\n', "each once"),
        ('[[release]]\nimage = "x"\n', "release 1 has no label"),
        ('[[release]]\nlabel = "1"\nimages = "x"\n', r"release 1 has unknown keys \['images'\]"),
        ("[[release\n", "is no TOML"),
    ],
)
def test_anything_else_is_refused(path: Path, content: str, says: str) -> None:
    path.write_text(content)
    with pytest.raises(UsageError, match=says):
        read_releases(path)


def test_a_file_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="no releases at"):
        read_releases(path)
