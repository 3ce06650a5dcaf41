"""
A network that is not this process's own, entered or made by a thread of ours.

Owns: `Namespace`, a thread that joined the network namespace of a process (setns(2)), or made one
(unshare(2)), and runs what it is given there. A socket opened by such a call belongs to that
network, and so does a child it starts: no exec in the container, no tools in its image. Refuses:
calls without an end; what is run there must bound itself, and waiting for its answer is bounded
besides. Needs CAP_SYS_ADMIN.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as CallTimedOut
from pathlib import Path
from typing import Self, TypeVar

from chaoskit.errors import ChaosError

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000
_ENTER_TIMEOUT_S = 5.0
_NEW = -1  # no process has this pid


def _join(pid: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    except OSError as error:
        raise ChaosError(f"no network namespace of process {pid}: {error.strerror}") from error
    try:
        if library.setns(descriptor, _CLONE_NEWNET) != 0:
            reason = os.strerror(ctypes.get_errno())
            raise ChaosError(f"may not enter the network of process {pid}: {reason}")
    finally:
        os.close(descriptor)


def _enter(pid: int) -> int:
    """Join that process's network, or make one; answers by whose id it is found in /proc."""
    if pid != _NEW:
        _join(pid)
        return pid
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_CLONE_NEWNET) != 0:
        raise ChaosError(f"may not make a network: {os.strerror(ctypes.get_errno())}")
    return threading.get_native_id()


class Namespace:
    """
    The network of the process `pid`; close it when the process is gone.

    Raises ChaosError when there is no such process or entering it is not allowed.
    """

    def __init__(self, pid: int) -> None:
        self._thread = ThreadPoolExecutor(
            1, thread_name_prefix="netns-made" if pid == _NEW else f"netns-{pid}"
        )
        try:
            self.pid = self._thread.submit(_enter, pid).result(timeout=_ENTER_TIMEOUT_S)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise

    @classmethod
    def made(cls) -> Self:
        """
        A new network, with nothing in it but a loopback device that is down.

        It lasts until this is closed and the last process that was started in it is gone; `pid` is
        the id of a thread of ours. Raises ChaosError when making it is not allowed.
        """
        return cls(_NEW)

    def run(self, call: Callable[[], T], *, timeout_s: float) -> T:
        """Run `call` in that network and answer its result; raises what it raises."""
        running = self._thread.submit(call)
        try:
            return running.result(timeout=timeout_s)
        except CallTimedOut:
            if running.done():  # the same exception: what the call itself raised
                return running.result()
            raise ChaosError(
                f"a call in the network of process {self.pid} took over {timeout_s:g} s"
            ) from None

    def counters(self) -> dict[str, int]:
        """
        The kernel's TCP counters of that network, by name (`AttemptFails`, `EstabResets`, ...).

        Empty once the process is gone.
        """
        try:
            lines = Path(f"/proc/{self.pid}/net/snmp").read_text().splitlines()
        except OSError:
            return {}
        names, values = (line.split()[1:] for line in lines if line.startswith("Tcp:"))
        return {name: int(value) for name, value in zip(names, values, strict=True)}

    def close(self) -> None:
        """End the thread; a call still running there ends by its own bound."""
        self._thread.shutdown(wait=False)
