"""
Plans: what will be done to a cluster, as a value.

Owns: faults and changes over time with their load and seed, their file form, their printed form,
and `run`, which carries a plan out. Refuses: randomness at run time: whatever varies was drawn when
the plan was made. A plan is printed before the run, saved beside it, and replayed from its file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaoskit import catalogue
from chaoskit.cluster import Cluster
from chaoskit.errors import UsageError
from chaoskit.fault import apply, inject
from chaoskit.history import History
from chaoskit.scope import scopes

SCHEMA = 1
_BRIEFEST_S = 0.001  # a fault has a duration, whatever its clock rounds it to


@dataclass(frozen=True, slots=True)
class Step:
    """
    One fault from `at_s` for `duration_s` seconds, or, with no duration, one change at `at_s`.

    `action` is the name of a fault or change, `fields` its fields, JSON values.
    """

    at_s: float
    action: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    duration_s: float | None = None
    may_exit: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.action, str) or not isinstance(self.fields, Mapping):
            raise TypeError(f"a step of {self.action!r} with {self.fields!r}")
        if self.at_s < 0 or (self.duration_s is not None and self.duration_s <= 0):
            raise UsageError(f"{self.action}: at {self.at_s} s for {self.duration_s} s is no time")

    def __str__(self) -> str:
        words = " ".join(f"{key}={value}" for key, value in self.fields.items())
        for_how_long = "" if self.duration_s is None else f", for {self.duration_s:g} s"
        return f"at {self.at_s:g} s  {self.action} {words}{for_how_long}"


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What a run does: system, release, load, seed, steps; `inputs` are values for the test that
    carries it out (the halves of a row differ in these alone).
    """

    system: str = ""
    release: str = ""
    seed: str = ""
    load_per_s: float = 20.0
    steps: tuple[Step, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """From its beginning to the end of its last step."""
        return max((step.at_s + (step.duration_s or 0.0) for step in self.steps), default=0.0)

    def lines(self) -> list[str]:
        """The plan for people: one numbered line a step."""
        return [f"{number:2}  {step}" for number, step in enumerate(self.steps, start=1)]

    def document(self) -> dict[str, Any]:
        """Its file form, JSON values."""
        return {
            "schema": SCHEMA,
            "system": self.system,
            "release": self.release,
            "seed": self.seed,
            "load_per_s": self.load_per_s,
            "steps": [dataclasses.asdict(step) for step in self.steps],
            "inputs": dict(self.inputs),
        }


def plan_of(document: Mapping[str, Any], path: Path) -> Plan:
    """The plan that a document of the file `path` says. Raises UsageError when it is none."""
    values = {key: value for key, value in document.items() if key != "schema"}
    try:
        steps = tuple(Step(**step) for step in values.pop("steps", ()))
        return Plan(steps=steps, **values)
    except TypeError as error:
        raise UsageError(f"{path} is no plan: {error}") from error


def executed(history: History) -> dict[str, Plan]:
    """
    What was done to the cluster in each test of a history, as a plan that does it again.

    Times count from the test's beginning; a fault that was never healed has the test's rest.
    Targets are what was asked for: a role stays a role, what the test named or drew is a name.
    """
    plans: dict[str, Plan] = {}
    for scope in scopes(history):
        start = next(event for event in scope.history.of("scope"))
        ends = {
            event.value["id"]: event.time_s
            for event in scope.history.of("heal")
            if event.type == "invoke"
        }
        steps = []
        for event in scope.history.of("fault", "change"):
            if event.type != "invoke" or event.index < start.index:
                continue
            healed_s = ends.get(event.value["id"], scope.history.end_s)
            steps.append(
                Step(
                    at_s=round(event.time_s - start.time_s, 3),
                    action=event.value[event.f],
                    fields={**event.value["fields"], **event.value.get("asked", {})},
                    duration_s=max(_BRIEFEST_S, round(healed_s - event.time_s, 3))
                    if event.f == "fault"
                    else None,
                    may_exit=bool(event.value.get("may_exit", False)),
                )
            )
        plans[scope.test] = Plan(steps=tuple(steps))
    return plans


def _moments(steps: Sequence[Step]) -> Iterator[tuple[float, bool, int]]:
    """When each step, by its place, begins (True) and ends; at one moment ends come first."""
    moments = [(step.at_s, True, place) for place, step in enumerate(steps)]
    moments += [
        (step.at_s + step.duration_s, False, place)
        for place, step in enumerate(steps)
        if step.duration_s is not None
    ]
    yield from sorted(moments, key=lambda one: (one[0], one[1]))


def run(plan: Plan, *, on: Cluster) -> None:
    """
    Carry out a plan's steps at their times on a cluster; overlapping faults may overlap.

    A fault is in force for as long as its step says: the time that it takes to inject one and to
    see that it is there moves all that comes later.

    Faults still in force when something raises are healed, the last first.
    """
    begun_s, moved_s = on.recorder.now_s(), 0.0
    with ExitStack() as everything:
        open_faults: dict[int, ExitStack] = {}
        for at_s, begins, place in _moments(plan.steps):
            step = plan.steps[place]
            due_s = begun_s + at_s + moved_s
            on.hold(max(0.0, due_s - on.recorder.now_s()))
            if not begins:
                open_faults.pop(place).close()
                continue
            action = catalogue.make(step.action, step.fields)
            if step.duration_s is None:
                apply(action, to=on, may_exit=step.may_exit)
                continue
            one = everything.enter_context(ExitStack())
            one.enter_context(inject(action, into=on, may_exit=step.may_exit))
            open_faults[place] = one
            moved_s += on.recorder.now_s() - due_s
