"""
Being synced: at most one stream from one peer at a time, until a round is reached.

Owns: which peer is asked, when a sync may begin or be replaced, and when it is over. Refuses:
rounds of another attempt, of another network, that do not follow the last one, or that do not
verify: the peer that sent one is left for the next.

Rules: a request for what is stored already is dropped. While a sync runs, another replaces it only
SYNC_EXPIRY_PERIODS after the last round it brought (or after its beginning). Peers are tried in
random order, each once; when all have failed, the next round's time brings the next request. Who
replaces a sync goes on with the peers that it has not tried: a peer that answers is found after as
many expiries as there are peers that swallow requests, where drand would draw anew each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from nodes.beacon.messages import Beacon, Effect, SyncArrived, SyncFailed, SyncFrom, SyncStop
from nodes.beacon.signing import Signing

SYNC_EXPIRY_PERIODS = 2


class Following:
    """The client's half of a network's syncs; `emit` takes effects in order."""

    def __init__(
        self,
        *,
        beacon_id: str,
        peers: Sequence[str],
        period_s: int,
        signing: Signing,
        random: Random,
        emit: Callable[[Effect], None],
    ) -> None:
        self._beacon_id = beacon_id
        self._peers = tuple(peers)
        self._expiry_s = SYNC_EXPIRY_PERIODS * period_s
        self._signing = signing
        self._random = random
        self._emit = emit
        self._attempt = 0
        self._up_to = 0
        self._heard_s = 0.0
        self._untried: list[str] = []
        self.running = False

    def request(self, up_to: int, last: Beacon, now_s: float) -> None:
        """Sync up to this round, unless it is there already or a sync that lives brings it."""
        if last.round >= up_to:
            return
        if self.running:
            # Heard in the future: the clock was set back since, and nobody knows how long ago.
            if self._heard_s <= now_s <= self._heard_s + self._expiry_s:
                return
            self._emit(SyncStop(self._attempt))
        if not self._untried or not self.running:
            self._untried = self._random.sample(self._peers, len(self._peers))
        self.running = True
        self._up_to = up_to
        self._heard_s = now_s
        self._next_peer(last)

    def accepts(self, event: SyncArrived, last: Beacon, now_s: float) -> bool:
        """Whether the round that came is to be appended; a peer that sent another is left."""
        if not self.running or event.attempt != self._attempt:
            return False
        beacon = event.beacon
        ours = event.beacon_id is None or event.beacon_id == self._beacon_id
        if ours and beacon.round <= last.round:
            # Made here meanwhile; a peer that sends nothing else expires.
            return False
        if not ours or not self._follows(beacon, last):
            self._emit(SyncStop(self._attempt))
            self._next_peer(last)
            return False
        self._heard_s = now_s
        return True

    def appended(self, last: Beacon) -> None:
        """The chain has grown, by whatever way: the sync is over where its aim is reached."""
        if self.running and last.round >= self._up_to:
            self.running = False
            self._emit(SyncStop(self._attempt))

    def ended(self, attempt: int, last: Beacon) -> None:
        """The stream of an attempt is over: the next peer, if it was the current one's."""
        if self.running and attempt == self._attempt:
            self._next_peer(last)

    def _follows(self, beacon: Beacon, last: Beacon) -> bool:
        if beacon.round != last.round + 1:
            return False
        if self._signing.chained and beacon.previous_signature != last.signature:
            return False
        return self._signing.verify(beacon.round, beacon.previous_signature, beacon.signature)

    def _next_peer(self, last: Beacon) -> None:
        if not self._untried:
            self.running = False
            self._emit(SyncFailed(self._up_to))
            return
        self._attempt += 1
        self._emit(SyncFrom(self._attempt, self._untried.pop(), last.round + 1))
