"""
What a report draws of a system beside its nodes, faults and load: panels, as data.

Owns: the words in which a System says which of the facts that its observers read are worth a
picture. Refuses: drawing (chaoskit.report) and reading: a panel names what an observation holds
already, so whatever it shows is in the history too. The history carries the panels with the start
of the cluster, and a saved run is drawn without the suite.

A `reads` is the path of a fact in an observation: "term", "detail.late_s", "detail.rounds.default".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Level:
    """A line across a panel at one value: a limit, a period, a threshold."""

    words: str
    value: float


@dataclass(frozen=True, slots=True)
class Curve:
    """
    A number of each member over time.

    Attributes
    ----------
    title, words: what it is, and in one sentence how to read it and where the member shows it.
    reads: the path of the number.
    seconds: it is a length of time; else a count.
    once_per: the path of a counter: the number belongs to what that counts (a round) and is drawn
        as one mark, when the counter has moved; "" draws a line through all samples.
    levels: lines to compare with.

    """

    title: str
    words: str
    reads: str
    seconds: bool = False
    once_per: str = ""
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True, slots=True)
class Contributions:
    """
    Whose contributions reach whom, where a quorum of them makes progress.

    `refused` is the path of a member's list of those that did not take its last contribution. The
    report counts for each member the ones that reached it, itself included, against the quorum.
    """

    title: str
    words: str
    refused: str


@dataclass(frozen=True, slots=True)
class CatchUp:
    """
    How far behind a member is, and by when it has to be level after a heal.

    Attributes
    ----------
    words: how to read it.
    noun: what it is behind by, in the plural ("rounds").
    behind: the path of how many are due and not there; "" is by how many the farthest member leads.
    level: at most so many behind is level.
    bound: points (behind, seconds after the heal), between which the bound is straight, in order of
        `behind`; beyond the last it goes on as straight. No points: no bound.

    """

    words: str
    noun: str
    behind: str = ""
    level: int = 0
    bound: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if len(self.bound) == 1 or any(a[0] >= b[0] for a, b in pairwise(self.bound)):
            raise ValueError(f"the bound of {self.noun} has to be two or more points in order")


@dataclass(frozen=True, slots=True)
class Panels:
    """What is drawn of a system, from the top."""

    curves: tuple[Curve, ...] = ()
    contributions: Contributions | None = None
    catch_up: CatchUp | None = None
