"""
The node's own alarm: whether a group that has one spare signer left says so in time.

Owns: finding the alarm in the members' logs, where alone drand has it, and the promise about it.
Refuses: chaoskit's own reading of the margin, which stands beside it on every release.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial

from chaoskit.cluster import Cluster
from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation
from chaoskit.verdict import Kind
from suites.incidents.signing import Stand, stands_of

# What operators look for in the log: the alarm has no name, no metric and no other field.
_WORDS = "failed connections crossed"
_SLACK_S = 3.0


def note_alarms(cluster: Cluster) -> None:
    """Put every alarm of the members' logs into the history, as a note with `alarm` and when."""
    for name, node in cluster.nodes.items():
        for line in node.log.path.read_text(errors="replace").splitlines():
            stamp, _, said = line.partition(" ")
            if _WORDS not in said:
                continue
            level = str(json.loads(said)["level"])
            text = f"alarm at {stamp} s: {level}"
            value = {"text": text, "alarm": level, "logged_s": float(stamp)}
            cluster.recorder.record(name, "note", value)


def an_alarm_comes_before_the_last_spare_is_lost(*, interval_s: float) -> Invariant:
    """
    Make the promise: when one spare signer is left members say so, and while all run they do not.

    Liveness. Source: the outage of 2024-02-21, in which nobody noticed a year's decay to one above
    the threshold. Said in time is said by any member within two intervals of its own alarm.
    Evidence is such a stand that lasted for so long, and a stand of all members for two intervals.
    """
    judge = partial(_silent, interval_s=interval_s)
    return Invariant("an_alarm_comes_before_the_last_spare_is_lost", Kind.LIVENESS, judge)


def _silent(history: History, *, interval_s: float) -> Sequence[Violation]:
    alarms = [event for event in history.of("note") if "alarm" in event.value]
    stands = list(stands_of(history))
    bound_s = 2 * interval_s + _SLACK_S
    full = max((len(one.members) for one in stands), default=0)
    # What failed before a member came back is told at the end of that interval.
    healthy = [
        one
        for one in stands
        if len(one.members) == full and one.end_s - one.start_s >= 2 * interval_s
    ]
    spare = [one for one in stands if one.spare == 1 and len(one.members) < full]
    violations = [
        Violation(f"{told.process} raised an alarm while all members ran", (told.index, one.cause))
        for one in healthy
        for told in _within(alarms, one, from_s=one.start_s + interval_s, to_s=one.end_s)
    ]
    owed = [one for one in spare if one.end_s - one.start_s >= bound_s]
    told_in_time = [
        one
        for one in spare
        if any(_within(alarms, one, from_s=one.start_s, to_s=one.start_s + bound_s))
    ]
    violations += [
        Violation(
            f"{' '.join(sorted(one.members))} had one spare signer from {one.start_s:.3f} to "
            f"{one.end_s:.3f} s, and no member raised an alarm within {bound_s:g} s",
            (one.cause,),
        )
        for one in owed
        if one not in told_in_time
    ]
    if not violations and not (healthy and told_in_time):
        raise Inconclusive("nobody stood with one spare signer, or with all, for two intervals")
    return violations


def _within(
    alarms: Sequence[Event], stand: Stand, *, from_s: float, to_s: float
) -> Iterator[Event]:
    for event in alarms:
        logged_s = event.value["logged_s"]
        if from_s <= logged_s <= min(to_s, stand.end_s):
            yield event
