"""
The journal: what a run is about to create, written down before it is created.

Owns: one append-only file per run, `RUN.jsonl` in the journal's folder, its form, writing it and
reading it. Refuses: removing anything (`removal` does), and an entry for a thing that is there
already or does not say whose it is (`ownership`): what chaoskit did not create is never removed.

The first line is a header: schema, run, owner (the process that may still need these things), when
it began. Each further line is one object, a single write(2), so that it is whole or absent:

| op | says |
| --- | --- |
| will_create | `kind` `identity` `undo`: about to be created; it may or may not exist from now on |
| made | `identity` `process`: the process started under this name is this one |
| removed | `kind` `identity`: it is gone |
| keeper | `process`: the reaper that watches over this run |
| keep | `until_utc`: leave the run's things alone until then, although the owner is gone |

The file appears with its header in one step and goes when nothing is left: a journal that exists
without a living owner or keeper, and whose time to live is over, is a run to clear up.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaoskit import identity, mounts
from chaoskit.errors import ChaosError, UsageError
from chaoskit.identity import Identity
from chaoskit.ownership import (
    JOURNAL_LABEL,
    JOURNAL_VARIABLE,
    KEEPER_LABEL,
    KEEPER_VARIABLE,
    OWNER_LABEL,
    OWNER_VARIABLE,
    ROLE_LABEL,
    RUN_LABEL,
    RUN_VARIABLE,
    Entry,
    Kind,
    check_entry,
    check_run,
)

SCHEMA = 1
_SUFFIX = ".jsonl"
_DRAFT = ".draft."


@dataclass(frozen=True, slots=True)
class Record:
    """
    A journal as it was read.

    Attributes
    ----------
    owner: None when the header cannot be read.
    entries: what was announced and not yet reported as removed, in order.
    kept_until: the end of its time to live; None when it was not kept.
    corrupt: one sentence for each line that could not be read.

    """

    path: Path
    run: str
    owner: Identity | None
    keeper: Identity | None = None
    kept_until: datetime | None = None
    entries: tuple[Entry, ...] = ()
    corrupt: tuple[str, ...] = ()


def default_folder() -> Path:
    """`chaoskit/journal` in $XDG_STATE_HOME, which is ~/.local/state unless it is set."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local/state") / "chaoskit/journal"


class Journal:
    """
    The writing side; safe to call from any thread.

    `will_create` comes before the creation, `removed` after the removal. Every method that writes
    raises ChaosError when the line could not be written: then do not create.
    """

    def __init__(self, run: str, *, folder: Path) -> None:
        """
        Begin the journal of `run`, owned by this process.

        Raises UsageError when a journal of that run exists already.
        """
        self.run = check_run(run)
        self.owner = identity.own()
        self.keeper: Identity | None = None
        self.kept = False
        self.path = folder / f"{run}{_SUFFIX}"
        self._lock = threading.Lock()
        self._entries: dict[tuple[Kind, str], Entry] = {}
        header = {
            "schema": SCHEMA,
            "run": run,
            "owner": str(self.owner),
            "started_utc": _text(datetime.now(UTC)),
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            draft = folder / f"{run}{_DRAFT}{self.owner}"
            draft.write_bytes(_line(header))
            try:
                self.path.hardlink_to(draft)
            finally:
                draft.unlink()
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except FileExistsError as error:
            if not self.path.exists():
                raise ChaosError(f"no journal can be kept in {folder}: {error.strerror}") from error
            raise UsageError(
                f"run {run} has a journal already ({self.path}): choose another name, or clear "
                f"that run up with `chaoskit sweep`"
            ) from None
        except OSError as error:
            raise ChaosError(f"no journal can be kept in {folder}: {error.strerror}") from error

    def name(self, *parts: str) -> str:
        """A name for a container, network, volume or folder of this run."""
        return "-".join(("chaoskit", self.run, *parts))

    def labels(self, role: str) -> dict[str, str]:
        """The labels of an object of the engine; `role` says what it is to the cluster."""
        labels = {RUN_LABEL: self.run, OWNER_LABEL: str(self.owner), ROLE_LABEL: role}
        labels[JOURNAL_LABEL] = str(self.path.absolute())
        if self.keeper is not None:
            labels[KEEPER_LABEL] = str(self.keeper)
        return labels

    def environment(self) -> dict[str, str]:
        """What to add to the environment of every process that is started on this host."""
        marks = {RUN_VARIABLE: self.run, OWNER_VARIABLE: str(self.owner)}
        marks[JOURNAL_VARIABLE] = str(self.path.absolute())
        if self.keeper is not None:
            marks[KEEPER_VARIABLE] = str(self.keeper)
        return marks

    def will_create(self, kind: Kind, name: str, *, undo: Sequence[str] = ()) -> None:
        """
        Announce one thing that is about to be created; see `Entry` for `name` and `undo`.

        Raises ValueError when its name does not say that it is this run's, and ChaosError when a
        folder or mount point of that path exists already.
        """
        entry = Entry(kind, name, tuple(undo))
        check_entry(entry, self.run)
        if _is_there(kind, name):
            raise ChaosError(f"{kind} {name} exists already: it is not ours to remove")
        line = {"op": "will_create", "kind": kind, "identity": name, "undo": list(undo)}
        with self._lock:
            self._write(line)
            self._entries[kind, name] = entry

    def made(self, name: str, pid: int) -> Identity:
        """
        Note which process was started under `name`; answers its identity.

        Raises ChaosError when it has ended already.
        """
        found = identity.of(pid)
        if found is None:
            raise ChaosError(f"process {name} ({pid}) ended before it could be noted")
        with self._lock:
            self._write({"op": "made", "identity": name, "process": str(found)})
        return found

    def removed(self, kind: Kind, name: str) -> None:
        """
        Report that a thing is gone; reporting it twice is fine.

        A folder or mount that is still there stays outstanding, whatever is said of it.
        """
        with self._lock:
            if _is_there(kind, name):
                return
            if self._entries.pop((kind, name), None) is not None:
                self._write({"op": "removed", "kind": kind, "identity": name})

    def watched_by(self, keeper: Identity) -> None:
        """Note the reaper that watches over this run; from now on labels name it too."""
        with self._lock:
            self._write({"op": "keeper", "process": str(keeper)})
            self.keeper = keeper

    def keep_until(self, until: datetime) -> None:
        """Leave everything up when the owner goes, until `until` (aware, any zone)."""
        with self._lock:
            self._write({"op": "keep", "until_utc": _text(until)})
            self.kept = True

    def outstanding(self) -> tuple[Entry, ...]:
        """What was announced and not reported as removed, in order."""
        with self._lock:
            return tuple(self._entries.values())

    def finish(self) -> tuple[Entry, ...]:
        """
        End the journal: its file goes when nothing is outstanding.

        Answers what is; the file then stays, and the reaper or the next sweep clears up by it.
        """
        with self._lock:
            left = tuple(self._entries.values())
            if not left:
                self.path.unlink(missing_ok=True)
            os.close(self._file)
        return left

    def _write(self, line: Mapping[str, Any]) -> None:
        content = _line(line)
        try:
            written = os.write(self._file, content)
        except OSError as error:
            raise ChaosError(f"cannot write to {self.path}: {error.strerror}") from error
        if written != len(content):
            raise ChaosError(f"cannot write to {self.path}: the disk is full")


def _is_there(kind: Kind, name: str) -> bool:
    """Whether a folder or a mount exists; of other kinds nothing is known here."""
    if kind is Kind.FOLDER:
        return os.path.lexists(name)
    return kind is Kind.MOUNT and bool(mounts.at(Path(name)))


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def read(path: Path) -> Record | None:
    """
    Read a journal; None when it is gone.

    Never raises for what stands in it: a line that cannot be read is named in `corrupt` and left
    out. A file without a readable header has no owner.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    record = Record(path=path, run=path.name.removesuffix(_SUFFIX), owner=None)
    entries: dict[tuple[Kind, str], Entry] = {}
    corrupt = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            document = json.loads(line)
            if number == 1:
                record = replace(record, owner=_owner(document, record.run))
            else:
                record = _fold(record, entries, document)
        except (ValueError, KeyError, TypeError, ChaosError) as error:
            corrupt.append(f"{path.name} line {number}: {error!r}")
    return replace(record, entries=tuple(entries.values()), corrupt=tuple(corrupt))


def _owner(header: Mapping[str, Any], run: str) -> Identity:
    if header["schema"] != SCHEMA:
        raise ValueError(f"schema {header['schema']}: this chaoskit reads {SCHEMA}")
    if header["run"] != check_run(run):
        raise ValueError(f"the journal of {header['run']}")
    return Identity.parse(header["owner"])


def _fold(
    record: Record, entries: dict[tuple[Kind, str], Entry], line: Mapping[str, Any]
) -> Record:
    match line["op"]:
        case "keeper":
            return replace(record, keeper=Identity.parse(line["process"]))
        case "keep":
            return replace(record, kept_until=_moment(line["until_utc"]))
        case "will_create":
            entry = Entry(Kind(line["kind"]), line["identity"], tuple(line.get("undo", ())))
            check_entry(entry, record.run)
            before = entries.get((entry.kind, entry.identity))
            started = before.processes if before else ()
            entries[entry.kind, entry.identity] = replace(entry, processes=started)
        case "made":
            key = (Kind.PROCESS, line["identity"])
            entry = entries[key]
            process = Identity.parse(line["process"])
            entries[key] = replace(entry, processes=(*entry.processes, process))
        case "removed":
            entries.pop((Kind(line["kind"]), line["identity"]), None)
        case other:
            raise ValueError(f"unknown op {other!r}")
    return record


def kept_until(run: str, path: Path) -> datetime | None:
    """When the time to live of `run` ends by the journal that labels or marks name; None if not."""
    if path.name != f"{run}{_SUFFIX}" or not path.is_file():
        return None
    record = read(path)
    return record.kept_until if record else None


def read_all(folder: Path) -> list[Record]:
    """Every journal in `folder`, by name; none when there is no such folder."""
    records = (read(path) for path in sorted(folder.glob(f"*{_SUFFIX}")))
    return [record for record in records if record is not None]


def drafts(folder: Path) -> list[tuple[Path, Identity]]:
    """Headers on their way to becoming journals, each with the process that writes it."""
    found = []
    for path in folder.glob(f"*{_DRAFT}*"):
        try:
            found.append((path, Identity.parse(path.name.split(_DRAFT, 1)[1])))
        except ValueError:  # not a name that we give
            continue
    return found


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment
