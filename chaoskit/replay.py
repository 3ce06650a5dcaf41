"""
Doing a saved run again: its plans by test, and a test held to its own.

Owns: reading whatever `--chaos-plan` may name (one plan, or the plan.json of a saved run with a
plan for each test), and the pace that a replayed test keeps. Refuses: a replay that does something
else: a test whose next fault or change is not the next step of its plan has gone astray, and one
that ends before its plan does has proven nothing; both are INVALID.

A test that asks for the plan (`chaos_plan`) carries it out. Any other test runs its own body, with
the plan's release, load and seed, and every step of it begins and ends no earlier than it did then.
A role (leader) stays a role: it means whoever has it when the step begins; what a body's step must
share with its plan's is therefore the kind and every field but the targets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chaoskit.errors import ChaosError, UsageError
from chaoskit.plan import SCHEMA, Plan, Step, plan_of
from chaoskit.saved import read_document
from chaoskit.setting import Setting
from chaoskit.system import System


class WentAstray(ChaosError):
    """A replayed test did something else than its plan says."""


@dataclass(frozen=True, slots=True)
class SavedPlans:
    """What a file offers: one plan for any test that asks for one, or plans by test."""

    seed: str = ""
    images: tuple[str, ...] = ()
    backend: str = ""
    single: Plan | None = None
    by_test: Mapping[str, Plan] = field(default_factory=dict)

    def of(self, test: str, *, asks: bool) -> Plan | None:
        """A test's plan, None when there is none for it; `asks`: it asks for one by itself."""
        if self.single is not None:
            return self.single if asks else None
        return self.by_test.get(test)


def read_plans(path: Path) -> SavedPlans:
    """
    Read a plan, or the plans of a saved run.

    Raises UsageError, naming the file, for anything that is neither, or of another schema.
    """
    document = read_document(path, what="plan", schema=SCHEMA)
    if "rehearsal" in document:
        raise _of_a_command(path, "a rehearsal")
    if "tests" not in document:
        plan = plan_of(document, path)
        return SavedPlans(seed=plan.seed, single=plan)
    tests, images = document["tests"], document.get("images", [])
    backend = document.get("backend", "")
    if backend not in {"", "docker", "process"}:
        raise UsageError(f"{path} is no plan of schema {SCHEMA}: there is no backend {backend!r}")
    if not isinstance(tests, dict) or not all(isinstance(one, dict) for one in tests.values()):
        raise UsageError(f"{path} is no plan of schema {SCHEMA}: its tests are no objects by name")
    if not any("::" in test for test in tests):
        raise _of_a_command(path, "a demo, a matrix or a cluster to play with")
    if not isinstance(images, list) or not all(isinstance(one, str) for one in images):
        raise UsageError(f"{path} is no plan of schema {SCHEMA}: its images are no texts")
    return SavedPlans(
        seed=str(document.get("seed", "")),
        images=tuple(images),
        backend=backend,
        by_test={test: plan_of(one, path) for test, one in tests.items()},
    )


def _of_a_command(path: Path, whose: str) -> UsageError:
    """The refusal of what a command carried out, with how to have it once more."""
    return UsageError(
        f"{path} is the plan of {whose}, which no test carries out: repeat the `command` that "
        f"stands in the verdicts.json beside it; its seed is in it"
    )


def _as_saved(value: Any) -> Any:
    """A value as a file gives it back: tuples are lists there."""
    return json.loads(json.dumps(value))


@dataclass(slots=True)
class Replay:
    """The steps that a test's body has to take, in order; `taken` of them it has."""

    test: str
    steps: tuple[Step, ...]
    taken: int = 0

    def next(self, action: str, fields: Mapping[str, Any]) -> Step:
        """
        The next step, which must be this action with these fields among its own.

        Raises WentAstray, naming both, when it is not.
        """
        if self.taken == len(self.steps):
            raise WentAstray(
                f"{self.test} begins {action} {dict(fields)}, and its plan has "
                f"{len(self.steps)} steps, all taken"
            )
        step = self.steps[self.taken]
        saved = {name: step.fields.get(name) for name in fields}
        if step.action != action or _as_saved(saved) != _as_saved(fields):
            raise WentAstray(
                f"{self.test} begins {action} {dict(fields)}; step {self.taken + 1} of its plan "
                f"is: {step}"
            )
        self.taken += 1
        return step

    @property
    def left(self) -> tuple[Step, ...]:
        """The steps that were not taken."""
        return self.steps[self.taken :]


def as_run(plan: Plan | None, system: System, setting: Setting, seed: str) -> Plan:
    """What a test is run with, to be saved: the plan it was given, if any, and all it left open."""
    return replace(
        plan or Plan(),
        system=system.name,
        release=setting.release,
        seed=seed,
        load_per_s=setting.load_per_s,
    )
