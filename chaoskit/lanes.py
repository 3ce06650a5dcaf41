"""
Programs side by side: so many at a time, each with a time-out of its own.

Owns: starting the next when one has ended, handing each out as soon as it ends, and that none
outlives the one who waits for them (an error, Ctrl-C). Refuses: understanding what they say,
and pipes: a program writes into a file, so that nobody has to read for it to go on.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from chaoskit import clock

_GRACE_S = 15.0


@dataclass(frozen=True, slots=True)
class Program:
    """
    What to run: its argv, in which folder, and where what it writes goes, errors included.

    It is killed after `timeout_s` seconds.
    """

    name: str
    argv: tuple[str, ...]
    folder: Path
    output: Path
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """
    A program that ended: its exit code, negative for a signal, and how long it took in seconds.

    `number` is its place in the order in which programs were started, from 0.
    """

    number: int
    program: Program
    code: int
    took_s: float
    timed_out: bool

    @property
    def said(self) -> str:
        """What it wrote."""
        return self.program.output.read_text(errors="replace")


@dataclass(slots=True)
class _Running:
    number: int
    program: Program
    process: subprocess.Popen[bytes]
    descriptor: int
    began_s: float

    @property
    def deadline_s(self) -> float:
        return self.began_s + self.program.timeout_s


@contextmanager
def side_by_side(programs: Iterator[Program], *, at_once: int) -> Iterator[Iterator[Ended]]:
    """
    Run programs, `at_once` at a time; answers each when it has ended, the first to end first.

    The next one is asked of `programs` when there is room for it. However the block is left, no
    program is left running: each is sent SIGINT, has 15 s to clear up, and is killed then.
    """
    if at_once < 1:
        raise ValueError(f"{at_once} programs at a time: none would ever run")
    running: list[_Running] = []
    told = False
    try:
        yield _run(programs, at_once, running)
    except KeyboardInterrupt:
        told = (
            True  # on a terminal they are told together with us, and twice would be once too many
        )
        raise
    finally:
        _stop(running, told=told)


def _run(programs: Iterator[Program], at_once: int, running: list[_Running]) -> Iterator[Ended]:
    number = 0
    while True:
        while len(running) < at_once and (program := next(programs, None)) is not None:
            running.append(_start(number, program))
            number += 1
        if not running:
            return
        yield from _ended(running)


def _start(number: int, program: Program) -> _Running:
    with program.output.open("wb") as output:
        process = subprocess.Popen(
            program.argv,
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return _Running(number, program, process, os.pidfd_open(process.pid), clock.monotonic())


def _ended(running: list[_Running]) -> Iterator[Ended]:
    """Wait for the next end, be it by a time-out; answers those that ended, no longer running."""
    first_s = min(one.deadline_s for one in running)
    _await_any(running, timeout_s=first_s - clock.monotonic())
    for one in list(running):
        code = one.process.poll()
        timed_out = code is None and clock.monotonic() >= one.deadline_s
        if code is None and not timed_out:
            continue
        took_s = clock.monotonic() - one.began_s
        running.remove(one)
        _close(one)
        yield Ended(one.number, one.program, one.process.returncode, took_s, timed_out)


def _await_any(running: Sequence[_Running], *, timeout_s: float) -> None:
    ends = select.poll()
    for one in running:
        ends.register(one.descriptor, select.POLLIN)
    ends.poll(max(0.0, timeout_s) * 1000)


def _close(one: _Running) -> None:
    """Kill it, if it has not ended, and let go of it. What it started has reapers of its own."""
    one.process.kill()
    one.process.wait()
    os.close(one.descriptor)


def _stop(running: list[_Running], *, told: bool) -> None:
    """End what runs: it may clear up first, unless somebody is too impatient for that too."""
    until_s = clock.monotonic() + _GRACE_S
    with suppress(KeyboardInterrupt):
        for one in running:
            if not told:
                one.process.send_signal(signal.SIGINT)
        for one in running:
            with suppress(subprocess.TimeoutExpired):
                one.process.wait(timeout=max(0.0, until_s - clock.monotonic()))
    for one in running:
        _close(one)
