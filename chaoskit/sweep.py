"""
Clearing up after runs that died: at the start of each run, and as `chaoskit sweep`.

Owns: which runs are dead, and the report of what was done. Refuses: a run whose owner or keeper
lives, or may live where we cannot see it; one whose time to live is not over; and whatever carries
labels that are not complete. What is removed, and how, is `removal`'s.

A run is known by its journal, by the labels of its objects on the engine, or by both. The journal
says more (mounts, rules, folders); without it labels and marks must do. These name the journal, so
that a run of somebody else's, with his journals elsewhere, has its time to live as well.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from chaoskit import clock, identity, journal, removal
from chaoskit.errors import EngineFailed, UsageError
from chaoskit.identity import Identity, Standing
from chaoskit.journal import Record
from chaoskit.ownership import (
    JOURNAL_LABEL,
    JOURNAL_VARIABLE,
    KEEPER_LABEL,
    KEEPER_VARIABLE,
    OWNER_LABEL,
    OWNER_VARIABLE,
    RUN_LABEL,
    RUN_VARIABLE,
    check_run,
    names,
)
from chaoskit.removal import EngineObject, Objects, Thing

_LOCK = ".sweep.lock"
_WORKERS = 4
_LABELS = (OWNER_LABEL, KEEPER_LABEL)
_VARIABLES = (OWNER_VARIABLE, KEEPER_VARIABLE)


@dataclass(frozen=True, slots=True)
class Cleared:
    """A dead run: what of it was removed, and what is left and why."""

    run: str
    removed: tuple[Thing, ...]
    left: Mapping[Thing, str]
    took_s: float


@dataclass(frozen=True, slots=True)
class Spared:
    """A run that was left alone, and why."""

    run: str
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """
    What a sweep did.

    `notes` are sentences about what could not be read or asked. `lines` is the whole, for people;
    no line when there was nothing.
    """

    cleared: tuple[Cleared, ...] = ()
    spared: tuple[Spared, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """How many things of dead runs are still there."""
        return sum(len(one.left) for one in self.cleared)

    def lines(self) -> list[str]:
        """One line a run, one for each thing that is left, one a note."""
        return self.news() + [f"spared   {one.run}: {one.why}" for one in self.spared]

    def news(self) -> list[str]:
        """The same without the runs that were spared: what the start of another run need say."""
        lines = []
        for one in self.cleared:
            what = ", ".join(str(thing) for thing in one.removed) or "nothing but its journal"
            lines.append(f"cleared  {one.run}: {what} ({one.took_s:.2f} s)")
            lines += [f"left     {one.run}: {thing}: {why}" for thing, why in one.left.items()]
        return lines + [f"note     {note}" for note in self.notes]


@dataclass(frozen=True, slots=True)
class _Run:
    """
    A run as far as it can be known: by its journal, by labels of objects, by marks of processes.

    `owners` are the processes that may still need it, keepers included; `strange` names what
    carries its label and is not as chaoskit makes it; `kept_until` ends its time to live.
    """

    name: str
    record: Record | None
    owners: tuple[Identity, ...]
    strange: tuple[str, ...]
    kept_until: datetime | None


def sweep(folder: Path, connect: Callable[[], Objects] | None, *, lock_timeout_s: float) -> Report:
    """
    Remove what dead runs left, by the journals in `folder` and by the engine's labels.

    `connect` opens the engine, raising EngineFailed when none answers; it is closed in the end.
    None asks no engine. The objects of dead runs then stay, with their journals, for a later sweep.
    Waits up to
    `lock_timeout_s` for a sweep that is at work in the same folder; raises WaitTimedOut after it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder, timeout_s=lock_timeout_s), _opened(connect) as (engine, listed, refused):
        notes = [refused] if refused else []
        for draft, writer in journal.drafts(folder):
            if writer.standing() is Standing.DEAD:
                draft.unlink(missing_ok=True)
        dead, spared = [], []
        for run in _runs(journal.read_all(folder), listed):
            notes += run.record.corrupt if run.record else ()
            notes += [
                f"{one} claims to be of run {run.name} and was not touched" for one in run.strange
            ]
            why = _why_spared(run, clock.utc_now())
            if why:
                spared.append(Spared(run.name, why))
            else:
                dead.append(run)
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="sweep") as pool:
            cleared = list(pool.map(lambda run: _clear(run, engine), dead))
        return Report(tuple(cleared), tuple(spared), tuple(notes))


def remove_run(run: str, folder: Path, connect: Callable[[], Objects] | None) -> Cleared:
    """
    Remove one run whatever its time to live, as `chaoskit down` does.

    Raises UsageError when its owner lives, or may live elsewhere, and when there is no such run.
    """
    with _opened(connect) as (engine, listed, _):
        for found in _runs(journal.read_all(folder), listed):
            if found.name != run:
                continue
            keeper = found.record.keeper if found.record else None
            mine = replace(found, kept_until=None)
            at_work = _why_spared(mine, clock.utc_now(), apart_from=keeper)
            if at_work:
                raise UsageError(f"run {run} cannot be removed: {at_work}")
            return _clear(found, engine)
    raise UsageError(f"no run {run}: nothing in {folder} and nothing on the engine is of it")


@contextmanager
def _alone(folder: Path, *, timeout_s: float) -> Iterator[None]:
    file = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def locked() -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        clock.wait_until(locked, what=f"another sweep in {folder} to end", timeout_s=timeout_s)
        yield
    finally:
        os.close(file)


@contextmanager
def _opened(
    connect: Callable[[], Objects] | None,
) -> Iterator[tuple[Objects | None, Sequence[EngineObject], str]]:
    """The engine, what carries our label there, and why none was asked."""
    if connect is None:
        yield None, (), ""
        return
    try:
        engine = connect()
    except EngineFailed as error:
        yield None, (), f"no engine was asked: {error}"
        return
    try:
        try:
            listed, refused = engine.list_labelled(RUN_LABEL), ""
        except EngineFailed as error:
            listed, refused = (), f"the engine did not answer: {error}"
        yield (None if refused else engine), listed, refused
    finally:
        engine.close()


def _runs(records: Sequence[Record], listed: Sequence[EngineObject]) -> list[_Run]:
    """Everything that is known of any run, put together by the run's name."""
    journals = {record.run: record for record in records}
    owners: dict[str, list[Identity]] = {name: [] for name in journals}
    strange: dict[str, list[str]] = {}
    elsewhere: dict[str, set[Path]] = {}
    for record in records:
        owners[record.run] += [one for one in (record.owner, record.keeper) if one is not None]
    claims = [
        (
            f"{one.kind} {one.name}",
            one.name,
            _claim(one.labels, RUN_LABEL, _LABELS),
            one.labels.get(JOURNAL_LABEL),
        )
        for one in listed
    ] + [
        (f"process {process.pid}", f"chaoskit-{claim[0]}", claim, pairs.get(JOURNAL_VARIABLE))
        for process, marks in identity.marked_any("CHAOSKIT_").items()
        if (claim := _claim(pairs := _pairs(marks), RUN_VARIABLE, _VARIABLES))[0]
    ]
    for thing, called, (run, claimed), written in claims:
        known = owners.setdefault(run, [])
        if claimed and names(run, called):
            known += claimed
            if written and run not in journals:
                elsewhere.setdefault(run, set()).add(Path(written))
        else:
            strange.setdefault(run, []).append(thing)
    return [
        _Run(
            run,
            journals.get(run),
            tuple(dict.fromkeys(known)),
            tuple(strange.get(run, ())),
            _kept_until(run, journals.get(run), elsewhere.get(run, set())),
        )
        for run, known in sorted(owners.items())
    ]


def _kept_until(run: str, record: Record | None, elsewhere: Collection[Path]) -> datetime | None:
    """The end of its time to live, by its journal here or else by those that its things name."""
    if record is not None:
        return record.kept_until
    untils = (journal.kept_until(run, path) for path in elsewhere)
    return max((until for until in untils if until is not None), default=None)


def _claim(
    marks: Mapping[str, str], run: str, owners: tuple[str, str]
) -> tuple[str, tuple[Identity, ...]]:
    """The run that labels or variables name, and its owner and keeper; none when they are bad."""
    owner, keeper = owners
    try:
        named = [marks[owner], *([marks[keeper]] if keeper in marks else ())]
        return check_run(marks[run]), tuple(Identity.parse(one) for one in named)
    except (KeyError, ValueError):
        return marks.get(run, ""), ()


def _pairs(marks: Sequence[str]) -> dict[str, str]:
    return dict(mark.split("=", 1) for mark in marks if "=" in mark)


def _why_spared(run: _Run, now: datetime, *, apart_from: Identity | None = None) -> str:
    """Why a run must be left alone, `apart_from` counting as dead; empty when it is dead."""
    if not run.owners:
        what = ", ".join(run.strange) or "its journal"
        return f"no owner can be read from {what}: nothing was touched"
    for one in run.owners:
        match Standing.DEAD if one == apart_from else one.standing():
            case Standing.ALIVE:
                return f"process {one.pid} is at work with it"
            case Standing.ELSEWHERE:
                return (
                    f"it belongs to another machine or pid namespace ({one}); when that is gone: "
                    f"docker ps --all --filter label={RUN_LABEL}={run.name}"
                )
            case Standing.DEAD:
                continue
    if run.kept_until is not None and now < run.kept_until:
        return f"kept until {run.kept_until:%Y-%m-%d %H:%M:%S} UTC"
    return ""


def _clear(run: _Run, engine: Objects | None) -> Cleared:
    started_s = clock.monotonic()
    entries = run.record.entries if run.record else ()
    outcome = removal.remove(run.name, entries, engine)
    if run.record is not None and not outcome.left:
        run.record.path.unlink(missing_ok=True)
    took_s = clock.monotonic() - started_s
    return Cleared(run.name, outcome.removed, outcome.left, took_s)
