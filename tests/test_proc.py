"""What /proc says of a child of ours, at every stage of its life."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit import clock, proc

NOBODY = 2**22 + 1  # above the highest pid that Linux gives (PID_MAX_LIMIT)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sh", "-c", "sleep 600; :", "a b", ""]) as started:
        sleeping = ("sleep", "600")  # and not the shell's copy of itself, just before
        clock.wait_until(
            lambda: [*map(proc.command_line, proc.children(started.pid))] == [sleeping],
            what="the shell's sleep",
            timeout_s=30,
        )
        yield started
        for one in proc.children(started.pid):
            os.kill(one, signal.SIGKILL)
        started.kill()


def test_a_zombie_is_not_alive(child: subprocess.Popen[bytes]) -> None:
    assert proc.alive(child.pid)
    (grandchild,) = proc.children(child.pid)
    os.kill(grandchild, signal.SIGKILL)
    clock.wait_until(lambda: not proc.alive(child.pid), what="the shell's end", timeout_s=30)
    assert proc.start_time(child.pid) is not None, "it is there still, as a zombie"
    assert proc.command_line(child.pid) == ()
    child.wait(5)
    assert proc.start_time(child.pid) is None


def test_the_arguments_are_told_as_they_were_given(child: subprocess.Popen[bytes]) -> None:
    assert proc.command_line(child.pid)[:4] == ("sh", "-c", "sleep 600; :", "a b")


def test_its_groups_are_told_by_name_and_only_while_it_is_there(
    child: subprocess.Popen[bytes],
) -> None:
    # every group's path begins with a slash, and no path is the name of ours
    assert proc.in_group(child.pid, "/")
    assert not proc.in_group(child.pid, "f" * 64)
    assert not proc.in_group(NOBODY, "/")


def test_a_child_is_a_child(child: subprocess.Popen[bytes]) -> None:
    (grandchild,) = proc.children(child.pid)
    assert child.pid in proc.children(os.getpid())
    assert grandchild not in proc.children(os.getpid())
    assert proc.command_line(grandchild) == ("sleep", "600")


def test_a_later_process_began_later(child: subprocess.Popen[bytes]) -> None:
    began, own = proc.start_time(child.pid), proc.start_time(os.getpid())
    assert began is not None
    assert own is not None
    assert own <= began
    assert proc.start_time(child.pid) == began
    boot_s = began / os.sysconf("SC_CLK_TCK")
    assert boot_s == pytest.approx(clock.monotonic(), abs=30), "clock ticks after boot"


def test_a_stopped_process_is_alive_and_not_frozen(child: subprocess.Popen[bytes]) -> None:
    assert not proc.stopped(child.pid)
    child.send_signal(signal.SIGSTOP)
    clock.wait_until(lambda: proc.stopped(child.pid), what="the stop", timeout_s=30)
    assert proc.alive(child.pid)
    assert not proc.frozen(child.pid)
    child.send_signal(signal.SIGCONT)
    clock.wait_until(lambda: not proc.stopped(child.pid), what="the end of it", timeout_s=30)


def test_of_nobody_nothing_is_said() -> None:
    assert not proc.alive(NOBODY)
    assert not proc.stopped(NOBODY)
    assert not proc.frozen(NOBODY)
    assert proc.start_time(NOBODY) is None
    assert proc.command_line(NOBODY) == ()
    assert proc.children(NOBODY) == ()


def test_a_name_with_parentheses_does_not_shift_the_fields() -> None:
    program = (
        "import ctypes, time\n"
        "ctypes.CDLL(None).prctl(15, b'a) Z (b', 0, 0, 0)\n"  # PR_SET_NAME (prctl(2))
        "print('named', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(["python3", "-c", program], stdout=subprocess.PIPE) as named:
        try:
            assert named.stdout is not None
            assert named.stdout.readline() == b"named\n"
            assert proc.alive(named.pid)
            assert (proc.start_time(named.pid) or 0) > 1000
        finally:
            named.kill()


def test_a_group_holds_what_was_started_in_it(child: subprocess.Popen[bytes]) -> None:
    (grandchild,) = proc.children(child.pid)
    assert {os.getpid(), child.pid, grandchild} <= set(proc.group_of(child.pid))
    assert proc.group_of(NOBODY) == ()


def test_a_file_is_found_by_a_process_of_its_own(
    child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"found")
    assert proc.sees(child.pid, f"{tmp_path}/file") == b"found"
    with pytest.raises(OSError, match="No such file"):
        proc.sees(child.pid, f"{tmp_path}/none")
    with pytest.raises(OSError, match="No such file"):
        proc.sees(NOBODY, f"{tmp_path}/file")
