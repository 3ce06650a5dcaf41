"""The reaper: outlives whom it watches, whatever the signal, and clears up; costs little."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaoskit import identity, journal
from chaoskit.clock import wait_until
from chaoskit.identity import Identity, Standing
from chaoskit.sweep import remove_run

REPOSITORY = Path(__file__).resolve().parent.parent

CHILD = """
import os, select, signal, subprocess, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from chaoskit import reaper
from chaoskit.journal import Journal
from chaoskit.ownership import Kind

state, scratch, run = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def make(written):
    folder = scratch / written.name("scratch")
    written.will_create(Kind.FOLDER, str(folder))
    folder.mkdir()
    (folder / "file").write_bytes(b"x")
    written.will_create(Kind.PROCESS, "n1")
    child = subprocess.Popen(
        ["sleep", "600"],
        env=os.environ | written.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    written.made("n1", child.pid)
    while not Path(f"/proc/{child.pid}/environ").read_bytes():
        pass  # Popen returns when its descriptors are closed, before it has its environment
    return folder, child

def ready():
    print(os.getpid(), flush=True)

def await_signal():
    # A signal that comes right before a read() begins would be handled when that ends: never.
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        pass
"""

WATCHED = """
written = Journal(run, folder=state)
keeper = reaper.watch(written)
make(written)
ready()
await_signal()
"""


class Run:
    """A child that runs CHILD and `code`, in a process group of its own; made by `start`."""

    def __init__(self, tmp_path: Path, code: str) -> None:
        self.state, self.scratch = tmp_path / "state", tmp_path / "scratch"
        # Marks are searched for on the whole host: another session of these tests is not ours.
        self.name = f"r{os.getpid()}-{zlib.crc32(str(tmp_path).encode()):x}"
        self.scratch.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD + code, self.state, self.scratch, self.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=REPOSITORY,
            process_group=0,
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()

    def record(self) -> journal.Record:
        found = journal.read(self.state / f"{self.name}.jsonl")
        assert found is not None
        return found

    def processes(self) -> tuple[Identity, ...]:
        """Whatever process of the run lives, the reaper apart."""
        return tuple(identity.marked(f"CHAOSKIT_RUN={self.name}"))

    def is_clean(self) -> bool:
        return not any((self.processes(), *self.scratch.iterdir(), *self.state.iterdir()))

    def await_clean(self) -> None:
        wait_until(
            lambda: self.is_clean() or None,
            what="the reaper to clear up",
            timeout_s=30,
            last=lambda: f"{self.processes()} {list(self.scratch.iterdir())}",
        )

    def end(self) -> bytes:
        """Wait for its end; answers what it wrote to stderr."""
        return self.process.communicate(timeout=90)[1]

    def clear(self) -> None:
        """Leave nothing, however the test ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        record = journal.read(self.state / f"{self.name}.jsonl")
        if record is not None and record.keeper is not None:
            identity.kill(record.keeper, timeout_s=5.0)
        for one in self.processes():
            identity.kill(one, timeout_s=5.0)
        self.process.communicate(timeout=90)


Start = Callable[[str], Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    runs: list[Run] = []

    def start_one(code: str) -> Run:
        runs.append(Run(tmp_path, code))
        return runs[-1]

    yield start_one
    for run in runs:
        run.clear()


def await_dead(process: Identity) -> None:
    wait_until(
        lambda: process.standing() is Standing.DEAD or None,
        what=f"the end of {process}",
        timeout_s=30,
    )


def files_of(pid: int) -> list[str]:
    """What its descriptors are open on; one that is closed meanwhile is left out."""
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(path.readlink()))
    return found


def await_watching(pid: int) -> None:
    """Until it watches another process by a descriptor."""
    wait_until(
        lambda: any("pidfd" in one for one in files_of(pid)) or None,
        what=f"process {pid} to watch another",
        timeout_s=30,
        last=lambda: str(files_of(pid)),
    )


def keeper_of(run: Run) -> Identity:
    keeper = run.record().keeper
    assert keeper is not None
    return keeper


def test_starting_it_imports_nothing_into_its_parent(tmp_path: Path) -> None:
    # What it needs takes some 100 ms to import: it is the child that pays.
    program = f"""
import sys
from pathlib import Path
from chaoskit import reaper
from chaoskit.journal import Journal
before = set(sys.modules)
written = Journal("r1x", folder=Path({str(tmp_path)!r}))
started = reaper.watch(written)
written.finish()
assert started.release(timeout_s=60.0)
assert not any(name.partition(".")[0] in ("docker", "requests") for name in sys.modules)
print(sorted(name for name in set(sys.modules) - before if name.startswith("chaoskit")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=90
    )
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("whom", ["process", "group"])
def test_whatever_ends_its_parent_it_clears_up(
    start: Start, number: signal.Signals, whom: str
) -> None:
    run = start(WATCHED)
    keeper = keeper_of(run)
    assert len(run.processes()) == 1
    (os.kill if whom == "process" else os.killpg)(run.process.pid, number)
    run.end()
    run.await_clean()
    await_dead(keeper)


def test_signals_to_the_reaper_itself_do_not_reach_it(start: Start) -> None:
    run = start(WATCHED)
    keeper = keeper_of(run)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(keeper.pid, number)  # it may still be at its imports
    await_watching(keeper.pid)
    assert os.getsid(keeper.pid) == keeper.pid
    run.process.kill()
    run.end()
    run.await_clean()


def test_a_parent_that_dies_before_it_is_up_is_no_problem(start: Start) -> None:
    run = start(WATCHED.replace("ready()", "os.kill(os.getpid(), 9)"))
    run.end()
    run.await_clean()


def test_a_forked_child_that_holds_the_pipe_does_not_deceive_it(start: Start) -> None:
    forking = WATCHED.replace(
        "ready()",
        """
pid = os.fork()
if not pid:
    import time
    time.sleep(600)
print(pid, flush=True)
""",
    )
    run = start(forking)
    holder = identity.of(int(run.first_line))
    assert holder is not None
    await_watching(keeper_of(run).pid)  # else it would see by itself that its parent is gone
    try:
        run.process.kill()
        run.process.wait()
        run.await_clean()
        assert holder.standing() is Standing.ALIVE
    finally:
        identity.kill(holder, timeout_s=5.0)
        run.end()


def test_it_holds_no_file_of_its_parent(start: Start) -> None:
    # As a lock that a shell opened, which its children inherit.
    opened = "os.set_inheritable(os.open('/dev/zero', os.O_RDONLY), True)\n"
    run = start(opened + WATCHED)
    keeper = keeper_of(run)
    await_watching(keeper.pid)
    files = files_of(keeper.pid)
    assert len(files) == 4
    assert files.count("/dev/null") == 2
    assert Path(f"/proc/{keeper.pid}/cwd").readlink() == Path("/")
    run.process.kill()
    run.end()
    run.await_clean()


def test_a_finished_journal_leaves_it_nothing_to_do(start: Start) -> None:
    code = """
with reaper.watched(run, folder=state, timeout_s=60.0) as written:
    folder, child = make(written)
    ready()
    child.kill()
    child.wait()
    (folder / "file").unlink()
    folder.rmdir()
    written.removed(Kind.PROCESS, "n1")
    written.removed(Kind.FOLDER, str(folder))
assert not list(state.iterdir())
"""
    run = start(code)
    assert run.end() == b""
    assert run.process.returncode == 0
    assert run.is_clean()


def test_what_the_block_leaves_outstanding_is_cleared_before_it_returns(start: Start) -> None:
    code = """
with reaper.watched(run, folder=state, timeout_s=60.0) as written:
    make(written)
    ready()
assert not list(state.iterdir()), list(state.iterdir())
assert not list(scratch.iterdir())
"""
    run = start(code)
    assert run.end() == b""
    assert run.process.returncode == 0
    assert run.is_clean()


KEEPING = """
with reaper.watched(run, folder=state, timeout_s=60.0) as written:
    make(written)
    until = datetime.now(UTC) + timedelta(seconds={seconds})
    written.keep_until(until)
    print(until.isoformat(), flush=True)
"""


def test_a_kept_run_stays_until_its_time_is_over(start: Start) -> None:
    run = start(KEEPING.format(seconds=1.5))
    until = datetime.fromisoformat(run.first_line.decode().strip())
    assert run.end() == b""
    # Not a moment that a slow machine could miss: what was read before it is over must be whole.
    while True:
        seen = (len(run.processes()), len(list(run.scratch.iterdir())))
        if datetime.now(UTC) >= until:
            break
        assert seen == (1, 1)
    run.await_clean()
    assert datetime.now(UTC) >= until


def test_a_kept_run_can_be_removed_before_its_time(start: Start) -> None:
    run = start(KEEPING.format(seconds=600))
    assert run.end() == b""
    keeper = keeper_of(run)
    assert keeper.standing() is Standing.ALIVE
    cleared = remove_run(run.name, run.state, None)
    assert len(cleared.removed) == 2
    assert not cleared.left
    await_dead(keeper)
    assert not any(run.scratch.iterdir())


def test_a_kept_run_whose_parent_is_killed_is_kept(start: Start) -> None:
    code = KEEPING.format(seconds=600) + "    os.kill(os.getpid(), 9)\n"
    run = start(code)
    run.end()
    keeper = keeper_of(run)
    wait_until(
        lambda: "poll" not in Path(f"/proc/{keeper.pid}/wchan").read_text() or None,
        what="the reaper to become the keeper",
        timeout_s=30,
    )
    assert len(run.processes()) == 1
    assert keeper.standing() is Standing.ALIVE
    assert len(remove_run(run.name, run.state, None).removed) == 2
    await_dead(keeper)


TEARING_DOWN = """
with reaper.watched(run, folder=state, timeout_s=60.0) as written:
    folder, child = make(written)
    try:
        ready()
        await_signal()
    finally:
        child.kill()
        child.wait()
        written.removed(Kind.PROCESS, "n1")
        ready()
        await_signal()
        (folder / "file").unlink()
        folder.rmdir()
        written.removed(Kind.FOLDER, str(folder))
"""


@pytest.mark.parametrize("second", ["at once", "half-way through teardown"])
def test_ctrl_c_twice_is_safe(start: Start, second: str) -> None:
    run = start(TEARING_DOWN)
    os.killpg(run.process.pid, signal.SIGINT)
    if second == "half-way through teardown":
        assert run.process.stdout is not None
        assert run.process.stdout.readline()
    os.killpg(run.process.pid, signal.SIGINT)
    assert b"KeyboardInterrupt" in run.end()
    run.await_clean()


def test_ctrl_c_while_it_waits_for_the_reaper_ends_the_wait_alone(start: Start) -> None:
    code = """
with reaper.watched(run, folder=state, timeout_s=60.0) as written:
    make(written)
    ready()
    sys.stdin.readline()
"""
    run = start(code)
    keeper = keeper_of(run)
    os.kill(keeper.pid, signal.SIGSTOP)
    assert run.process.stdin is not None
    run.process.stdin.write(b"leave\n")
    run.process.stdin.flush()
    await_watching(run.process.pid)
    os.kill(run.process.pid, signal.SIGINT)
    assert b"KeyboardInterrupt" in run.end()
    assert not run.is_clean()
    os.kill(keeper.pid, signal.SIGCONT)
    run.await_clean()
    await_dead(keeper)
