"""
The plan of an upgrade rehearsal, as a value: which releases, which steps, how long.

Owns: the order in which members take their turns, the numbered steps, what an operator changes
between releases, the printed form of all that and the estimate of its time. Refuses: I/O and roles;
who leads is known only when a member's turn comes, so a step names a turn and `next_member` says
whose it is.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from random import Random
from typing import Any

from chaoskit import rehearsal_axes as axes
from chaoskit.errors import UsageError
from chaoskit.rehearsal_route import RehearsalRequest, route
from chaoskit.system import System

_BORNE_PROGRESS, _BORNE_ALONE = 20, 8
Changed = Callable[[str, str], Sequence[str]]
_WIDTH = 80
LEADER = "leader"
END = "end"
# What these take on a small machine, seconds; only the printed estimate rests on them.
_START_S, _RESTART_S, _PROOF_S, _JUDGING_S, _FAULT_S, _LINKS_S = 6.0, 3.0, 1.5, 2.0, 6.0, 9.0


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

    `spares` is how many members can be missing while a quorum is left; `settings` what members are
    started with; `changes` for each hop what an operator changes, beside the program; `driven`,
    `linked` and `led` whether the system moves by load alone, whether its members dial each other,
    and whether one of them leads.
    """

    system: str
    route: tuple[str, ...]
    order: tuple[str, ...]
    spares: int
    settle_s: float
    seed: str
    request: RehearsalRequest
    steps: tuple[RehearsalStep, ...]
    settings: tuple[tuple[str, str], ...] = ()
    changes: tuple[tuple[str, ...], ...] = ()
    driven: bool = True
    linked: bool = True
    led: bool = True

    @property
    def estimate_s(self) -> float:
        """The sum of its steps' estimates."""
        return sum(step.estimate_s for step in self.steps)

    @property
    def borne_progress(self) -> int:
        """How far the system has to come while it bears something."""
        return _BORNE_PROGRESS if self.driven else _BORNE_ALONE

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
                "settings": dict(self.settings),
                "changes": [list(one) for one in self.changes],
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
        last = "; who leads when a turn comes goes last" if self.led else ""
        found = [
            f"plan  {self.system} {way}, rolling, {len(self.order)} members",
            (
                f"      about {in_minutes(self.estimate_s)}, load {load:g} operations/s, "
                f"seed {self.seed}"
            ),
            f"      order drawn: {', '.join(self.order)}{last}",
            *(
                line
                for told in axes.lines(self.request, source=self.route[0])
                for line in _wrapped(told, "      ")
            ),
            *self._changes(),
        ]
        told = False
        for step in self.steps:
            took = in_minutes(step.estimate_s)
            found.append(f"{step.number:2}  {took:>8}  {self._words(step)}")
            if step.kind is StepKind.UPGRADE:
                found.extend(self._branches(step) if not told else ["    - as step 2"])
                told = True
        return found

    def changes_to(self, target: str) -> tuple[str, ...]:
        """What an operator changes of a member that goes to this release of the way."""
        hops = dict(zip(self.route[1:], self.changes, strict=False))
        return hops.get(target, ())

    def _changes(self) -> list[str]:
        found = []
        for target in self.route[1:]:
            told = self.changes_to(target)
            found += [f"      an operator changes for {target}:"] if told else []
            found += [line for one in told for line in _wrapped(one, "      - ")]
        return found

    def _words(self, step: RehearsalStep) -> str:
        members = len(self.order)
        match step.kind:
            case StepKind.START:
                on = f" on vintage {vintage}" if (vintage := self.request.vintage) else ""
                return f"start {members} members at {step.source}{on}; load"
            case StepKind.UPGRADE:
                through = step.turn + step.size - 1
                last = " (the leader)" if self.led and step.turn == members else ""
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
        moves = "an operation is acknowledged" if self.driven else "the others and it move on"
        links = "    - its links are cut while it restarts, then whole: they come back"
        return [
            f"    - {said} {step.target}, and {spare} {moves}",
            f"    - way back at once: {step.source}, then {step.target} again",
            f"    - way back after {self.settle_s:g} s: {step.source}, then {step.target} again",
            *([links] if self.linked else []),
            "    - promises of the system hold, margin kept",
        ]


def _wrapped(text: str, lead: str) -> list[str]:
    """A text in lines for people, the first after `lead`, the others below it."""
    below = " " * len(lead)
    return textwrap.wrap(
        text, _WIDTH, initial_indent=lead, subsequent_indent=below, break_on_hyphens=False
    )


def in_minutes(duration_s: float) -> str:
    """Seconds for people: "32 s", "2 m 10 s"."""
    whole = round(duration_s)
    return f"{whole} s" if whole < 60 else f"{whole // 60} m {whole % 60:02} s"


def named(member: str, role: str) -> str:
    """A member for people, with its role if it has one."""
    return f"{member} ({role})" if role.strip() else member


def bearable(order: Sequence[str]) -> tuple[str, str]:
    """Who is killed and who is cut off when all members are at the last release."""
    return order[0], order[-1]


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


def _nothing(_: str, __: str) -> Sequence[str]:
    return ()


def make_plan(
    system: System,
    request: RehearsalRequest,
    *,
    seed: str,
    changed: Changed = _nothing,
    led: bool = True,
) -> RehearsalPlan:
    """
    The plan for a request; `seed` (hex) draws the order of members, `changed` says what an operator
    changes between two releases, `led` whether one of the members leads.

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
        steps=_steps(labels, groups, undone, system, request),
        settings=axes.settings_for(system, request),
        changes=tuple(tuple(changed(*hop)) for hop in pairwise(labels)),
        driven=system.driven,
        linked=bool(system.linked_ports),
        led=led,
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
    system: System,
    request: RehearsalRequest,
) -> tuple[RehearsalStep, ...]:
    steps = [RehearsalStep(1, StepKind.START, labels[0], labels[0], estimate_s=_START_S)]
    settle_s = system.settle_s
    again_s = 2 * (2 * _RESTART_S) + settle_s + (_LINKS_S if system.linked_ports else 0.0)
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
