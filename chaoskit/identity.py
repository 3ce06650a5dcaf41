"""
Who a process is, so that it is never mistaken for another one.

Owns: `Identity` (pid, start time and where that pid means something), whether that process still
lives, the search for processes that carry a mark, and killing exactly that process. Refuses: a
bare pid as the name of a process: pids are used again, in this boot and in every pid namespace.

A process is *alive*, *dead* (its pid is gone, is a zombie, belongs to a process started at another
time, or its machine has been booted since) or *elsewhere*: on another machine or in another pid
namespace, so that nothing here can tell. Reads proc(5); killing needs pidfd_open(2), Linux 5.3.
"""

from __future__ import annotations

import hashlib
import os
import re
import select
import signal
import socket
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from chaoskit import proc

_PROC = Path("/proc")
_SHAPE = re.compile(r"(\d+):(\d+)@([0-9a-f]{8})\.([0-9a-f]{8})\.(\d+)")


class Standing(StrEnum):
    """What can be said here of a process."""

    ALIVE = "alive"
    DEAD = "dead"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Identity:
    """
    One process, for all time.

    Attributes
    ----------
    start: field 22 of /proc/PID/stat, clock ticks from the boot to the start of the process.
    machine: 8 hex digits, a digest of the machine's id and host name (neither can be read off).
    boot: the first 8 hex digits of the kernel's boot id.
    namespace: the inode of its pid namespace.

    """

    pid: int
    start: int
    machine: str
    boot: str
    namespace: int

    def __str__(self) -> str:
        """`PID:START@MACHINE.BOOT.NAMESPACE`, which `parse` reads."""
        return f"{self.pid}:{self.start}@{self.machine}.{self.boot}.{self.namespace}"

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Read what `str` wrote. Raises ValueError."""
        match = _SHAPE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} names no process: PID:START@MACHINE.BOOT.NAMESPACE")
        pid, start, machine, boot, namespace = match.groups()
        return cls(int(pid), int(start), machine, boot, int(namespace))

    def standing(self) -> Standing:
        """Whether it lives, as far as can be told from here."""
        machine, boot, namespace = _here()
        if self.machine != machine:
            return Standing.ELSEWHERE
        if self.boot != boot:
            return Standing.DEAD
        if self.namespace != namespace:
            return Standing.ELSEWHERE
        start = proc.start_time(self.pid)
        if start is None:
            return Standing.ALIVE if _is_hidden(self.pid) else Standing.DEAD
        same = start == self.start and proc.alive(self.pid)
        return Standing.ALIVE if same else Standing.DEAD


def _here() -> tuple[str, str, int]:
    machine_id = Path("/etc/machine-id")
    known = machine_id.read_text() if machine_id.exists() else ""
    digest = hashlib.sha256(f"{known.strip()} {socket.gethostname()}".encode()).hexdigest()
    boot = (_PROC / "sys/kernel/random/boot_id").read_text()
    return digest[:8], boot[:8], (_PROC / "self/ns/pid").stat().st_ino


def _is_hidden(pid: int) -> bool:
    """Whether /proc hides an existing process of another user (mount option hidepid)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return False


def of(pid: int) -> Identity | None:
    """The identity of the running process `pid`; None when it does not run."""
    start = proc.start_time(pid)
    if start is None or not proc.alive(pid):
        return None
    return Identity(pid, start, *_here())


def own() -> Identity:
    """The identity of this process."""
    found = of(os.getpid())
    assert found is not None
    return found


def marked(mark: str) -> list[Identity]:
    """
    Running processes whose environment holds exactly `mark` ("NAME=VALUE"), this one left out.

    The mark is inherited, so children of a marked process are found even when nobody noted their
    pid. Processes of other users are not seen unless we are root.
    """
    return [one for one, marks in marked_any(mark).items() if mark in marks]


def marked_any(prefix: str) -> dict[Identity, tuple[str, ...]]:
    """Running processes with variables that begin with `prefix`, and these, as "NAME=VALUE"."""
    start = prefix.encode()
    found = {}
    for pid in _others():
        marks = [item for item in _items(pid, "environ") if item.startswith(start)]
        identity = of(pid) if marks else None
        if identity is not None:
            found[identity] = tuple(os.fsdecode(item) for item in marks)
    return found


def running_module(module: str) -> dict[Identity, tuple[str, ...]]:
    """Running Python processes started with `-m module`, and their argument lists."""
    found = {}
    for pid in _others():
        arguments = [os.fsdecode(item) for item in _items(pid, "cmdline")]
        identity = of(pid) if ("-m", module) in pairwise(arguments) else None
        if identity is not None:
            found[identity] = tuple(arguments)
    return found


def _others() -> list[int]:
    numbers = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return [pid for pid in numbers if pid != os.getpid()]


def _items(pid: int, name: str) -> list[bytes]:
    """The environment or the argument list of a process; none when it may not be read."""
    try:
        return (_PROC / str(pid) / name).read_bytes().split(b"\0")
    except OSError:  # it ended meanwhile, or is another user's
        return []


def kill(identity: Identity, *, timeout_s: float) -> bool:
    """
    SIGKILL exactly this process and wait for its end; True when it is dead.

    A pid that was used again meanwhile is left alone: the signal goes through a pidfd that was
    opened before the start time was compared. False when it is elsewhere, is another user's, or
    did not end within `timeout_s` (it waits for a device, say).
    """
    if identity.standing() is Standing.ELSEWHERE:
        return False
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    try:
        if identity.standing() is not Standing.ALIVE:
            return True
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        end = select.poll()
        end.register(descriptor, select.POLLIN)
        return bool(end.poll(timeout_s * 1000))
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    finally:
        os.close(descriptor)
