"""
A member of one network, without sockets, clock or disk: events in with the time, effects out.

Owns: the last round, the partials of those that come, when what is signed, and what is appended.
Refuses: partials in the order below; rounds that do not follow the last; to sign ahead of its
clock. A process that serves several networks has a core for each; they share nothing.

Rules:

* A partial is looked at in this order, and the cheap looks come first: a round beyond the next one
  is an error; one that is stored already is taken and forgotten; then its length, its index (one of
  the group's, and not our own), and only then its signature.
* Kept are partials of the ROUNDS_AHEAD rounds after the last. At the threshold the signature is
  recovered, verified under the group's key, and appended. A threshold for a later round than the
  next shows that others are ahead: we ask to be synced up to it.
* Nothing is announced that is not stored: Store comes before whatever follows from it.
* What is signed is decided by the table in transitions.py; partials are never sent twice for one
  trigger, and never retried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from nodes.beacon.cache import ROUNDS_AHEAD, PartialCache
from nodes.beacon.errors import (
    FutureRound,
    InvalidPartial,
    OwnIndex,
    PartialRefused,
    UnknownIndex,
)
from nodes.beacon.following import Following
from nodes.beacon.messages import (
    Answer,
    Beacon,
    Broadcast,
    Effect,
    Event,
    Kept,
    Partial,
    PartialArrived,
    Started,
    Store,
    SyncArrived,
    SyncAsked,
    SyncEnded,
    SyncLeft,
    Tick,
)
from nodes.beacon.rounds import Schedule
from nodes.beacon.serving import Serving
from nodes.beacon.signing import Signing
from nodes.beacon.transitions import TRANSITIONS, Step, Trigger, phase_of

PREVIOUS_BYTES_AT_MOST = 96
"""The longest signature of any scheme: what a partial may say it is made upon."""


@dataclass(frozen=True, slots=True)
class Place:
    """Our place in a network: its times, its members' addresses by index, and which one we are."""

    beacon_id: str
    schedule: Schedule
    catchup_period_s: float
    addresses: Mapping[int, str]
    own_index: int

    def __post_init__(self) -> None:
        if self.own_index not in self.addresses:
            raise ValueError(f"no member has our index {self.own_index}")

    @property
    def others(self) -> tuple[str, ...]:
        """The other members' addresses, by index."""
        return tuple(
            address for index, address in sorted(self.addresses.items()) if index != self.own_index
        )


def genesis(seed: bytes) -> Beacon:
    """Round 0: what round 1 is made upon."""
    return Beacon(0, b"", seed)


class Core:
    """One member; `last` is the last stored round, or genesis. Woken by a Tick at `wake_s`."""

    def __init__(self, place: Place, signing: Signing, *, last: Beacon, random: Random) -> None:
        self.place = place
        self.last = last
        self._signing = signing
        self._schedule = place.schedule
        self._others = place.others
        self._cache = PartialCache()
        self._signed: Partial | None = None
        self._effects: list[Effect] = []
        self._now_s = 0.0
        self._round_s: float | None = None
        self._catch_up_s: float | None = None
        self._serving = Serving(self._emit)
        self._following = Following(
            beacon_id=place.beacon_id,
            peers=self._others,
            period_s=place.schedule.period_s,
            signing=signing,
            random=random,
            emit=self._emit,
        )

    @property
    def wake_s(self) -> float | None:
        """When the next Tick is wanted; None before Started."""
        if self._catch_up_s is None or self._round_s is None:
            return self._round_s
        return min(self._round_s, self._catch_up_s)

    def is_due(self, now_s: float) -> bool:
        """
        Whether a Tick is wanted now: at `wake_s`, and at once where the clock was set back since.

        Else a member whose clock was an hour ahead, and is right again, signed nothing for an hour.
        """
        if self.wake_s is None or self._round_s is None:
            return False
        return now_s >= self.wake_s or self._schedule.next_time(now_s) < self._round_s

    def handle(self, event: Event, now_s: float) -> Sequence[Effect]:
        """Take one event; answers the effects, to be carried out in their order."""
        self._now_s = now_s
        self._effects = []
        match event:
            case PartialArrived(partial):
                self._arrived(partial)
            case Tick():
                self._tick()
            case SyncArrived():
                if self._following.accepts(event, self.last, now_s):
                    self._append(event.beacon, aggregated=False)
                    self._aggregate_next()
            case SyncEnded(attempt):
                self._following.ended(attempt, self.last)
            case SyncAsked():
                self._serving.asked(event, self.last)
            case SyncLeft(stream):
                self._serving.left(stream)
            case Started():
                self._round_s = self._schedule.next_time(now_s)
                self._follow(Trigger.STARTED)
        return self._effects

    def _emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    # ---- what follows from what --------------------------------------------------------------

    def _tick(self) -> None:
        if self._round_s is None:
            return
        due = self._now_s >= self._round_s
        # A clock that was set back makes the next round's time an earlier one.
        self._round_s = self._schedule.next_time(self._now_s)
        if due:
            # Once, however many rounds a pause has cost: partials are for the next round only.
            self._follow(Trigger.ROUND)
        if self._catch_up_s is not None and self._now_s >= self._catch_up_s:
            self._catch_up_s = None
            self._follow(Trigger.CATCH_UP)

    def _follow(self, trigger: Trigger) -> None:
        phase = phase_of(self.last.round, self._schedule, self._now_s)
        for step in TRANSITIONS[phase, trigger]:
            match step:
                case Step.SIGN_NEXT:
                    self._sign(self.last.round + 1, self.last.signature)
                case Step.SIGN_AGAIN:
                    self._sign(self.last.round, self.last.previous_signature)
                case Step.WAIT_TO_CATCH_UP:
                    self._catch_up_s = self._now_s + self.place.catchup_period_s
                case Step.SYNC_TO_CURRENT:
                    self._sync(self._schedule.current_round(self._now_s))
                case Step.SYNC_TO_NEXT:
                    self._sync(self._schedule.next_round(self._now_s))

    def _sync(self, up_to: int) -> None:
        self._following.request(up_to, self.last, self._now_s)

    def _sign(self, round_number: int, previous: bytes) -> None:
        made = self._signed
        if made is None or (made.round, made.previous_signature) != (round_number, previous):
            made = Partial(round_number, previous, self._signing.sign(round_number, previous))
            self._signed = made
        self._emit(Broadcast(made, self._others))
        self._keep(made, self.place.own_index)

    # ---- partials ----------------------------------------------------------------------------

    def _arrived(self, partial: Partial) -> None:
        try:
            index = self._checked(partial)
        except PartialRefused as refusal:
            self._emit(Answer(refusal))
            return
        self._emit(Answer(None))
        if index is not None:
            self._keep(partial, index)

    def _checked(self, partial: Partial) -> int | None:
        """Whose partial it is, verified; None where its round is made; raises PartialRefused."""
        following = self._schedule.next_round(self._now_s)
        if partial.round > following:
            raise FutureRound(f"invalid round: {partial.round} instead of {following - 1}")
        if partial.round <= self.last.round:
            return None
        index = self._signing.index_of(partial.partial)
        if index not in self.place.addresses:
            raise UnknownIndex(
                f"attempted to process beacon from node of index {index}, "
                "but it was not in the group file"
            )
        if index == self.place.own_index:
            raise OwnIndex(f"invalid own index {index} in partial for round {partial.round}")
        if not self._genuine(partial, index):
            raise InvalidPartial(
                f"invalid partial signature of index {index} for round {partial.round}"
            )
        return index

    def _genuine(self, partial: Partial, index: int) -> bool:
        number, previous, signed = partial.round, partial.previous_signature, partial.partial
        if len(previous) > PREVIOUS_BYTES_AT_MOST:
            return False
        # The same bytes again, at each tick of a chain that stands still, need no second look.
        if self._cache.holds(number, self._upon(previous), index, signed):
            return True
        return self._signing.verify_partial(number, previous, signed)

    def _upon(self, previous: bytes) -> bytes:
        """What tells partials of one round apart: where nothing covers it, not what they say."""
        return previous if self._signing.chained else b""

    def _keep(self, partial: Partial, index: int) -> None:
        number = partial.round
        if not self.last.round < number <= self.last.round + ROUNDS_AHEAD:
            return
        previous = self._upon(partial.previous_signature)
        count = self._cache.add(number, previous, index, partial.partial)
        if not count:
            return
        self._emit(Kept(number, index, count, self._signing.threshold))
        if count < self._signing.threshold:
            return
        if number == self.last.round + 1:
            self._aggregate_next()
        else:
            self._sync(number)

    def _aggregate_next(self) -> None:
        """Make the next round, and those after it whose partials came before it."""
        # Each turn appends a round that the cache holds, and it holds ROUNDS_AHEAD at most.
        for _ in range(ROUNDS_AHEAD):
            number, previous = self.last.round + 1, self._upon(self.last.signature)
            partials = self._cache.of(number, previous)
            if len(partials) < self._signing.threshold:
                return
            signature = self._signing.recover(partials.values())
            if not self._signing.verify(number, previous, signature):
                # No threshold of verified partials does this; whatever did, nothing is stored.
                self._cache.drop(number, previous)
                return
            self._append(Beacon(number, previous, signature), aggregated=True)
            self._follow(Trigger.AGGREGATED)

    def _append(self, beacon: Beacon, *, aggregated: bool) -> None:
        if not self._signing.chained:
            beacon = Beacon(beacon.round, b"", beacon.signature)
        self.last = beacon
        self._emit(Store(beacon, aggregated=aggregated))
        self._cache.drop_through(beacon.round)
        self._serving.appended(beacon)
        self._following.appended(beacon)
