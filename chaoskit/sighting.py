"""
Looks and counters: what evidence is made of.

Owns: what one look of ours met (`Sighting`), a look with a name (`Probe`), a counter with a name
(`Meter`), and when a look is believed (`lasting`). Refuses: to look by itself, and to wait.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from chaoskit.errors import ChaosError

_LOOKS = 3
_UNDECIDED = 10


class Undecided(ChaosError):
    """A look that says nothing, since the machine was too slow just then; the next one may."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one look of a probe met: the thing looked for is there or not, and the details."""

    present: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Probe:
    """
    A look of ours, on another channel than the injector's.

    `link` names the link on which it looks, if it is one: what another fault does to the same link
    would be taken for what this one did.
    """

    name: str
    look: Callable[[], Sighting]
    link: str = ""


def lasting(look: Callable[[], Sighting]) -> Callable[[], Sighting]:
    """
    The same look, believed when it saw the fault three times in a row.

    For what a starved machine of ours can feign for a moment: a late answer, or none in time. A
    fault is there each time; a stall of ours passes. Begins anew, some times, with a look that is
    Undecided; raises what else a look raises.
    """

    def looks() -> Sighting:
        for _ in range(_UNDECIDED):
            with suppress(Undecided):
                return in_a_row()
        return in_a_row()

    def in_a_row() -> Sighting:
        sighting = look()
        for _ in range(_LOOKS - 1):
            if not sighting.present:
                break
            sighting = look()
        return sighting

    return looks


@dataclass(frozen=True, slots=True)
class Meter:
    """
    A counter that only the system's own traffic or work moves; `read` never goes back.

    `zero`: what it read before the fault, where no look of ours moves it: what met the fault before
    we had seen it counts then, too (who ends at his first refused write has no second one). None:
    it is read once we have looked.
    """

    name: str
    read: Callable[[], int]
    zero: int | None = None

    def first(self) -> int:
        """What it counts from, now that the fault was seen."""
        return self.read() if self.zero is None else self.zero
