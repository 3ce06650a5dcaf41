"""
The paths of the public HTTP interface.

Owns: what a path asks for. Refuses: paths that ask for nothing, with None.

Rules, as drand's router has them: a chain's paths are below its hash, those of the default network
also at the top; nothing of a path is decoded, and a slash at its end makes it another. What stands
for a round or a hash is any text here; whether it is one decides the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Question(Enum):
    """What can be asked for."""

    CHAINS = "chains"
    INFO = "info"
    HEALTH = "health"
    LATEST = "latest"
    ROUND = "round"


@dataclass(frozen=True, slots=True)
class Route:
    """A question about a chain: its hash as text, empty for the default one; a round as text."""

    question: Question
    chain: str = ""
    round: str = ""


def route_of(path: str) -> Route | None:
    """The route of a path, which begins with a slash and has no query."""
    match path.split("/"):
        case ["", "chains"]:
            return Route(Question.CHAINS)
        case ["", "public", round_text] if round_text:
            return _public("", round_text)
        case ["", "info" | "health" as name]:
            return Route(Question(name))
        case ["", chain, "public", round_text] if round_text:
            return _public(chain, round_text)
        case ["", chain, "info" | "health" as name]:
            return Route(Question(name), chain)
        case _:
            return None


def _public(chain: str, round_text: str) -> Route:
    if round_text == "latest":
        return Route(Question.LATEST, chain)
    return Route(Question.ROUND, chain, round_text)
