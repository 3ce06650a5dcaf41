"""
The machine under the experiment: is it fit to keep a deadline?

Owns: what was stolen from this machine, how long tasks waited for a core, how late the proxy itself
is and how long the host's disk takes to sync, once a second, into the history as `machine` events.
A missed deadline while one of these was over its limit is INFRA, not a finding; it never excuses a
safety violation. That some task of
the machine always waits says nothing as long as the experiment's own do not: pressure counts where
these waited for most of the time too. Refuses: guessing: a figure the kernel does not give is None
and is never over.
"""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaoskit import clock
from chaoskit.backend import Backend
from chaoskit.history import Recorder
from chaoskit.hostdisk import HostDisk
from chaoskit.toxiproxy import ProxySpec, ToxiproxyClient
from chaoskit.waiting import Accounts, accounts, share
from chaoskit.watching import Watchers

STEAL_LIMIT = 0.10
PRESSURE_LIMIT = 0.90
WAITING_LIMIT = 0.50
LAG_LIMIT_S = 0.100
SYNC_LIMIT_S = 1.0
_INTERVAL_S = 1.0
_PINGS = 5
_PING_TIMEOUT_S = 2.0
_PING_BYTES = 64
_ECHO_PORT, _LAG_PORT = 47_001, 47_002


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Ticks of all cores since the boot: all of them, those stolen, those idle."""

    total: int
    stolen: int
    idle: int


def cpu_times() -> CpuTimes:
    """Read /proc/stat (proc(5), the line `cpu`)."""
    fields = [int(one) for one in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return CpuTimes(total=sum(fields[:8]), stolen=fields[7], idle=fields[3] + fields[4])


def waited_us() -> int | None:
    """Microseconds since the boot in which some task waited for a core; None without PSI."""
    try:
        text = Path("/proc/pressure/cpu").read_text()
    except OSError:
        return None
    return int(text.splitlines()[0].rpartition("total=")[2])


@dataclass(frozen=True, slots=True)
class Reading:
    """The kernel's counters at a time; `tasks` are those of the experiment."""

    at_s: float
    cpu: CpuTimes
    waited_us: int | None
    tasks: Accounts


def slowdown(value: Mapping[str, Any]) -> float:
    """
    How many times as long as on a machine of its own the experiment's work took, at most.

    By the value of a `machine` event: what is stolen, or waited for, is lost to whoever works.
    Infinite where the proxy or the disk was late over its limit, and where the kernel keeps no
    accounts.
    """
    waiting = value.get("waiting")
    late = (value["proxy_lag_s"] or 0.0) > LAG_LIMIT_S or (
        value.get("sync_s") or 0.0
    ) > SYNC_LIMIT_S
    if waiting is None or late:
        return math.inf
    left = (1.0 - waiting) * (1.0 - value["steal"])
    return 1.0 / left if left > 0 else math.inf


class ProxyEcho:
    """
    An echo behind the proxy that is itself measured: how late is it with 64 bytes and back?

    Lives in the proxy's own network: nothing but the proxy lies between the two ends.
    """

    def __init__(self, backend: Backend, client: ToxiproxyClient) -> None:
        self._inside = backend.inside_proxy
        self._pings, self._answers = 0, b""
        address = backend.layout.proxy_loopback
        self._listener = self._run(lambda: socket.create_server((address, _ECHO_PORT)))
        self._thread = threading.Thread(target=self._serve, name="proxy-echo", daemon=True)
        self._thread.start()
        client.populate(
            [
                ProxySpec(
                    "chaoskit-lag",
                    listen=f"{address}:{_LAG_PORT}",
                    upstream=f"{address}:{_ECHO_PORT}",
                )
            ]
        )
        self._ends = self._run(
            lambda: socket.create_connection((address, _LAG_PORT), _PING_TIMEOUT_S)
        )

    def _run(self, call: Callable[[], socket.socket]) -> socket.socket:
        return self._inside(call, timeout_s=2 * _PING_TIMEOUT_S)

    def _serve(self) -> None:
        with suppress(OSError):  # closed: the cluster is being taken down
            connection, _ = self._listener.accept()
            with connection:
                while chunk := connection.recv(_PING_BYTES):
                    connection.sendall(chunk)

    def lag_s(self) -> float:
        """One ping; its time-out when no answer came, be it late or the connection gone."""
        begun_s = clock.monotonic()
        self._pings += 1
        # numbered, since the answers to pings that were given up still come, and before its own
        ping = self._pings.to_bytes(8, "big") * (_PING_BYTES // 8)
        try:
            self._ends.sendall(ping)
            while not self._answers.endswith(ping):
                chunk = self._ends.recv(_PING_BYTES)
                if not chunk:
                    return _PING_TIMEOUT_S
                self._answers = (self._answers + chunk)[-_PING_BYTES:]
        except OSError:
            return _PING_TIMEOUT_S
        return clock.monotonic() - begun_s

    def close(self) -> None:
        """Close both ends."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._ends.close()
        self._thread.join(timeout=_PING_TIMEOUT_S)


@dataclass(slots=True)
class MachineWatch:
    """
    Measures once a second for the length of the block.

    `echo` is None without a proxy, `disk` where nobody writes; `pids` answers the processes of the
    experiment.
    """

    recorder: Recorder
    echo: ProxyEcho | None
    disk: HostDisk | None
    pids: Callable[[], Collection[int]]
    _watchers: Watchers = field(
        default_factory=lambda: Watchers(end_timeout_s=_PINGS * _PING_TIMEOUT_S)
    )

    def __enter__(self) -> Self:
        self._watchers.begin("machine", self._watch)
        if self.disk is not None:  # by itself: who waits for a disk measures nothing else
            self._watchers.begin("disk", partial(self._sync, self.disk))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watchers.end()
        if self.echo is not None:
            self.echo.close()

    def raise_failure(self) -> None:
        """Raise ChaosError from what ended the watch, if it ended."""
        self._watchers.raise_failure("see /proc/stat, the disk and the proxy between the nodes")

    def _sync(self, disk: HostDisk) -> None:
        while not self._watchers.told_to_stop(within_s=_INTERVAL_S / _PINGS):
            disk.sync()

    def _watch(self) -> None:
        before, lags = self._read(), []
        while not self._watchers.told_to_stop(within_s=_INTERVAL_S / _PINGS):
            if self.echo is not None:
                lags.append(self.echo.lag_s())
            if clock.monotonic() - before.at_s < _INTERVAL_S:
                continue
            now = self._read()
            self._record(before, now, lags)
            before, lags = now, []

    def _read(self) -> Reading:
        return Reading(clock.monotonic(), cpu_times(), waited_us(), accounts(self.pids()))

    def _record(self, before: Reading, now: Reading, lags: list[float]) -> None:
        ticks = max(1, now.cpu.total - before.cpu.total)
        steal = (now.cpu.stolen - before.cpu.stolen) / ticks
        idle = (now.cpu.idle - before.cpu.idle) / ticks
        pressure = None
        if before.waited_us is not None and now.waited_us is not None:
            pressure = (now.waited_us - before.waited_us) / 1e6 / (now.at_s - before.at_s)
        waiting = share(before.tasks, now.tasks)
        lag_s = max(lags, default=None)
        sync_s = None if self.disk is None else self.disk.worst_s()
        over = (
            steal > STEAL_LIMIT
            or ((pressure or 0.0) > PRESSURE_LIMIT and (waiting is None or waiting > WAITING_LIMIT))
            or (lag_s or 0.0) > LAG_LIMIT_S
            or (sync_s or 0.0) > SYNC_LIMIT_S
        )
        self.recorder.record(
            "chaoskit",
            "machine",
            {
                "steal": round(steal, 3),
                "idle": round(idle, 3),
                "pressure": None if pressure is None else round(pressure, 3),
                "waiting": None if waiting is None else round(waiting, 3),
                "proxy_lag_s": None if lag_s is None else round(lag_s, 4),
                "sync_s": None if sync_s is None else round(sync_s, 4),
                "over": over,
            },
        )
