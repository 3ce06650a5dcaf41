"""
The toy's protocol: a replicated log in the manner of Raft, with no message that no load asked for.

Owns: terms, votes, the leader's log and what is agreed. Refuses: sockets, clocks and files: an
event goes in with the time, effects come out, to be carried out in their order.

Rules, after "In search of an understandable consensus algorithm" (Ongaro, Ousterhout, 2014):

* An entry is agreed when a majority holds it and its term is the leader's own; an operation is
  answered when its entry is agreed, reads too, so that all are linearizable.
* There are no heartbeats and no election timers. A node that holds a client's operation and knows
  no leader it can reach starts an election; so does one that reaches none and is asked for its vote
  by a node whose log is behind; a leader sends entries when operations come, when a follower's
  reply shows that it lacks some, and while operations wait. LINGER_S after the last operation ended
  or came the core asks for no tick any more, so an idle cluster is silent.
* A trial vote comes before a vote, so that a node that was cut off does not disturb the others. It
  is refused, with the leader's name, by whoever knows a leader that the candidate has not tried.
* What is answered "refused" had no effect and never will; whatever else did not end is "unknown".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from nodes.toys.behaviours import Behaviour
from nodes.toys.leadership import JITTER_S, Candidacy, Leadership
from nodes.toys.log import Durable, Registers
from nodes.toys.messages import (
    Answer,
    Append,
    AppendReply,
    Asked,
    Ballot,
    BallotReply,
    Effect,
    Event,
    Failed,
    Fit,
    Forward,
    ForwardReply,
    Keep,
    Message,
    Outcome,
    Received,
    Send,
)
from nodes.toys.waiting import Wait, Waiting

OPERATION_S = 1.5
REDIAL_S = (0.05, 0.10)
LINGER_S = 1.0
RECENT_HEIGHTS = 16


class Core:
    """One node's state; `name` is one of `names`, `first_number` is above any it used before."""

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        *,
        behaviour: Behaviour,
        random: Random,
        durable: Durable,
        first_number: int,
    ) -> None:
        self.name = name
        self.others = [other for other in names if other != name]
        self.behaviour = behaviour
        self.blocked = False
        self.leader = ""
        self.wake_s: float | None = None
        self._random = random
        self._durable = durable
        self._log = durable.log
        self._registers = Registers(durable.log, durable.agreed)
        self._number = first_number
        self._now_s = 0.0
        self._effects: list[Effect] = []
        self._waiting = Waiting()
        self._leadership: Leadership | None = None
        self._candidacy = Candidacy(random)
        self._linger_until_s = 0.0
        self._unheard: set[str] = set()

    @property
    def role(self) -> str:
        """leader, candidate or follower."""
        other = "candidate" if self._candidacy.election else "follower"
        return "leader" if self.leader == self.name else other

    def status(self) -> Mapping[str, Any]:
        """What the node says of itself."""
        height = self._log.last if self.behaviour.takes_begun_for_done else self._durable.agreed
        return {
            "role": self.role,
            "leader": self.leader,
            "term": self._durable.term,
            "progress": height,
            "digest": self._log.digest(height),
            "recent": self._log.recent(height, RECENT_HEIGHTS),
            "waiting": len(self._waiting),
        }

    def number(self) -> int:
        """A number that this process has not used."""
        self._number += 1
        return self._number

    def handle(self, event: Event, now_s: float) -> Sequence[Effect]:
        """Take one event; answers the effects, to be carried out in their order. A Tick is time."""
        if self.blocked:
            return ()
        self._now_s = now_s
        self._effects = []
        match event:
            case Asked(number, operation):
                self._waiting.held[number] = Wait(number, operation, "client", now_s + OPERATION_S)
            case Received(source, message):
                self._unheard.discard(source)
                self._received(source, message)
            case Failed():
                self._failed(event)
        if self.blocked:
            self.wake_s = None
            return ()
        self._expire()
        self._place()
        self._campaign()
        self._replicate()
        self.wake_s = self._next_wake()
        return self._effects

    # Operations: held until a leader is known, then forwarded to it or appended.

    def _place(self) -> None:
        if not self.leader:
            return
        for number, wait in list(self._waiting.held.items()):
            if wait.not_before_s > self._now_s:
                continue
            del self._waiting.held[number]
            if self.leader == self.name:
                self._append(wait)
            else:
                wait.target = self.leader
                self._waiting.forwarded[number] = wait
                self._send(self.leader, Forward(number, wait.operation))

    def _append(self, wait: Wait) -> None:
        self._linger_until_s = self._now_s + LINGER_S
        term = self._durable.term
        self._log.append(term, wait.operation)
        self._keep("entry", self._log.last, term, *wait.operation.row())
        if self.behaviour.takes_begun_for_done and wait.operation.f == "put":
            self._answer(wait, Outcome.DONE, {})
        else:
            self._waiting.appended[self._log.last] = wait
        self._agree()

    def _answer(self, wait: Wait, outcome: Outcome, result: Mapping[str, Any]) -> None:
        if wait.client == "client":
            self._effects.append(Answer(wait.number, outcome, result))
        else:
            reply = ForwardReply(wait.number, self._durable.term, outcome, result, self.leader)
            self._send(wait.client, reply)

    def _expire(self) -> None:
        for wait, outcome in self._waiting.expired(self._now_s):
            if wait.target and wait.target == self.leader:
                self._lose(wait.target)
            self._answer(wait, outcome, {"error": "no majority answered in time"})

    def _forward(self, source: str, message: Forward) -> None:
        wait = Wait(message.number, message.operation, source, self._now_s + OPERATION_S)
        if self.leader == self.name:
            self._append(wait)
        else:
            self._answer(wait, Outcome.ELSEWHERE, {})

    def _forward_reply(self, source: str, reply: ForwardReply) -> None:
        wait = self._waiting.forwarded.get(reply.number)
        if wait is None or wait.target != source:
            return
        del self._waiting.forwarded[reply.number]
        if reply.outcome is not Outcome.ELSEWHERE:
            self._answer(wait, reply.outcome, reply.result)
            return
        wait.not_before_s = self._now_s + self._random.uniform(0, JITTER_S)
        self._waiting.held[wait.number] = wait
        if self.leader == source:
            self._lose(source)
            self._believe(reply.leader, reply.term)

    # Leaders: known by their entries, by hearsay, or lost.

    def _lose(self, leader: str) -> None:
        self._candidacy.lose(leader, self._now_s)
        self.leader = ""

    def _believe(self, leader: str, term: int) -> None:
        known = leader in self.others and leader not in self._candidacy.lost
        if known and not self.leader and term >= self._durable.term:
            self.leader = leader
            self._candidacy.election = None

    def _follow(self, leader: str) -> None:
        self.leader = leader
        self._candidacy.election = self._leadership = None
        waits, self._waiting.appended = self._waiting.appended, {}
        for wait in waits.values():
            self._answer(wait, Outcome.UNKNOWN, {"error": "the leader changed"})

    def _enter(self, term: int) -> None:
        if term > self._durable.term:
            self._durable.term, self._durable.vote = term, ""
            self._keep("term", term, "")
            self._follow("")

    def _received(self, source: str, message: Message) -> None:
        trial = isinstance(message, Ballot) and message.trial
        if not trial and not isinstance(message, Forward):
            self._enter(message.term)
        match message:
            case Ballot():
                self._ballot(source, message)
            case BallotReply():
                self._ballot_reply(source, message)
            case Append():
                fit, have = self._fit(source, message)
                self._send(source, AppendReply(message.number, self._durable.term, fit, have))
            case AppendReply():
                if self._leadership and self._leadership.replied(source, message, self._now_s):
                    self._agree()
            case Forward():
                self._forward(source, message)
            case ForwardReply():
                self._forward_reply(source, message)

    def _failed(self, event: Failed) -> None:
        self._unheard.add(event.target)
        if self.behaviour.waits_for_ever:
            self.blocked = True
            return
        if self._leadership is not None:
            again_s = self._now_s + self._random.uniform(*REDIAL_S)
            self._leadership.failed(event.target, event.number, again_s)
        if self.leader == event.target:
            self._lose(event.target)
        wait = self._waiting.forwarded.pop(event.number, None)
        if wait is None:
            return
        if event.sent:
            self._answer(wait, Outcome.UNKNOWN, {"error": f"{event.target} did not answer"})
        else:
            self._waiting.held[wait.number] = wait

    # Elections: only while an operation is held, here or where none can win, and no leader known.

    def _stands(self) -> bool:
        wanted = bool(self._waiting.held) or self._now_s < self._candidacy.urged_until_s
        return wanted and not self.leader

    def _campaign(self) -> None:
        if not self._stands():
            self._candidacy.election = None
        elif self._now_s >= self._candidacy.next_round_s:
            self._round(trial=True)

    def _round(self, *, trial: bool) -> None:
        if not trial:
            self._durable.term, self._durable.vote = self._durable.term + 1, self.name
            self._keep("term", self._durable.term, self.name)
        election = self._candidacy.round(self.number(), self.name, self._now_s, trial=trial)
        ballot = self._candidacy.ballot(election.number, self._durable, trial=trial)
        self._effects += [Send(other, ballot) for other in self.others]
        self._count()

    def _stand_instead(self, source: str) -> None:
        self._candidacy.urge(self._now_s)
        if self.leader == source:
            self._lose(source)
        elif self.leader:  # asked, too: one that does not answer is lost
            self._send(
                self.leader, self._candidacy.ballot(self.number(), self._durable, trial=True)
            )

    def _count(self) -> None:
        election = self._candidacy.election
        if election is None or len(election.votes) < self._majority():
            return
        if election.trial:
            self._round(trial=False)
            return
        self._candidacy.election = None
        self.leader = self.name
        self._candidacy.lost.clear()
        self._leadership = Leadership(self.others, self._durable)
        self._place()

    def _majority(self) -> int:
        members = len(self.others) + 1
        if self.behaviour.counts_only_the_reachable:
            members -= len(self._unheard)
        return members // 2 + 1

    def _ballot(self, source: str, ballot: Ballot) -> None:
        last = self._log.last
        granted = (ballot.last_term, ballot.last_index) >= (self._log.term(last), last)
        leader = ""
        if ballot.trial:
            if self.leader not in {"", source, *ballot.lost}:
                leader = self.leader
            elif not granted and self.leader != self.name:
                self._stand_instead(source)
            granted = granted and ballot.term > self._durable.term
            granted = granted and not leader and self.leader != self.name
        else:
            granted = granted and ballot.term == self._durable.term
            granted = granted and self._durable.vote in {"", source}
            if granted and not self._durable.vote:
                self._durable.vote = source
                self._keep("term", ballot.term, source)
        self._send(source, BallotReply(ballot.number, self._durable.term, granted, leader))

    def _ballot_reply(self, source: str, reply: BallotReply) -> None:
        if self._candidacy.election is None or self._candidacy.election.number != reply.number:
            return
        if reply.granted:
            self._candidacy.election.votes.add(source)
            self._count()
        else:
            self._believe(reply.leader, reply.term)

    # The log: a follower's side, then the leader's.

    def _fit(self, source: str, message: Append) -> tuple[Fit, int]:
        agreed = self._durable.agreed
        if message.term < self._durable.term:
            return Fit.BEHIND, self._log.last
        if self.leader == self.name:
            return Fit.DIVERGED, agreed
        self._candidacy.lost.clear()
        self._follow(source)
        fit, have = self._log.fit(message.previous_index, message.previous_term, agreed)
        if fit is Fit.MATCHED:
            known = self._log.known(have, message.entries)
            new = message.entries[known:]
            if new and have + known < agreed:
                return Fit.DIVERGED, agreed
            if new:
                self._log.cut(have + known + 1)
            for term, operation in new:
                self._log.append(term, operation)
                self._keep("entry", self._log.last, term, *operation.row())
            have += len(message.entries)
            self._advance(min(message.agreed, have))
        return fit, have

    def _agree(self) -> None:
        assert self._leadership is not None
        height = self._leadership.held(self._majority())
        if height and self._log.term(height) == self._durable.term:
            self._advance(height)

    def _advance(self, height: int) -> None:
        if height <= self._durable.agreed:
            return
        for index in range(self._durable.agreed + 1, height + 1):
            result = self._registers.apply(self._log.operation(index))
            wait = self._waiting.appended.pop(index, None)
            if wait is not None:
                self._answer(wait, Outcome.DONE, result)
        self._durable.agreed = height
        self._keep("agreed", height)

    def _replicate(self) -> None:
        if self._leadership is not None:
            for name, append in self._leadership.due(self._now_s, self._number + 1):
                self._number = append.number
                self._send(name, append)

    def _next_wake(self) -> float | None:
        times = list(self._waiting.deadlines_s())
        if self._stands():
            times.append(self._candidacy.next_round_s)
        elif self._waiting.held:
            times += [wait.not_before_s for wait in self._waiting.held.values()]
        if self._leadership and (self._waiting.appended or self._now_s < self._linger_until_s):
            times += self._leadership.pauses()
        return min(times, default=None)

    def _keep(self, *record: Any) -> None:
        self._effects.append(Keep(record))

    def _send(self, target: str, message: Message) -> None:
        self._effects.append(Send(target, message))
