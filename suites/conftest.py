"""Fixtures of the suites: one cluster per system, leased for a test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaoskit.cluster import Cluster
from chaoskit.system import System


@pytest.fixture
def etcd(chaos_cluster: Callable[[System], Cluster]) -> Cluster:
    """Three etcd members under load."""
    from suites.etcd.system import SYSTEM

    return chaos_cluster(SYSTEM)
