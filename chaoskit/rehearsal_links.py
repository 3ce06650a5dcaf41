"""
Links that are cut come back: a part of every upgrade's step.

Owns: cutting a member off, restarting it meanwhile, so that it dials its peers anew and in vain,
and mending the links. Refuses: a verdict; what is owed after the heal is the promises' to judge.

A connection that is kept alive hides how a release dials: only one that has to dial anew, and fails
at first, shows whether it comes to terms with a network that is whole again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress

from chaoskit import catalogue, clock
from chaoskit.cluster import Cluster
from chaoskit.errors import WaitTimedOut
from chaoskit.fault import apply, inject
from chaoskit.system import Observation

_FELT_TIMEOUT_S = 20.0
_DIALLED_TIMEOUT_S = 25.0
_DIALS_S = 4.0  # for members that do not say whom they cannot reach: time to start and to dial

Unreached = Callable[[Observation], Collection[str]]


def mend_links(cluster: Cluster, member: str, unreached: Unreached | None) -> None:
    """
    Cut a member off, restart it, wait until it has dialled all others in vain, mend; steady again.

    Raises WaitTimedOut when the cluster is not steady within the system's time to start.
    """
    with inject(catalogue.make("Isolate", {"node": member}), into=cluster) as cut:
        cut.await_felt(timeout_s=_FELT_TIMEOUT_S)
        apply(catalogue.make("Restart", {"node": member, "how": "stop"}), to=cluster)
        if unreached is None:
            cluster.hold(_DIALS_S)
        else:
            _await_dialled(cluster, member, unreached)
    cluster.await_steady_state(timeout_s=cluster.system.start_timeout_s)


def _await_dialled(cluster: Cluster, member: str, unreached: Unreached) -> None:
    """One that does not say so in time is for the promises to find."""
    since_s = clock.monotonic()

    def dialled() -> bool:
        seen = cluster.latest()[member]
        if seen is None or not cluster.observers.all_asked_since(since_s):
            return False
        return set(cluster.nodes) - {member} <= set(unreached(seen))

    with suppress(WaitTimedOut):
        cluster.await_that(
            dialled, what=f"{member} to say that it reaches nobody", timeout_s=_DIALLED_TIMEOUT_S
        )
