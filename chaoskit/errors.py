"""
The harness's own exceptions.

Owns: the two families of failure. A `ChaosError` says that the harness failed, never the system
under test; an `InvariantViolated` says that the system broke a promise. Refuses: any other
exception as a way to report either. Every message names what happened, where, what to do next.
"""

from __future__ import annotations


class ChaosError(Exception):
    """The harness or its machine failed; says nothing about the system under test."""


class UsageError(ChaosError):
    """What a person asked for cannot be meant: an unknown release, a bad option, a corrupt file."""


class NotApplicable(ChaosError):
    """A fault cannot be injected into this cluster; raised before its first change."""


class WaitTimedOut(ChaosError):
    """Something awaited did not come within its limit; carries `what` and `timeout_s`."""

    def __init__(self, what: str, timeout_s: float, last: str = "") -> None:
        self.what = what
        self.timeout_s = timeout_s
        self.last = last
        suffix = f"; last seen: {last}" if last else ""
        super().__init__(f"waited {timeout_s:g} s for {what}{suffix}")


class HealFailed(ChaosError):
    """A heal raised: the cluster is torn down, never reused."""


class EngineFailed(ChaosError):
    """The container engine refused or did not answer a call."""


class Inconclusive(Exception):
    """An invariant's history holds no evidence either way: the verdict is UNKNOWN."""


class InvariantViolated(Exception):
    """The system under test broke a promise; the message lists the violations."""
