"""
What stands beside a node: a process of its own in the node's place on the network.

Owns: its description, which a System gives for each node. Refuses: knowing what it is; a proxy that
ends TLS for the node is the one that there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

Placed = TypeVar("Placed")


@dataclass(frozen=True, slots=True)
class Companion:
    """
    A program beside a node, with a container and a log of its own.

    It starts when the node has started and shares its addresses and its loopback, nothing else.
    Whoever ends the node ends it first; a node that dies by itself takes its network away, without
    a word to its peers; a node that is paused leaves it running. `files` are
    what it finds in its folder FOLDER, by relative path; none of them is in a representation.
    `failed` tells of a line of its log whether it is about work for a peer that came to nothing.
    """

    image: str
    argv: tuple[str, ...]
    files: Mapping[str, bytes] = field(repr=False)
    failed: Callable[[str], bool]


def stands(
    beside: Callable[[Placed], Companion | None] | None, placement: Placed
) -> Companion | None:
    """What stands beside the node that is placed so, by its system's word; None: nothing."""
    return beside(placement) if beside is not None else None


LOG = "companion.log"
"""Its log, beside its node's."""
FOLDER = "/companion"
"""Where a companion finds its files, read-only."""
