"""
What a beacon owes in time: rounds while a threshold stands, and a bound for catching up.

Owns: the bound after a halt, and the promises that rounds keep time. Refuses: knowing releases.

After a halt the members make the rounds they owe one after the other, a catch-up period apart,
while new ones come due: H rounds behind take H * c / (1 - c / P) (P the period, c the catch-up
period); with c = P they never come level. Members that could not be dialled are dialled again
after a back-off that grows with the time they were away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Invariant, Violation
from chaoskit.progress import Stretch, stretches
from chaoskit.quorate import begin_s, timelines
from chaoskit.verdict import Kind
from suites.beacon.readings import Chain, Shown, begun_s, chains_of, nodes_of, rounds_of

_ROUND_AT_LEAST_S = 0.25  # what a late round takes however short the catch-up period
_SLACK = 1.5  # real members need up to 1.6 times what the formula says
LEVEL = 2  # rounds: the newest takes up to a second
_BACKOFF_SHARE, _BACKOFF_AT_MOST_S = 0.7, 120.0  # of the time away; gRPC's own cap


def catch_up_bound_s(behind: int, *, period_s: float, catchup_period_s: float) -> float:
    """
    Seconds within which a group that is `behind` rounds late is level again.

    Infinite when late rounds come no quicker than new ones.
    """
    each_s = max(catchup_period_s, _ROUND_AT_LEAST_S)
    if each_s >= period_s:
        return math.inf
    backoff_s = min(_BACKOFF_AT_MOST_S, 1.0 + _BACKOFF_SHARE * behind * period_s)
    return _SLACK * behind * each_s / (1 - each_s / period_s) + 5 * period_s + backoff_s


def full_backoff_behind(period_s: float) -> int:
    """How many rounds behind a group is at most whose back-off still grows with each of them."""
    return int((_BACKOFF_AT_MOST_S - 1.0) / (_BACKOFF_SHARE * period_s))


def rounds_keep_time(*, catchup_period_s: float) -> Invariant:
    """
    Make the promise: while a threshold of members stands, each round is there soon after it is due.

    Liveness. Source: drand's specification. Soon is two periods and a second. Owed from when the
    group is level again after a threshold came to stand, at the latest after `catch_up_bound_s` by
    the rounds that it was behind then; of one that was not there before, at the earliest after that
    for none. Evidence is a round that was owed, or a group that came level.
    """
    judge = partial(_late, catchup_period_s=catchup_period_s)
    return Invariant("rounds_keep_time", Kind.LIVENESS, judge)


def _late(history: History, *, catchup_period_s: float) -> Sequence[Violation]:
    nodes_of(history)
    firsts = _first_shown(rounds_of(history))
    pace = _Pace(chains_of(history)[0], begun_s(history), firsts, begin_s(history))
    violations: list[Violation] = []
    evidence = False
    for timeline in timelines(history):
        for stretch in stretches(timeline):
            from_s = pace.owed_from_s(stretch, catchup_period_s)
            numbers = pace.due_between(from_s, stretch.end_s)
            evidence = evidence or bool(numbers) or pace.came_level(stretch)
            violations += [one for number in numbers for one in pace.missed(stretch, number)]
    if not violations and not evidence:
        raise Inconclusive("no threshold stood for long enough to owe a round")
    return violations


@dataclass(frozen=True, slots=True)
class _Pace:
    """
    When rounds were due, and which were shown first when; times are the run's.

    What is judged begins at `from_s`; a threshold that stood by then needs no time to come to work.
    """

    chain: Chain
    begun: float
    firsts: Mapping[int, Shown]
    from_s: float

    @property
    def soon_s(self) -> float:
        return 2 * self.chain.period_s + 1.0

    def newest_due(self, time_s: float) -> int:
        return self.chain.newest_due(self.begun + time_s)

    def behind(self, time_s: float) -> int:
        """How many due rounds nobody had shown; 0 when nobody had shown any."""
        had = max(
            (number for number, one in self.firsts.items() if one.time_s <= time_s), default=0
        )
        return max(0, self.newest_due(time_s) - had) if had else 0

    def level_s(self, from_s: float, to_s: float) -> float:
        """When the group was level first; `to_s` when it was not."""
        if self.behind(from_s) <= LEVEL:
            return from_s
        shown_s = sorted({one.time_s for one in self.firsts.values() if from_s < one.time_s < to_s})
        return next((time_s for time_s in shown_s if self.behind(time_s) <= LEVEL), to_s)

    def came_level(self, stretch: Stretch) -> bool:
        """Whether it was behind when this threshold came to stand, and then was not."""
        was_behind = self.behind(stretch.start_s) > LEVEL
        return was_behind and self.level_s(stretch.start_s, stretch.end_s) < stretch.end_s

    def owed_from_s(self, stretch: Stretch, catchup_period_s: float) -> float:
        """From when this threshold owes rounds in time; infinite when it can never come level."""

        def bound_s(behind: int) -> float:
            return catch_up_bound_s(
                behind, period_s=self.chain.period_s, catchup_period_s=catchup_period_s
            )

        at_most_s = bound_s(self.behind(stretch.start_s))
        at_least_s = bound_s(0) if stretch.start_s > self.from_s else 0.0
        return self.level_s(stretch.start_s + at_least_s, stretch.start_s + at_most_s)

    def due_between(self, from_s: float, to_s: float) -> range:
        """The rounds that were due in this time, and due to be there."""
        if math.isinf(from_s):
            return range(0)
        return range(self.newest_due(from_s) + 1, self.newest_due(to_s - self.soon_s) + 1)

    def missed(self, stretch: Stretch, number: int) -> list[Violation]:
        """The violation, if the round was not there soon."""
        due_s = self.chain.due_s(number) - self.begun
        one = self.firsts.get(number)
        if one is not None and one.time_s <= due_s + self.soon_s:
            return []
        when = "never" if one is None else f"at {one.time_s:.3f} s"
        text = (
            f"round {number} was due at {due_s:.3f} s and there {when}, not within "
            f"{self.soon_s:g} s, while {' '.join(sorted(stretch.voters))} were a threshold "
            f"({stretch.start_s:.3f} to {stretch.end_s:.3f} s)"
        )
        events = (stretch.cause, *(() if one is None else one.events))
        shown_s = due_s + self.soon_s if one is None else one.time_s
        return [Violation(text, events, span_s=(due_s, shown_s))]


def _first_shown(shown: Sequence[Shown]) -> Mapping[int, Shown]:
    """For each number up to the newest the first that showed this round or a newer one."""
    firsts: dict[int, Shown] = {}
    newest = 0
    for one in shown:
        for number in range(newest + 1 if newest else one.number, one.number + 1):
            firsts[number] = one
        newest = max(newest, one.number)
    return firsts


def networks_keep_time(*networks: str, bound_s: float, while_stands: str = "") -> Invariant:
    """
    Make the promise: each of these networks makes a round at least every `bound_s` seconds.

    Liveness. Source: a daemon's networks are independent of each other: what ails one leaves the
    others in time. Judged from the newest round of each network that any member shows. Where
    `while_stands` names another network, there is evidence only if that one stood for so long.
    """
    return Invariant(
        f"{'_and_'.join(networks)}_keep_time".replace("-", "_"),
        Kind.LIVENESS,
        partial(_stalled, networks=networks, bound_s=bound_s, while_stands=while_stands),
    )


def _stalled(
    history: History, *, networks: Sequence[str], bound_s: float, while_stands: str
) -> Sequence[Violation]:
    nodes_of(history)
    violations = [one for network in networks for one in _stalls(history, network, bound_s)]
    if not violations and while_stands and not _stalls(history, while_stands, bound_s):
        raise Inconclusive(f"{while_stands} never stood for {bound_s:g} s: nothing ailed it")
    return violations


def _stalls(history: History, network: str, bound_s: float) -> list[Violation]:
    """When no new round of the network was shown for longer than the bound."""
    found: list[Violation] = []
    newest, since_s, at = 0, 0.0, -1
    for event in history.of("observe"):
        number = event.value.get("detail", {}).get("rounds", {}).get(network, 0)
        if number <= newest:
            continue
        if at >= 0 and event.time_s - since_s > bound_s:
            found.append(_stall(network, newest, since_s, event.time_s, (at, event.index)))
        newest, since_s, at = number, event.time_s, event.index
    if at < 0:
        raise Inconclusive(f"no member showed a round of {network}")
    if history.end_s - since_s > bound_s:
        found.append(_stall(network, newest, since_s, history.end_s, (at,)))
    return found


def _stall(
    network: str, newest: int, from_s: float, to_s: float, events: tuple[int, ...]
) -> Violation:
    text = f"{network} stood at round {newest} from {from_s:.3f} to {to_s:.3f} s"
    return Violation(text, events, span_s=(from_s, to_s))
