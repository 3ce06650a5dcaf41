"""
What a cluster is told from outside: how it is to be started, and which test is under way on it.

Owns: the choices that make two clusters of one system different, a value that two tests can share,
and what a cluster needs to know of its test. Refuses: anything decided while a cluster runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from chaoskit.invariant import Invariant


@dataclass(frozen=True, slots=True)
class Setting:
    """
    How a cluster is to be started; with `clocks` each node has a wall clock that can be set.

    `settings` go on top of the system's own, for every node. `storage` puts every node's data on
    faulty storage. `load_per_s` is the rate of a test's load, 0 for none. `vintage` is the digest
    of stored data that the nodes start on, or its beginning; empty for a first start.
    """

    release: str
    settings: tuple[tuple[str, str], ...] = ()
    storage: bool = False
    clocks: bool = False
    load_per_s: float = 20.0
    vintage: str = ""


class Judged(Protocol):
    """A test under way on a cluster."""

    def check(self, *extra: Invariant) -> None:
        """End it and judge it."""
        ...

    def await_turn(self, action: str, fields: Mapping[str, Any]) -> float | None:
        """
        Return when this fault or change may begin; at once unless a saved run is done again.

        `fields` are all but its targets, since another node may have a role now. Answers when it
        may end, in seconds of the run, if that is laid down too. Raises ChaosError when something
        else is due.
        """
        ...
