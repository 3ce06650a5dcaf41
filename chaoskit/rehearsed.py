"""
What is rehearsed of a system, beside the System itself.

Owns: the noun that a suite's `rehearsal.py` fills in (`REHEARSAL`, a `Rehearsed`), and loading it;
a suite without one has its SYSTEM rehearsed as it is. Refuses: what a release does; the functions
here know labels only as names to look for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaoskit import catalogue
from chaoskit.errors import UsageError
from chaoskit.invariant import Invariant
from chaoskit.system import Observation, Release, System


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """
    A system as it is put on the stage of a rehearsal.

    Attributes
    ----------
    system: the group that goes from release to release.
    owed(release): what a member owes in the step that takes it there, beside what every System's
        members owe: that it says it is that release and that it contributes.
    changed(source, target): what an operator has to change of a member between the two, beside
        the program; a line each.
    unreached(observation): the peers that a member says it cannot reach, by name; None: members do
        not say, and are given a while to dial.
    led: one of the members leads, and goes last.

    """

    system: System
    owed: Callable[[Release], Sequence[Invariant]] = lambda _: ()
    changed: Callable[[str, str], Sequence[str]] = lambda _, __: ()
    unreached: Callable[[Observation], Collection[str]] | None = None
    led: bool = True


def load(name: str, *, project: Path) -> Rehearsed:
    """
    What is rehearsed of the system `name`.

    Raises UsageError for an unknown name, and for a REHEARSAL that is none.
    """
    found = catalogue.load_rehearsal(name, project=project)
    if found is None:
        return Rehearsed(catalogue.load_system(name, project=project))
    if not isinstance(found, Rehearsed):
        raise UsageError(
            f"suites/{name}/rehearsal.py: REHEARSAL is no chaoskit.rehearsed.Rehearsed"
        )
    return found
