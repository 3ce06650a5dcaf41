"""
Which image a release runs from.

Owns: a person's own images (`--chaos-image SYSTEM@RELEASE=REF`), building a release's image by its
recipe when the engine does not have it, and refusing an image whose label tells of another release.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaoskit.engine import Engine
from chaoskit.errors import ChaosError, UsageError
from chaoskit.system import Release, System

RELEASE_LABEL = "chaoskit.release"
_RECIPE_TIMEOUT_S = 900.0
_OPTION = re.compile(r"(?P<system>[^@=]+)@(?P<release>[^=]+)=(?P<reference>.+)")


class Mislabelled(UsageError):
    """An image says of itself that it holds another release."""


def parse_image_options(options: Sequence[str]) -> dict[tuple[str, str], str]:
    """
    Read `SYSTEM@RELEASE=REF` options; answers references by (system, release).

    Raises UsageError for any other form.
    """
    found = {}
    for option in options:
        match = _OPTION.fullmatch(option)
        if match is None:
            raise UsageError(f"--chaos-image {option!r}: write it as SYSTEM@RELEASE=REFERENCE")
        found[match["system"], match["release"]] = match["reference"]
    return found


@dataclass(slots=True)
class Images:
    """Finds or makes the image of a release; `project` is the folder recipes are relative to."""

    engine: Engine
    project: Path
    own: Mapping[tuple[str, str], str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reference(self, system: System, release: Release) -> str:
        """
        The reference of an image the engine has.

        Raises UsageError when it is not there and cannot be made, Mislabelled when its label says
        that it holds another release.
        """
        own = self.own.get((system.name, release.label))
        reference = own or release.image
        with self._lock:  # two nodes of one release do not build it twice
            found = self.engine.image(reference)
            if found is None and own is None and release.recipe:
                self._make(system, release)
                found = self.engine.image(reference)
        if found is None:
            raise UsageError(
                f"{system.name} {release.label}: the engine has no image {reference!r}; give yours "
                f"with --chaos-image {system.name}@{release.label}=REFERENCE"
            )
        said = found[1].get(RELEASE_LABEL, release.label)
        if said != release.label:
            raise Mislabelled(
                f"image {reference} is labelled as release {said}, not {release.label}"
            )
        return reference

    def digest(self, reference: str) -> str:
        """The digest of an image the engine has. Raises UsageError when it does not."""
        found = self.engine.image(reference)
        if found is None:
            raise UsageError(f"the engine has no image {reference!r}")
        return found[0]

    def _make(self, system: System, release: Release) -> None:
        argv = [str(self.project / release.recipe[0]), *release.recipe[1:]]
        try:
            done = subprocess.run(
                argv,
                cwd=self.project,
                capture_output=True,
                text=True,
                check=False,
                timeout=_RECIPE_TIMEOUT_S,
            )
        except OSError as error:
            raise UsageError(
                f"{system.name} {release.label}: its recipe {argv[0]} cannot run: {error.strerror}"
            ) from error
        if done.returncode != 0:
            tail = "\n".join(done.stderr.splitlines()[-5:])
            raise ChaosError(f"{' '.join(argv)} failed with {done.returncode}:\n{tail}")
