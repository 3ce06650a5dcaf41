"""
What goes into a network's core and what comes out of it.

Owns: beacons, partials, events and effects. Refuses: nothing; whoever decodes them from the wire
has checked their types.

Rules: effects are carried out in the order they come, each before the next; a Store is durable
before whatever follows it is sent. An effect that cannot be carried out ends the network: its core
is ahead of its disk by then.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodes.beacon.errors import PartialRefused, SyncRefused


@dataclass(frozen=True, slots=True)
class Beacon:
    """A finished round; `previous_signature` is empty where the scheme is not chained."""

    round: int
    previous_signature: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Partial:
    """A member's part of a round: two bytes of index, and a signature with its share."""

    round: int
    previous_signature: bytes
    partial: bytes


# ---- events ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The process is up: its store is read, its listener and its streams can be used."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The time that the core asked to be woken at has come, or passed."""


@dataclass(frozen=True, slots=True)
class PartialArrived:
    """A partial came over the wire; exactly one Answer goes back."""

    partial: Partial


@dataclass(frozen=True, slots=True)
class SyncArrived:
    """
    A round came on the stream of this attempt.

    `beacon_id`: which network the peer says it is of, canonical; None where it says nothing.
    """

    attempt: int
    beacon_id: str | None
    beacon: Beacon


@dataclass(frozen=True, slots=True)
class SyncEnded:
    """The stream of this attempt is over, or could not be opened."""

    attempt: int


@dataclass(frozen=True, slots=True)
class SyncAsked:
    """Somebody at `source` wants rounds from `from_round` on, then each new one; 0: only new."""

    stream: int
    source: str
    from_round: int


@dataclass(frozen=True, slots=True)
class SyncLeft:
    """Whoever asked has gone, or cannot be written to."""

    stream: int


Event = Started | Tick | PartialArrived | SyncArrived | SyncEnded | SyncAsked | SyncLeft


# ---- effects -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Store:
    """Append this round durably; `aggregated` here, or else synced from a peer."""

    beacon: Beacon
    aggregated: bool


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send our partial to each target at once, each on its own, without trying again."""

    partial: Partial
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender of a partial is told: taken, or why not."""

    refusal: PartialRefused | None


@dataclass(frozen=True, slots=True)
class Kept:
    """For log and metrics: this round's partials are now so many, the last of member `index`."""

    round: int
    index: int
    count: int
    threshold: int


@dataclass(frozen=True, slots=True)
class SyncFrom:
    """Open a stream to the peer for rounds from `from_round` on; what it brings names `attempt`."""

    attempt: int
    peer: str
    from_round: int


@dataclass(frozen=True, slots=True)
class SyncStop:
    """Cancel the stream of this attempt."""

    attempt: int


@dataclass(frozen=True, slots=True)
class SyncFailed:
    """For the log: every peer was tried and none brought us to this round."""

    up_to: int


@dataclass(frozen=True, slots=True)
class StreamStored:
    """Send what is stored from `first` to `last` on this stream, in order, before what follows."""

    stream: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class StreamNew:
    """Send this round on these streams, after all that was to be sent on them before."""

    streams: tuple[int, ...]
    beacon: Beacon


@dataclass(frozen=True, slots=True)
class StreamClose:
    """End this stream with this error."""

    stream: int
    refusal: SyncRefused


Effect = (
    Store
    | Broadcast
    | Answer
    | Kept
    | SyncFrom
    | SyncStop
    | SyncFailed
    | StreamStored
    | StreamNew
    | StreamClose
)
