"""
Waiting for a promise to be decided.

Owns: the one way in which a row's test waits for what it is about without knowing how it ends: the
promise itself is asked, until it is kept or broken. Refuses: to decide; `check()` does that.
"""

from __future__ import annotations

from contextlib import suppress

from chaoskit import clock
from chaoskit.cluster import Cluster
from chaoskit.errors import Inconclusive, WaitTimedOut
from chaoskit.invariant import Invariant

_POLL_S = 0.2


def await_decided(promise: Invariant, *, on: Cluster, timeout_s: float) -> None:
    """Wait until the promise is kept or broken by what is recorded, at most `timeout_s` seconds."""

    def decided() -> bool:
        try:
            promise.judge(on.history())
        except Inconclusive:
            return False
        return True

    with suppress(WaitTimedOut):  # undecided is for the judge to say
        clock.wait_until(
            decided, what=f"a decision on {promise.name}", timeout_s=timeout_s, poll_s=_POLL_S
        )
