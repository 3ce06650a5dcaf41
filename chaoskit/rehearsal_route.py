"""
What a person asks to have rehearsed, and the way from one release to another.

Owns: the request, and the releases that members go through: every minor between, unless told
otherwise. Refuses: steps, members and time (`rehearsal_plan`), and a way that leads back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from chaoskit.errors import UsageError
from chaoskit.system import Release, System

_MINOR = re.compile(r"v?(\d+)\.(\d+)(?!\d)")


@dataclass(frozen=True, slots=True)
class RehearsalRequest:
    """
    What a person asks to have rehearsed.

    Attributes
    ----------
    source, target, via: releases, or prefixes that match exactly one.
    skip: go there in one step, whatever lies between.
    rollback: "" (each step's way back is tried, and only reported), "end" or "after:K": that many
        upgraded members must go all the way back.
    pause_between_s: how long the load runs on between two members.
    max_unavailable: how many members go at once, and are down together.
    load_per_s: operations a second over all members.
    vintage: stored data that the members start on; empty for a first start.
    left_by: what an older release left, by axis (`rehearsal_axes`), and which one did.
    settings: of the system, by name.

    """

    source: str
    target: str
    via: tuple[str, ...] = ()
    skip: bool = False
    rollback: str = ""
    pause_between_s: float = 0.0
    max_unavailable: int = 1
    load_per_s: float = 20.0
    vintage: str = ""
    left_by: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    dry_run: bool = False


def minor_of(label: str) -> tuple[int, int] | None:
    """Major and minor number of a release's label; None when it does not begin with them."""
    match = _MINOR.match(label)
    return (int(match[1]), int(match[2])) if match else None


def _one(system: System, prefix: str) -> Release:
    try:
        return system.release(prefix)
    except LookupError as error:
        raise UsageError(str(error)) from None


def route(system: System, request: RehearsalRequest) -> tuple[Release, ...]:
    """
    The releases that members go through, the first and the last included.

    Without `skip` or `via`: the newest listed release of every minor between. Raises UsageError
    for a prefix that does not match exactly one, for a way that does not lead forward, and when
    no release of a minor between is listed.
    """
    source, target = _one(system, request.source), _one(system, request.target)
    if request.skip and request.via:
        raise UsageError("--skip goes there in one step and --via in several: choose one")
    named = [_one(system, prefix) for prefix in request.via]
    between = named if request.via or request.skip else _minors_between(system, source, target)
    way = (source, *between, target)
    places = [system.releases.index(release) for release in way]
    if any(later <= earlier for earlier, later in pairwise(places)):
        words = " -> ".join(release.label for release in way)
        raise UsageError(f"{words} does not lead forward; for the way back there is --rollback")
    return way


def _minors_between(system: System, source: Release, target: Release) -> list[Release]:
    first, last = minor_of(source.label), minor_of(target.label)
    if first is None or last is None:
        return []
    newest: dict[tuple[int, int], Release] = {}
    for release in system.releases:
        minor = minor_of(release.label)
        if minor is not None and first < minor < last:
            newest[minor] = release
    if first[0] == last[0]:
        for number in range(first[1] + 1, last[1]):
            if (first[0], number) not in newest:
                raise UsageError(
                    f"no release {first[0]}.{number} of {system.name} is listed, which lies "
                    f"between {source.label} and {target.label}; give --via or --skip"
                )
    return [newest[minor] for minor in sorted(newest)]
