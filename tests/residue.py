"""
Killing a program at every boundary of its journal, and looking for what is left: the harness.

`Ground` is one place to do that in; `kill_everywhere` runs any program that takes STATE SCRATCH RUN
AT HOW at the end of its arguments and calls `boundaries.install(AT, HOW)`. What is left is looked
for here with other means than the product's (names on the engine, /proc, iptables-save, the mount
table), so that a thing which the product overlooks is still found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import docker
import docker.errors

from chaoskit.clock import wait_until
from chaoskit.engine import Engine
from chaoskit.sweep import sweep
from tests.boundaries import ALL_IS_UP, NEVER

REPOSITORY = Path(__file__).resolve().parent.parent
_CHILD_TIMEOUT_S = 600  # of one that takes what others leave of the cores, as its reaper does
_REAPER_TIMEOUT_S = 600
_SIDE_BY_SIDE = 6  # much of the time is waiting


@dataclass
class Point:
    """
    One kill: where, what was left right then, after the reaper, after the sweep.

    `outstanding` is how much the program had announced by then and not reported as removed.
    """

    run: str
    where: str
    at_kill: tuple[str, ...] = ()
    reaper_s: float = 0.0
    after_reaper: tuple[str, ...] = ()
    sweep_s: float = 0.0
    after_sweep: tuple[str, ...] = ()
    outstanding: int = 0

    def row(self) -> str:
        """One line of the table."""
        return (
            f"{self.where[:64]:64}  {_kinds(self.at_kill):>34}  {self.reaper_s:6.2f}  "
            f"{_kinds(self.after_reaper):>34}  {self.sweep_s:6.2f}  {_kinds(self.after_sweep)}"
        )


def _first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline()


HEADING = (
    f"{'killed':64}  {'residue at the kill':>34}  {'reaper':>6}  {'residue after the reaper':>34}"
    f"  {'sweep':>6}  residue after the sweep"
)


def _kinds(things: Sequence[str]) -> str:
    short = {"container": "con", "network": "net", "volume": "vol", "process": "proc"}
    kinds = [thing.split(" ", 1)[0] for thing in things]
    counted = [(kind, kinds.count(kind)) for kind in dict.fromkeys(kinds)]
    return " ".join(f"{number} {short.get(kind, kind)}" for kind, number in counted) or "-"


@dataclass
class Ground:
    """A state folder and a scratch folder for runs whose names begin with `prefix`."""

    folder: Path
    prefix: str
    with_engine: bool
    lasted_s: float = 0.0  # the last whole run, from its first boundary to its end
    _client: docker.APIClient | None = field(default=None)

    def __post_init__(self) -> None:
        # Where $XDG_STATE_HOME would have it, for programs that take it from there.
        self.state, self.scratch = self.folder / "chaoskit/journal", self.folder / "scratch"
        self.state.mkdir(parents=True)
        self.scratch.mkdir()

    def start(
        self, argv: Sequence[str], run: str, at: int, how: str, *, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """Start the program in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, *argv, str(self.state), str(self.scratch), run, str(at), how],
            cwd=REPOSITORY,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def boundaries(self, argv: Sequence[str]) -> list[str]:
        """Let the program live; the boundaries it passed, in order. It must leave nothing."""
        run = f"{self.prefix}-whole"
        child = self.start(argv, run, NEVER, "process")
        lines = [_first_line(child)]
        began_s = time.monotonic()
        assert child.stdout is not None
        lines += list(child.stdout)
        self.lasted_s = time.monotonic() - began_s
        _, errors = child.communicate(timeout=_CHILD_TIMEOUT_S)
        assert child.returncode == 0, errors
        assert self.residue(run) == ()
        passed = [line.split(" ", 2)[1:] for line in lines if line.startswith("boundary ")]
        assert [int(number) for number, _ in passed] == list(range(len(passed)))
        return [name.strip() for _, name in passed]

    def kill_everywhere(self, argv: Sequence[str], numbers: Sequence[int], how: str) -> list[Point]:
        """Run the program once for each boundary, some side by side, then sweep once."""

        def one(number: int) -> Point:
            run = f"{self.prefix}-{how.replace(' ', '-')}-{number:03}"  # none begins as another
            child = self.start(argv, run, number, how)
            # Its children may hold the pipes: wait for itself, then read what it had said.
            code = child.wait(timeout=_CHILD_TIMEOUT_S)
            try:
                point = Point(run, "", at_kill=self.residue(run))
            finally:
                self._let_reapers_go_on(run)
            said = child.stdout.readline if child.stdout else str
            lines = [line for line in iter(said, "") if line.startswith("boundary ")]
            errors = child.stderr.read() if child.stderr else ""
            child.communicate()
            assert code == -9, f"{run} was to be killed at {number}: {code}\n{errors}"
            point.where = lines[-1].strip().removeprefix("boundary ").replace(run, "RUN")
            self.await_reaper(point)
            return point

        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            points = list(pool.map(one, numbers))
        self.sweep(points)
        return points

    def kill_at_moment(self, argv: Sequence[str], run: str, delay_s: float) -> Point:
        """Run the program and kill it from outside `delay_s` after its first boundary."""
        child = self.start(argv, run, NEVER, "process")
        _first_line(child)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=delay_s)
        child.kill()
        ended = "" if child.wait() == -9 else ", had ended"
        point = Point(run, f"{argv[-1]} after {delay_s:.3f} s{ended}", at_kill=self.residue(run))
        said = list(child.stdout or ())
        child.communicate(timeout=_CHILD_TIMEOUT_S)
        point.outstanding = sum("after will_create" in line for line in said)
        point.outstanding -= sum("after removed" in line for line in said)
        self.await_reaper(point)
        return point

    def interrupt_twice(self, argv: Sequence[str], run: str, second_at: str) -> Point:
        """
        Ctrl-C when all is up, and again at the first boundary that begins with `second_at`.

        The program must be waiting on its standard input when all is up.
        """
        child = self.start(argv, run, NEVER, "process", stdin=subprocess.PIPE)
        assert child.stdout is not None
        awaited = [ALL_IS_UP, second_at]
        for line in child.stdout:
            if awaited and line.startswith("boundary ") and f" {awaited[0]}" in line:
                del awaited[0]
                os.killpg(child.pid, signal.SIGINT)
        assert awaited == []
        _, errors = child.communicate(timeout=_CHILD_TIMEOUT_S)
        assert "KeyboardInterrupt" in errors, errors
        point = Point(run, f"Ctrl-C, again at {second_at}", at_kill=self.residue(run))
        self.await_reaper(point)
        return point

    def await_reaper(self, point: Point) -> None:
        """Wait for the end of the run's reaper, if there is one, and look again."""
        began_s = time.monotonic()
        wait_until(
            lambda: not self._reapers(point.run) or None,
            what=f"the reaper of {point.run}",
            timeout_s=_REAPER_TIMEOUT_S,
        )
        point.reaper_s = time.monotonic() - began_s
        point.after_reaper = self.residue(point.run)

    def sweep(self, points: Sequence[Point]) -> None:
        """Sweep once, and look again at every point."""
        report = sweep(
            self.state, Engine if self.with_engine else None, lock_timeout_s=_REAPER_TIMEOUT_S
        )
        took_s = {one.run: one.took_s for one in report.cleared}
        for point in points:
            point.sweep_s = took_s.get(point.run, 0.0)
            point.after_sweep = self.residue(point.run)

    def residue(self, run: str) -> tuple[str, ...]:
        """Whatever there is of `run`, as "kind name"; the reaper itself is not counted."""
        found = [f"file {path.name}" for path in self.state.iterdir() if run in path.name]
        found += [f"folder {path}" for path in self.scratch.iterdir() if run in path.name]
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        found += [f"mount {line.split()[1]}" for line in mounts if f"-{run}-" in line]
        found += [f"process {pid}" for pid in self._processes(run)]
        if os.geteuid() == 0:
            listed = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False)
            rules = [line for line in listed.stdout.splitlines() if f'"chaoskit:{run}"' in line]
            found += [f"rule {line}" for line in rules]
        return (*found, *(self._on_engine(run) if self.with_engine else ()))

    def _on_engine(self, run: str) -> list[str]:
        client = self._client = self._client or docker.APIClient()
        named = f"chaoskit-{run}-"
        containers = [(one["Names"] or ["/"])[0][1:] for one in client.containers(all=True)]
        networks = [one["Name"] for one in client.networks()]
        volumes = [one["Name"] for one in client.volumes()["Volumes"] or ()]
        return [
            *(f"container {name}" for name in containers if name.startswith(named)),
            *(f"network {name}" for name in networks if name.startswith(named)),
            *(f"volume {name}" for name in volumes if name.startswith(named)),
        ]

    def _processes(self, run: str) -> list[int]:
        """Living processes whose environment or arguments speak of the run, the reaper apart."""
        found = []
        for path in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if path.name.isdigit() and self._speaks_of(path, run):
                    found.append(int(path.name))
        return found

    def _speaks_of(self, path: Path, run: str) -> bool:
        arguments = (path / "cmdline").read_bytes().split(b"\0")
        variables = (path / "environ").read_bytes().split(b"\0")
        mark = f"CHAOSKIT_RUN={run}".encode()
        marked = any(one == mark or one.startswith(mark + b"-") for one in variables)
        named = any(f"chaoskit-{run}-".encode() in one for one in arguments)
        zombie = b"State:\tZ" in (path / "status").read_bytes()
        return (marked or named) and not zombie and b"chaoskit.reaper" not in arguments

    def _let_reapers_go_on(self, run: str) -> None:
        for pid in self._reapers(run):
            with contextlib.suppress(ProcessLookupError):  # its work is done
                os.kill(pid, signal.SIGCONT)

    def _reapers(self, run: str) -> list[int]:
        wanted = str(self.state / f"{run}.jsonl").encode()
        found = []
        for path in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if path.name.isdigit():
                    arguments = (path / "cmdline").read_bytes().split(b"\0")
                    if b"chaoskit.reaper" in arguments and wanted in arguments:
                        found.append(int(path.name))
        return found

    def close(self) -> None:
        """Take away, by our own means, what a failed test left, and let go of the engine."""
        for pid in self._processes(self.prefix):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if f"/chaoskit-{self.prefix}-" in line.split()[1]:
                subprocess.run(["umount", "--lazy", line.split()[1]], check=False)
        if os.geteuid() == 0:
            listed = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False)
            for line in listed.stdout.splitlines():
                if f'"chaoskit:{self.prefix}-' in line:
                    rule = line.replace('"', "").split()[1:]
                    subprocess.run(["iptables", "-w", "5", "-D", *rule], check=False)
        client = self._client
        if client is None:
            return
        remove = {
            "container": lambda name: client.remove_container(name, force=True, v=True),
            "network": client.remove_network,
            "volume": client.remove_volume,
        }
        for kind, name in (one.split(" ", 1) for one in self._on_engine(self.prefix)):
            with contextlib.suppress(docker.errors.NotFound):  # swept by a run beside us
                remove[kind](name)
        client.close()
