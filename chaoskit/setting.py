"""
How a cluster is to be started, as a value that two tests can share.

Owns: the choices that make two clusters of one system different. Refuses: anything that is decided
while a cluster runs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """
    How a cluster is to be started.

    `settings` go on top of the system's own, for every node. `storage` puts every node's data on
    faulty storage. `load_per_s` is the rate of a test's load, 0 for none.
    """

    release: str
    settings: tuple[tuple[str, str], ...] = ()
    storage: bool = False
    load_per_s: float = 20.0
