"""Sweeping: dead runs go, living and kept ones stay, what is not ours is never touched."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaoskit import clock, identity, journal, proc, removal
from chaoskit.errors import EngineFailed, UsageError, WaitTimedOut
from chaoskit.identity import Identity
from chaoskit.journal import Journal
from chaoskit.ownership import Kind
from chaoskit.removal import Thing
from chaoskit.sweep import Report, remove_run, sweep

LONG_S = 30.0  # no machine takes that long for what is meant to be done in time
# A machine of this process's own: what is started here is elsewhere to the sweeps of all others.
ME = replace(identity.own(), machine=f"{os.getpid():08x}")
DEAD = replace(ME, start=ME.start - 1)
ELSEWHERE = replace(ME, machine="ffffffff")


@dataclass(frozen=True)
class Object:
    kind: str
    name: str
    labels: Mapping[str, str]

    @property
    def id(self) -> str:
        return f"id-{self.name}"


@dataclass
class FakeEngine:
    """Objects by id; a network goes only when no container is left; `stuck` never goes."""

    objects: dict[str, Object] = field(default_factory=dict)
    stuck: frozenset[str] = frozenset()
    late: list[Object] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    broken_from: int = 10_000
    lock: threading.Lock = field(default_factory=threading.Lock)
    opened: int = 0

    def connect(self) -> FakeEngine:
        self.opened += 1
        return self

    def close(self) -> None:
        self.opened -= 1

    def add(self, *objects: Object) -> None:
        self.objects |= {one.id: one for one in objects}

    def list_labelled(self, label: str) -> list[Object]:
        self.calls.append(f"list {label}")
        if len(self.calls) >= self.broken_from:
            raise EngineFailed("the engine hung")
        key, _, value = label.partition("=")
        found = [
            one
            for one in self.objects.values()
            if key in one.labels and (not value or one.labels[key] == value)
        ]
        if len(self.calls) > 2 and self.late:
            self.add(self.late.pop())
        return found

    def _remove(self, identifier: str) -> None:
        with self.lock:
            self.calls.append(f"remove {identifier}")
            one = self.objects[identifier]
            if one.name in self.stuck:
                raise EngineFailed(f"{one.name} is busy")
            if one.kind == "network" and any(
                other.kind == "container"
                and other.labels == one.labels
                and other.name.startswith(one.name)
                for other in self.objects.values()
            ):
                raise EngineFailed(f"{one.name} has active endpoints")
            del self.objects[identifier]

    def remove_container(self, container: str) -> None:
        self._remove(container)

    def remove_network(self, network: str) -> None:
        self._remove(network)

    def remove_volume(self, name: str) -> None:
        self._remove(name)


def labels(run: str, owner: Identity, keeper: Identity | None = None) -> dict[str, str]:
    found = {"chaoskit.run": run, "chaoskit.owner": str(owner), "chaoskit.role": "node"}
    return found | ({"chaoskit.keeper": str(keeper)} if keeper else {})


def cluster_of(run: str, owner: Identity, keeper: Identity | None = None) -> list[Object]:
    mine = labels(run, owner, keeper)
    return [
        Object("network", f"chaoskit-{run}", mine),
        Object("container", f"chaoskit-{run}-n1", mine),
        Object("container", f"chaoskit-{run}-n2", mine),
        Object("volume", f"chaoskit-{run}-data", mine),
    ]


def told_of(path: str, objects: Sequence[Object]) -> list[Object]:
    """The same, with the journal of their run on their labels."""
    return [replace(one, labels={**one.labels, "chaoskit.journal": path}) for one in objects]


def journal_of(folder: Path, run: str, owner: Identity) -> Journal:
    """A journal that looks as if `owner` had written it."""
    written = Journal(run, folder=folder)
    written.path.write_text(written.path.read_text().replace(str(ME), str(owner)))
    return written


@pytest.fixture(autouse=True)
def a_host_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks are searched for on the whole host: leave out the runs that are at work beside us."""
    monkeypatch.setattr(identity, "_here", lambda: (ME.machine, ME.boot, ME.namespace))
    real = identity.marked_any

    def own_children(prefix: str) -> dict[Identity, tuple[str, ...]]:
        children = proc.children(os.getpid())
        return {one: marks for one, marks in real(prefix).items() if one.pid in children}

    monkeypatch.setattr(identity, "marked_any", own_children)


def swept(folder: Path, engine: FakeEngine) -> Report:
    return sweep(folder, engine.connect, lock_timeout_s=LONG_S)


def await_marks(children: Collection[subprocess.Popen[bytes]]) -> None:
    """Popen returns when a child's descriptors are closed, before it has its environment."""
    pids = {child.pid for child in children}
    clock.wait_until(
        lambda: {one.pid for one in identity.marked_any("CHAOSKIT_")} >= pids,
        what="the marks of children",
        timeout_s=LONG_S,
    )


def test_nothing_to_do_says_nothing(tmp_path: Path) -> None:
    report = swept(tmp_path / "new", FakeEngine())
    assert report == Report()
    assert report.lines() == []


def test_a_dead_run_goes_with_all_it_has(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.add(*cluster_of("dead1", DEAD))
    written = journal_of(tmp_path, "dead1", DEAD)
    folder = tmp_path / written.name("scratch")
    written.will_create(Kind.FOLDER, str(folder))
    (folder / "n1").mkdir(parents=True)
    (folder / "n1/file").write_bytes(b"x")
    (folder / "link").symlink_to(tmp_path)
    written.will_create(Kind.NETWORK, "chaoskit-dead1")
    report = swept(tmp_path, engine)
    (cleared,) = report.cleared
    assert set(cleared.removed) == {
        Thing(Kind.NETWORK, "chaoskit-dead1"),
        Thing(Kind.CONTAINER, "chaoskit-dead1-n1"),
        Thing(Kind.CONTAINER, "chaoskit-dead1-n2"),
        Thing(Kind.VOLUME, "chaoskit-dead1-data"),
        Thing(Kind.FOLDER, str(folder)),
    }
    assert not cleared.left
    assert engine.objects == {}
    assert engine.opened == 0
    assert not folder.exists()
    assert not written.path.exists()
    assert tmp_path.exists()
    (line,) = report.lines()
    assert line.startswith("cleared  dead1: container chaoskit-dead1-n1, ")
    assert swept(tmp_path, engine) == Report()


@pytest.mark.parametrize("who", ["owner alive", "keeper alive", "elsewhere"])
def test_a_living_run_is_spared(tmp_path: Path, who: str) -> None:
    owner = {"owner alive": ME, "keeper alive": DEAD, "elsewhere": ELSEWHERE}[who]
    keeper = ME if who == "keeper alive" else None
    engine = FakeEngine()
    engine.add(*cluster_of("alive", owner, keeper))
    before = dict(engine.objects)
    report = swept(tmp_path, engine)  # by its labels alone
    assert [one.run for one in report.spared] == ["alive"]
    assert report.news() == []
    assert [line.split(":")[0] for line in report.lines()] == ["spared   alive"]
    written = journal_of(tmp_path, "alive", owner)
    if keeper:
        written.watched_by(keeper)
    folder = tmp_path / written.name("scratch")
    written.will_create(Kind.FOLDER, str(folder))
    folder.mkdir()
    assert [one.run for one in swept(tmp_path, FakeEngine()).spared] == ["alive"]  # by its journal
    report = swept(tmp_path, engine)
    (spared,) = report.spared
    assert spared.why.startswith(
        "it belongs to another machine" if who == "elsewhere" else f"process {os.getpid()} is at"
    )
    assert report.cleared == ()
    assert engine.objects == before
    assert folder.exists()
    assert written.path.exists()


def test_a_kept_run_is_spared_until_its_time_is_over(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.add(*cluster_of("kept1", DEAD))
    written = journal_of(tmp_path, "kept1", DEAD)
    written.keep_until(clock.utc_now() + timedelta(minutes=5))
    assert [one.why[:10] for one in swept(tmp_path, engine).spared] == ["kept until"]
    assert len(engine.objects) == 4
    written.keep_until(clock.utc_now() - timedelta(seconds=1))
    assert [one.run for one in swept(tmp_path, engine).cleared] == ["kept1"]
    assert engine.objects == {}


def test_a_run_that_somebody_keeps_with_his_journals_elsewhere_is_spared(tmp_path: Path) -> None:
    mine, his = tmp_path / "mine", tmp_path / "his"
    engine = FakeEngine()
    written = journal_of(his, "kept1", DEAD)
    engine.add(*told_of(str(written.path), cluster_of("kept1", DEAD)))
    written.keep_until(clock.utc_now() + timedelta(minutes=5))
    assert [one.why[:10] for one in swept(mine, engine).spared] == ["kept until"]
    assert len(engine.objects) == 4
    written.keep_until(clock.utc_now() - timedelta(seconds=1))
    assert [one.run for one in swept(mine, engine).cleared] == ["kept1"]
    assert engine.objects == {}
    assert written.path.exists(), "his own sweep knows what else of it there is"


@pytest.mark.parametrize("named", ["other.jsonl", "kept1.jsonl/", "gone/kept1.jsonl"])
def test_a_label_that_names_no_journal_of_its_run_keeps_nothing(tmp_path: Path, named: str) -> None:
    engine = FakeEngine()
    written = journal_of(tmp_path / "his", "kept1", DEAD)
    written.keep_until(clock.utc_now() + timedelta(minutes=5))
    (tmp_path / "his" / "other.jsonl").write_bytes(written.path.read_bytes())
    engine.add(*told_of(f"{tmp_path}/his/{named}", cluster_of("kept1", DEAD)))
    if named.endswith("/"):
        written.path.unlink()
    assert [one.run for one in swept(tmp_path / "mine", engine).cleared] == ["kept1"]


def test_what_does_not_carry_our_labels_and_name_is_never_touched(tmp_path: Path) -> None:
    foreign = [
        Object("container", "postgres", {}),
        Object("network", "chaoskit-looks-like-it", {}),
        # Made from an image committed from a node of ours: labels are inherited, the name is not.
        Object("container", "mycopy", labels("dead1", DEAD)),
        Object("container", "chaoskit-dead2-n1", {"chaoskit.run": "dead2"}),
        Object("volume", "chaoskit-x y-data", labels("x y", DEAD)),
    ]
    engine = FakeEngine()
    engine.add(*foreign, *cluster_of("dead1", DEAD))
    report = swept(tmp_path, engine)
    assert list(engine.objects.values()) == foreign
    assert [one.run for one in report.cleared] == ["dead1"]
    assert {one.run for one in report.spared} == {"dead2", "x y"}
    assert any("mycopy claims to be of run dead1" in note for note in report.notes)
    touched = {call for call in engine.calls if call.startswith("remove")}
    assert touched == {f"remove {one.id}" for one in cluster_of("dead1", DEAD)}


def test_a_run_whose_name_begins_with_a_dead_ones_is_spared(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.add(*cluster_of("r1", DEAD), *cluster_of("r1-2", ME))
    report = swept(tmp_path, engine)
    assert [one.run for one in report.cleared] == ["r1"]
    assert {one.labels["chaoskit.run"] for one in engine.objects.values()} == {"r1-2"}


def test_objects_without_a_journal_and_a_journal_without_objects(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.add(*cluster_of("lost1", DEAD))
    written = journal_of(tmp_path, "empty1", DEAD)
    written.will_create(Kind.CONTAINER, "chaoskit-empty1-n1")
    written.will_create(Kind.PROCESS, "n1")
    report = swept(tmp_path, engine)
    assert [(one.run, len(one.removed)) for one in report.cleared] == [("empty1", 0), ("lost1", 4)]
    assert report.lines()[0].startswith("cleared  empty1: nothing but its journal")
    assert engine.objects == {}
    assert not list(tmp_path.glob("*.jsonl"))


def test_what_the_engine_finishes_after_the_kill_is_removed_too(tmp_path: Path) -> None:
    engine = FakeEngine()
    late = Object("container", "chaoskit-late1-n1", labels("late1", DEAD))
    engine.late.append(late)
    written = journal_of(tmp_path, "late1", DEAD)
    written.will_create(Kind.CONTAINER, late.name)
    report = swept(tmp_path, engine)
    assert report.cleared[0].removed == (Thing(Kind.CONTAINER, late.name),)
    assert engine.objects == {}


@dataclass
class BusyEngine(FakeEngine):
    """Takes five seconds for a removal, and refuses the first."""

    now_s: float = 0.0

    def remove_container(self, container: str) -> None:
        self.now_s += 5.0
        if self.now_s <= 5.0:
            raise EngineFailed("the engine has no time")
        super().remove_container(container)


def test_what_a_removal_takes_is_not_time_in_which_nothing_went_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = BusyEngine()
    engine.add(Object("container", "chaoskit-busy-n1", labels("busy", DEAD)))
    monkeypatch.setattr(
        removal, "clock", SimpleNamespace(monotonic=lambda: engine.now_s, pause=clock.pause)
    )
    report = swept(tmp_path, engine)
    assert report.cleared[0].removed == (Thing(Kind.CONTAINER, "chaoskit-busy-n1"),)
    assert engine.objects == {}


def test_corrupt_lines_do_not_stop_it_and_are_named(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.add(*cluster_of("torn1", DEAD))
    written = journal_of(tmp_path, "torn1", DEAD)
    with written.path.open("ab") as file:
        file.write(b'{"op":"will_create","kind":"container","iden\n')
    report = swept(tmp_path, engine)
    assert len(report.cleared[0].removed) == 4
    assert "torn1.jsonl line 2" in report.notes[0]
    assert not written.path.exists()


def test_a_journal_whose_owner_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "odd1.jsonl"
    line = {"op": "will_create", "kind": "folder", "identity": f"{tmp_path}/chaoskit-odd1-x"}
    path.write_text(f"not a header\n{json.dumps(line)}\n")
    ours = tmp_path / "chaoskit-odd1-x"
    ours.mkdir()
    report = swept(tmp_path, FakeEngine())
    assert [one.run for one in report.spared] == ["odd1"]
    assert ours.exists()
    assert path.exists()
    # Its objects' labels say who the owner was.
    engine = FakeEngine()
    engine.add(*cluster_of("odd1", DEAD))
    assert [one.run for one in swept(tmp_path, engine).cleared] == ["odd1"]
    assert not ours.exists()


@pytest.mark.parametrize("how", ["cannot connect", "hangs", "not asked"])
def test_without_an_engine_the_rest_goes_and_the_journal_stays(tmp_path: Path, how: str) -> None:
    engine = FakeEngine(broken_from=2)
    engine.add(*cluster_of("dead1", DEAD))
    written = journal_of(tmp_path, "dead1", DEAD)
    folder = tmp_path / written.name("scratch")
    written.will_create(Kind.NETWORK, "chaoskit-dead1")
    written.will_create(Kind.FOLDER, str(folder))
    folder.mkdir()

    def refused() -> FakeEngine:
        raise EngineFailed("connection refused")

    connect = {"cannot connect": refused, "hangs": engine.connect, "not asked": None}[how]
    report = sweep(tmp_path, connect, lock_timeout_s=5.0)
    (cleared,) = report.cleared
    assert cleared.removed == (Thing(Kind.FOLDER, str(folder)),)
    assert list(cleared.left) == [Thing(Kind.NETWORK, "chaoskit-dead1")]
    assert report.left == 1
    assert any(line.startswith("left     dead1: network") for line in report.lines())
    assert bool(report.notes) is (how == "cannot connect")
    assert written.path.exists()
    healthy = FakeEngine(objects=engine.objects)
    assert not swept(tmp_path, healthy).left
    assert engine.objects == {}
    assert not written.path.exists()


def test_what_cannot_be_removed_is_left_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused_s = [0.0]  # on this clock nothing but the pauses between two tries takes time
    still = SimpleNamespace(monotonic=lambda: sum(paused_s), pause=paused_s.append)
    monkeypatch.setattr(removal, "clock", still)
    engine = FakeEngine(stuck=frozenset({"chaoskit-dead1-n2"}))
    engine.add(*cluster_of("dead1", DEAD))
    written = journal_of(tmp_path, "dead1", DEAD)
    (cleared,) = swept(tmp_path, engine).cleared
    assert cleared.left == {
        Thing(Kind.CONTAINER, "chaoskit-dead1-n2"): "chaoskit-dead1-n2 is busy",
        Thing(Kind.NETWORK, "chaoskit-dead1"): "chaoskit-dead1 has active endpoints",
    }
    assert set(cleared.removed) == {
        Thing(Kind.CONTAINER, "chaoskit-dead1-n1"),
        Thing(Kind.VOLUME, "chaoskit-dead1-data"),
    }
    assert written.path.exists()
    tries = engine.calls.count("remove id-chaoskit-dead1-n2")
    assert 20 < tries < 40, "three seconds' worth; 200 if it goes on"


def test_processes_go_by_journal_and_by_mark(tmp_path: Path) -> None:
    written = journal_of(tmp_path, "proc1", DEAD)
    marks = written.environment() | {"CHAOSKIT_OWNER": str(DEAD)}
    noted = subprocess.Popen(["sleep", "61"])
    marked = subprocess.Popen(["sleep", "62"], env=os.environ | marks)
    lost = subprocess.Popen(
        ["sleep", "63"], env=os.environ | {"CHAOSKIT_RUN": "proc2", "CHAOSKIT_OWNER": str(DEAD)}
    )
    alive = subprocess.Popen(
        ["sleep", "64"], env=os.environ | {"CHAOSKIT_RUN": "proc3", "CHAOSKIT_OWNER": str(ME)}
    )
    foreign = subprocess.Popen(["sleep", "65"])
    children = [noted, marked, lost, alive, foreign]
    try:
        await_marks((marked, lost, alive))
        written.will_create(Kind.PROCESS, "n1")
        written.made("n1", noted.pid)
        # A process that has ended since, and whose pid is now another's: this one's.
        with written.path.open("a") as file:
            line = {"op": "made", "identity": "n1", "process": str(ME)}
            stale = str(ME).replace(f":{ME.start}@", f":{ME.start + 1}@")
            file.write(json.dumps(line | {"process": stale}) + "\n")
        report = swept(tmp_path, FakeEngine())
        assert {one.run: len(one.removed) for one in report.cleared} == {"proc1": 2, "proc2": 1}
        assert [one.run for one in report.spared] == ["proc3"]
        assert [child.poll() for child in children] == [-9, -9, -9, None, None]
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_a_storage_daemon_that_had_not_mounted_yet_goes(tmp_path: Path) -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)", "-m", "chaoskit.passthrough"]
    written = journal_of(tmp_path, "fuse1", DEAD)
    folder = tmp_path / written.name("scratch")
    written.will_create(Kind.FOLDER, str(folder))
    ours = subprocess.Popen([*sleeping, "--mountpoint", str(folder / "n1/mount")])
    beside = subprocess.Popen([*sleeping, "--mountpoint", f"{folder}-2/n1/mount"])
    try:
        clock.wait_until(  # Popen returns before they have their arguments
            lambda: (
                {one.pid for one in identity.running_module("chaoskit.passthrough")}
                >= {ours.pid, beside.pid}
            ),
            what="both daemons",
            timeout_s=LONG_S,
        )
        swept(tmp_path, FakeEngine())
        assert ours.wait(timeout=LONG_S) == -9
        assert beside.poll() is None
    finally:
        for child in (ours, beside):
            child.kill()
            child.wait()


def test_drafts_of_the_dead_go_and_of_the_living_stay(tmp_path: Path) -> None:
    dead, alive = tmp_path / f"r1.draft.{DEAD}", tmp_path / f"r2.draft.{ME}"
    other = tmp_path / "r3.draft.notes"
    for path in (dead, alive, other):
        path.write_bytes(b"")
    swept(tmp_path, FakeEngine())
    assert [path.exists() for path in (dead, alive, other)] == [False, True, True]


def test_one_sweep_at_a_time(tmp_path: Path) -> None:
    with (tmp_path / ".sweep.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(WaitTimedOut, match="another sweep"):
            sweep(tmp_path, None, lock_timeout_s=0.1)
    assert sweep(tmp_path, None, lock_timeout_s=0.1) == Report()


def test_concurrent_sweeps_clear_everything_once(tmp_path: Path) -> None:
    engine = FakeEngine()
    for number in range(6):
        engine.add(*cluster_of(f"dead{number}", DEAD))
        journal_of(tmp_path, f"dead{number}", DEAD).will_create(
            Kind.NETWORK, f"chaoskit-dead{number}"
        )
    reports: list[Report] = []
    threads = [
        threading.Thread(target=lambda: reports.append(swept(tmp_path, engine))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 3
    assert sum(len(report.cleared) for report in reports) == 6
    assert engine.objects == {}
    assert journal.read_all(tmp_path) == []


def test_down_removes_a_kept_run_and_refuses_a_living_one(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.add(*cluster_of("kept1", DEAD, ME))
    written = journal_of(tmp_path, "kept1", DEAD)
    written.watched_by(ME)
    written.keep_until(clock.utc_now() + timedelta(hours=1))
    assert swept(tmp_path, engine).cleared == ()
    assert len(remove_run("kept1", tmp_path, engine.connect).removed) == 4
    assert engine.objects == {}
    assert not written.path.exists()
    engine.add(*cluster_of("alive", ME))
    with pytest.raises(UsageError, match="is at work with it"):
        remove_run("alive", tmp_path, engine.connect)
    with pytest.raises(UsageError, match="no run nowhere"):
        remove_run("nowhere", tmp_path, engine.connect)
    assert engine.opened == 0
    assert len(engine.objects) == 4
