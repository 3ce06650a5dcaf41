"""What is seen of a command: of real processes, and of files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from chaoskit import clock, proc
from chaoskit.commandevidence import is_rewritten, seen_running
from chaoskit.node import Node
from chaoskit.sighting import Probe

SCRIPT = "#!/bin/sh\nread line\n"
OWN = ("sleep", f"600.{os.getpid()}")  # nobody else's: in its control group may be other tests'
LONG_S = 30.0  # no machine takes that long for what is meant to be done in time


@pytest.fixture
def node() -> Iterator[Node]:
    """A node whose process is a child of ours."""
    with subprocess.Popen(OWN) as child:
        # Popen returns a moment before it has its arguments
        clock.wait_until(lambda: proc.command_line(child.pid), what="its start", timeout_s=LONG_S)
        yield cast("Node", SimpleNamespace(name="n1", pid=child.pid))
        child.kill()


def ran(argv: Sequence[str], *, seen_by: Probe | None = None) -> None:
    """Run it until it is seen; by nobody, for as long as a real one takes at least."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as child:
        if seen_by is not None:
            clock.wait_until(lambda: seen_by.look().present, what="a look at it", timeout_s=LONG_S)
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(0.1)
        child.communicate(b"on\n", timeout=LONG_S)


def test_a_process_beside_the_node_is_seen_and_remembered(node: Node, tmp_path: Path) -> None:
    argv = ("tool", "generate", "--folder", str(tmp_path))
    with seen_running(node, argv) as probe:
        assert not probe.look().present
        ran([sys.executable, "-c", "input()", *argv[1:]], seen_by=probe)
    seen = probe.look()
    assert seen.present
    assert seen.detail.startswith("process ")
    assert seen.detail.endswith(f"ran tool generate --folder {tmp_path}")


def test_a_script_is_seen_by_its_name(node: Node, tmp_path: Path) -> None:
    script = tmp_path / f"tool-{tmp_path.name}"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    with seen_running(node, (script.name,)) as probe:
        ran([str(script)], seen_by=probe)
    assert probe.look().present


@pytest.mark.parametrize(
    "argv",
    [
        ("sleep", "0.1"),
        (sys.executable, "-c", "input()", "generate"),
        (sys.executable, "-c", "input()", "generate", "--folder", "elsewhere"),
        (sys.executable, "-c", "input()", "--folder", "here", "generate"),
    ],
    ids=["another", "fewer words", "other words", "another order"],
)
def test_another_command_is_not_taken_for_it(node: Node, argv: tuple[str, ...]) -> None:
    with seen_running(node, ("tool", "generate", "--folder", "here")) as probe:
        if argv[0] == "sleep":
            subprocess.run(argv, check=True, timeout=LONG_S)
        else:
            ran(argv)
    seen = probe.look()
    assert not seen.present
    assert seen.detail == "no process ran tool there"


def test_nothing_is_seen_of_a_command_that_was_never_run(node: Node) -> None:
    with seen_running(node, OWN) as probe:
        pass
    assert not probe.look().present, "the node's own process was there before"


def test_a_failure_of_the_command_ends_the_looking(node: Node) -> None:
    with pytest.raises(OSError, match="half-way"), seen_running(node, ("tool",)):
        raise OSError("half-way")


def test_a_failure_of_the_looking_is_not_kept_silent(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()

    def breaks(_: int) -> tuple[int, ...]:
        looked.set()
        raise OSError("no /proc")

    looking = seen_running(node, ("tool",))
    looking.__enter__()
    monkeypatch.setattr(proc, "group_of", breaks)
    assert looked.wait(LONG_S)
    with pytest.raises(OSError, match="no /proc"):
        looking.__exit__(None, None, None)


def test_another_content_is_seen_and_the_same_is_not(node: Node, tmp_path: Path) -> None:
    key, new = tmp_path / "key", tmp_path / "new"
    key.write_bytes(b"one")
    probe, made = is_rewritten(node, key), is_rewritten(node, new)
    key.write_bytes(b"one")
    assert not probe.look().present
    assert not made.look().present
    key.write_bytes(b"two")
    new.write_bytes(b"")
    assert probe.look().present
    assert probe.look().detail == "7692c3ad3540 -> 3fc4ccfe7458"
    assert made.look().present, "there at last, empty as it is"
    assert made.look().detail == "none -> e3b0c44298fc"
    key.unlink()
    assert probe.look().present, "gone is another content"
