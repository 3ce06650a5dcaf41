"""Fixtures of the beacon's suite: five members, three of which make a round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaoskit.cluster import Cluster
from chaoskit.system import System

_RECIPE = Path(__file__).resolve().parents[2] / "docker" / "beacon"


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Without a recipe of our own image there is nothing to run but an image that was given."""
    given = any(one.startswith("beacon@") for one in config.getoption("chaos_image"))
    return None if given or _RECIPE.is_dir() else True


@pytest.fixture
def beacon(chaos_cluster: Callable[[System], Cluster]) -> Cluster:
    """Five members under load, in time."""
    from suites.beacon.system import SYSTEM

    return chaos_cluster(SYSTEM)
