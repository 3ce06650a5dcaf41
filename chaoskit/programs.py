"""
What runs in the place of an image where there are no containers: a command, and its digest.

Owns: finding the executable of a command, telling two programs apart by their bytes, and a
person's own executables. Refuses: to start anything (`backend_process`).
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.system import Release, System

_CHUNK_BYTES = 65536


def program_digest(argv: Sequence[str], *, project: Path) -> str:
    """
    SHA-256 of what `argv` runs: the sources of the package after `python3 -m`, found in `project`,
    else the bytes of the executable.
    """
    package = project.joinpath(*argv[2].split(".")) if argv[1:2] == ["-m"] else None
    digest = hashlib.sha256()
    if package is not None and package.is_dir():
        for path in sorted(package.rglob("*.py")):
            digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    else:
        with executable_of(argv).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def executable_of(argv: Sequence[str]) -> Path:
    """What is started for argv[0]: `python3` is the interpreter that runs chaoskit."""
    found = sys.executable if argv[0] == "python3" else shutil.which(argv[0])
    if not found:
        raise ChaosError(f"{argv[0]} is not on the PATH: the process backend cannot start it")
    return Path(found)


@dataclass(frozen=True, slots=True)
class Programs:
    """
    What a Workshop asks of images, answered where there are none.

    `own`: a person's own executables, by (system, release).
    """

    own: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def reference(self, system: System, release: Release) -> str:
        """
        What runs in the place of a command's first word, as one line for a shell.

        Empty where neither a person nor the release says: that word is the program then.
        """
        own = self.own.get((system.name, release.label))
        return shlex.join(release.program if own is None else (own,))

    def digest(self, _: str) -> str:
        """Raises NotApplicable: only a started node has a digest here."""
        raise NotApplicable(
            "the process backend has no images that could be told apart, so there is nothing to "
            "upgrade; use --chaos-backend docker"
        )
