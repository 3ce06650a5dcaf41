"""
The ways in which a toy may be broken: one honest node and four with one deviation each.

Owns: the switches that the core and the journal ask, and what each deviation is. Refuses: scripted
outcomes. A behaviour changes one mechanism, and what follows from it follows by itself: without
the fault that brings it out, a broken toy works like an honest one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Behaviour:
    """
    The mechanisms that may deviate; the defaults are the honest node.

    Attributes
    ----------
    counts_only_the_reachable: a majority is one of the nodes it can hear, not of all nodes.
    buffered_records: so many records of the journal wait in memory before they are written.
    waits_for_ever: an answer that a lost peer still owes is awaited without a time limit.
    takes_begun_for_done: what is in its own log counts as agreed when it speaks to others.

    """

    counts_only_the_reachable: bool = False
    buffered_records: int = 0
    waits_for_ever: bool = False
    takes_begun_for_done: bool = False


class Variant(StrEnum):
    """
    The variants by name.

    honest: keeps every promise.

    forks: takes a peer whose last request failed out of the electorate, as an automatic "forced
    quorum" would. Cut off from the others it is a majority of one: it elects itself, agrees with
    itself and acknowledges, while the others go on without it: two logs of one height.

    forgets: its journal gathers records in memory and writes them sixty-four at a time, as with a
    buffered file that nobody flushes. A clean stop writes the rest; a kill loses up to sixty-three
    records that it had acknowledged, votes included.

    hangs: holds its one loop until a peer that dropped answers, as a call without a time-out
    does. The answer never comes: process and sockets stay, and nothing is served again, its
    status neither.

    lies: takes an entry in its own log as agreed when it answers or reports. Its protocol stays
    honest: it answers a put that it has only begun, and its progress counts entries that are cut
    off again when others agreed on different ones.
    """

    HONEST = "honest"
    FORKS = "forks"
    FORGETS = "forgets"
    HANGS = "hangs"
    LIES = "lies"

    @property
    def behaviour(self) -> Behaviour:
        """The mechanisms of this variant."""
        match self:
            case Variant.FORKS:
                return Behaviour(counts_only_the_reachable=True)
            case Variant.FORGETS:
                return Behaviour(buffered_records=64)
            case Variant.HANGS:
                return Behaviour(waits_for_ever=True)
            case Variant.LIES:
                return Behaviour(takes_begun_for_done=True)
            case Variant.HONEST:
                return Behaviour()
