"""
How quick this machine is right now: a short calibration at the start of a run.

Owns: three figures that every deadline rests on: starting a process, syncing a small file, a round
trip over loopback. They stand in the report, so that times of two runs can be compared. Refuses:
excusing anything: a stall during the run is measured by `machine`, when it happens.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from chaoskit import clock

_SAMPLES = 5
_SIZE_BYTES = 4096
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Medians of a few samples, in seconds."""

    spawn_s: float
    sync_s: float
    round_trip_s: float

    def document(self) -> dict[str, float]:
        """JSON values."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


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
