"""
What a candidate knows of its votes and a leader of its followers, and what it has to tell them.

Owns: per follower the next entry to send, the one question under way, the pause after a failure.
Refuses: terms, elections and what is done when entries are agreed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

from nodes.toys.log import Durable
from nodes.toys.messages import Append, AppendReply, Ballot, Fit

ENTRIES_AT_ONCE = 256
DIVERGED_PAUSE_S = 0.3
ROUND_S = (0.15, 0.30)
JITTER_S = 0.05


@dataclass(slots=True)
class Election:
    """One round of votes, or of trial votes; `number` is that of its ballots."""

    number: int
    trial: bool
    votes: set[str]


@dataclass(slots=True)
class Candidacy:
    """
    A node's chances of leading: the leaders it has lost, and when it may ask for votes.

    `urged_until_s`: until when it stands though no operation is held here, for one that is held
    at a node whose log is behind, which nobody will vote for.
    """

    random: Random
    lost: set[str] = field(default_factory=set)
    election: Election | None = None
    next_round_s: float = 0.0
    urged_until_s: float = 0.0

    def hesitate(self, now_s: float) -> None:
        """Begin no round at once: whoever noticed the same would begin at the same moment."""
        self.next_round_s = max(self.next_round_s, now_s + self.random.uniform(0, JITTER_S))

    def lose(self, leader: str, now_s: float) -> None:
        """Go by this leader no more."""
        self.lost.add(leader)
        self.hesitate(now_s)

    def urge(self, now_s: float) -> None:
        """Stand as long as one round of votes may take, if no leader is known by then."""
        self.urged_until_s = now_s + ROUND_S[1]
        self.hesitate(now_s)

    def round(self, number: int, name: str, now_s: float, *, trial: bool) -> Election:
        """Begin a round, with the node's own vote."""
        self.next_round_s = now_s + self.random.uniform(*ROUND_S)
        self.election = Election(number, trial, {name})
        return self.election

    def ballot(self, number: int, durable: Durable, *, trial: bool) -> Ballot:
        """The question for a vote in the term that began with it, or, in a trial, in the next."""
        log, term = durable.log, durable.term + trial
        return Ballot(number, term, log.last, log.term(log.last), trial, tuple(self.lost))


@dataclass(slots=True)
class Follower:
    """What a leader knows of one follower; `told` is the agreed height it was told last."""

    next_index: int
    holds: int = 0
    told: int = -1
    asked: Append | None = None
    not_before_s: float = 0.0


class Leadership:
    """The followers of one leader in one term."""

    def __init__(self, others: Iterable[str], durable: Durable) -> None:
        self._durable = durable
        self._followers = {other: Follower(durable.log.last + 1) for other in others}

    def held(self, members: int) -> int:
        """The highest index that `members` nodes hold, this one among them."""
        holds = (self._durable.log.last, *(one.holds for one in self._followers.values()))
        return sorted(holds)[-members]

    def replied(self, source: str, reply: AppendReply, now_s: float) -> bool:
        """Take a reply; answers whether the follower now holds what it was sent."""
        follower = self._followers[source]
        asked = follower.asked
        if asked is None or asked.number != reply.number:
            return False
        follower.asked = None
        match reply.fit:
            case Fit.MATCHED:
                follower.holds = asked.previous_index + len(asked.entries)
                follower.next_index = follower.holds + 1
                follower.told = asked.agreed
            case Fit.BEHIND:
                follower.next_index = max(1, min(follower.next_index - 1, reply.have + 1))
            case Fit.DIVERGED:
                follower.not_before_s = now_s + DIVERGED_PAUSE_S
        return reply.fit is Fit.MATCHED

    def failed(self, target: str, number: int, not_before_s: float) -> None:
        """No reply will come; ask again `not_before_s`."""
        follower = self._followers[target]
        if follower.asked is not None and follower.asked.number == number:
            follower.asked = None
            follower.not_before_s = not_before_s

    def pauses(self) -> Iterator[float]:
        """Until when each follower is spared that has something to be told."""
        return (one.not_before_s for one in self._followers.values() if self._lacks(one))

    def due(self, now_s: float, first_number: int) -> Iterator[tuple[str, Append]]:
        """The Append that each follower is to be sent now, numbered upwards."""
        number = first_number
        log = self._durable.log
        for name, follower in self._followers.items():
            if not self._lacks(follower) or follower.not_before_s > now_s:
                continue
            previous = follower.next_index - 1
            entries = log.after(previous, ENTRIES_AT_ONCE)
            follower.asked = Append(
                number,
                self._durable.term,
                previous,
                log.term(previous),
                entries,
                self._durable.agreed,
            )
            number += 1
            yield name, follower.asked

    def _lacks(self, follower: Follower) -> bool:
        if follower.asked is not None:
            return False
        behind = follower.next_index <= self._durable.log.last
        return behind or follower.told < self._durable.agreed
