"""
Vintages: the data folders that a release really left behind, kept to start another release on.

Owns: packing the data folders of a stopped cluster, storing them by the hash of their content, and
laying them out again, byte for byte, for the nodes of a new cluster. Refuses: making them (that is
`vintage_making`), and data that is not what was packed.

A store is a folder of folders, one a vintage, named after its content hash; each holds
`vintage.json` and `NODE.tar.gz`. Keys lie in it, so it is its owner's alone. Two vintages of one
content are one.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self

from chaoskit import journal
from chaoskit.errors import ChaosError, UsageError
from chaoskit.saved import read_document

SCHEMA = 1
_DOCUMENT = "vintage.json"
_DRAFT = ".draft-"
_SHOWN = 12  # hex digits, as people see and type them
_SHORTEST = 4
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Left:
    """
    What is known of a stopped cluster that left data folders, and that its files cannot tell.

    Attributes
    ----------
    system, release, image: who left it; `image` is the digest of what ran.
    made_utc: when, ISO 8601.
    settings: those that the cluster ran with, on top of the system's own.
    progress: what each node last showed before it was stopped; None where it showed none.
    hidden: the keys and shares in the data, as bytes, that no log may have.

    """

    system: str
    release: str
    image: str
    made_utc: str
    settings: Mapping[str, str]
    progress: Mapping[str, int | None]
    hidden: tuple[bytes, ...] = field(default=(), repr=False)

    def document(self) -> dict[str, Any]:
        """JSON values for the store: the hidden ones among them, in hex."""
        return {
            "system": self.system,
            "release": self.release,
            "image": self.image,
            "made_utc": self.made_utc,
            "settings": dict(self.settings),
            "progress": dict(self.progress),
            "hidden": [one.hex() for one in self.hidden],
        }


@dataclass(frozen=True, slots=True)
class Vintage:
    """
    Stored data folders: who `left` them, and what the files themselves tell.

    Attributes
    ----------
    digest: SHA-256 of the content, 64 hex digits: of every node's paths, modes and bytes.
    size_bytes: of all files, unpacked.

    """

    digest: str
    size_bytes: int
    left: Left

    @property
    def name(self) -> str:
        """The beginning of its digest, as people type it: 12 hex digits."""
        return self.digest[:_SHOWN]

    def line(self) -> str:
        """One line for people."""
        left = self.left
        return (
            f"{self.name}  {left.system} {left.release}, {len(left.progress)} nodes, "
            f"{self.size_bytes / 1e6:.1f} MB, made {left.made_utc}"
        )

    def told(self) -> dict[str, Any]:
        """What a history says of it: where from, and how far each node had come."""
        return {
            "digest": self.digest,
            "release": self.left.release,
            "progress": dict(self.left.progress),
        }

    def document(self) -> dict[str, Any]:
        """JSON values for the store."""
        return {
            "schema": SCHEMA,
            "digest": self.digest,
            "size_bytes": self.size_bytes,
            **self.left.document(),
        }

    @classmethod
    def read(cls, path: Path) -> Self:
        """From the store. Raises UsageError, naming the file, for one that cannot be read."""
        document = read_document(path, what="vintage", schema=SCHEMA)
        try:
            left = Left(
                system=document["system"],
                release=document["release"],
                image=document["image"],
                made_utc=document["made_utc"],
                settings=document["settings"],
                progress=document["progress"],
                hidden=tuple(bytes.fromhex(one) for one in document["hidden"]),
            )
            return cls(document["digest"], document["size_bytes"], left)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{path} is no vintage: {error!r}") from error


def default_folder() -> Path:
    """`chaoskit/vintages` beside the journals, in $XDG_STATE_HOME or ~/.local/state."""
    return journal.default_folder().with_name("vintages")


@dataclass(frozen=True, slots=True)
class Store:
    """The vintages in a folder, which is made when the first is added."""

    folder: Path

    def add(self, left: Left, data: Mapping[str, Path]) -> Vintage:
        """
        Pack the data folders of stopped nodes, by name; answers the vintage, new or there already.

        Raises ChaosError for a file that is neither plain nor a folder nor a symbolic link.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
        digest, size_bytes = _content(data)
        vintage = Vintage(digest, size_bytes, left)
        place = self.folder / digest
        if place.exists():
            return Vintage.read(place / _DOCUMENT)
        draft = self.folder / f"{_DRAFT}{secrets.token_hex(8)}"
        draft.mkdir(mode=_FOLDER_MODE)
        try:
            for node, folder in data.items():
                _pack(folder, draft / f"{node}.tar.gz")
            written = draft / _DOCUMENT
            written.touch(mode=_FILE_MODE)
            written.write_text(json.dumps(vintage.document(), indent=1) + "\n")
            draft.rename(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return vintage

    def all(self) -> list[Vintage]:
        """Every vintage, oldest first. Raises UsageError for one that cannot be read."""
        if not self.folder.exists():
            return []
        places = [one for one in self.folder.iterdir() if not one.name.startswith(_DRAFT)]
        found = [Vintage.read(place / _DOCUMENT) for place in places]
        return sorted(found, key=lambda one: (one.left.made_utc, one.digest))

    def find(self, named: str) -> Vintage:
        """
        The one vintage whose digest begins with `named`, at least 4 hex digits.

        Raises UsageError that lists what there is when none or several do.
        """
        kept = self.all()
        found = [one for one in kept if one.digest.startswith(named)]
        if len(found) == 1 and len(named) >= _SHORTEST:
            return found[0]
        known = (
            ", ".join(f"{one.name} ({one.left.system} {one.left.release})" for one in kept)
            or "none"
        )
        raise UsageError(
            f"{named!r} names {len(found)} of the vintages in {self.folder}: {known}; "
            "`chaoskit vintage make SYSTEM RELEASE` makes one"
        )

    def remove(self, vintage: Vintage) -> None:
        """Delete a vintage."""
        shutil.rmtree(self.folder / vintage.digest)

    def lay_out(self, vintage: Vintage, data: Mapping[str, Path]) -> list[Path]:
        """
        Unpack into these empty data folders, by node; answers every path that was made.

        Raises UsageError when the nodes are not those of the vintage, ChaosError when what was
        unpacked is not what was packed.
        """
        place = self.folder / vintage.digest
        if set(data) != set(vintage.left.progress):
            raise UsageError(
                f"vintage {vintage.name} holds data of {', '.join(vintage.left.progress)}, and the "
                f"cluster has {', '.join(data)}"
            )
        for node, folder in data.items():
            try:
                _unpack(place / f"{node}.tar.gz", folder)
            except (OSError, EOFError, tarfile.TarError) as error:
                raise self._changed(vintage, f"{node}.tar.gz: {error}") from error
        if _content(data)[0] != vintage.digest:
            raise self._changed(vintage, "its content has another hash now")
        return [path for folder in data.values() for path in sorted(folder.rglob("*"))]

    def _changed(self, vintage: Vintage, how: str) -> ChaosError:
        return ChaosError(
            f"vintage {vintage.name} in {self.folder / vintage.digest} is not what was stored "
            f"({how}): `chaoskit vintage remove {vintage.name}`, then make it again"
        )


def _content(data: Mapping[str, Path]) -> tuple[str, int]:
    """SHA-256 over the folders' paths, modes and bytes, by node; and the sum of their bytes."""
    digest, size_bytes = hashlib.sha256(), 0
    for node in sorted(data):
        for path in sorted(data[node].rglob("*")):
            status = path.lstat()
            named = f"{node}/{path.relative_to(data[node])}".encode()
            digest.update(len(named).to_bytes(4, "big") + named)
            digest.update(status.st_mode.to_bytes(4, "big"))
            if stat.S_ISREG(status.st_mode):
                digest.update(status.st_size.to_bytes(8, "big"))
                size_bytes += status.st_size
                for block in _blocks(path):
                    digest.update(block)
            elif stat.S_ISLNK(status.st_mode):
                target = os.fsencode(path.readlink())
                digest.update(len(target).to_bytes(8, "big") + target)
    return digest.hexdigest(), size_bytes


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _pack(folder: Path, archive: Path) -> None:
    """A folder's content as a tar, without owners and times: whoever unpacks it owns it."""

    def bare(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        if not (entry.isreg() or entry.isdir() or entry.issym()):
            raise ChaosError(
                f"{folder}/{entry.name} is no file, folder or symbolic link, so it cannot be kept"
            )
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    archive.touch(mode=_FILE_MODE)
    with tarfile.open(archive, "w:gz", compresslevel=1) as written:
        for path in sorted(folder.iterdir()):
            written.add(path, arcname=path.name, filter=bare)


def _unpack(archive: Path, folder: Path) -> None:
    """
    What `_pack` wrote, nothing else. Raises TarError for whatever would land outside the folder.

    The check is ours: Pythons before 3.11.4 (Debian 12's is one) know no filters of tarfile's.
    """
    with tarfile.open(archive) as packed:
        entries = packed.getmembers()
        links = {entry.name for entry in entries if entry.issym()}
        for entry in entries:
            path = PurePosixPath(entry.name)
            beyond = {str(parent) for parent in path.parents} & links
            plain = entry.isreg() or entry.isdir() or entry.issym()
            if path.is_absolute() or ".." in path.parts or beyond or not plain:
                raise tarfile.TarError(f"{entry.name} is not what belongs into a data folder")
        packed.extraction_filter = lambda entry, _: entry
        packed.extractall(folder, entries)  # noqa: S202 - checked above
