"""
The table of faults: what each needs, whether it is to be had here, on what, what proves it.

Owns: reading that from each fault's own class (`NEEDS`, `PROOF`) and asking the host for what is
needed. Refuses: a list of its own that could drift from the faults.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from chaoskit import catalogue, storage
from chaoskit.errors import ChaosError


class Need(StrEnum):
    """What a fault may need of a host, a cluster or a system."""

    ENGINE = "engine"
    COUNTERS = "packet counters"
    LINKS = "a linked port"
    SECURE = "a secure port"
    STORAGE = "faulty storage"
    RELEASES = "two releases"


@dataclass(frozen=True, slots=True)
class Row:
    """One fault or change; `why_not` is empty when it is available on this host."""

    name: str
    kind: str
    needs: tuple[Need, ...]
    why_not: str
    systems: tuple[str, ...]
    proof: str

    def document(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "needs": [need.value for need in self.needs],
            "available": not self.why_not,
            "why_not": self.why_not,
            "systems": list(self.systems),
            "proof": self.proof,
        }


def _no_engine() -> str:
    from chaoskit.engine import Engine

    try:
        Engine().close()
    except ChaosError:
        return "no container engine answers: `make setup`, or see `chaoskit doctor`"
    return ""


def _no_counters() -> str:
    if os.geteuid() != 0:
        return "needs root, to count packets in the proxy's network"
    return "" if shutil.which("nft") else "needs nft on this host: `make setup`"


_HOST: dict[Need, Callable[[], str]] = {
    Need.ENGINE: _no_engine,
    Need.COUNTERS: _no_counters,
    Need.STORAGE: storage.why_unavailable,
}


def _systems(needs: tuple[Need, ...], project: Path) -> tuple[str, ...]:
    """The systems below a project that have what a fault needs of a system."""
    fit = []
    for name in catalogue.system_names(project):
        system = catalogue.load_system(name, project=project)
        linked = system.linked_ports
        has = {
            Need.LINKS: bool(linked),
            Need.SECURE: any(port.secure for port in linked),
            Need.RELEASES: len(system.releases) > 1,
        }
        if all(has.get(need, True) for need in needs):
            fit.append(name)
    return tuple(fit)


def rows(project: Path) -> tuple[Row, ...]:
    """Every fault and change that is installed, with what this host and project offer it."""
    lacking = {need: ask() for need, ask in _HOST.items()}
    found = []
    for group, kind in ((catalogue.FAULTS, "fault"), (catalogue.CHANGES, "change")):
        for name, offered in catalogue.offered(group).items():
            needs = tuple(Need(one) for one in getattr(offered, "NEEDS", ()))
            why_not = next((lacking[need] for need in needs if lacking.get(need)), "")
            proof = str(getattr(offered, "PROOF", ""))
            found.append(Row(name, kind, needs, why_not, _systems(needs, project), proof))
    return tuple(found)


def table(found: tuple[Row, ...]) -> str:
    """The rows for people."""
    width = max(len(row.name) for row in found)
    lines = []
    for row in found:
        state = row.why_not or "ok"
        lines.append(f"{row.name:<{width}}  {row.kind:<6}  {state}")
        lines.append(f"{'':<{width}}  needs   {', '.join(row.needs) or 'nothing'}")
        lines.append(f"{'':<{width}}  systems {' '.join(row.systems) or 'none here'}")
        lines.append(f"{'':<{width}}  proof   {row.proof}")
    return "\n".join(lines)
