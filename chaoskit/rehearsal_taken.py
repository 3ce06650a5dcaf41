"""
What a step of a rehearsal came to, as values: moves of members, ways back, exits, and all of it.

Owns: these records and their words for people. Refuses: carrying anything out (`rehearsal_step`).
"""

from __future__ import annotations

from dataclasses import dataclass

from chaoskit.rehearsal_plan import RehearsalStep
from chaoskit.rundir import TestVerdict
from chaoskit.sparing import Contribution
from chaoskit.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Move:
    """
    One change of a member's release: how long until it served at the new one, None if it did not;
    how its process ended, when it ended by itself; its last words then, else what it says.
    """

    source: str
    target: str
    took_s: float | None
    exit_code: int | None = None
    words: str = ""

    @property
    def held(self) -> bool:
        """The member serves at the release it went to."""
        return self.took_s is not None

    def __str__(self) -> str:
        if self.took_s is not None:
            return f"{self.source} -> {self.target} in {self.took_s:.1f} s"
        how = "does not serve" if self.exit_code is None else f"exit {self.exit_code}"
        words = f", {self.words}" if self.words else ""
        return f"{self.source} -> {self.target}: {how}{words}"


@dataclass(frozen=True, slots=True)
class WayBack:
    """
    One try to undo a step.

    `planned` is "at once" or "after T s"; `after_s` how long the member had been at the new
    release; `forward` is the way forward again.
    """

    planned: str
    after_s: float
    back: Move
    forward: Move


@dataclass(frozen=True, slots=True)
class Exit:
    """A process that ended by itself: whose, when (the run's time), its code, its last words."""

    member: str
    at_s: float
    exit_code: int | None
    words: str

    def __str__(self) -> str:
        said = f", {self.words}" if self.words else ""
        return f"{self.member} exited by itself at {self.at_s:.1f} s, code {self.exit_code}{said}"


@dataclass(frozen=True, slots=True)
class Taken:
    """
    A step that was carried out: who, in which role, what was seen, and its verdict.

    `member` names those that went at once, with spaces between, `role` theirs, in the same order.
    `exits` are those that nobody asked for, ways back that were tried left out.
    """

    step: RehearsalStep
    member: str
    role: str
    verdict: TestVerdict
    move: Move | None = None
    contribution: Contribution | None = None
    ways_back: tuple[WayBack, ...] = ()
    exits: tuple[Exit, ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        """Who went, each by name."""
        return tuple(self.member.split())

    @property
    def back(self) -> bool:
        """For a member put back: it serves again, and nobody ended meanwhile."""
        return self.move is not None and self.move.held and not self.exits

    @property
    def passed(self) -> bool:
        """All that was owed in this step was kept."""
        return self.verdict.verdict is Verdict.PASS
