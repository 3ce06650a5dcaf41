"""
Clusters shared by the tests of a module, as long as each is left as it was found.

Owns: comparing a cluster with its pristine record (links, processes, arguments, images, files,
mounts), reusing it when nothing differs and its last test passed, rebuilding it otherwise, and
counting both. Refuses: repairing a cluster.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError
from chaoskit.session import Session
from chaoskit.setting import Setting
from chaoskit.system import System
from chaoskit.verdict import Verdict


@dataclass(slots=True)
class _Leased:
    system: System  # as it was asked for: the cluster's own may have other deadlines
    cluster: Cluster
    stack: ExitStack
    pristine: dict[str, str]


@dataclass(slots=True)
class Leases:
    """
    The clusters of one module, at most one of each kind, up for the length of the block.

    `built`, `reused` and `rebuilt` count leases; `why` holds the last reason for a rebuild.
    """

    session: Session
    built: int = 0
    reused: int = 0
    rebuilt: int = 0
    why: list[str] = field(default_factory=list)
    _held: dict[tuple[str, Setting], _Leased] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop_all()

    def drop_all(self) -> None:
        """Take down whatever is up: another cluster needs the machine."""
        for key in list(self._held):
            self._drop(key)

    def lease(self, system: System, setting: Setting) -> Cluster:
        """A cluster in its pristine state: the one that is up, or a new one."""
        key = (system.name, setting)
        held = self._held.get(key)
        if held is not None and held.system != system:  # of one name, and not the same
            self._drop(key)
            held = None
        if held is not None:
            differences = self._differences(held)
            if not differences:
                self.reused += 1
                return held.cluster
            self.rebuilt += 1
            self.why.append(differences[0])
            self._drop(key)
        self.drop_all()  # two cores do not carry two clusters under load
        with ExitStack() as stack:
            cluster = stack.enter_context(self.session.cluster(system, setting))
            pristine = cluster.fingerprint()
            self._held[key] = _Leased(system, cluster, stack.pop_all(), pristine)
        self.built += 1
        return cluster

    def returned(self, cluster: Cluster, verdict: Verdict) -> None:
        """Say how the test that had it came out; only a PASS leaves it fit for another."""
        if verdict is not Verdict.PASS:
            cluster.poison(f"its last test came out {verdict}")

    def keep(self) -> None:
        """Leave every cluster standing when the block ends."""
        for held in self._held.values():
            held.cluster.leave_standing()

    def _differences(self, held: _Leased) -> list[str]:
        if held.cluster.poisoned:
            return [held.cluster.poisoned]
        try:
            now = held.cluster.fingerprint()
        except ChaosError as error:
            return [str(error)]
        return [
            f"{name}: {before} -> {now.get(name, 'nothing')}"
            for name, before in held.pristine.items()
            if now.get(name) != before
        ]

    def _drop(self, key: tuple[str, Setting]) -> None:
        held = self._held.pop(key)
        held.stack.close()
