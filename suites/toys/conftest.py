"""The toys' cluster: five of them, on the backend that the run was given."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaoskit.cluster import Cluster
from chaoskit.system import System
from suites.toys.system import toys

_FIVE = toys(5)


@pytest.fixture
def five(chaos_cluster: Callable[[System], Cluster]) -> Cluster:
    """Five honest toys under load, with a leader; three are a quorum."""
    cluster = chaos_cluster(_FIVE)

    def led() -> bool:
        return any(one is not None and one.role == "leader" for one in cluster.latest().values())

    # toys that nobody asks are silent: the load makes them elect one
    cluster.await_that(led, what="a leader of the toys", timeout_s=10)
    return cluster
