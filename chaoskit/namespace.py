"""
Another process's network, entered by a thread of ours.

Owns: `Namespace`, a thread that joined the network namespace of a process (setns(2)) and runs
what it is given there. A socket opened by such a call belongs to that network, and so does a child
it starts: no exec in the container, no tools in its image. Refuses: calls without an end; what is
run there must bound itself, and waiting for its answer is bounded besides. Needs CAP_SYS_ADMIN.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as CallTimedOut
from pathlib import Path
from typing import TypeVar

from chaoskit.errors import ChaosError

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000


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


class Namespace:
    """
    The network of the process `pid`; close it when the process is gone.

    Raises ChaosError when there is no such process or entering it is not allowed.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"netns-{pid}")
        try:
            self._thread.submit(_join, pid).result(timeout=5)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise

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
