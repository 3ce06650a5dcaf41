"""A node: its states, its files, what is recorded, and that every way in leads out again."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit import clock
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.history import Recorder
from chaoskit.node import Configuration, Folders, Node
from chaoskit.nodelog import NodeLog
from chaoskit.system import ConfigFile, Placement, Release
from tests.fakes import OWNER, FakeBackend
from tests.stand_in import still

# Runs until it is told to end; "exit" in its data folder makes it exit by itself with that code.
PROGRAM = """
import pathlib, sys, time
print("up", *sys.argv[2:], flush=True)
order = pathlib.Path(sys.argv[1], "exit")
while not order.exists():
    time.sleep(0.01)
print("last words", flush=True)
sys.exit(int(order.read_text()))
"""


def command(placement: Placement) -> list[str]:
    said = [placement.release, *(f"{k}={v}" for k, v in sorted(placement.settings.items()))]
    return [sys.executable, "-I", "-S", "-c", PROGRAM, placement.data, *said]


def files(placement: Placement) -> list[ConfigFile]:
    text = f"level = {placement.settings.get('level', 'low')}\n"
    return [
        ConfigFile("node.toml", text.encode()),
        ConfigFile("keys/own.pem", b"\x00key\xff", secret=True),
    ]


class Rig:
    """One node with its backend, its history and its folders."""

    def __init__(self, folder: Path) -> None:
        self.backend = FakeBackend(folder, ("a",))
        self.kept: list[bytes] = []
        self.recorder = Recorder(folder / "history.jsonl")
        self.folders = Folders(folder / "a" / "data", folder / "a" / "config")
        for one in (self.folders.data, self.folders.config):
            one.mkdir(parents=True)
        self.log = NodeLog(folder / "log", self.recorder, lambda line: line)
        self.node = Node(
            "a",
            system=still(
                nodes=("a",),
                quorum=1,
                command=command,
                files=files,
                settings={"x": "1"},
                stop_timeout_s=5.0,
            ),
            backend=self.backend,
            recorder=self.recorder,
            log=self.log,
            folders=self.folders,
            configuration=Configuration(Release("1", image="still:1")),
            authority_pem=b"",
            image="still:1",
            storage=None,
            keep_secret=self.kept.append,
        )
        self.node.configure(self.node.configuration)

    def states(self) -> list[tuple[str, bool, int | None]]:
        return [
            (one.value["state"], one.value["signalled"], one.value["exit_code"])
            for one in self.recorder.history().of("state")
        ]

    def said(self) -> str:
        return self.log.path.read_text() if self.log.path.exists() else ""

    def await_said(self, text: str) -> None:
        clock.wait_until(lambda: text in self.said(), what=f"{text!r} in the log", timeout_s=30)

    def config(self) -> dict[str, tuple[bytes, int]]:
        """Every file of the configuration folder: its bytes and its mode."""
        return {
            str(path.relative_to(self.folders.config)): (
                path.read_bytes(),
                path.stat().st_mode & 0o7777,
            )
            for path in self.folders.config.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.node.retire()
    made.backend.close()
    made.node.close()
    made.recorder.close()


RUNNING = ("running", True, None)
STOPPED, KILLED = ("stopped", True, 128 + 15), ("stopped", True, 128 + 9)


# -- transitions -------------------------------------------------------------------------------


def test_start_kill_start_stop(rig: Rig) -> None:
    rig.node.start()
    rig.node.kill()
    rig.node.start()
    rig.node.stop()
    assert rig.states() == [RUNNING, KILLED, RUNNING, STOPPED]
    assert rig.backend.said.count("create a") == 1, "nothing changed in between"


def test_an_exit_that_nobody_asked_for_is_noticed_buried_and_told(rig: Rig) -> None:
    rig.node.start()
    (rig.folders.data / "exit").write_text("7")
    clock.wait_until(lambda: rig.node.state == "exited", what="the exit", timeout_s=30)
    assert rig.states() == [RUNNING, ("exited", False, 7)]
    assert rig.backend.said[-1] == "bury a"
    rig.await_said("last words")
    with pytest.raises(ChaosError, match=r"a is exited; this needs it running or paused .*log"):
        rig.node.stop()
    (rig.folders.data / "exit").unlink()
    rig.node.start()
    assert rig.states()[-1] == RUNNING


def test_an_exit_is_told_with_when_it_happened_however_late_its_code_is_known(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_s: list[float] = []

    def late(node: str) -> int | None:
        asked_s.append(rig.recorder.now_s())
        return FakeBackend.exit_code(rig.backend, node) if len(asked_s) > 3 else None

    monkeypatch.setattr(rig.backend, "exit_code", late)
    rig.node.start()
    (rig.folders.data / "exit").write_text("7")
    clock.wait_until(lambda: len(rig.states()) > 1, what="the exit", timeout_s=30)
    told = rig.recorder.history().of("state")[-1]
    assert told.value["ended_s"] <= asked_s[0] < asked_s[-1] <= told.time_s


def test_an_exit_that_we_caused_is_never_told_as_its_own(rig: Rig) -> None:
    for _ in range(5):
        rig.node.start()
        rig.node.kill()
    rig.node.close()
    assert rig.states() == [RUNNING, KILLED] * 5


def test_when_it_is_retired_its_exit_is_expected(rig: Rig) -> None:
    rig.node.start()
    rig.node.retire()
    (rig.folders.data / "exit").write_text("0")
    rig.node.close()
    assert rig.states() == [RUNNING]


@pytest.mark.parametrize("act", ["stop", "kill", "pause", "unpause"])
def test_a_transition_that_its_state_does_not_allow_changes_nothing(rig: Rig, act: str) -> None:
    with pytest.raises(ChaosError, match="a is created; this needs it"):
        getattr(rig.node, act)()
    assert rig.states() == []
    assert rig.backend.said == []


def test_it_is_started_once(rig: Rig) -> None:
    rig.node.start()
    with pytest.raises(ChaosError, match="a is running; this needs it created or stopped"):
        rig.node.start()


def test_a_paused_one_can_be_stopped_and_killed(rig: Rig) -> None:
    for end in (rig.node.stop, rig.node.kill):
        rig.node.start()
        rig.node.pause()
        clock.wait_until(rig.node.frozen, what="the freeze", timeout_s=30)
        end()
    assert [one[0] for one in rig.states()] == ["running", "paused", "stopped"] * 2


def test_a_restart_stops_what_runs_and_starts_what_does_not(rig: Rig) -> None:
    rig.node.restart()
    pid = rig.node.pid
    rig.node.restart()
    assert rig.node.pid != pid
    assert rig.states() == [RUNNING, STOPPED, RUNNING]


def down(node: Node) -> None:
    with node.down():
        assert node.state == "stopped"
        with pytest.raises(ChaosError, match="a does not run"):
            _ = node.pid
        raise OSError("the body")


def test_it_is_down_before_the_backend_says_with_which_code(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.node.start()
    known, said = threading.Event(), rig.backend.exit_code
    monkeypatch.setattr(
        rig.backend, "exit_code", lambda node: said(node) if known.is_set() else None
    )
    with rig.node.down():
        assert rig.node.state == "stopped"
        assert rig.states() == [RUNNING]
        known.set()
    assert rig.states() == [RUNNING, KILLED, RUNNING], "told before it is started again"


def runs_with(node: Node, *last: str) -> None:
    """The end of its arguments; for a moment after the start the kernel shows none."""
    clock.wait_until(
        lambda: node.command_line()[-len(last) :] == last,
        what=f"a process with {last}",
        timeout_s=30,
        last=lambda: str(node.command_line()),
    )


def paused(node: Node) -> None:
    with node.paused():
        assert node.state == "paused"
        raise OSError("the body")


def reconfigured(node: Node) -> None:
    with node.reconfigured(replace(node.configuration, settings={"level": "high"})):
        runs_with(node, "level=high", "x=1")
        raise OSError("the body")


@pytest.mark.parametrize("block", [down, paused, reconfigured])
def test_it_is_healed_when_the_body_raises(rig: Rig, block: object) -> None:
    rig.node.start()
    rig.await_said("up")
    assert callable(block)
    before = rig.node.command_line()
    with pytest.raises(OSError, match="the body"):
        block(rig.node)
    assert rig.node.state == "running"
    clock.wait_until(  # the kernel shows arguments a little after exec
        lambda: rig.node.command_line() == before, what="its own arguments", timeout_s=30
    )
    clock.wait_until(lambda: not rig.node.frozen(), what="the thaw", timeout_s=30)


# -- files and arguments -----------------------------------------------------------------------


def test_its_files_are_its_own_and_secrets_for_it_alone(rig: Rig) -> None:
    assert rig.config() == {
        "node.toml": (b"level = low\n", 0o444),
        "keys/own.pem": (b"\x00key\xff", 0o400),
    }
    assert rig.kept == [b"\x00key\xff"]  # before it was written: no log of ours may hold it
    if os.geteuid() == 0:
        for name in rig.config():
            found = (rig.folders.config / name).stat()
            assert (found.st_uid, found.st_gid) == OWNER


def test_reconfigured_gives_back_files_byte_for_byte_and_their_modes(rig: Rig) -> None:
    rig.node.start()
    before, digest = rig.config(), rig.node.config_digest()
    own = rig.node.configuration
    edits = {"keys/own.pem": b"another", "more/new.toml": b"n"}
    with rig.node.reconfigured(replace(own, settings={"level": "high"}, edits=edits)):
        assert rig.config() == {
            "node.toml": (b"level = high\n", 0o444),
            "keys/own.pem": (b"another", 0o400),  # secret still
            "more/new.toml": (b"n", 0o444),
        }
        assert rig.node.config_digest() != digest
        runs_with(rig.node, "level=high", "x=1")
    assert rig.config() == before
    assert rig.node.config_digest() == digest
    assert rig.node.configuration == own


def test_a_configuration_under_which_it_exits_is_taken_back_too(rig: Rig) -> None:
    rig.node.start()
    before = rig.config()
    with rig.node.reconfigured(replace(rig.node.configuration, settings={"level": "high"})):
        (rig.folders.data / "exit").write_text("1")
        clock.wait_until(lambda: rig.node.state == "exited", what="the exit", timeout_s=30)
        (rig.folders.data / "exit").unlink()
    assert rig.node.state == "running"
    assert rig.config() == before


def test_an_upgrade_keeps_the_data_and_the_node_says_so(rig: Rig) -> None:
    rig.node.start()
    (rig.folders.data / "log").write_bytes(b"what it keeps")
    rig.node.upgrade(Release("2", image="still:2"), image="still:2")
    rig.await_said("up 2 x=1")
    assert (rig.folders.data / "log").read_bytes() == b"what it keeps"
    assert rig.node.image_id == "sha256:still:2"
    last = rig.recorder.history().of("state")[-1].value
    assert (last["state"], last["release"], last["incarnation"]) == ("running", "2", 1)
    assert rig.backend.said.count("create a") == 2


def test_settings_of_the_system_lie_below_its_own(rig: Rig) -> None:
    rig.node.configure(replace(rig.node.configuration, settings={"x": "2"}))
    assert rig.node.placement().settings == {"x": "2"}
    assert rig.node.command_line() == ()
    rig.node.start()
    runs_with(rig.node, "x=2")


def test_its_log_is_written_while_it_runs_over_all_its_starts(rig: Rig) -> None:
    rig.node.start()
    rig.await_said("up 1")
    assert rig.node.state == "running"
    rig.node.restart()
    clock.wait_until(lambda: rig.said().count("up 1") == 2, what="the second", timeout_s=30)


def test_what_it_does_not_have_is_not_applicable(rig: Rig) -> None:
    assert not rig.node.has_storage
    with pytest.raises(NotApplicable, match="a has no faulty storage"):
        _ = rig.node.storage
    assert rig.node.owner == OWNER[0]


def test_a_command_beside_it_needs_it_running(rig: Rig) -> None:
    with pytest.raises(ChaosError, match="a is created"):
        rig.node.execute(["true"])
    rig.node.start()
    done = rig.node.execute(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.exit_code, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
