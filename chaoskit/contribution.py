"""
Promises of an upgrade's step: the member runs its release, takes part, and few are down.

Owns: `contributed`, `runs_release` and `margin_kept`, and finding them again by their names, so
that a saved rehearsal can be judged anew. Refuses: a member's own word, received bytes and the
health of others as a sign that it takes part; none of them is one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation
from chaoskit.operations import attempts
from chaoskit.quorate import Interval, timelines
from chaoskit.system import Release, System
from chaoskit.verdict import Kind

MOVED_ON = 2
"""By how much a system that moves by itself has to move: the first step may be from before."""


def _release_at(history: History, member: str) -> list[tuple[int, str]]:
    """From which event on the member ran which release."""
    return [
        (event.index, event.value["release"])
        for event in history.of("state")
        if event.process == member
    ]


def _needing(history: History, member: str, release: str) -> list[Interval]:
    """The intervals in which exactly a quorum was healthy, the member among it, at the release."""
    runs = _release_at(history, member)

    def label(interval: Interval) -> str:
        known = [said for index, said in runs if index <= interval.cause]
        return known[-1] if known else ""

    return [
        interval
        for timeline in timelines(history)
        for interval in timeline.intervals
        if member in interval.healthy
        and len(interval.healthy) == interval.quorum
        and interval.quorate
        and label(interval) == release
    ]


def contributed(member: str, release: Release, *, bound_s: float) -> Invariant:
    """
    Make the promise: at `release` the member takes part in a quorum that needs it.

    Liveness. Source: a member that receives everything and whose answers are lost looks healthy to
    all but this test. The last time counts in which exactly a quorum was healthy, this member among
    it, and operations were asked that need one. Kept: one of them was acknowledged then. Broken:
    that time lasted `bound_s` seconds, all in vain. A shorter one says nothing. Where a system
    moves by itself, it must have moved on twice then: what is shown first may be from before.
    """

    def judge(history: History) -> Sequence[Violation]:
        if not _driven(history):
            return _moved_on(history, member, release, bound_s)
        asked = [one for one in attempts(history) if one.needs_quorum]
        for interval in reversed(_needing(history, member, release.label)):
            within = [
                one for one in asked if interval.start_s <= one.invoke.time_s < interval.end_s
            ]
            done = [one.completion for one in within if one.acknowledged]
            if any(end is not None and end.time_s <= interval.end_s for end in done):
                return ()
            if within and interval.end_s - interval.start_s >= bound_s:
                text = (
                    f"with exactly a quorum left that needs {member} at {release.label}, "
                    f"{len(within)} operations were asked in vain, from {interval.start_s:.3f} to "
                    f"{interval.end_s:.3f} s"
                )
                events = (interval.cause, *(one.invoke.index for one in within))
                return (Violation(text, events),)
        raise Inconclusive(f"no quorum was seen that needed {member} at {release.label}")

    return Invariant(f"{member}_contributes_at_{release.label}", Kind.LIVENESS, judge)


def _driven(history: History) -> bool:
    started = history.of("cluster")
    return bool(started[0].value["driven"]) if started else True


def _moved_on(
    history: History, member: str, release: Release, bound_s: float
) -> Sequence[Violation]:
    news_s = _news_s(history)
    for interval in reversed(_needing(history, member, release.label)):
        within = [one for one in news_s if interval.start_s <= one <= interval.end_s]
        if len(within) >= MOVED_ON:
            return ()
        if interval.end_s - interval.start_s >= bound_s:
            text = (
                f"with exactly a quorum left that needs {member} at {release.label}, it moved on "
                f"{len(within)} times from {interval.start_s:.3f} to {interval.end_s:.3f} s"
            )
            return (Violation(text, (interval.cause,)),)
    raise Inconclusive(f"no quorum was seen that needed {member} at {release.label}")


def _news_s(history: History) -> list[float]:
    """When progress was shown that nobody had shown before."""
    newest, found = 0, []
    for event in history.of("observe"):
        progress = event.value.get("progress") or 0
        if event.type == "ok" and progress > newest:
            newest = progress
            found.append(event.time_s)
    return found


def runs_release(member: str, release: Release) -> Invariant:
    """
    Make the promise: in the end the member runs, and says itself that it is `release`.

    Safety. Source: an upgrade that leaves the old program running, or an image that lies about
    what it holds, must not pass for an upgrade. Evidence is what the member said last of itself
    since it was started. One that runs and is silent has broken nothing here: it may be slow.
    """

    def judge(history: History) -> Sequence[Violation]:
        samples = [event for event in history.of("observe") if event.process == member]
        if not samples:
            raise Inconclusive(f"{member} was never asked")
        last = samples[-1]
        if (ended := _end_of(history, member)) is not None:
            text = (
                f"{member} does not run, and should be {release.version}; it exited by itself, "
                f"code {ended.value['exit_code']}"
            )
            return (Violation(text, (ended.index, last.index)),)
        since = _start_of(history, member)
        said = [one for one in samples if one.type == "ok" and one.index > since]
        if not said:
            raise Inconclusive(f"{member} has not said what it is since it was started")
        version = said[-1].value["version"]
        if version == release.version:
            return ()
        text = f"{member} reports {version or 'no version'}, and should be {release.version}"
        return (Violation(text, (said[-1].index,)),)

    return Invariant(f"{member}_runs_{release.label}", Kind.SAFETY, judge)


def _end_of(history: History, member: str) -> Event | None:
    """The exit that left the member down, if one did."""
    states = [event for event in history.of("state") if event.process == member]
    return states[-1] if states and states[-1].value["state"] == "exited" else None


def _start_of(history: History, member: str) -> int:
    """The event at which its process was started last; -1 when it was not in this time."""
    before, found = "", -1
    for event in history.of("state"):
        if event.process != member:
            continue
        state = event.value["state"]
        found = event.index if state == "running" and before != "paused" else found
        before = state
    return found


def _fault_spans(history: History) -> list[tuple[float, float]]:
    """When faults of ours were in force or being put in or out."""
    begun: dict[object, float] = {}
    spans = []
    for event in history.of("fault", "heal"):
        if event.f == "fault" and event.type == "invoke":
            begun[event.value["id"]] = event.time_s
        elif event.f == "heal" and event.type == "ok" and event.value["id"] in begun:
            spans.append((begun.pop(event.value["id"]), event.time_s))
    spans.extend((from_s, history.end_s) for from_s in begun.values())
    return spans


def margin_kept(max_unavailable: int) -> Invariant:
    """
    Make the promise: outside of our faults at most `max_unavailable` nodes are down at a time.

    Safety. Source: the plan, which prints the margin of every step; a second member that goes
    down beside the one that is being changed is what rolling upgrades must not do.
    """

    def judge(history: History) -> Sequence[Violation]:
        spans = _fault_spans(history)
        violations = []
        seen = False
        for timeline in timelines(history):
            for interval in timeline.intervals:
                middle_s = (interval.start_s + interval.end_s) / 2
                if any(from_s <= middle_s <= to_s for from_s, to_s in spans):
                    continue
                seen = True
                down = sorted(set(timeline.nodes) - interval.healthy)
                if len(down) > max_unavailable:
                    violations.append(
                        Violation(
                            f"{' '.join(down)} were down together from {interval.start_s:.3f} to "
                            f"{interval.end_s:.3f} s; at most {max_unavailable} may be",
                            (interval.cause,),
                        )
                    )
        if not seen:
            raise Inconclusive("no time was seen without a fault of ours")
        return violations

    return Invariant(f"at_most_{max_unavailable}_down", Kind.SAFETY, judge)


_RUNS = re.compile(r"(?P<member>.+)_runs_(?P<release>.+)")
_CONTRIBUTES = re.compile(r"(?P<member>.+)_contributes_at_(?P<release>.+)")
_DOWN = re.compile(r"at_most_(?P<number>\d+)_down")


def releases_named(names: Sequence[str], system: System) -> list[Release]:
    """The releases to which members went, by the names of the promises of that step."""
    said = {found["release"] for name in names if (found := _RUNS.fullmatch(name))}
    return [release for release in system.releases if release.label in said]


def promise_named(name: str, system: System) -> Invariant | None:
    """The promise of this module that has this name, for a system; None when it is none."""
    if found := _DOWN.fullmatch(name):
        return margin_kept(int(found["number"]))
    releases = {release.label: release for release in system.releases}
    if (found := _CONTRIBUTES.fullmatch(name)) and found["release"] in releases:
        release = releases[found["release"]]
        return contributed(found["member"], release, bound_s=system.progress_bound_s)
    if (found := _RUNS.fullmatch(name)) and found["release"] in releases:
        return runs_release(found["member"], releases[found["release"]])
    return None
