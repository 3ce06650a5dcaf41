"""
The reaper: a process that outlives the one it watches, and clears up after it.

Owns: starting it (`watch`), and its program (`python -m chaoskit.reaper JOURNAL`). Refuses: any
message. The journal is the only word between the two: when the watched process lets go of the pipe
or dies, the reaper reads the journal. If that is gone, nothing was left. If it says to keep, the
reaper is its keeper and waits until then, or until someone removes the run (`chaoskit down`).
Otherwise it removes everything of the run, and the journal last; what cannot be removed stays
journalled for the next sweep.

It lives in its own session, and SIGINT, SIGTERM and SIGHUP are held back from it, so that Ctrl-C,
twice or ten times, and signals to the process group do not reach it. It holds no file of its parent
but the pipe, and it also watches the parent's pid, since a forked child of the parent may hold the
pipe's other end for longer than the parent lives.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from chaoskit import identity, journal
from chaoskit.errors import ChaosError, EngineFailed
from chaoskit.identity import Identity
from chaoskit.journal import Journal
from chaoskit.ownership import ENGINE_KINDS

if TYPE_CHECKING:  # imported when it is time to remove: starting must cost next to nothing
    from chaoskit.removal import Objects

_HELD_BACK = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FIRST_INHERITED = 3
_LAST_INHERITED = 4096
_KEEPER_POLL_S = 0.5


class Reaper:
    """A started reaper, from the watched process's side."""

    def __init__(self, process: Identity, pipe: int) -> None:
        """Made by `watch`; `pipe` is the descriptor whose closing sets the reaper going."""
        self.process = process
        self._pipe = pipe

    def release(self, *, timeout_s: float) -> bool:
        """
        Let go, and wait for its end; True when it has ended within `timeout_s` seconds.

        It has nothing to do when the journal is finished, and clears up otherwise. A keeper does
        not end: do not wait for it.
        """
        os.close(self._pipe)
        try:
            descriptor = os.pidfd_open(self.process.pid)
        except ProcessLookupError:
            return True
        try:
            end = select.poll()
            end.register(descriptor, select.POLLIN)
            if not end.poll(timeout_s * 1000):
                return False
            os.waitpid(self.process.pid, os.WNOHANG)
        except ChildProcessError:  # somebody waited for all children
            return True
        finally:
            os.close(descriptor)
        return True


def watch(written: Journal) -> Reaper:
    """
    Start the reaper of this journal's run; from now on the run's labels name it as the keeper.

    Raises ChaosError when it cannot be started. Takes a few milliseconds: the child works its
    imports off by itself, and when we die before it is done it finds the pipe closed.
    """
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    reading, writing = os.pipe()
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "chaoskit.reaper", str(written.path.resolve())],
            {**os.environ, "PYTHONPATH": path},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, reading, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setsid=True,
            setsigmask=_HELD_BACK,  # for good, from its very first moment
        )
    except OSError as error:
        os.close(writing)
        raise ChaosError(f"the reaper cannot be started: {error}") from error
    finally:
        os.close(reading)
    process = identity.of(pid)
    if process is None:
        os.close(writing)
        raise ChaosError(
            f"the reaper ({pid}) ended at once: try `{sys.executable} -m chaoskit.reaper`"
        )
    written.watched_by(process)
    return Reaper(process, writing)


@contextmanager
def watched(run: str, *, folder: Path, timeout_s: float) -> Iterator[Journal]:
    """
    A journal for `run`, watched by a reaper, for as long as the block lasts.

    When the block leaves something outstanding, the reaper clears up, and leaving waits for that
    up to `timeout_s` seconds; a second Ctrl-C there ends the wait, not the clearing up.
    """
    written = Journal(run, folder=folder)
    keeper = watch(written)
    try:
        yield written
    finally:
        written.finish()
        if not written.kept:
            keeper.release(timeout_s=timeout_s)


def _await_the_end(owner: Identity | None) -> None:
    """Until the pipe is closed or `owner` is dead. Bounded by the owner's life."""
    end = select.poll()
    end.register(0, select.POLLIN | select.POLLHUP)
    if owner is not None:
        try:
            descriptor = os.pidfd_open(owner.pid)
        except ProcessLookupError:
            return
        if owner.standing() is not identity.Standing.ALIVE:
            return
        end.register(descriptor, select.POLLIN)
    end.poll()


def _keep(path: Path, until: datetime) -> None:
    """Until `until`, or until the journal is gone."""
    from chaoskit import clock

    left_s = (until - clock.utc_now()).total_seconds()
    try:
        clock.wait_until(
            lambda: not path.exists() or None,
            what="the run to be removed",
            timeout_s=max(0.0, left_s) + _KEEPER_POLL_S,  # waiting ends up to one poll early
            poll_s=_KEEPER_POLL_S,
        )
    except ChaosError:  # its time is over
        return


def _reap(path: Path) -> None:
    from chaoskit import removal

    record = journal.read(path)
    if record is None:
        return
    outcome = removal.remove(record.run, record.entries, _engine(record))
    if not outcome.left:
        path.unlink(missing_ok=True)


def _engine(record: journal.Record) -> Objects | None:
    """The engine, where the run announced anything there."""
    if not any(entry.kind in ENGINE_KINDS for entry in record.entries):
        return None
    from chaoskit.engine import Engine

    try:
        return Engine()
    except EngineFailed:
        return None


def main(arguments: list[str]) -> int:
    """Watch, keep, clear up; 0 when nothing is left."""
    os.closerange(_FIRST_INHERITED, _LAST_INHERITED)
    os.chdir("/")
    (path,) = (Path(argument) for argument in arguments)
    record = journal.read(path)
    _await_the_end(record.owner if record else None)
    record = journal.read(path)
    if record is not None and record.kept_until is not None:
        _keep(path, record.kept_until)
    _reap(path)
    return int(path.exists())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
