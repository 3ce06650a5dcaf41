"""
Releases of a system, read from the `releases.toml` beside its suite.

Owns: the form of that file. Refuses: unknown keys, two releases of one label, and an empty list.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from chaoskit.errors import UsageError
from chaoskit.system import Release

_KEYS = {"label", "image", "recipe", "program", "version"}


def read_releases(path: Path) -> tuple[Release, ...]:
    """
    The releases of a `releases.toml`, in its order (oldest first).

    Raises UsageError, naming the file and the entry, for anything that is no list of releases.
    """
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"no releases at {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    releases = []
    for number, entry in enumerate(document.get("release", []), start=1):
        unknown = set(entry) - _KEYS
        if unknown or "label" not in entry:
            what = f"unknown keys {sorted(unknown)}" if unknown else "no label"
            raise UsageError(f"{path}: release {number} has {what}")
        releases.append(
            Release(
                label=str(entry["label"]),
                image=str(entry.get("image", "")),
                recipe=tuple(entry.get("recipe", ())),
                program=tuple(entry.get("program", ())),
                version=str(entry.get("version", "")),
            )
        )
    labels = [release.label for release in releases]
    if not labels or len(set(labels)) != len(labels):
        raise UsageError(f"{path}: a list of releases has labels, each once; found {labels}")
    return tuple(releases)
