"""A cluster that is left up: it serves when its harness is gone, and goes when it is told to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chaoskit import clock, identity, playground, proc
from chaoskit.engine import Engine
from chaoskit.errors import UsageError
from chaoskit.http import HttpClient
from chaoskit.ownership import Kind, mark
from chaoskit.playground import Playground, Stopped, start, stop
from chaoskit.removal import Thing
from chaoskit.session import SCRATCH_ROOT, Choices
from chaoskit.setting import Setting
from chaoskit.sweep import Cleared
from suites.toys.system import toys
from tests.fakes import REPOSITORY

PLACES = {"n1": {"peer": "http://10.0.0.1:7001", "client": "http://10.0.0.1:7002"}}


def test_people_and_programs_are_told_the_same() -> None:
    left_up = Playground("the-run", "toys", "1", 5400.0, PLACES)
    assert left_up.document() == {
        "schema": 1,
        "run": "the-run",
        "system": "toys",
        "release": "1",
        "keep_s": 5400.0,
        "endpoints": PLACES,
    }
    first, *urls, last = left_up.lines()
    assert first == "toys 1 is up for 1.5 h"
    assert [line.split() for line in urls] == [
        ["n1", "peer", "http://10.0.0.1:7001"],
        ["n1", "client", "http://10.0.0.1:7002"],
    ]
    assert last.split(maxsplit=1) == ["down", "chaoskit down the-run"]


@pytest.mark.parametrize("keep_s", [0.0, -1.0])
def test_one_that_is_kept_for_no_time_is_not_started(tmp_path: Path, keep_s: float) -> None:
    choices = Choices(seed="7f3a", project=REPOSITORY, runs=tmp_path / "runs", command="x")
    with pytest.raises(UsageError, match="kept for some time"):
        start(toys(), choices, Setting("1"), keep_s=keep_s)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_is_up_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert stop(None) == Stopped(("nothing was left up",), 0)


def test_what_is_left_is_counted_and_said_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    gone, box = Thing(Kind.NETWORK, "z"), Thing(Kind.CONTAINER, "x")
    left = {"one": {box: "busy", Thing(Kind.MOUNT, "y"): "in use"}, "two": {}}
    made = {name: Cleared(name, (gone,), what, 0.25) for name, what in left.items()}
    monkeypatch.setattr(playground, "remove_run", lambda name, *_: made[name])
    assert stop("two") == Stopped(("removed  two: 1 things in 0.2 s",), 0)
    assert stop("one") == Stopped(
        (
            "removed  one: 1 things in 0.2 s",
            "left     container x: busy",
            "left     mount y: in use",
            "2 left: mend what holds them, then `chaoskit down` or `sweep` again",
        ),
        2,
    )


def chaoskit(*argv: str) -> subprocess.CompletedProcess[str]:
    """The command as a person types it."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "chaoskit.cli", *argv],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def things(run: str) -> list[str]:
    """What engine, disk and kernel have of a run, the proxies among them, each with its kind."""
    engine = Engine()
    found = [f"{one.kind} {one.name}" for one in engine.list_labelled(f"chaoskit.run={run}")]
    engine.close()
    found += [f"folder {path.name}" for path in SCRATCH_ROOT.glob(f"*{run}*")]
    found += [
        f"process {words[0]}"
        for words in (proc.command_line(one.pid) for one in identity.marked(mark(run)))
        if words[:1] == ("toxiproxy-server",)
    ]
    mounted = Path("/proc/self/mountinfo").read_text().splitlines()
    return found + [f"mount {line}" for line in mounted if run in line]


@pytest.mark.engine
@pytest.mark.timeout(120)
def test_up_serves_without_its_harness_until_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    done = chaoskit(
        "up", "toys", "--release", "1", "--json", "--storage", "--runs", str(tmp_path / "runs")
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    run = said["run"]
    try:
        assert (said["system"], said["release"], said["keep_s"]) == ("toys", "1", 3600.0)
        assert set(said["endpoints"]) == {"n1", "n2", "n3"}
        client = HttpClient(2.0)
        url = said["endpoints"]["n2"]["client"]
        clock.wait_until(
            lambda: client.post(f"{url}/put", {"key": "k", "value": "v"})[0] == 200,
            what="a write",
            timeout_s=30,
        )
        other = said["endpoints"]["n3"]["client"]
        assert client.post(f"{other}/get", {"key": "k"}) == (200, {"value": "v"})
        client.close()
        assert len(things(run)) == 3 + 2 + 1 + 1 + 3, "nodes, proxies, network, folder, mounts"
        chaoskit("sweep")  # what it says of others' runs is nothing to this test
        assert len(things(run)) == 10, "a sweep leaves what is kept"
    finally:
        gone = chaoskit("down", run)
    assert gone.returncode == 0, gone.stderr
    assert f"removed  {run}" in gone.stdout
    assert things(run) == [], gone.stdout + gone.stderr
    again = chaoskit("down", run)
    assert again.returncode == 2
    assert f"no run {run}" in again.stderr
