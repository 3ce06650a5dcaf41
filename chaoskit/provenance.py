"""
On whose programs a run's nodes ran: those of the project, or images that somebody gave.

Owns: telling that from the run's own record: every release that a node was started with, held
against the options that gave an image. Refuses: what was asked for; an image that was given and
never started proves nothing, and a run on both kinds is a run on neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from chaoskit import history
from chaoskit.errors import UsageError
from chaoskit.images import parse_image_options


class Provenance(StrEnum):
    """Whose programs they were."""

    OWN = "of the project"
    GIVEN = "given images"
    BOTH = "some given images"

    @property
    def suffix(self) -> str:
        """What a count of such runs is called with; nothing for the project's own."""
        return "" if self is Provenance.OWN else f", {self}"


def provenance_of(folder: Path, images: Sequence[str]) -> Provenance:
    """
    Whose programs ran in the run of this folder; `images` are its SYSTEM@RELEASE=REF options.

    A run that left no record started nothing that was given. Raises UsageError for an option of
    another form.
    """
    given = set(parse_image_options(images))
    started = _started(folder) if given else set()
    if not started & given:
        return Provenance.OWN
    return Provenance.GIVEN if started <= given else Provenance.BOTH


def never_started(folder: Path, images: Sequence[str]) -> tuple[str, ...]:
    """
    Those of a run's SYSTEM@RELEASE=REF options that no node was started from.

    Raises UsageError for an option of another form.
    """
    given = parse_image_options(images)
    started = _started(folder) if given else set()
    return tuple(
        f"{system}@{release}={reference}"
        for (system, release), reference in given.items()
        if (system, release) not in started
    )


def _started(folder: Path) -> set[tuple[str, str]]:
    """By system and release, whatever nodes were started; nothing where there is no record."""
    try:
        record = history.read(folder / "history.jsonl")
    except (OSError, UsageError):
        return set()
    systems = {event.value["system"] for event in record.of("cluster")}
    return {
        (system, event.value["release"])
        for event in record.of("state")
        if event.value["state"] == "running"
        for system in systems
    }
