"""Fixtures of the beacon's suite: five members, three of which make a round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaoskit.cluster import Cluster
from chaoskit.system import System
from suites.beacon.dealing import REAL


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Real members beside ours need an image that somebody gave; without one nothing is mixed."""
    if collection_path.name != "test_mixed.py":
        return None
    given = config.getoption("chaos_image")
    return None if any(one.partition("=")[0].endswith(REAL) for one in given) else True


@pytest.fixture
def beacon(chaos_cluster: Callable[[System], Cluster]) -> Cluster:
    """Five members under load, in time."""
    from suites.beacon.system import SYSTEM

    return chaos_cluster(SYSTEM)
