"""
The plan of an upgrade rehearsal, as a value: which releases, which steps, how long.

Owns: the way from one release to another (through every minor between, unless told otherwise), the
order in which members take their turns, the numbered steps, their printed form and the estimate of
their time. Refuses: I/O and roles; who leads is known only when a member's turn comes, so a step
names a turn and `next_member` says whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from random import Random
from typing import Any

from chaoskit.errors import UsageError
from chaoskit.system import Release, System

LEADER = "leader"
END = "end"
# What these take on a small machine, seconds; only the printed estimate rests on them.
_START_S, _RESTART_S, _PROOF_S, _JUDGING_S, _FAULT_S = 6.0, 3.0, 1.5, 2.0, 6.0
_MINOR = re.compile(r"v?(\d+)\.(\d+)(?!\d)")


@dataclass(frozen=True, slots=True)
class RehearsalRequest:
    """
    What a person asks to have rehearsed.

    Attributes
    ----------
    source, target, via: releases, or prefixes that match exactly one.
    skip: go there in one step, whatever lies between.
    rollback: "" (each step's way back is tried, and only reported), "end" or "after:K": that many
        upgraded members must go all the way back.
    pause_between_s: how long the load runs on between two members.
    max_unavailable: how many members go at once, and are down together.
    load_per_s: operations a second over all members.
    vintage: stored data that the members start on; empty for a first start.

    """

    source: str
    target: str
    via: tuple[str, ...] = ()
    skip: bool = False
    rollback: str = ""
    pause_between_s: float = 0.0
    max_unavailable: int = 1
    load_per_s: float = 20.0
    vintage: str = ""
    dry_run: bool = False


class StepKind(StrEnum):
    """What a step does."""

    START = "start"
    UPGRADE = "upgrade"
    FAULTS = "faults"
    SETTLE = "settle"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class RehearsalStep:
    """
    One numbered step.

    `turn` counts the members of a hop from 1, `size` those that go at once; `undoes` is the number
    of the step that a rollback takes back; `source` and `target` are labels of releases.
    """

    number: int
    kind: StepKind
    source: str
    target: str
    turn: int = 0
    size: int = 1
    undoes: int = 0
    estimate_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RehearsalPlan:
    """
    All of a rehearsal: the labels on the way, the drawn order of members, the steps.

    `spares` is how many members can be missing while a quorum is left.
    """

    system: str
    route: tuple[str, ...]
    order: tuple[str, ...]
    spares: int
    settle_s: float
    seed: str
    request: RehearsalRequest
    steps: tuple[RehearsalStep, ...]

    @property
    def estimate_s(self) -> float:
        """The sum of its steps' estimates."""
        return sum(step.estimate_s for step in self.steps)

    def document(self) -> dict[str, Any]:
        """JSON values, for plan.json."""
        return {
            "rehearsal": {
                "system": self.system,
                "route": list(self.route),
                "order": list(self.order),
                "seed": self.seed,
                "settle_s": self.settle_s,
                "rollback": self.request.rollback,
                "pause_between_s": self.request.pause_between_s,
                "max_unavailable": self.request.max_unavailable,
                "load_per_s": self.request.load_per_s,
                "vintage": self.request.vintage,
                "estimate_s": round(self.estimate_s, 1),
                "steps": [
                    {
                        "number": step.number,
                        "kind": step.kind.value,
                        "source": step.source,
                        "target": step.target,
                        "turn": step.turn,
                        "size": step.size,
                        "undoes": step.undoes,
                        "estimate_s": round(step.estimate_s, 1),
                    }
                    for step in self.steps
                ],
            }
        }

    def lines(self) -> list[str]:
        """The plan for people, as a numbered tree."""
        way, load = " -> ".join(self.route), self.request.load_per_s
        found = [
            (
                f"plan  {self.system} {way}, rolling, {len(self.order)} members, load {load:g} "
                f"operations/s, seed {self.seed}, about {in_minutes(self.estimate_s)}"
            ),
            f"      order drawn: {', '.join(self.order)}; who leads when a turn comes goes last",
        ]
        told = False
        for step in self.steps:
            found.append(f"{step.number:2}  {self._words(step):<58}  {in_minutes(step.estimate_s)}")
            if step.kind is StepKind.UPGRADE:
                found.extend(self._branches(step) if not told else ["    - as step 2"])
                told = True
        return found

    def _words(self, step: RehearsalStep) -> str:
        members = len(self.order)
        match step.kind:
            case StepKind.START:
                on = f" on vintage {vintage}" if (vintage := self.request.vintage) else ""
                return f"start {members} members at {step.source}{on}; load"
            case StepKind.UPGRADE:
                through = step.turn + step.size - 1
                last = " (the leader)" if step.turn == members else ""
                margin = f"margin {self.spares} -> {self.spares - step.size} -> {self.spares}"
                where = f"member {step.turn} of {members}{last}"
                if step.size > 1:
                    where = f"members {step.turn} to {through} of {members} at once"
                return f"upgrade {where}  {step.source} -> {step.target}  {margin}"
            case StepKind.FAULTS:
                kill, cut = bearable(self.order)
                return f"all at {step.target}: faults to be borne: kill {kill}, cut off {cut}"
            case StepKind.SETTLE:
                return f"wait until the cluster has settled ({self.settle_s:g} s)"
            case StepKind.ROLLBACK:
                return f"roll back step {step.undoes}: {step.target} -> {step.source}; must succeed"

    def _branches(self, step: RehearsalStep) -> list[str]:
        spare = f"with {self.spares} other{'s' if self.spares > 1 else ''} paused"
        said = "each reports" if step.size > 1 else "it reports"
        return [
            f"    - {said} {step.target}, and {spare} an operation is acknowledged",
            f"    - way back at once: {step.source}, then {step.target} again",
            f"    - way back after {self.settle_s:g} s: {step.source}, then {step.target} again",
            "    - promises of the system hold, margin kept",
        ]


def in_minutes(duration_s: float) -> str:
    """Seconds for people: "32 s", "2 m 10 s"."""
    whole = round(duration_s)
    return f"{whole} s" if whole < 60 else f"{whole // 60} m {whole % 60:02} s"


def bearable(order: Sequence[str]) -> tuple[str, str]:
    """Who is killed and who is cut off when all members are at the last release."""
    return order[0], order[-1]


def minor_of(label: str) -> tuple[int, int] | None:
    """Major and minor number of a release's label; None when it does not begin with them."""
    match = _MINOR.match(label)
    return (int(match[1]), int(match[2])) if match else None


def _one(system: System, prefix: str) -> Release:
    try:
        return system.release(prefix)
    except LookupError as error:
        raise UsageError(str(error)) from None


def route(system: System, request: RehearsalRequest) -> tuple[Release, ...]:
    """
    The releases that members go through, the first and the last included.

    Without `skip` or `via`: the newest listed release of every minor between. Raises UsageError
    for a prefix that does not match exactly one, for a way that does not lead forward, and when
    no release of a minor between is listed.
    """
    source, target = _one(system, request.source), _one(system, request.target)
    if request.skip and request.via:
        raise UsageError("--skip goes there in one step and --via in several: choose one")
    named = [_one(system, prefix) for prefix in request.via]
    between = named if request.via or request.skip else _minors_between(system, source, target)
    way = (source, *between, target)
    places = [system.releases.index(release) for release in way]
    if any(later <= earlier for earlier, later in pairwise(places)):
        words = " -> ".join(release.label for release in way)
        raise UsageError(f"{words} does not lead forward; for the way back there is --rollback")
    return way


def _minors_between(system: System, source: Release, target: Release) -> list[Release]:
    first, last = minor_of(source.label), minor_of(target.label)
    if first is None or last is None:
        return []
    newest: dict[tuple[int, int], Release] = {}
    for release in system.releases:
        minor = minor_of(release.label)
        if minor is not None and first < minor < last:
            newest[minor] = release
    if first[0] == last[0]:
        for number in range(first[1] + 1, last[1]):
            if (first[0], number) not in newest:
                raise UsageError(
                    f"no release {first[0]}.{number} of {system.name} is listed, which lies "
                    f"between {source.label} and {target.label}; give --via or --skip"
                )
    return [newest[minor] for minor in sorted(newest)]


def rolled_back(rollback: str, upgrades: int) -> int:
    """
    How many upgrade steps a rollback takes back; 0 for none.

    Raises UsageError for anything but "", "end" and "after:K" with K in 1..upgrades.
    """
    if not rollback:
        return 0
    if rollback == END:
        return upgrades
    match = re.fullmatch(r"after:(\d+)", rollback)
    if match is None or not 1 <= int(match[1]) <= upgrades:
        raise UsageError(f"--rollback {rollback!r}: write end, or after:K with K in 1..{upgrades}")
    return int(match[1])


def make_plan(system: System, request: RehearsalRequest, *, seed: str) -> RehearsalPlan:
    """
    The plan for a request; `seed` (hex) draws the order of members.

    Raises UsageError for what cannot be meant, `max_unavailable` beyond what a quorum can spare
    among it.
    """
    labels = tuple(release.label for release in route(system, request))
    members = len(system.nodes)
    spares = members - system.quorum
    if not 1 <= request.max_unavailable <= spares:
        raise UsageError(
            f"--max-unavailable {request.max_unavailable} would break the quorum: of {members} "
            f"members {system.quorum} are one, so 1 to {spares} may be down at once"
            if request.max_unavailable > spares
            else f"--max-unavailable {request.max_unavailable}: at least one member goes at a time"
        )
    if request.pause_between_s < 0 or request.load_per_s <= 0:
        raise UsageError("a pause is 0 s or longer, and a rehearsal runs under load")
    if system.traffic is None:
        raise UsageError(f"{system.name} has no traffic: nothing can be proven to contribute")
    back = rolled_back(request.rollback, members * (len(labels) - 1))
    groups = _groups(labels, members, request.max_unavailable)
    ends = list(accumulate(group.size for group in groups))
    if back and back not in ends:
        raise UsageError(
            f"--rollback {request.rollback}: members go {request.max_unavailable} at a time, so "
            f"after:K with K one of {', '.join(map(str, ends))}"
        )
    undone = ends.index(back) + 1 if back else 0
    order = list(system.nodes)
    Random(int(seed, 16)).shuffle(order)
    return RehearsalPlan(
        system=system.name,
        route=labels,
        order=tuple(order),
        spares=spares,
        settle_s=system.settle_s,
        seed=seed,
        request=request,
        steps=_steps(labels, groups, undone, system.settle_s, request),
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """Members that go at once: in which hop, from which turn on, how many."""

    hop: int
    turn: int
    size: int


def _groups(labels: Sequence[str], members: int, at_once: int) -> list[_Group]:
    return [
        _Group(hop, first + 1, min(at_once, members - first))
        for hop in range(len(labels) - 1)
        for first in range(0, members, at_once)
    ]


def _steps(
    labels: Sequence[str],
    groups: Sequence[_Group],
    back: int,
    settle_s: float,
    request: RehearsalRequest,
) -> tuple[RehearsalStep, ...]:
    steps = [RehearsalStep(1, StepKind.START, labels[0], labels[0], estimate_s=_START_S)]
    again_s = 2 * (2 * _RESTART_S) + settle_s
    for at, group in enumerate(groups[: back or len(groups)]):
        pause_s = request.pause_between_s if at else 0.0
        proofs_s = 2 * group.size * _PROOF_S
        steps.append(
            RehearsalStep(
                len(steps) + 1,
                StepKind.UPGRADE,
                labels[group.hop],
                labels[group.hop + 1],
                turn=group.turn,
                size=group.size,
                estimate_s=_RESTART_S + proofs_s + again_s + _JUDGING_S + pause_s,
            )
        )
    done = [step for step in steps if step.kind is StepKind.UPGRADE]
    if len(done) == len(groups):
        steps.append(
            RehearsalStep(
                len(steps) + 1,
                StepKind.FAULTS,
                labels[-1],
                labels[-1],
                estimate_s=2 * _FAULT_S + _JUDGING_S,
            )
        )
    if back:
        last = done[-1].target
        steps.append(
            RehearsalStep(len(steps) + 1, StepKind.SETTLE, last, last, estimate_s=settle_s)
        )
    for undone in reversed(done[:back]):
        steps.append(
            RehearsalStep(
                len(steps) + 1,
                StepKind.ROLLBACK,
                undone.source,
                undone.target,
                turn=undone.turn,
                size=undone.size,
                undoes=undone.number,
                estimate_s=_RESTART_S + undone.size * _PROOF_S + _JUDGING_S,
            )
        )
    return tuple(steps)


def next_members(
    order: Sequence[str], done: Collection[str], roles: Mapping[str, str], size: int
) -> tuple[str, ...]:
    """
    Whose turn it is: of those not done the first `size` in the drawn order, who leads last.

    `roles` holds each member's role as last seen. Raises ValueError when fewer are left.
    """
    waiting = [name for name in order if name not in done]
    if len(waiting) < size:
        raise ValueError(f"{len(waiting)} members have not had their turn, and {size} are to go")
    return tuple(sorted(waiting, key=lambda name: roles.get(name) == LEADER)[:size])
