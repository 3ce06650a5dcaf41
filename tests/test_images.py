"""Which image a release runs from: a person's own, else the engine's, else made by its recipe."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from chaoskit.engine import Engine
from chaoskit.errors import ChaosError, UsageError
from chaoskit.images import RELEASE_LABEL, Images, Mislabelled, parse_image_options
from chaoskit.system import Release
from tests.stand_in import still

STILL = still()


class Shelf:
    """An engine that only has images; a recipe puts one there by making the file `made`."""

    def __init__(self, made: Path) -> None:
        self.images: dict[str, Mapping[str, str]] = {}
        self.made = made

    def image(self, reference: str) -> tuple[str, Mapping[str, str]] | None:
        if reference in self.images:
            return f"sha256:{reference}", self.images[reference]
        if self.made.exists() and reference == "made:1":
            return "sha256:made", {}
        return None


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "made")


def images(shelf: Shelf, *options: str) -> Images:
    return Images(cast("Engine", shelf), shelf.made.parent, parse_image_options(options))


def recipe(shelf: Shelf, script: str) -> Release:
    path = shelf.made.parent / "recipe.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Release("1", image="made:1", recipe=("recipe.sh", "made"))


def test_options_are_read() -> None:
    given = ["etcd@3.5.16=reg.example:5000/etcd:v3.5.16@sha256:ab", "x@1=y"]
    assert parse_image_options(given) == {
        ("etcd", "3.5.16"): "reg.example:5000/etcd:v3.5.16@sha256:ab",
        ("x", "1"): "y",
    }


@pytest.mark.parametrize("option", ["etcd", "etcd=x", "etcd@3.5", "@1=x", "etcd@=x", "etcd@1="])
def test_other_forms_are_refused(option: str) -> None:
    with pytest.raises(UsageError, match="write it as SYSTEM@RELEASE=REFERENCE"):
        parse_image_options([option])


def test_a_person_s_own_image_comes_first(shelf: Shelf) -> None:
    shelf.images = {"still:1": {}, "mine": {}}
    assert images(shelf).reference(STILL, STILL.releases[0]) == "still:1"
    assert images(shelf, "still@1=mine").reference(STILL, STILL.releases[0]) == "mine"
    assert images(shelf, "other@1=mine").reference(STILL, STILL.releases[0]) == "still:1"


def test_an_own_image_that_is_not_there_is_never_made(shelf: Shelf) -> None:
    release = recipe(shelf, "touch $1")
    with pytest.raises(UsageError, match=r"no image 'mine'; give yours with .*still@1=REFERENCE"):
        images(shelf, "still@1=mine").reference(STILL, release)
    assert not shelf.made.exists()


def test_an_image_is_made_when_it_is_first_needed(shelf: Shelf) -> None:
    release = recipe(shelf, "echo x >> $1; echo x >> count")
    both = images(shelf)
    assert both.reference(STILL, release) == "made:1"
    assert both.reference(STILL, release) == "made:1"
    assert (shelf.made.parent / "count").read_text() == "x\n"


def test_a_recipe_that_fails_says_how(shelf: Shelf) -> None:
    release = recipe(shelf, "for n in 1 2 3 4 5 6; do echo line $n >&2; done; exit 7")
    with pytest.raises(ChaosError, match=r"recipe.sh made failed with 7:\nline 2\n") as raised:
        images(shelf).reference(STILL, release)
    assert "line 1" not in str(raised.value)


def test_a_recipe_that_cannot_run_or_makes_nothing_is_refused(shelf: Shelf) -> None:
    with pytest.raises(UsageError, match=r"its recipe .*/none cannot run: No such file"):
        images(shelf).reference(STILL, Release("1", image="made:1", recipe=("none",)))
    with pytest.raises(UsageError, match="no image 'made:1'"):
        images(shelf).reference(STILL, recipe(shelf, "true"))


def test_an_image_that_says_it_is_another_release_is_refused(shelf: Shelf) -> None:
    shelf.images = {"still:1": {RELEASE_LABEL: "2"}, "still:2": {RELEASE_LABEL: "2"}}
    with pytest.raises(Mislabelled, match="still:1 is labelled as release 2, not 1"):
        images(shelf).reference(STILL, STILL.releases[0])
    assert images(shelf).reference(STILL, STILL.releases[1]) == "still:2"


def test_digests(shelf: Shelf) -> None:
    shelf.images = {"still:1": {}}
    assert images(shelf).digest("still:1") == "sha256:still:1"
    with pytest.raises(UsageError, match="no image 'still:9'"):
        images(shelf).digest("still:9")
