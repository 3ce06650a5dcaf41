"""
Companions of nodes, as containers in the network of their node's.

Owns: their containers, folders and logs. Refuses: starting one whose node does not run. Rules: as
for nodes, each is journalled before it is made and runs without any privilege; what is written to
its log is not redacted, so that a System gives it nothing to write there that is secret.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from chaoskit.backend import ProcessSpec
from chaoskit.companion import FOLDER, LOG
from chaoskit.engine import ContainerSpec, Engine, Mount
from chaoskit.errors import ChaosError
from chaoskit.journal import Journal
from chaoskit.ownership import Kind

_END_TIMEOUT_S = 5.0


@dataclass(slots=True)
class _Held:
    """A companion's container, its log, and what copies there what it says."""

    container: str
    log: Path
    copying: threading.Thread | None = None


@dataclass(slots=True)
class Companions:
    """Those of one cluster; `prefix` begins their names."""

    engine: Engine
    journal: Journal
    prefix: str
    scratch: Path
    owner: tuple[int, int]
    _held: dict[str, _Held] = field(default_factory=dict)

    def create(self, spec: ProcessSpec, container: str) -> None:
        """Create (not start) what stands beside the node whose container this is, if anything."""
        held = self._held.pop(spec.node, None)
        if held is not None:
            self.engine.remove_container(held.container)
        name = self._name(spec.node)
        if spec.beside is None:
            if held is not None:
                self.journal.removed(Kind.CONTAINER, name)
            return
        if held is None:
            self.journal.will_create(Kind.CONTAINER, name)
        folder = self.scratch / spec.node / "companion"
        self._lay(folder, spec)
        user = f"{self.owner[0]}:{self.owner[1]}"
        made = self.engine.create_container(
            ContainerSpec(
                name=name,
                image=spec.beside.image,
                command=spec.beside.argv,
                network=f"container:{container}",
                address="",
                labels=self.journal.labels("companion"),
                mounts=(Mount(folder, FOLDER, read_only=True),),
                user=user,
            )
        )
        self._held[spec.node] = _Held(made, spec.log.with_name(LOG))

    def start(self, node: str) -> None:
        """Start it anew, in the network that its running node has now."""
        held = self._held.get(node)
        if held is None:
            return
        self.end(node)
        output = self.engine.attach(held.container)
        try:
            self.engine.start(held.container)
        except ChaosError:
            output.close()
            raise
        held.log.parent.mkdir(parents=True, exist_ok=True)
        held.copying = threading.Thread(
            target=_copy, args=(output, held.log), name=f"companion-{node}", daemon=True
        )
        held.copying.start()

    def end(self, node: str) -> None:
        """SIGKILL, while its node still runs: its peers learn that their connections are over."""
        held = self._held.get(node)
        if held is None or held.copying is None:
            return
        with suppress(ChaosError):  # it has ended by itself
            self.engine.kill(held.container)
        held.copying.join(_END_TIMEOUT_S)
        held.copying = None

    def close(self) -> None:
        """Remove them all."""
        for node, held in self._held.items():
            self.engine.remove_container(held.container)
            self.journal.removed(Kind.CONTAINER, self._name(node))
            if held.copying is not None:
                held.copying.join(_END_TIMEOUT_S)
        self._held.clear()

    def _name(self, node: str) -> str:
        return f"{self.prefix}-{node}-companion"

    def _lay(self, folder: Path, spec: ProcessSpec) -> None:
        """Write its files, for it alone."""
        assert spec.beside is not None
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, mode=0o700)
        for relative, content in spec.beside.files.items():
            path = folder / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o400)
        if os.geteuid() == 0:
            for made in (folder, *folder.rglob("*")):
                os.chown(made, *self.owner)


def _copy(output: Generator[bytes, None, None], log: Path) -> None:
    with log.open("ab", buffering=0) as file:
        for chunk in output:
            file.write(chunk)
