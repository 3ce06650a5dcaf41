"""
The table of faults: what each needs, whether it is to be had here, on what, what proves it.

Owns: reading that from each fault's own class (`NEEDS`, `PROOF`), and asking the host, by backend,
for what is needed. Refuses: a list of its own that could drift from the faults.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from chaoskit import catalogue, storage, wallclock
from chaoskit.errors import ChaosError
from chaoskit.system import System


class Need(StrEnum):
    """What a fault may need of a host, a cluster or a system."""

    ENGINE = "engine"
    COUNTERS = "packet counters"
    FELT = "packet counters or peers that tell of failures"
    LINKS = "a linked port"
    SECURE = "a secure port"
    STORAGE = "faulty storage"
    RELEASES = "two releases"
    SETTINGS = "settings"
    ARTIFACTS = "artifacts"
    CLOCK = "a clock that can be set"
    PROXY = "a proxy before each node"
    COMMANDS = "commands"
    FLAGS = "artifacts with a flag"
    TOLD = "peers that tell of failures"


@dataclass(frozen=True, slots=True)
class Offer:
    """A fault on one backend: why it is not to be had here ("" if it is), and who is fit for it."""

    why_not: str
    systems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One fault or change, and by backend whether it is to be had here."""

    name: str
    kind: str
    needs: tuple[Need, ...]
    offers: Mapping[str, Offer]
    proof: str

    @property
    def available(self) -> bool:
        """Whether any backend has it here."""
        return any(not one.why_not for one in self.offers.values())

    def document(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "needs": [need.value for need in self.needs],
            "available": self.available,
            "backends": {
                backend: {
                    "available": not one.why_not,
                    "why_not": one.why_not,
                    "systems": list(one.systems),
                }
                for backend, one in self.offers.items()
            },
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


def _no_proxy() -> str:
    from chaoskit.toxiproxy import server_binary

    try:
        server_binary()
    except ChaosError as error:
        return str(error)
    return ""


# What the process backend lacks, whatever the host has.
_NOT_IN_PROCESSES: Mapping[Need, str] = {
    Need.ENGINE: "it has no containers",
    Need.COUNTERS: "nothing counts packets there, and no peer tells of what it does",
    Need.STORAGE: "its nodes run as our own user, whose calls could not be told apart",
    Need.RELEASES: "it has no images that could be told apart",
}


def lacking_in_processes(needs: Iterable[Need]) -> str:
    """Why what has these needs is not to be had on the process backend; empty where it is."""
    return next((_NOT_IN_PROCESSES[need] for need in needs if need in _NOT_IN_PROCESSES), "")


def _lacking() -> dict[str, tuple[str, Mapping[Need, str]]]:
    """By backend: why it cannot run here at all, and what it lacks."""
    counters = _no_counters()
    in_containers = {
        Need.COUNTERS: counters,
        Need.FELT: counters,
        Need.STORAGE: storage.why_unavailable(),
        Need.CLOCK: wallclock.why_unavailable(),
    }
    in_processes = {**_NOT_IN_PROCESSES, Need.CLOCK: wallclock.why_unavailable()}
    return {
        "docker": (_no_engine(), in_containers),
        "process": (_no_proxy(), in_processes),
    }


def _fits(system: System, needs: tuple[Need, ...], backend: str) -> bool:
    """Whether a system has what a fault needs of it; in processes it tells of its failures."""
    linked = system.linked_ports
    has = {
        Need.LINKS: bool(linked),
        Need.SECURE: any(port.secure for port in linked),
        Need.RELEASES: len(system.releases) > 1,
        Need.ARTIFACTS: bool(system.artifacts),
        Need.CLOCK: system.clock is not None,
        Need.PROXY: system.beside is not None,
        Need.COMMANDS: system.commands is not None,
        Need.FLAGS: any(one.flag for one in system.artifacts),
        Need.TOLD: system.failures is not None,
    }
    if backend == "process" and system.failures is None:
        return False
    return all(has.get(need, True) for need in needs)


def rows(project: Path) -> tuple[Row, ...]:
    """Every fault and change that is installed, with what this host and project offer it."""
    lacking = _lacking()
    systems = {
        name: catalogue.load_system(name, project=project)
        for name in catalogue.system_names(project)
    }
    found = []
    for group, kind in ((catalogue.FAULTS, "fault"), (catalogue.CHANGES, "change")):
        for name, offered in catalogue.offered(group).items():
            needs = tuple(Need(one) for one in getattr(offered, "NEEDS", ()))
            offers = {}
            for backend, (why_none, missing) in lacking.items():
                first = next((missing[need] for need in needs if missing.get(need)), "")
                why_not = why_none or first
                fit = [one for one in systems if _fits(systems[one], needs, backend)]
                offers[backend] = Offer(why_not, tuple(fit))
            found.append(Row(name, kind, needs, offers, str(getattr(offered, "PROOF", ""))))
    return tuple(found)


def table(found: tuple[Row, ...]) -> str:
    """The rows for people."""
    width = max(len(row.name) for row in found)
    lines = []
    for row in found:
        state = "ok" if row.available else "not here"
        lines.append(f"{row.name:<{width}}  {row.kind:<6}  {state}")
        lines.append(f"{'':<{width}}  needs    {', '.join(row.needs) or 'nothing'}")
        for backend, offer in row.offers.items():
            told = f"not here: {offer.why_not}" if offer.why_not else _on(offer.systems)
            lines.append(f"{'':<{width}}  {backend:<7}  {told}")
        lines.append(f"{'':<{width}}  proof    {row.proof}")
    return "\n".join(lines)


def _on(systems: tuple[str, ...]) -> str:
    return (
        f"ok: {' '.join(systems)}"
        if systems
        else "ok, in groups that tests set up; no system by itself"
    )
