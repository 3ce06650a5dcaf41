"""
The folders and files of a cluster's nodes.

Owns: a scratch folder outside the run folder (keys never lie in a run folder), each node's data
and configuration folders, their owner and modes, what lies in them at first, faulty mounts,
certificates, images and logs.
Refuses: processes and networks, and any folder that the journal does not name before it is made.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaoskit import storage, wallclock
from chaoskit.backend import Backend
from chaoskit.certificates import Authority, Credential, Validity
from chaoskit.errors import NotApplicable
from chaoskit.history import Recorder
from chaoskit.journal import Journal
from chaoskit.node import Configuration, Folders, Node
from chaoskit.nodelog import NodeLog
from chaoskit.ownership import Kind
from chaoskit.redaction import Redactor, SecretTooShort
from chaoskit.storage import FaultyMount
from chaoskit.system import InitialFile, Release, System
from chaoskit.vintage import Store, Vintage

_MOUNT_TIMEOUT_S = 20.0
_FOLDER_MODE, _SECRET_MODE, _OPEN_MODE = 0o700, 0o600, 0o644
_WORKERS = 4


@dataclass(slots=True)
class Workshop:
    """
    Furnishes the nodes of one cluster under `scratch`; `clear` removes all of it.

    `image(system, release)` answers the reference of a release's image, `image_id(reference)` its
    digest; `keep(node, document)` writes how a node runs into the run folder; `vintages` is where
    stored ones lie.
    """

    scratch: Path
    logs: Path
    journal: Journal
    redactor: Redactor
    image: Callable[[System, Release], str]
    image_id: Callable[[str], str]
    keep: Callable[[str, Mapping[str, Any]], None]
    vintages: Path
    _mounts: dict[Path, FaultyMount] = field(default_factory=dict)
    _hidden: list[bytes] = field(default_factory=list)

    def open(self) -> None:
        """Make the scratch folder."""
        self.journal.will_create(Kind.FOLDER, str(self.scratch))
        self.scratch.mkdir(parents=True, mode=0o755)

    def furnish(
        self,
        system: System,
        release: Release,
        settings: Mapping[str, str],
        backend: Backend,
        authority: Authority | None,
        recorder: Recorder,
        *,
        faulty: bool,
        clocks: bool = False,
        vintage: Vintage | None,
    ) -> dict[str, Node]:
        """
        Make every node's folders, side by side; answers the nodes in order.

        Their data are those of the vintage, or what the system lays there before a first start.
        """

        def one(name: str) -> Node:
            credential = None
            if authority is not None:
                credential = self.credential(backend, authority, name)
            folder = self.scratch / name
            data, config = folder / "data", folder / "config"
            config.mkdir(parents=True)
            data.mkdir(mode=0o700)
            if os.geteuid() == 0:
                os.chown(data, *backend.owner)
            mounted = self._mount(folder, data) if faulty else None
            clock = self._clock(system, folder) if clocks else None
            node = Node(
                name,
                system=system,
                backend=backend,
                recorder=recorder,
                log=NodeLog(self.logs / name / "log", recorder, self.redactor.clean),
                folders=Folders(mounted.mountpoint if mounted else data, config, clock),
                configuration=Configuration(release, settings, credential),
                authority_pem=authority.certificate_pem if authority else b"",
                image=self.image(system, release),
                storage=mounted,
                keep_secret=self.redactor.register,
            )
            for file in system.files(node.placement()):
                if file.secret:
                    self._keep_secret(file.content, f"{file.path} of {name}")
            node.configure(node.configuration)
            return node

        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="furnish") as pool:
            nodes = dict(zip(system.nodes, pool.map(one, system.nodes), strict=True))
        if vintage is not None:
            self._lay_out(vintage, nodes, backend.owner)
            return nodes
        placements = [node.placement() for node in nodes.values()]
        for name, files in system.initial_data(placements).items():
            for file in files:
                self._leave(self.scratch / name / "data", file, backend.owner)
        return nodes

    def hidden(self) -> tuple[bytes, ...]:
        """The keys and shares that lay in the data folders before the first start."""
        return tuple(self._hidden)

    def _lay_out(self, vintage: Vintage, nodes: Iterable[str], owner: tuple[int, int]) -> None:
        """Put what an old release left into the data folders, for the nodes to own."""
        for secret in vintage.left.hidden:
            self._hidden.append(secret)
            self._keep_secret(secret, f"vintage {vintage.name}")
        folders = {name: self.scratch / name / "data" for name in nodes}
        for path in Store(self.vintages).lay_out(vintage, folders):
            if os.geteuid() == 0:
                os.chown(path, *owner, follow_symlinks=False)

    def _leave(self, data: Path, file: InitialFile, owner: tuple[int, int]) -> None:
        """Write what lies in a data folder before the first start, for the node to own."""
        for secret in file.secrets:
            self._hidden.append(secret)
            self._keep_secret(secret, f"{file.path} of {data.parent.name}")
        path = data / file.path
        if data not in path.parents or ".." in path.parts:
            raise ValueError(f"{file.path} lies outside the data folder")
        made = [path]
        for folder in path.parents:
            if folder.exists():
                break
            made.append(folder)
        for folder in reversed(made[1:]):
            folder.mkdir(mode=_FOLDER_MODE)
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, _SECRET_MODE)
        with os.fdopen(descriptor, "wb") as written:
            written.write(file.content)
        path.chmod(_SECRET_MODE if file.secrets else _OPEN_MODE)
        if os.geteuid() == 0:
            for one in made:
                os.chown(one, *owner)

    def _keep_secret(self, secret: bytes, where: str) -> None:
        """Let no log or report have it. Raises SecretTooShort, naming where it is."""
        try:
            self.redactor.register(secret)
        except SecretTooShort as error:
            raise SecretTooShort(f"{where}: {error}") from None

    def credential(
        self, backend: Backend, authority: Authority, node: str, *, validity: Validity = "valid"
    ) -> Credential:
        """A certificate for a node, under its name and every address it appears at."""
        layout = backend.layout
        dialled = [place.address for place in layout.links if place.target == node]
        addresses = {*layout.proxies, *dialled, layout.nodes[node], layout.watch[node]}
        credential = authority.issue(
            [node, "localhost"], sorted(addresses | {"127.0.0.1"}), kind=validity
        )
        self.redactor.register(credential.key_pem)
        return credential

    def _clock(self, system: System, folder: Path) -> Path:
        """What a node's clock is set with. Raises NotApplicable for one that cannot be set."""
        if system.clock is None:
            raise NotApplicable(f"{system.name} has no clock that can be set and seen")
        wallclock.furnish(folder / "clock")
        return folder / "clock"

    def _mount(self, folder: Path, data: Path) -> FaultyMount:
        mountpoint, state = folder / "mount", folder / "storage"
        mountpoint.mkdir()
        state.mkdir()
        self.journal.will_create(Kind.MOUNT, str(mountpoint))
        self._mounts[folder] = storage.mount(data, mountpoint, state, timeout_s=_MOUNT_TIMEOUT_S)
        return self._mounts[folder]

    def inspect(self, nodes: Iterable[str], backend: Backend) -> None:
        """Write down how each of these nodes runs."""
        for node in nodes:
            self.keep(node, backend.inspect(node))

    def clear(self) -> None:
        """Unmount and remove everything; the nodes must be gone by now."""
        for folder, mounted in self._mounts.items():
            mounted.unmount(timeout_s=_MOUNT_TIMEOUT_S)
            self.journal.removed(Kind.MOUNT, str(folder / "mount"))
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.journal.removed(Kind.FOLDER, str(self.scratch))
