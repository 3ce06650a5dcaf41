"""
Whether a chain that fell behind reaches the present: row A11.

Owns: the bound that follows from how far it is behind, and the promise. Refuses: to take a group
that limps for one that catches up: how long one late round may take is measured before the fault.

The bound: `1.5 * H * c / (1 - c / P) + 5 * P` seconds from the end of the dialler's back-off, where
H is by how many rounds the chain is behind then, P the period, and c the larger of the catch-up
period and the time that one round takes the group when it is well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation
from chaoskit.verdict import Kind
from suites.beacon.readings import Chain, Shown, begun_s, chains_of, nodes_of, rounds_of
from suites.incidents.dialled import connections_of

_SLACK, _PERIODS = 1.5, 5
_BACKOFF_SHARE, _BACKOFF_AT_MOST_S = 0.7, 120.0  # of the time away; gRPC's own cap
_PRESENT = 1  # rounds: the newest one that is due takes its time


@dataclass(frozen=True, slots=True)
class Return:
    """
    What is known of a chain's way back.

    `from_s`: when everything was whole and every back-off over; `behind`: by how many rounds the
    chain was late then; `each_s`: how long one late round takes.
    """

    heal: Event
    from_s: float
    behind: int
    each_s: float
    period_s: float

    @property
    def limit_s(self) -> float:
        """When it has to be in the present; infinite where it can never be."""
        if self.each_s >= self.period_s:
            return math.inf
        alone_s = self.behind * self.each_s / (1 - self.each_s / self.period_s)
        return self.from_s + _SLACK * alone_s + _PERIODS * self.period_s


def return_of(history: History, *, catchup_period_s: float) -> Return:
    """
    The way back after the last heal.

    Raises Inconclusive where nothing was healed, or nobody said before how long a round takes.
    """
    nodes = nodes_of(history)
    heals = [event for event in history.of("heal") if event.type == "ok"]
    if not heals:
        raise Inconclusive("nothing was healed, so nothing had to come back")
    heal = heals[-1]
    cut = [event for event in history.of("fault") if event.type == "invoke"]
    ends = [event for event in history.of("change") if event.type == "ok"]
    whole_s = max([heal.time_s, *(event.time_s for event in ends)])
    anew = {
        event.process
        for event in history.of("state")
        if event.value["state"] == "running" and event.time_s >= heal.time_s
    }
    if anew < set(nodes):  # somebody dials on as he did while the links were cut
        away_s = heal.time_s - min(event.time_s for event in cut)
        backoff_s = min(_BACKOFF_SHARE * away_s, _BACKOFF_AT_MOST_S)
        whole_s = max(whole_s, heal.time_s + backoff_s)
    chain = chains_of(history)[0]
    pace = _Pace(chain, begun_s(history), rounds_of(history))
    return Return(
        heal=heal,
        from_s=whole_s,
        behind=pace.behind(whole_s),
        each_s=max(catchup_period_s, _a_round_takes_s(history, before_s=cut[0].time_s)),
        period_s=chain.period_s,
    )


def _a_round_takes_s(history: History, *, before_s: float) -> float:
    """How long after it is due a round is there, while the group is well."""
    late_s = [
        float(event.value["detail"]["late_s"])
        for event in history.of("observe")
        if event.type == "ok"
        and event.time_s < before_s
        and event.value["detail"].get("late_s") is not None
    ]
    if not late_s:
        raise Inconclusive("nobody said before the fault how long a round takes")
    return median(late_s)


def the_chain_reaches_the_present(*, catchup_period_s: float) -> Invariant:
    """
    Make the promise: after the heal the chain is in the present within its bound.

    Liveness. Source: drand's specification: late rounds are made a catch-up period apart. In the
    present is the newest round that is due, or the one before it, shown by any member. Evidence is
    a chain that had fallen behind. No stall is to blame where after the heal the dials of so many
    members were answered by a refusal that the others are no threshold.
    """

    def judge(history: History) -> Sequence[Violation]:
        way = return_of(history, catchup_period_s=catchup_period_s)
        pace = _Pace(chains_of(history)[0], begun_s(history), rounds_of(history))
        if pace.behind(way.heal.time_s) <= _PRESENT:
            raise Inconclusive("the chain had not fallen behind when the links were healed")
        reached = pace.reached_s(way.heal.time_s)
        if reached is not None and reached <= way.limit_s:
            return ()
        if history.end_s < way.limit_s:
            raise Inconclusive(
                f"the chain is not in the present at {history.end_s:.3f} s, and has until "
                f"{way.limit_s:.3f} s"
            )
        last = pace.newest(way.limit_s)
        gap_s = pace.gap_s(way.from_s, way.limit_s)
        pace_words = "none came" if gap_s is None else f"one came every {gap_s:.1f} s"
        return [
            Violation(
                f"the chain was {way.behind} rounds behind at {way.from_s:.3f} s, when all was "
                f"whole, and {pace.behind(way.limit_s)} at {way.limit_s:.3f} s: {pace_words}, and "
                f"late ones are due every {way.each_s:.1f} s",
                (way.heal.index, *(() if last is None else last.events)),
                span_s=(way.from_s, way.limit_s),
                excusable=not _refused(history, way),
            )
        ]

    return Invariant("the_chain_reaches_the_present", Kind.LIVENESS, judge)


def _refused(history: History, way: Return) -> bool:
    """Whether those whose dials were not refused on the wire after the heal are no threshold."""
    with suppress(Inconclusive):  # nobody listened
        refused = {
            one.source
            for one in connections_of(history)
            if one.refused and one.opened_within(way.heal.time_s, way.limit_s)
        }
        (started,) = (one for one in history.of("cluster") if one.value["event"] == "started")
        return len(set(started.value["nodes"]) - refused) < int(started.value["quorum"])
    return False


@dataclass(frozen=True, slots=True)
class _Pace:
    """When rounds were due and when they were shown; times are the run's."""

    chain: Chain
    begun: float
    shown: Sequence[Shown]

    def newest(self, time_s: float) -> Shown | None:
        """The newest round that anybody had shown by then."""
        until = [one for one in self.shown if one.time_s <= time_s]
        return max(until, key=lambda one: one.number, default=None)

    def behind(self, time_s: float) -> int:
        """How many rounds were due by then that nobody had shown."""
        newest = self.newest(time_s)
        return self.chain.newest_due(self.begun + time_s) - (newest.number if newest else 0)

    def reached_s(self, from_s: float) -> float | None:
        """When the chain was in the present first; None where it never was."""
        return next(
            (
                one.time_s
                for one in self.shown
                if one.time_s >= from_s
                and self.chain.newest_due(self.begun + one.time_s) - one.number <= _PRESENT
            ),
            None,
        )

    def gap_s(self, from_s: float, to_s: float) -> float | None:
        """How long there was between two new rounds in this time; None where there were not two."""
        first, last = self.newest(from_s), self.newest(to_s)
        made = (last.number if last else 0) - (first.number if first else 0)
        return (to_s - from_s) / made if made > 0 else None
