"""
Where a node keeps its files, and how they are read and replaced.

Owns: the paths below a node's folder, reading with a bound, and replacing a file in one step.
Refuses: beacon ids that are no folder's name, files that are missing, too large, or no text.

Rules: a file is replaced whole and durably or stays as it was; whoever is interrupted leaves the
old one. Folders have mode 0740, files with secrets 0600.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nodes.beacon.document import DOCUMENT_BYTES_AT_MOST
from nodes.beacon.errors import FileMissing, FileRefused
from nodes.beacon.group import canonical_id

_FOLDER_MODE = 0o740
_SECRET_MODE = 0o600
_PUBLIC_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Network:
    """The files of one network of a node: `<folder>/multibeacon/<beacon id>/`."""

    folder: Path
    beacon_id: str

    def __post_init__(self) -> None:
        if canonical_id(self.beacon_id) != self.beacon_id:
            raise ValueError(f"{self.beacon_id!r} is no beacon id; canonical_id says which it is")

    @property
    def path(self) -> Path:
        """The network's own folder."""
        return self.folder / "multibeacon" / self.beacon_id

    @property
    def private_key(self) -> Path:
        """The secret half of the key pair."""
        return self.path / "key" / "drand_id.private"

    @property
    def public_key(self) -> Path:
        """The identity."""
        return self.path / "key" / "drand_id.public"

    @property
    def group(self) -> Path:
        """The group."""
        return self.path / "groups" / "drand_group.toml"

    @property
    def share(self) -> Path:
        """The share, which is secret."""
        return self.path / "groups" / "dist_key.private"

    @property
    def database(self) -> Path:
        """The folder of the rounds."""
        return self.path / "db"


def networks_in(folder: Path) -> tuple[Network, ...]:
    """The networks that a node's folder holds, by name; raises FileRefused for a strange one."""
    found = []
    for path in sorted((folder / "multibeacon").glob("*")):
        try:
            found.append(Network(folder, path.name))
        except ValueError as error:
            raise FileRefused(f"{path}: {error}") from error
    return tuple(found)


def read(path: Path) -> tuple[str, str]:
    """A file's path and text; raises FileMissing, FileRefused."""
    try:
        with path.open("rb") as file:
            data = file.read(DOCUMENT_BYTES_AT_MOST + 1)
    except FileNotFoundError as error:
        raise FileMissing(f"{path} is not there") from error
    except OSError as error:
        raise FileRefused(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > DOCUMENT_BYTES_AT_MOST:
        raise FileRefused(f"{path}: longer than {DOCUMENT_BYTES_AT_MOST} bytes")
    try:
        return str(path), data.decode()
    except UnicodeDecodeError as error:
        raise FileRefused(f"{path}: no text: byte {error.start} is not UTF-8") from error


def replace(path: Path, text: str, *, secret: bool) -> None:
    """Make `text` the file's content, durably and in one step; raises OSError, the old one kept."""
    for folder in reversed(path.parents):
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), _SECRET_MODE if secret else _PUBLIC_MODE)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
