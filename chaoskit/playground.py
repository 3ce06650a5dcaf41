"""
Clusters to play with: up until `down`, or until their time is over.

Owns: starting one and leaving it to its keeper, saying where its nodes answer, and removing it.
Refuses: a cluster that nobody would ever remove.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chaoskit import journal
from chaoskit.console import say
from chaoskit.engine import Engine
from chaoskit.errors import UsageError
from chaoskit.session import Choices, open_session
from chaoskit.setting import Setting
from chaoskit.sweep import remove_run
from chaoskit.system import System

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Playground:
    """A cluster that was left up: its run, what it runs, and URLs by node and port."""

    run: str
    system: str
    release: str
    keep_s: float
    endpoints: dict[str, dict[str, str]]

    def document(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "schema": 1,
            "run": self.run,
            "system": self.system,
            "release": self.release,
            "keep_s": self.keep_s,
            "endpoints": self.endpoints,
        }

    def lines(self) -> list[str]:
        """The same for people."""
        urls = [
            f"  {node:<10} {port:<10} {url}"
            for node, ports in self.endpoints.items()
            for port, url in ports.items()
        ]
        return [
            f"{self.system} {self.release} is up for {self.keep_s / _HOUR_S:g} h",
            *urls,
            f"  down       chaoskit down {self.run}",
        ]


def start(system: System, choices: Choices, setting: Setting, *, keep_s: float) -> Playground:
    """Bring a cluster to its steady state and leave it to its keeper for `keep_s` seconds."""
    if keep_s <= 0:
        raise UsageError(f"a cluster is kept for some time, not for {keep_s:g} s")
    with open_session(choices, system=system.name, say=lambda line: say(line, error=True)) as one:
        with one.cluster(system, setting) as cluster:
            cluster.leave_standing()
            one.keep(keep_s)
            endpoints = {
                node: {port.name: cluster.endpoint(node).url(port.name) for port in system.ports}
                for node in cluster.nodes
            }
        run = one.folder.name
    return Playground(run, system.name, setting.release, keep_s, endpoints)


@dataclass(frozen=True, slots=True)
class Stopped:
    """What `stop` says, a line each, and how many things it could not remove."""

    lines: tuple[str, ...]
    left: int


def stop(run: str | None) -> Stopped:
    """
    Remove the clusters of one run, or of every run that was kept.

    One line a run, and one for each thing that is left, with why. Raises UsageError when there is
    nothing of that name.
    """
    folder = journal.default_folder()
    kept = [one.run for one in journal.read_all(folder) if one.kept_until is not None]
    chosen = [run] if run is not None else kept
    if not chosen:
        return Stopped(("nothing was left up",), 0)
    lines, left = [], 0
    for name in chosen:
        cleared = remove_run(name, folder, Engine)
        lines.append(f"removed  {name}: {len(cleared.removed)} things in {cleared.took_s:.1f} s")
        lines += [f"left     {thing}: {why}" for thing, why in cleared.left.items()]
        left += len(cleared.left)
    if left:
        lines.append(f"{left} left: mend what holds them, then `chaoskit down` or `sweep` again")
    return Stopped(tuple(lines), left)
