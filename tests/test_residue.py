"""
Nothing is left behind: a run killed at every boundary of its journal, and at random moments.

With the reaper alive nothing may be left once it has ended, without it once the next sweep has.
What chaoskit did not create stays as it was all the while.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import docker
import pytest

from chaoskit.rundir import read_verdicts
from chaoskit.storage import why_unavailable
from chaoskit.verdict import Verdict
from tests.boundaries import ALL_IS_UP, HOWS
from tests.residue import HEADING, Ground, Point
from tests.residue_child import IMAGE

SEED = 0x7F3A
HOST = ("-m", "tests.residue_child", "host")
ENGINE = ("-m", "tests.residue_child", "engine")
CLUSTER = ("-m", "tests.residue_cluster_child")


@pytest.fixture
def ground(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Ground]:
    with_engine = request.node.get_closest_marker("engine") is not None
    made = Ground(tmp_path, f"k{os.getpid()}{Random().randrange(1 << 16):04x}", with_engine)
    yield made
    made.close()


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Iterator[list[str]]:
    """Lines to be shown when the tests are over, whether this one passed or not."""
    lines: list[str] = []
    yield lines
    for line in lines:
        record_property("table residue", line)


def table(points: Sequence[Point], title: str, began_s: float) -> list[str]:
    took_s = time.monotonic() - began_s
    return [f"{title}: {len(points)} kills, {took_s:.1f} s", HEADING, *(p.row() for p in points)]


def check(points: Sequence[Point], *, reaped: bool) -> None:
    assert [point.where for point in points if point.after_sweep] == []
    if reaped:
        # Killed before the reaper was started, only the journal can be left.
        for point in points:
            assert all(one.startswith("file ") for one in point.after_reaper), point.row()


def seen(points: Sequence[Point]) -> set[str]:
    """
    Kinds of things that were there at the kills: a test would prove nothing if nothing had been.

    A living reaper may be quicker than our look, but where all is up: there it stands still. What
    is of a dead one, too, may be swept by whoever starts on this engine meanwhile.
    """
    return {thing.split(" ")[0] for point in points for thing in point.at_kill}


def created(passed: Sequence[str]) -> set[str]:
    """Kinds of things that a run creates, by the boundaries that it passed in peace."""
    begun = [name.split() for name in passed if name.startswith("after will_create ")]
    return {words[2].removeprefix("host_") for words in begun}


# By day a run is killed at each boundary once: at every other with the reaper alive, at those
# between with it dead. With the group killed the reaper does what it does with the process killed:
# some must do for that. The nightly kills at each boundary in each of these ways.
WAYS = [
    ("process", 0, 2),
    ("reaper first", 1, 2),
    ("group", 0, 6),
    *(pytest.param(how, 0, 1, marks=pytest.mark.nightly) for how in HOWS),
]


@pytest.mark.parametrize(("how", "first", "every"), WAYS)
def test_killed_at_every_boundary_on_the_host(
    ground: Ground, say: list[str], how: str, first: int, every: int
) -> None:
    began_s = time.monotonic()
    passed = ground.boundaries(HOST)
    assert len(passed) >= 20
    numbers = {*range(first, len(passed), every), passed.index(ALL_IS_UP)}
    points = ground.kill_everywhere(HOST, sorted(numbers), how)
    say += table(points, f"host, {how} killed", began_s)
    check(points, reaped=how != "reaper first")
    if why_unavailable():
        say.append(f"not tried: mount, host rule: {why_unavailable()}")
    else:
        assert seen(points) == {"file", "folder", "process", "mount", "rule"}
    assert [path.name for path in ground.state.iterdir()] == [".sweep.lock"]
    assert list(ground.scratch.iterdir()) == []


@pytest.mark.engine
@pytest.mark.parametrize(("how", "first", "every"), WAYS)
def test_killed_at_every_boundary_on_the_engine(
    ground: Ground, say: list[str], how: str, first: int, every: int
) -> None:
    began_s = time.monotonic()
    passed = ground.boundaries(ENGINE)
    # What comes before is the same as on the host.
    created_at = next(number for number, name in enumerate(passed) if "will_create" in name)
    numbers = {*range(created_at + first, len(passed), every), passed.index(ALL_IS_UP)}
    points = ground.kill_everywhere(ENGINE, sorted(numbers), how)
    say += table(points, f"engine, {how} killed", began_s)
    check(points, reaped=how != "reaper first")
    kinds, everything = seen(points), {"file", "network", "volume", "container"}
    assert created(passed) | {"file"} == everything
    assert {"file"} < kinds <= everything if how == "reaper first" else kinds == everything


@pytest.mark.engine
@pytest.mark.parametrize(
    ("how", "every"),
    [
        ("process", 20),
        ("reaper first", 40),
        *(pytest.param(how, 1, marks=pytest.mark.nightly) for how in HOWS),
    ],
)
def test_a_real_cluster_killed_as_it_starts_and_stops(
    ground: Ground, say: list[str], how: str, every: int
) -> None:
    began_s = time.monotonic()
    passed = ground.boundaries(CLUSTER)
    numbers = {*range(0, len(passed), every), passed.index(ALL_IS_UP)}
    points = ground.kill_everywhere(CLUSTER, sorted(numbers), how)
    title = f"cluster of toys, {how} killed at {len(points)} of {len(passed)} boundaries"
    say += table(points, title, began_s)
    check(points, reaped=how != "reaper first")
    kinds = seen([point for point in points if point.where.endswith(ALL_IS_UP)])
    all_kinds = {"file", "folder", "process", "mount", "rule", "network", "container"}
    assert created(passed) | {"file"} == all_kinds
    some = {"file", "folder"} < kinds <= all_kinds
    assert some if how == "reaper first" else kinds == all_kinds
    for point in points:
        # However it died, the run says of itself that it was cut short.
        verdicts = read_verdicts(ground.folder / "runs" / point.run / "latest")
        assert verdicts.finished is point.where.endswith(("journal goes", "journal went"))
        assert verdicts.verdict is Verdict.UNKNOWN


@pytest.mark.engine
@pytest.mark.parametrize("second_at", ["before removed container", "after removed network"])
def test_ctrl_c_twice_on_a_real_cluster(ground: Ground, say: list[str], second_at: str) -> None:
    began_s = time.monotonic()
    point = ground.interrupt_twice(CLUSTER, f"{ground.prefix}-ctrl-c", second_at)
    ground.sweep([point])
    say += table([point], "Ctrl-C twice", began_s)
    assert point.after_reaper == ()
    assert point.after_sweep == ()
    verdicts = read_verdicts(ground.folder / "runs" / point.run / "latest")
    assert verdicts.verdict is Verdict.UNKNOWN
    assert not verdicts.finished


@pytest.mark.engine
def test_killed_at_random_moments(ground: Ground, say: list[str]) -> None:
    began_s = time.monotonic()
    random = Random(SEED)
    moments = []
    for argv in (HOST, ENGINE):
        ground.boundaries(argv)
        for number in range(5):
            run = f"{ground.prefix}-{argv[-1]}-{number}"
            moments.append((argv, run, random.uniform(0, ground.lasted_s)))
    with ThreadPoolExecutor(4) as pool:
        points = list(pool.map(lambda moment: ground.kill_at_moment(*moment), moments))
    ground.sweep(points)
    say += table(points, f"random moments, seed {SEED:x}", began_s)
    check(points, reaped=True)
    assert any(point.outstanding for point in points)


@pytest.mark.engine
def test_what_is_not_ours_stays(ground: Ground, tmp_path: Path) -> None:
    client = docker.APIClient()
    name = f"chaoskit-foreign-{os.getpid()}"
    rule = ("DOCKER-USER", "-i", "cknone1", "-m", "comment", "--comment", name, "-j", "ACCEPT")
    folder = tmp_path / name
    folder.mkdir()
    process = subprocess.Popen(["sleep", "600"], env=os.environ | {"CHAOSKIT": name})
    network = client.create_network(name, internal=True)["Id"]
    container = client.create_container(
        IMAGE, ["sleep", "600"], name=name, host_config=client.create_host_config(init=True)
    )["Id"]
    subprocess.run(["iptables", "-w", "5", "-I", *rule], check=True)
    try:
        client.start(container)
        began = client.inspect_container(container)["State"]
        passed = ground.boundaries(ENGINE)
        points = ground.kill_everywhere(ENGINE, [passed.index(ALL_IS_UP)], "reaper first")
        assert points[0].after_reaper
        assert points[0].after_sweep == ()
        after = client.inspect_container(container)["State"]
        assert (after["Running"], after["Pid"]) == (True, began["Pid"])
        assert client.inspect_network(network)["Name"] == name
        assert process.poll() is None
        assert folder.is_dir()
        subprocess.run(["iptables", "-w", "5", "-C", *rule], check=True)
    finally:
        subprocess.run(["iptables", "-w", "5", "-D", *rule], check=False)
        client.remove_container(container, force=True)
        client.remove_network(network)
        client.close()
        process.kill()
        process.wait()
