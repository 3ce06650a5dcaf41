"""
A command of a system's own, as a person runs it beside a node.

Owns: its description, which a System gives for each node: its words, and what it leaves behind when
it does its work. Refuses: running it, and a command that leaves nothing: nobody but itself could
say that it had been run.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """
    A command by the name that people know it by.

    `argv` are its words; no terminal is there and nothing is typed, so that it must ask nothing.
    What it leaves: `rewrites` names the artifacts of the node that have another content afterwards,
    each of them; `ends` says that the node's process ends by it.
    """

    name: str
    argv: tuple[str, ...]
    rewrites: tuple[str, ...] = ()
    ends: bool = False

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError(f"command {self.name}: it has no words")
        if not self.rewrites and not self.ends:
            raise ValueError(f"command {self.name}: it leaves nothing that anybody could see")
