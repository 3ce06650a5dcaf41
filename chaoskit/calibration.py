"""
How quick this machine is right now: a short calibration at the start of a run.

Owns: three figures that every deadline rests on: starting a process, syncing a small file, a round
trip over loopback; and stretching a System's deadlines by what they say, up to a limit. They stand
in the report, so that times of two runs can be compared. Refuses: excusing anything. A stall during
the run is measured by `machine`, when it happens, and a promise's own bound (`progress_bound_s`)
means the same on every machine: how long to wait for a node is a deadline, what it owes is not.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from chaoskit import clock
from chaoskit.system import System

_SAMPLES = 5
_SIZE_BYTES = 4096
_TIMEOUT_S = 10.0
_AT_MOST = 4.0  # a machine slower than that is no place for a claim about time


@dataclass(frozen=True, slots=True)
class Calibration:
    """Medians of a few samples, in seconds."""

    spawn_s: float
    sync_s: float
    round_trip_s: float

    @property
    def slowness(self) -> float:
        """How much slower than the reference in its slowest figure, 1.0 to 4.0."""
        return min(
            _AT_MOST,
            max(
                1.0,
                self.spawn_s / _REFERENCE.spawn_s,
                self.sync_s / _REFERENCE.sync_s,
                self.round_trip_s / _REFERENCE.round_trip_s,
            ),
        )

    def stretched(self, system: System) -> System:
        """The system with the deadlines of its nodes' starts and stops as this machine needs."""
        return replace(
            system,
            start_timeout_s=system.start_timeout_s * self.slowness,
            stop_timeout_s=system.stop_timeout_s * self.slowness,
        )

    def document(self) -> dict[str, float]:
        """JSON values; `slowness` is the factor that deadlines were stretched by."""
        figures = {name: round(value, 6) for name, value in asdict(self).items()}
        return figures | {"slowness": round(self.slowness, 3)}


# Two shared cores under load, where every System's own deadlines held with room to spare.
_REFERENCE = Calibration(spawn_s=0.1, sync_s=0.01, round_trip_s=0.0002)


def _median_s(sample: Callable[[], object]) -> float:
    took = []
    for _ in range(_SAMPLES):
        begun_s = clock.monotonic()
        sample()
        took.append(clock.monotonic() - begun_s)
    return statistics.median(took)


def _spawn() -> None:
    argv = [sys.executable, "-I", "-S", "-c", ""]
    subprocess.run(argv, check=True, timeout=_TIMEOUT_S)


def calibrate(folder: Path) -> Calibration:
    """Measure, with a file of our own in `folder`; takes some 0.1 s."""
    with tempfile.TemporaryFile(dir=folder) as file:

        def sync() -> None:
            os.pwrite(file.fileno(), bytes(_SIZE_BYTES), 0)
            os.fsync(file.fileno())

        sync_s = _median_s(sync)
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname(), _TIMEOUT_S)
        far, _ = server.accept()
        with near, far:

            def round_trip() -> None:
                near.sendall(b"x")
                far.sendall(far.recv(1))
                near.recv(1)

            round_trip_s = _median_s(round_trip)
    return Calibration(_median_s(_spawn), sync_s, round_trip_s)
