"""
Removing what one run may have left: the one code that takes things away by journal and by label.

Owns: the order (processes and containers side by side, then mounts, networks and volumes, host
rules, folders), and looking again until nothing is left. Refuses whatever does not say that it is
this run's: an object of the engine by its label *and* its name (an image committed from a node
hands its labels on, but not its name), the others as `ownership` tells. A folder is left alone
while anything is mounted in it.

Whether a thing is gone is asked afterwards, never taken from an answer. A thing may still be in the
making when its maker was killed (the engine finishes what it began): while something announced has
never been seen, this looks again for a while.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chaoskit import clock, identity, mounts, proc, storage
from chaoskit.errors import ChaosError, EngineFailed
from chaoskit.identity import Identity
from chaoskit.ownership import ENGINE_KINDS, RUN_LABEL, Entry, Kind, mark, names

_DAEMON = "chaoskit.passthrough"
_WORKERS = 8
_LOOKS = 200
_PAUSE_S = 0.1
_PATIENCE_S = 3.0
_UNSEEN_OBJECT_S = 1.0
_UNSEEN_PROCESS_S = 0.2
_KILL_TIMEOUT_S = 5.0
_COMMAND_TIMEOUT_S = 10.0


class EngineObject(Protocol):
    """An object of the engine that carries a label of ours."""

    @property
    def kind(self) -> str:
        """`container`, `network` or `volume`."""
        ...

    @property
    def id(self) -> str:
        """What the engine calls it."""
        ...

    @property
    def name(self) -> str:
        """What we called it."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        ...


class Objects(Protocol):
    """The little of an engine that removal needs; its methods raise EngineFailed."""

    def list_labelled(self, label: str) -> Sequence[EngineObject]:
        """Every container, network and volume with `label` ("key" or "key=value")."""
        ...

    def remove_container(self, container: str) -> None:
        """Kill and remove; one that is gone is fine."""
        ...

    def remove_network(self, network: str) -> None:
        """Remove; one that is gone is fine."""
        ...

    def remove_volume(self, name: str) -> None:
        """Remove; one that is gone is fine."""
        ...

    def close(self) -> None:
        """Let go of the connections."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Thing:
    """Something that was removed, or could not be: its kind and its name or path."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: what was there and is gone, and what is still there and why."""

    removed: tuple[Thing, ...]
    left: Mapping[Thing, str]


class _Look:
    """What one look found, each with how to take it away, and what did not work."""

    def __init__(self) -> None:
        self.found: dict[Thing, Callable[[], None]] = {}
        self.failed: dict[Thing, str] = {}
        self.unasked = ""

    def take_away(self, *kinds: Kind) -> None:
        """Remove what was found of these kinds, side by side; notes what did not work."""
        todo = [(thing, how) for thing, how in self.found.items() if thing.kind in kinds]
        if not todo:
            return
        with ThreadPoolExecutor(min(_WORKERS, len(todo)), thread_name_prefix="remove") as pool:
            for thing, done in [(thing, pool.submit(how)) for thing, how in todo]:
                try:
                    done.result()
                except ChaosError as error:
                    self.failed[thing] = str(error)


def remove(run: str, entries: Sequence[Entry], engine: Objects | None) -> Outcome:
    """
    Remove everything of `run`: what its journal announced (`entries`) and what carries its marks.

    Without an engine its containers, networks and volumes stay, and are named in `left`. Gives up
    after three seconds in which nothing went away, beside the time that removals themselves take.
    """
    seen: set[Thing] = set()
    failed: dict[Thing, str] = {}
    started_s = moved_s = clock.monotonic()
    before: set[Thing] = set()
    look = _look(run, entries, engine)
    for _ in range(_LOOKS):
        if look.found.keys() != before:
            before, moved_s = set(look.found), clock.monotonic()
        now_s = clock.monotonic()
        awaited = _awaits(entries, seen, now_s - started_s, asked=not look.unasked)
        if (not look.found and not awaited) or now_s - moved_s > _PATIENCE_S:
            break
        began_s = clock.monotonic()
        look.take_away(Kind.PROCESS, Kind.CONTAINER)
        look.take_away(Kind.MOUNT)
        look.take_away(Kind.NETWORK, Kind.VOLUME, Kind.HOST_RULE)
        look.take_away(Kind.FOLDER)
        moved_s += clock.monotonic() - began_s
        seen.update(look.found)
        failed = look.failed
        if failed or not look.found:
            clock.pause(_PAUSE_S)
        look = _look(run, entries, engine)
    left = {thing: failed.get(thing, "it is there again") for thing in look.found}
    if look.unasked:
        left |= {
            Thing(entry.kind, entry.identity): look.unasked
            for entry in entries
            if entry.kind in ENGINE_KINDS
        }
    return Outcome(tuple(sorted(seen - left.keys())), left)


def _awaits(entries: Sequence[Entry], seen: set[Thing], waited_s: float, *, asked: bool) -> bool:
    """Whether something announced, and never seen, may still be in the making."""
    started = (Kind.PROCESS, Kind.MOUNT)
    if waited_s < _UNSEEN_PROCESS_S and any(entry.kind in started for entry in entries):
        return True
    # Only an engine that can be asked is waited for.
    return (
        asked
        and waited_s < _UNSEEN_OBJECT_S
        and any(
            entry.kind in ENGINE_KINDS and Thing(entry.kind, entry.identity) not in seen
            for entry in entries
        )
    )


def _look(run: str, entries: Sequence[Entry], engine: Objects | None) -> _Look:
    look = _Look()
    for process, name in _processes(run, entries).items():
        look.found[Thing(Kind.PROCESS, f"{name} ({process.pid})")] = _killing(process)
    try:
        listed = engine.list_labelled(f"{RUN_LABEL}={run}") if engine else ()
        look.unasked = "" if engine else "no engine answers"
    except EngineFailed as error:
        listed, look.unasked = (), str(error)
    if engine is not None:
        for one in listed:
            if names(run, one.name):
                look.found[Thing(Kind(one.kind), one.name)] = _removing(engine, one)
    for entry in entries:
        _look_for(entry, look)
    return look


def _processes(run: str, entries: Sequence[Entry]) -> dict[Identity, str]:
    """
    Living processes of the run, with a name for people.

    The daemon of a mount is known by its arguments, which name a folder of the run: it may have
    been started, and not have mounted yet, when the run died.
    """
    found = {
        process: " ".join(proc.command_line(process.pid))[:60]
        for process in identity.marked(mark(run))
    }
    places = [Path(entry.identity) for entry in entries if entry.kind in (Kind.MOUNT, Kind.FOLDER)]
    for daemon, arguments in identity.running_module(_DAEMON).items():
        if any(Path(word).is_relative_to(place) for word in arguments for place in places):
            found[daemon] = _DAEMON
    for entry in entries:
        for process in entry.processes:
            if process.standing() is identity.Standing.ALIVE:
                found[process] = entry.identity
    return found


def _killing(process: Identity) -> Callable[[], None]:
    def kill() -> None:
        if not identity.kill(process, timeout_s=_KILL_TIMEOUT_S):
            raise ChaosError(f"process {process.pid} was sent SIGKILL and has not ended")

    return kill


def _removing(engine: Objects, one: EngineObject) -> Callable[[], None]:
    ways = {
        Kind.CONTAINER: engine.remove_container,
        Kind.NETWORK: engine.remove_network,
        Kind.VOLUME: engine.remove_volume,
    }
    way = ways[Kind(one.kind)]
    return lambda: way(one.id)


def _look_for(entry: Entry, look: _Look) -> None:
    path = Path(entry.identity)
    match entry.kind:
        case Kind.MOUNT:
            _look_for_mounts(mounts.at(path), look)
        case Kind.HOST_RULE if _is_there(entry.undo):
            look.found[Thing(entry.kind, entry.identity)] = lambda: _run(entry.undo)
        case Kind.FOLDER if path.is_dir() and not path.is_symlink():
            # A mount whose journal line was lost is still found: mounts lie in folders of the run.
            _look_for_mounts(mounts.below(path), look)
            look.found[Thing(entry.kind, entry.identity)] = lambda: _delete(path)
        case _:
            return


def _look_for_mounts(found: Sequence[mounts.Mounted], look: _Look) -> None:
    for mounted in found:
        if mounted.is_ours:
            look.found[Thing(Kind.MOUNT, str(mounted.path))] = _unmounting(mounted)


def _unmounting(mounted: mounts.Mounted) -> Callable[[], None]:
    def unmount() -> None:
        storage.unmount_stale(mounted.path)

    return unmount


def _delete(folder: Path) -> None:
    inside = mounts.below(folder)
    if inside:
        raise ChaosError(f"{inside[0].path} is still mounted in {folder}: not emptied")
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ChaosError(
            f"cannot delete {error.filename or folder}: {error.strerror}; as root: rm -r {folder}"
        ) from error


def _is_there(undo: Sequence[str]) -> bool:
    """
    Whether the rule that `undo` deletes may exist: the same words, with --check.

    iptables answers 1 when it does not; whatever else (no right to ask, no such program) is taken
    as a yes, so that the deletion fails with its reason and the rule is not forgotten.
    """
    asking = ["-C" if word == "-D" else word for word in undo]
    try:
        done = subprocess.run(asking, capture_output=True, check=False, timeout=_COMMAND_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.returncode != 1


def _run(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, check=False, timeout=_COMMAND_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ChaosError(f"cannot run {' '.join(argv)}: {error}") from error
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip()
        raise ChaosError(f"{' '.join(argv)} failed with {done.returncode}: {reason}")
