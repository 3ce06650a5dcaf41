"""The rounds on disk: what is stored stays, and what is not ours is refused and left alone."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.beacon import store as module
from nodes.beacon.core import genesis
from nodes.beacon.messages import Beacon
from nodes.beacon.store import FILE_NAME, NoRoom, Store, StoreFailed, StoreRefused, open_store

CHAIN = bytes(range(32))
SEED = genesis(b"\x07" * 32)


def made(count: int, *, chained: bool = True, first: int = 1) -> list[Beacon]:
    previous = SEED.signature
    beacons = []
    for number in range(1, first + count):
        signature = hashlib.sha512(previous + bytes([number % 251])).digest()[:48] * 2
        beacons.append(Beacon(number, previous if chained else b"", signature))
        previous = signature
    return beacons[first - 1 :]


@contextmanager
def opened(folder: Path, *, chained: bool = True, chain: bytes = CHAIN) -> Iterator[Store]:
    store = open_store(folder, chain, SEED, chained=chained)
    try:
        yield store
    finally:
        store.close()


def append(store: Store, beacons: list[Beacon]) -> None:
    for beacon in beacons:
        store.append(beacon)
        store.appended(beacon)


@pytest.mark.parametrize("chained", [True, False])
def test_rounds_are_read_back_as_they_were_appended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, chained: bool
) -> None:
    monkeypatch.setattr(module, "RECENT_ROUNDS", 5)
    beacons = made(40, chained=chained)
    with opened(tmp_path / "db", chained=chained) as store:
        assert store.last() == SEED
        assert store.recent(1) is None
        append(store, beacons)
        assert store.read(1, 40) == beacons
    with opened(tmp_path / "db", chained=chained) as store:
        assert store.last() == beacons[-1]
        for number in range(1, 41):
            assert store.read(number, 1) == [beacons[number - 1]]
        # In memory are five, and where a round holds the one before, that one is one of them.
        near = [store.recent(number) for number in range(36 + chained, 41)]
        assert near == beacons[35 + chained :]
        for number in (0, 35 + chained, 41, 2**64 - 1):
            assert store.recent(number) is None
        assert store.read(1, 3) == beacons[:3]
        assert store.read(38, 10) == beacons[37:]
        assert store.read(41, 10) == []
        with pytest.raises(ValueError, match="does not follow"):
            store.appended(beacons[0])


def test_reading_is_bounded(tmp_path: Path) -> None:
    beacons = made(module.READ_ROUNDS_AT_MOST + 10)
    with opened(tmp_path) as store:
        append(store, beacons)
        assert store.read(1, 10**9) == beacons[: module.READ_ROUNDS_AT_MOST]


def test_a_round_is_appended_once(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        append(store, made(3))
        with pytest.raises(StoreFailed):
            store.append(made(3)[2])
        assert store.last() == made(3)[2]


def test_what_was_appended_is_synchronised_with_full(tmp_path: Path) -> None:
    """SQLite says itself that each commit is waited for, in the log that is written ahead."""
    with opened(tmp_path) as store:
        assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_readers_wait_for_no_writer(tmp_path: Path) -> None:
    """While a write holds the file, rounds are read."""
    with opened(tmp_path) as store:
        append(store, made(2))
        store._writer.execute("BEGIN IMMEDIATE")
        assert store.read(1, 2) == made(2)
        store._writer.execute("ROLLBACK")


def test_no_room_is_told_apart_and_the_round_can_be_appended_later(tmp_path: Path) -> None:
    beacons = made(60)
    with opened(tmp_path) as store:
        (pages,) = store._writer.execute("PRAGMA page_count").fetchone()
        store._writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(NoRoom):
            append(store, beacons)
        last = store.last().round
        assert 0 < last < 60
        store._writer.execute("PRAGMA max_page_count = 100000")
        append(store, beacons[last:])
    with opened(tmp_path) as store:
        assert store.read(1, 60) == beacons


def test_two_do_not_have_one_file_open(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(StoreRefused, match="in use"), opened(tmp_path):
        pass
    with opened(tmp_path):
        pass


def test_a_copy_is_a_store(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        append(store, made(7))
        (tmp_path / "copy").mkdir()
        store.copy_to(tmp_path / "copy" / FILE_NAME)
        with pytest.raises(FileExistsError):
            store.copy_to(tmp_path / "copy" / FILE_NAME)
    with opened(tmp_path / "copy") as store:
        assert store.read(1, 10) == made(7)


# ---- what is refused -----------------------------------------------------------------------------


def refused(folder: Path, why: str, *, chain: bytes = CHAIN) -> None:
    path = folder / FILE_NAME
    before = path.read_bytes()
    with pytest.raises(StoreRefused, match=why), opened(folder, chain=chain):
        pass
    assert path.read_bytes() == before


def filled(folder: Path, count: int) -> Path:
    with opened(folder) as store:
        append(store, made(count))
    return folder / FILE_NAME


def test_another_chains_rounds_are_refused(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    refused(tmp_path, "another chain", chain=bytes(32))


def test_drands_own_database_is_recognised(tmp_path: Path) -> None:
    page = bytes(8) + b"\x04\x00" + bytes(6) + bytes.fromhex("edda0ced") + bytes(4076)
    (tmp_path / FILE_NAME).write_bytes(page)
    refused(tmp_path, "bbolt")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("something else entirely")
    refused(tmp_path, "no database of this node")
    (tmp_path / FILE_NAME).unlink()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("CREATE TABLE rounds (round INTEGER PRIMARY KEY, signature BLOB NOT NULL)")
    refused(tmp_path, "none of this node")


def test_a_gap_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(filled(tmp_path, 5), isolation_level=None)) as other:
        other.execute("DELETE FROM rounds WHERE round = 3")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    refused(tmp_path, "damaged: 4 rounds, from 1 to 5")


def test_a_file_that_was_being_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"")
    with opened(tmp_path) as store:
        append(store, made(1))
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE a (b)")
        other.execute("DROP TABLE a")
    (tmp_path / "x").mkdir()
    (tmp_path / "x.db").rename(tmp_path / "x" / FILE_NAME)
    with opened(tmp_path / "x") as store:
        append(store, made(2))


def test_a_signature_of_another_type_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(filled(tmp_path, 5), isolation_level=None)) as other:
        other.execute("UPDATE rounds SET signature = 'text' WHERE round = 3")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    refused(tmp_path, "damaged: .*signature of round 3 is no bytes")


def test_damage_that_sqlite_quotes_and_python_cannot_decode_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path, 5)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CREATE TABLE rounds", b"CREATE TABL\x80 rounds"))
    refused(tmp_path, "damaged")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of 200 rounds."""
    return filled(tmp_path_factory.mktemp("whole"), 200).read_bytes()


@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject
) -> None:
    """Bytes turned or cut off anywhere: never an error of another type, never another round."""
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / FILE_NAME
    content = bytearray(whole)
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        at = data.draw(st.integers(0, len(content) - 1))
        turned = data.draw(st.binary(min_size=1, max_size=16))
        content[at : at + len(turned)] = turned
    path.write_bytes(content)
    try:
        with opened(folder) as store:
            found = store.read(1, 200)
    except (StoreRefused, StoreFailed):
        if content:
            assert path.read_bytes() == content
        return
    right = made(200)
    wrong = [one.round for one in found if one not in right]
    # A turned byte inside a signature is no damage to SQLite: the signature's own check finds it.
    assert len(wrong) <= 2
