"""Another network: entered or made by a thread, never by the process."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit.clock import wait_until
from chaoskit.errors import ChaosError
from chaoskit.namespace import Namespace

_THREAD = Path("/proc/thread-self/ns/net")


@pytest.fixture
def other() -> Iterator[int]:
    """A process in a network of its own, in which loopback is up."""
    script = "ip link set lo up && echo up && exec sleep 600"
    argv = ["unshare", "--net", "--", "sh", "-c", script]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "up\n"
            yield child.pid
        finally:
            child.kill()


@pytest.mark.engine
def test_calls_and_sockets_and_children_belong_to_that_network(other: int) -> None:
    inside = Namespace(other)
    theirs, ours = (Path(f"/proc/{pid}/ns/net").stat().st_ino for pid in (other, "self"))
    assert inside.run(lambda: _THREAD.stat().st_ino, timeout_s=5) == theirs != ours
    assert _THREAD.stat().st_ino == ours
    listening = inside.run(lambda: socket.create_server(("127.0.0.1", 0)), timeout_s=5)
    place = listening.getsockname()
    with listening:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place, 1.0)
        dial = lambda: socket.create_connection(place, 1.0).close()  # noqa: E731
        inside.run(dial, timeout_s=5)
    child = ["readlink", "/proc/self/ns/net"]
    said = inside.run(lambda: subprocess.run(child, capture_output=True, check=True), timeout_s=5)
    assert str(theirs).encode() in said.stdout
    inside.close()


@pytest.mark.engine
def test_its_counters_are_those_of_that_network(other: int) -> None:
    inside = Namespace(other)
    before = inside.counters()["AttemptFails"]

    def fail() -> None:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", 9), 1.0)

    inside.run(fail, timeout_s=5)
    inside.run(fail, timeout_s=5)
    assert inside.counters()["AttemptFails"] == before + 2
    os.kill(other, 9)
    wait_until(lambda: not inside.counters(), what="its end", timeout_s=30)
    inside.close()


@pytest.mark.engine
def test_what_a_call_raises_is_raised_and_one_without_end_is_not_waited_for(other: int) -> None:
    inside = Namespace(other)

    def broken() -> None:
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        inside.run(broken, timeout_s=5)
    free = threading.Event()
    with pytest.raises(ChaosError, match=rf"in the network of process {other} took over 0.1 s"):
        inside.run(lambda: free.wait(5), timeout_s=0.1)
    free.set()
    inside.close()


@pytest.mark.engine
def test_one_that_was_made_is_empty_and_lasts_as_long_as_what_was_started_in_it() -> None:
    made = Namespace.made()
    number = made.run(lambda: _THREAD.stat().st_ino, timeout_s=5)
    assert number != _THREAD.stat().st_ino
    listed = ["ip", "-o", "link", "show"]
    said = made.run(lambda: subprocess.run(listed, capture_output=True, check=True), timeout_s=5)
    assert [line.split(b":")[1] for line in said.stdout.splitlines()] == [b" lo"]
    assert made.counters()["AttemptFails"] == 0
    with made.run(lambda: subprocess.Popen(["sleep", "600"]), timeout_s=5) as child:
        made.close()
        inside = Namespace(child.pid)
        assert inside.run(lambda: _THREAD.stat().st_ino, timeout_s=5) == number
        inside.close()
        child.kill()


def test_a_process_that_is_gone_has_no_network() -> None:
    with subprocess.Popen(["true"]) as child:
        pass
    for pid in (child.pid, 0):  # an engine says 0 of a container that has exited
        with pytest.raises(ChaosError, match=f"no network namespace of process {pid}"):
            Namespace(pid)
