"""
What a member does when, as a table: where it stands in its chain, what happened, what follows.

Owns: the table, and the phase that a last round and a clock make. Refuses: nothing; the table is
total, so that there is no case that nobody thought of.

Rules, as drand has them (facts of v2.1.4's round loop):

* At each round's time the next partial is sent, once, to everyone. Who is more than one round
  behind asks to be synced as well, after that.
* Who holds the round already sends its partial for it again: others may lack it.
* After a round made here that leaves us behind, the next partial follows the catch-up period later,
  without waiting for a round's time. After a synced round it does not.
* Whose last round is beyond its own clock signs nothing: no share of ours makes a round early.
  (Here drand would sign the one after; it comes about only with a clock a period behind others'.)
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from nodes.beacon.rounds import Schedule


class Phase(Enum):
    """Where the last stored round stands against the clock."""

    EARLY = "genesis has not come"
    AHEAD = "the last round is beyond the current one"
    IN_STEP = "the last round is the current one"
    DUE = "the last round is the one before"
    BEHIND = "more than one round is missing"


class Trigger(Enum):
    """What happened."""

    STARTED = "the process started"
    ROUND = "a round's time came"
    AGGREGATED = "a round was made here"
    CATCH_UP = "the catch-up period after a round is over"


class Step(Enum):
    """What follows."""

    SIGN_NEXT = "send the partial of the round after the last"
    SIGN_AGAIN = "send the partial of the last round again"
    WAIT_TO_CATCH_UP = "wait for the catch-up period"
    SYNC_TO_CURRENT = "ask to be synced up to the current round"
    SYNC_TO_NEXT = "ask to be synced up to the next round"


_NOTHING: tuple[Step, ...] = ()
TRANSITIONS: Mapping[tuple[Phase, Trigger], tuple[Step, ...]] = MappingProxyType(
    {
        (Phase.EARLY, Trigger.STARTED): _NOTHING,
        (Phase.EARLY, Trigger.ROUND): _NOTHING,
        (Phase.EARLY, Trigger.AGGREGATED): _NOTHING,
        (Phase.EARLY, Trigger.CATCH_UP): _NOTHING,
        (Phase.AHEAD, Trigger.STARTED): (Step.SYNC_TO_NEXT,),
        (Phase.AHEAD, Trigger.ROUND): _NOTHING,
        (Phase.AHEAD, Trigger.AGGREGATED): _NOTHING,
        (Phase.AHEAD, Trigger.CATCH_UP): _NOTHING,
        (Phase.IN_STEP, Trigger.STARTED): (Step.SYNC_TO_NEXT,),
        (Phase.IN_STEP, Trigger.ROUND): (Step.SIGN_AGAIN,),
        (Phase.IN_STEP, Trigger.AGGREGATED): _NOTHING,
        (Phase.IN_STEP, Trigger.CATCH_UP): _NOTHING,
        (Phase.DUE, Trigger.STARTED): (Step.SYNC_TO_NEXT,),
        (Phase.DUE, Trigger.ROUND): (Step.SIGN_NEXT,),
        (Phase.DUE, Trigger.AGGREGATED): (Step.WAIT_TO_CATCH_UP,),
        (Phase.DUE, Trigger.CATCH_UP): (Step.SIGN_NEXT,),
        (Phase.BEHIND, Trigger.STARTED): (Step.SYNC_TO_NEXT,),
        (Phase.BEHIND, Trigger.ROUND): (Step.SIGN_NEXT, Step.SYNC_TO_CURRENT),
        (Phase.BEHIND, Trigger.AGGREGATED): (Step.WAIT_TO_CATCH_UP,),
        (Phase.BEHIND, Trigger.CATCH_UP): (Step.SIGN_NEXT,),
    }
)


def phase_of(last_round: int, schedule: Schedule, now_s: float) -> Phase:
    """The phase of a member that holds `last_round` at this time."""
    if now_s < schedule.genesis_s:
        return Phase.EARLY
    missing = schedule.current_round(now_s) - last_round
    if missing <= 0:
        return Phase.AHEAD if missing else Phase.IN_STEP
    return Phase.DUE if missing == 1 else Phase.BEHIND
