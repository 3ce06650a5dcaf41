"""
Faulty storage: the harness's handle on one mount, and the way to be rid of a mount whose harness
died.

Owns: the daemon's start and end, its rules as confirmed by itself, its counters, and our own
probes through the mount. Refuses: hosts without FUSE or root (NotApplicable, with the reason), and
unmounting anything that chaoskit did not mount. Rules:

* Mount before the container that uses it is created; bind-mount the mount point as its data
  directory. Files are reached through the mount point, not through the backing directory behind
  it: the kernel keeps attributes for a second.

* Nothing here touches the mount but the probes, and they do so in a thread: a call on a mount
  whose daemon hangs cannot be interrupted. Such a thread ends at the latest when the mount is
  unmounted, which aborts every call in flight.

* The daemon outlives this process on purpose (a cluster that is kept). It ends by unmount(), by
  SIGTERM, or after unmount_stale().
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import chaoskit
from chaoskit import mounts
from chaoskit.clock import monotonic, wait_until
from chaoskit.errors import NotApplicable, UsageError, WaitTimedOut
from chaoskit.storage_control import (
    MESSAGE_LIMIT_BYTES,
    PROBE_NAME,
    SOCKET_NAME,
    MountState,
    StorageCounters,
    StorageFailed,
    StorageRules,
    decode_state,
    encode_request,
)
from chaoskit.storage_syscalls import MNT_DETACH, MNT_FORCE, Syscalls

T = TypeVar("T")

ANSWER_TIMEOUT_S = 5.0
"""The daemon answers from memory, in less than a millisecond; after this long it hangs."""
KILL_TIMEOUT_S = 5.0
"""How long a killed process may take to disappear."""
PROBE_SIZE_BYTES = 4096

_LOG_NAME = "passthrough.log"
_STACKED_LIMIT = 16


def why_unavailable() -> str:
    """Why this host cannot offer faulty storage, in a few words; empty when it can."""
    if sys.platform != "linux":
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root (files must be given to the node's user)"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "no /dev/fuse on this host (load the kernel module fuse)"
    return ""


def mount(backing: Path, mountpoint: Path, state_dir: Path, *, timeout_s: float) -> FaultyMount:
    """
    Mount `backing` at `mountpoint`, healthy at first, and return when it serves.

    `state_dir` gets the control socket and the daemon's log. All three directories are there
    before; the mount's root has the owner and mode of `backing`. Raises NotApplicable, before
    anything is changed, when the host cannot do it, and StorageFailed, leaving nothing behind,
    when the mount does not come within `timeout_s` seconds.
    """
    if reason := why_unavailable():
        raise NotApplicable(f"faulty storage: {reason}")
    backing, mountpoint, state_dir = map(_real, (backing, mountpoint, state_dir))
    if _ours_at(mountpoint):
        raise StorageFailed(f"{mountpoint} is already a faulty mount: unmount_stale() it first")
    for directory in (backing, mountpoint, state_dir):
        if not directory.is_dir():
            raise UsageError(f"{directory} is not a directory; a faulty mount needs it to be there")
    if backing == mountpoint:
        raise UsageError(f"{backing} cannot be mounted over itself")
    process = _Process(_spawn(backing, mountpoint, state_dir))
    mounted = FaultyMount(mountpoint, state_dir, process)
    try:
        wait_until(
            lambda: process.ended() or mounted.serves(),
            what=f"the faulty mount at {mountpoint}",
            timeout_s=timeout_s,
            poll_s=0.005,
        )
    except BaseException:
        mounted.unmount(timeout_s=0)
        raise
    if process.ended():
        mounted.unmount(timeout_s=0)
        raise StorageFailed(f"the daemon for {mountpoint} ended at once: {mounted.last_words()}")
    return mounted


class FaultyMount:
    """One mount and its daemon. Thread-safe; made by mount()."""

    def __init__(self, mountpoint: Path, state_dir: Path, process: _Process) -> None:
        self.mountpoint = mountpoint
        self._state_dir = state_dir
        self._process = process
        self._probing = threading.Lock()
        self._unmounting = threading.Lock()

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """
        Whether the daemon runs. Without it each call on the mount fails, ENOTCONN: the disk is
        gone.
        """
        return not self._process.ended()

    def serves(self) -> bool:
        """Whether the daemon answers on its control socket, which it does while the mount is up."""
        try:
            self._exchange(None)
        except StorageFailed:
            return False
        return True

    def set_rules(self, rules: StorageRules) -> None:
        """
        Put `rules` in force; on return they are, for every call that begins, as the daemon itself
        said. Raises StorageFailed when it did not, else.
        """
        answered = self._exchange(rules).rules
        if answered != rules:
            raise StorageFailed(f"{self.mountpoint} is under {answered}, asked for {rules}")

    def rules(self) -> StorageRules:
        """
        The rules in force, read back from the daemon. Raises StorageFailed when it does not
        answer.
        """
        return self._exchange(None).rules

    def counters(self) -> StorageCounters:
        """Calls so far, by caller. Raises StorageFailed when the daemon does not answer."""
        return self._exchange(None).counters

    def probe_sync_s(self, timeout_s: float) -> float:
        """
        Write 4096 bytes of our own through the mount and sync them: the seconds that took. On a
        full disk, the sync alone.

        The file has no name that the node could meet, and is counted as PROBE_CALLER. Raises
        WaitTimedOut after `timeout_s` seconds, and StorageFailed when the mount answers with
        another error than ENOSPC.
        """

        def write_and_sync(descriptor: int) -> float:
            began = monotonic()
            _written(descriptor)
            os.fsync(descriptor)
            return monotonic() - began

        return self._probe(write_and_sync, "a sync", timeout_s)

    def probe_space(self, timeout_s: float) -> bool:
        """
        Write 4096 bytes of our own through the mount, where no block is allocated yet: True when
        they were refused for lack of space. Raises as probe_sync_s.
        """
        return not self._probe(_written, "a write", timeout_s)

    def unmount(self, *, timeout_s: float) -> None:
        """
        End the daemon, within `timeout_s` seconds by its own doing, else by force; then nothing is
        mounted, whoever still uses it.

        May be called twice, and on a daemon that was killed.
        """
        with self._unmounting:
            try:
                if not self._process.ended() and not self._process.end(timeout_s):
                    raise StorageFailed(
                        f"the daemon {self.pid} of {self.mountpoint} survives SIGKILL: it waits "
                        "for the disk behind it"
                    )
            finally:
                unmount_stale(self.mountpoint)
            self._process.close()
            (self._state_dir / SOCKET_NAME).unlink(missing_ok=True)

    def last_words(self) -> str:
        """The end of the daemon's log, on one line, and where to find it."""
        log = self._state_dir / _LOG_NAME
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return f"{lines[-1][:500] if lines else 'it said nothing'} (log: {log})"

    def _exchange(self, rules: StorageRules | None) -> MountState:
        try:
            with (
                _directory(self._state_dir) as state,
                socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client,
            ):
                client.settimeout(ANSWER_TIMEOUT_S)
                # A socket's own path may have 107 bytes only; this one always has few.
                client.connect(f"/proc/self/fd/{state}/{SOCKET_NAME}")
                client.send(encode_request(rules))
                answer = client.recv(MESSAGE_LIMIT_BYTES + 1)
        except OSError as error:
            how = "does not answer" if self.alive else f"is gone: {self.last_words()}"
            raise StorageFailed(f"the daemon {self.pid} of {self.mountpoint} {how}") from error
        return decode_state(answer)

    def _probe(self, work: Callable[[int], T], what: str, timeout_s: float) -> T:
        """
        `work` on a fresh probe file, in a thread that is left behind when it hangs. One at a time,
        so that hanging ones do not pile up.
        """
        deadline = monotonic() + timeout_s
        outcome: queue.SimpleQueue[tuple[T] | OSError] = queue.SimpleQueue()

        def run() -> None:
            try:
                flags = os.O_RDWR | os.O_CREAT
                descriptor = os.open(self.mountpoint / PROBE_NAME, flags, 0o600)
                try:
                    outcome.put((work(descriptor),))
                finally:
                    os.close(descriptor)
            except OSError as error:
                outcome.put(error)
            finally:
                self._probing.release()

        if not self._probing.acquire(timeout=timeout_s):
            raise WaitTimedOut(f"an earlier probe of {self.mountpoint}", timeout_s)
        threading.Thread(target=run, name="storage-probe", daemon=True).start()
        try:
            answer = outcome.get(timeout=max(0.0, deadline - monotonic()))
        except queue.Empty:
            raise WaitTimedOut(f"{what} of ours through {self.mountpoint}", timeout_s) from None
        if isinstance(answer, OSError):
            raise StorageFailed(f"{what} of ours through {self.mountpoint}: {answer}") from answer
        return answer[0]


class _Process:
    """
    A child that may outlive us, by a descriptor: its number could come to mean another process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)
        self._reading = threading.Lock()
        self._closed = False

    def ended(self) -> bool:
        with self._reading:
            return self._closed or self._await_end(0)

    def end(self, timeout_s: float) -> bool:
        """By SIGTERM, else SIGKILL; whether it worked."""
        for number, patience_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, KILL_TIMEOUT_S)):
            with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
                signal.pidfd_send_signal(self._descriptor, number)
            if self._await_end(patience_s):
                return True
        return False

    def close(self) -> None:
        with self._reading:
            if not self._closed:
                os.close(self._descriptor)
            self._closed = True

    def _await_end(self, timeout_s: float) -> bool:
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        if not waiting.poll(timeout_s * 1000):
            return False
        with contextlib.suppress(ChildProcessError):  # waited for before
            os.waitid(os.P_PIDFD, self._descriptor, os.WEXITED | os.WNOHANG)  # no zombie stays
        return True


def unmount_stale(mountpoint: Path) -> bool:
    """
    Take a faulty mount away at once, whether its daemon serves, hangs or is dead; True if there
    was one.

    Calls in flight fail (ECONNABORTED), and the daemon, if any, ends by itself: this is for what a
    dead harness left behind, after the containers that used it are gone. Touches no mount that is
    not ours. Raises StorageFailed when the kernel refuses.
    """
    found = _ours_at(mountpoint)
    if found > _STACKED_LIMIT:
        raise StorageFailed(f"{found} faulty mounts on top of each other at {mountpoint}")
    for _mounted in range(found):
        try:
            Syscalls().unmount(str(_real(mountpoint)), MNT_FORCE | MNT_DETACH)
        except OSError as error:
            if error.errno != errno.EINVAL:  # the daemon was faster
                raise StorageFailed(f"unmounting {mountpoint}: {error}") from error
    return found > 0


def _ours_at(mountpoint: Path) -> int:
    """How many faulty mounts are stacked there: the kernel's word, since the mount might hang."""
    return sum(mounted.is_ours for mounted in mounts.at(_real(mountpoint)))


def _real(path: Path) -> Path:
    """
    Without symbolic links on the way, as the kernel's list has it; the path's own end is not
    touched.
    """
    return path.absolute().parent.resolve() / path.name


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _spawn(backing: Path, mountpoint: Path, state_dir: Path) -> int:
    """Start the daemon in a session of its own; its process id."""
    arguments = [sys.executable, "-P", "-m", "chaoskit.passthrough"]
    arguments += ["--backing", str(backing), "--mountpoint", str(mountpoint)]
    arguments += ["--state", str(state_dir)]
    writing = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        arguments,
        os.environ | {"PYTHONPATH": str(Path(chaoskit.__path__[0]).parent)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(state_dir / _LOG_NAME), writing, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _written(descriptor: int) -> bool:
    """Whether a write past the end of a probe file found space."""
    try:
        return os.pwrite(descriptor, bytes(PROBE_SIZE_BYTES), 0) == PROBE_SIZE_BYTES
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
