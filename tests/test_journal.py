"""The journal: written before, whole lines, one owner, nothing foreign; read in any state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaoskit import identity, journal
from chaoskit.clock import wait_until
from chaoskit.errors import ChaosError, UsageError
from chaoskit.identity import Identity, Standing
from chaoskit.journal import Journal
from chaoskit.ownership import Entry, Kind

RULE = (
    "iptables",
    "-D",
    "DOCKER-USER",
    "-m",
    "comment",
    "--comment",
    "chaoskit:r1",
    "-j",
    "ACCEPT",
)
UNTIL = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)


def read(path: Path) -> journal.Record:
    found = journal.read(path)
    assert found is not None
    return found


def test_an_entry_is_in_the_file_before_will_create_returns(tmp_path: Path) -> None:
    written = Journal("r1", folder=tmp_path / "state/journal")
    assert read(written.path).entries == ()
    written.will_create(Kind.NETWORK, written.name("net"))
    assert read(written.path).entries == (Entry(Kind.NETWORK, "chaoskit-r1-net"),)
    written.will_create(Kind.HOST_RULE, "accept", undo=RULE)
    written.removed(Kind.NETWORK, "chaoskit-r1-net")
    written.removed(Kind.NETWORK, "chaoskit-r1-net")
    assert read(written.path).entries == (Entry(Kind.HOST_RULE, "accept", undo=RULE),)
    assert written.outstanding() == read(written.path).entries
    lines = [json.loads(line) for line in written.path.read_text().splitlines()]
    assert [line.get("op") for line in lines] == [None, "will_create", "will_create", "removed"]
    assert lines[0]["schema"] == 1
    assert [entry.kind for entry in written.finish()] == [Kind.HOST_RULE]
    assert written.path.exists()


def test_a_journal_without_anything_outstanding_goes(tmp_path: Path) -> None:
    written = Journal("r1", folder=tmp_path)
    written.will_create(Kind.VOLUME, written.name())
    written.removed(Kind.VOLUME, written.name())
    assert written.finish() == ()
    assert list(tmp_path.iterdir()) == []
    assert journal.read(written.path) is None


def test_owner_keeper_and_time_to_live_are_read_back(tmp_path: Path) -> None:
    written = Journal("r1", folder=tmp_path)
    assert not written.kept
    keeper = Identity(77, 88, "0a0b0c0d", "00112233", 5)
    written.watched_by(keeper)
    written.keep_until(UNTIL)
    assert written.kept
    found = read(written.path)
    assert (found.owner, found.keeper, found.kept_until) == (identity.own(), keeper, UNTIL)
    assert written.labels("node") == {
        "chaoskit.run": "r1",
        "chaoskit.owner": str(identity.own()),
        "chaoskit.keeper": str(keeper),
        "chaoskit.journal": str(written.path),
        "chaoskit.role": "node",
    }
    assert written.environment() == {
        "CHAOSKIT_RUN": "r1",
        "CHAOSKIT_OWNER": str(identity.own()),
        "CHAOSKIT_KEEPER": str(keeper),
        "CHAOSKIT_JOURNAL": str(written.path),
    }
    written.finish()


def test_every_start_of_a_process_is_known_until_it_is_removed(tmp_path: Path) -> None:
    written = Journal("r1", folder=tmp_path)
    children = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    try:
        started = []
        for child in children:
            written.will_create(Kind.PROCESS, "n1")
            started.append(written.made("n1", child.pid))
        (entry,) = read(written.path).entries
        assert entry.processes == tuple(started)
        assert [one.pid for one in started] == [child.pid for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    with pytest.raises(ChaosError, match="ended before"):
        written.made("n1", children[0].pid)
    written.removed(Kind.PROCESS, "n1")
    assert read(written.path).entries == ()
    written.finish()


@pytest.mark.parametrize(
    ("kind", "name", "undo"),
    [
        (Kind.CONTAINER, "postgres", ()),
        (Kind.CONTAINER, "chaoskit-r12-n1", ()),
        (Kind.NETWORK, "bridge", ()),
        (Kind.VOLUME, "my-chaoskit-r1-data", ()),
        (Kind.FOLDER, "/home/somebody", ()),
        (Kind.FOLDER, "chaoskit-r1-relative", ()),
        (Kind.FOLDER, "/srv/chaoskit-r1-x/..", ()),
        (Kind.FOLDER, "/srv/chaoskit-r1-x/deeper", ()),
        (Kind.MOUNT, "/mnt/disk", ()),
        (Kind.MOUNT, "/srv/chaoskit-r1-x/../../mnt", ()),
        (Kind.HOST_RULE, "all", ("iptables", "-F")),
        (Kind.HOST_RULE, "other", (*RULE[:-1], "DROP")[:6]),
        (Kind.HOST_RULE, "other program", ("rm", "-D", "chaoskit:r1")),
    ],
)
def test_what_does_not_say_whose_it_is_is_never_journalled(
    tmp_path: Path, kind: Kind, name: str, undo: tuple[str, ...]
) -> None:
    written = Journal("r1", folder=tmp_path)
    with pytest.raises(ValueError, match="does not say that it is of run r1"):
        written.will_create(kind, name, undo=undo)
    assert read(written.path).entries == ()
    # Nor is it believed when it stands in a file.
    line = {"op": "will_create", "kind": kind, "identity": name, "undo": undo}
    with written.path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    found = read(written.path)
    assert found.entries == ()
    assert len(found.corrupt) == 1
    written.finish()


def test_a_folder_that_is_there_already_is_not_taken_over(tmp_path: Path) -> None:
    written = Journal("r1", folder=tmp_path)
    theirs = tmp_path / "chaoskit-r1-data"
    theirs.mkdir()
    with pytest.raises(ChaosError, match="exists already"):
        written.will_create(Kind.FOLDER, str(theirs))
    assert written.finish() == ()


def test_a_folder_that_is_still_there_stays_outstanding(tmp_path: Path) -> None:
    written = Journal("r1", folder=tmp_path)
    ours = tmp_path / written.name("data")
    written.will_create(Kind.FOLDER, str(ours))
    ours.mkdir()
    written.removed(Kind.FOLDER, str(ours))
    assert read(written.path).entries == (Entry(Kind.FOLDER, str(ours)),)
    ours.rmdir()
    written.removed(Kind.FOLDER, str(ours))
    assert written.finish() == ()


def test_two_runs_of_one_name_cannot_be(tmp_path: Path) -> None:
    first = Journal("r1", folder=tmp_path)
    before = first.path.read_bytes()
    with pytest.raises(UsageError, match="has a journal already"):
        Journal("r1", folder=tmp_path)
    assert first.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r1.jsonl"]
    first.finish()
    with pytest.raises(ValueError, match="names no run"):
        Journal("../r1", folder=tmp_path)


def test_without_a_line_on_disk_nothing_may_be_created(tmp_path: Path) -> None:
    written = Journal("r1", folder=tmp_path)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, written._file)
    os.close(full)
    with pytest.raises(ChaosError, match="cannot write to"):
        written.will_create(Kind.NETWORK, written.name())
    assert written.outstanding() == ()
    written.finish()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ChaosError, match="no journal can be kept"):
        Journal("r2", folder=tmp_path / "file")


def test_corrupt_lines_are_named_and_the_others_count(tmp_path: Path) -> None:
    written = Journal("r1", folder=tmp_path)
    written.will_create(Kind.NETWORK, written.name("a"))
    with written.path.open("ab") as file:
        file.write(b'{"op":"will_create","kind":"contai\n\xff\xfe\n{"op":"dance"}\n[]\n')
        file.write(b'{"op":"made","identity":"ghost","process":"1:1@00000000.00000000.1"}\n')
        file.write(b'{"op":"keep","until_utc":"2031-01-01T00:00:00"}\n')
    written.will_create(Kind.NETWORK, written.name("b"))
    found = read(written.path)
    assert [entry.identity for entry in found.entries] == ["chaoskit-r1-a", "chaoskit-r1-b"]
    assert found.owner == identity.own()
    assert found.kept_until is None
    assert [line.split(":")[0].rsplit(" ", 1)[1] for line in found.corrupt] == list("345678")
    written.finish()


@pytest.mark.parametrize(
    "header", [b"", b"{}", b'{"schema":2,"run":"r1","owner":"1:1@00000000.00000000.1"}', b"\0\0"]
)
def test_a_journal_without_a_header_has_no_owner(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "r1.jsonl"
    path.write_bytes(header + b"\n")
    assert read(path).owner is None
    assert read(path).run == "r1"


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    written = Journal("r1", folder=tmp_path)

    def write(worker: int) -> None:
        for number in range(50):
            written.will_create(Kind.CONTAINER, written.name(f"w{worker}-{number}"))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read(written.path)
    assert found.corrupt == ()
    assert len(found.entries) == 400
    written.finish()


def test_the_folder_follows_the_state_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert journal.default_folder() == Path("/somewhere/chaoskit/journal")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/x")
    assert journal.default_folder() == Path("/home/x/.local/state/chaoskit/journal")


def test_a_process_is_never_mistaken_for_another() -> None:
    me = identity.own()
    assert Identity.parse(str(me)) == me
    assert me.standing() is Standing.ALIVE
    assert identity.of(os.getpid()) == me
    another_time = Identity(me.pid, me.start - 1, me.machine, me.boot, me.namespace)
    another_boot = Identity(me.pid, me.start, me.machine, "ffffffff", me.namespace)
    another_machine = Identity(me.pid, me.start, "ffffffff", me.boot, me.namespace)
    another_namespace = Identity(me.pid, me.start, me.machine, me.boot, 1)
    assert another_time.standing() is Standing.DEAD
    assert another_boot.standing() is Standing.DEAD
    assert another_machine.standing() is Standing.ELSEWHERE
    assert another_namespace.standing() is Standing.ELSEWHERE
    # Would kill this very process if it mistook it.
    assert identity.kill(another_time, timeout_s=1.0)
    assert identity.kill(another_boot, timeout_s=1.0)
    assert not identity.kill(another_machine, timeout_s=1.0)
    assert not identity.kill(another_namespace, timeout_s=1.0)
    for text in ("", "12", "1:2", "1:2@x.y.z", f"{me} "):
        with pytest.raises(ValueError, match="names no process"):
            Identity.parse(text)


def test_a_zombie_is_dead_and_a_killed_process_ends() -> None:
    child = subprocess.Popen(["sleep", "60"])
    found = identity.of(child.pid)
    assert found is not None
    assert identity.kill(found, timeout_s=5.0)
    assert found.standing() is Standing.DEAD  # a zombie: we have not waited for it yet
    assert identity.of(child.pid) is None
    child.wait()


def test_a_mark_is_found_in_children_of_the_marked_too() -> None:
    mark = f"CHAOSKIT_RUN=t{os.getpid()}"
    code = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "CHAOSKIT_RUN": mark.split("=")[1]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        both = {child.pid, int(child.stdout.readline())}
        wait_until(  # Popen returns before the new process has its environment
            lambda: {one.pid for one in identity.marked(mark)} == both,
            what="the child and its own",
            timeout_s=30,
        )
        found = identity.marked(mark)
        assert {one.pid for one in found} == both
        assert identity.marked(mark[:-1]) == []
        for one in found:
            assert identity.kill(one, timeout_s=5.0)
    assert identity.marked(mark) == []
