"""
What is there to run: systems and faults, found by name.

Owns: loading the `SYSTEM` of `suites/NAME/system.py` below the project, what else a suite says of
itself (`CANARY` and `ROLES` there, `DEMO` of `suites/NAME/demo.py`, `REHEARSAL` of
`suites/NAME/rehearsal.py`), and the faults and changes that packages offer under the entry point
groups `chaoskit.faults` and `chaoskit.changes`. Refuses: guessing: an unknown name is an error that
lists the known ones.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from chaoskit.errors import UsageError
from chaoskit.system import System

FAULTS, CHANGES = "chaoskit.faults", "chaoskit.changes"


def project_root(start: Path) -> Path:
    """The folder at or above `start` that holds `suites/`; `start` itself when there is none."""
    for folder in (start, *start.parents):
        if (folder / "suites").is_dir():
            return folder
    return start


def system_names(project: Path) -> tuple[str, ...]:
    """The names of the systems below a project."""
    return tuple(sorted(path.parent.name for path in (project / "suites").glob("*/system.py")))


def load_system(name: str, *, project: Path) -> System:
    """
    The `SYSTEM` of `suites/NAME/system.py`.

    Raises UsageError that lists the known names, or says what the module lacks.
    """
    found = getattr(_module(name, project, part="system"), "SYSTEM", None)
    if not isinstance(found, System):
        raise UsageError(f"suites/{name}/system.py defines no SYSTEM")
    return found


def load_canary(name: str, *, project: Path) -> System | None:
    """
    The `CANARY` of `suites/NAME/system.py`: a system that is broken on purpose; None without one.

    Raises UsageError that lists the known names.
    """
    found = getattr(_module(name, project, part="system"), "CANARY", None)
    return found if isinstance(found, System) else None


def load_roles(name: str, *, project: Path) -> tuple[str, ...] | None:
    """
    The `ROLES` of `suites/NAME/system.py`: what a matrix aims faults at; None without them.

    They are roles that its nodes may have, or one node's name where all are alike. Raises
    UsageError that lists the known names.
    """
    found = getattr(_module(name, project, part="system"), "ROLES", None)
    return tuple(map(str, found)) if found else None


def demo_names(project: Path) -> tuple[str, ...]:
    """The names of the systems of which a suite says what a demo shows."""
    return tuple(sorted(path.parent.name for path in (project / "suites").glob("*/demo.py")))


def load_demo(name: str, *, project: Path) -> object:
    """
    The `DEMO` of `suites/NAME/demo.py`, to be checked by who shows it; None without one.

    Raises UsageError that lists the known names of systems.
    """
    if name in system_names(project) and name not in demo_names(project):
        return None
    return getattr(_module(name, project, part="demo"), "DEMO", None)


def load_rehearsal(name: str, *, project: Path) -> object:
    """
    The `REHEARSAL` of `suites/NAME/rehearsal.py`, to be checked by who rehearses; None without one.

    Raises UsageError that lists the known names of systems.
    """
    known = name in system_names(project)
    if known and not (project / "suites" / name / "rehearsal.py").is_file():
        return None
    return getattr(_module(name, project, part="rehearsal"), "REHEARSAL", None)


def _module(name: str, project: Path, *, part: str) -> ModuleType:
    known = system_names(project)
    if name not in known:
        raise UsageError(f"no system {name!r} below {project}/suites; known: {', '.join(known)}")
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))
    return importlib.import_module(f"suites.{name}.{part}")


def offered(group: str) -> Mapping[str, type]:
    """The classes under an entry point group, by class name."""
    return {
        entry.name: entry.load()
        for entry in sorted(entry_points(group=group), key=lambda entry: entry.name)
    }


def make(name: str, fields: Mapping[str, Any]) -> Any:
    """
    A fault or change by its name and its fields, JSON values.

    Raises UsageError for an unknown name or field, or a value that its class refuses.
    """
    known = {**offered(FAULTS), **offered(CHANGES)}
    if name not in known:
        raise UsageError(f"no fault or change {name!r}; known: {', '.join(known)}")
    kind = known[name]
    names = {one.name for one in dataclasses.fields(kind)}
    if set(fields) - names:
        unknown = ", ".join(sorted(set(fields) - names))
        raise UsageError(f"{name} has no field {unknown}; it has {', '.join(sorted(names))}")
    values = {key: tuple(one) if isinstance(one, list) else one for key, one in fields.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} cannot have {dict(fields)}: {error}") from error
