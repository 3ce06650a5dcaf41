"""
The rounds on disk: one SQLite file a network, `db/drand.db`, appended to and never rewritten.

Owns: the file, its form, durability, and reading. Refuses: a file that is no SQLite or not of this
form, one that is damaged, one of another chain, one that another process has open, and a round that
does not follow the last. What is refused stays as it is, byte for byte.

Rules:

* When `append` returns the round survives a loss of power: write-ahead log, synchronous=FULL.
* A row is a round and its signature. The signature before it is the row's before it, and that of
  round 1 the genesis seed: kept once, they cannot disagree.
* `append` is for one thread of its own and may take as long as the disk does. Reading waits for
  no write. The rounds last stored are read from memory, on the loop; older ones on a thread.
* Not drand's bbolt, though at its place: a file of the other kind is recognised and left alone.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from nodes.beacon.errors import BeaconError
from nodes.beacon.messages import Beacon

FILE_NAME = "drand.db"
RECENT_ROUNDS = 1024
READ_ROUNDS_AT_MOST = 256
_FOLDER_MODE = 0o740
_FILE_MODE = 0o600
_APPLICATION_ID = 0x62636E31
_FORM = 1
_MAGIC = b"SQLite format 3\x00"
_BBOLT_MAGIC = bytes.fromhex("edda0ced")  # 0xED0CDAED, little-endian, 16 bytes into its first page
# A message of SQLite's may quote the damaged bytes, which Python then cannot decode.
_SQLITE_SAYS = (sqlite3.Error, UnicodeDecodeError)
_CREATE = """
CREATE TABLE chain (hash BLOB NOT NULL);
CREATE TABLE rounds (round INTEGER PRIMARY KEY, signature BLOB NOT NULL);
"""


class StoreRefused(BeaconError):
    """The file cannot be used, and stays as it is."""


class StoreFailed(BeaconError):
    """The disk did not do what was asked of it."""


class NoRoom(StoreFailed):
    """There is no room for a round; when there is, the same round can be appended."""


class Store:
    """The stored rounds of one chain; `open_store` makes it."""

    def __init__(
        self,
        path: Path,
        lock: int,
        connections: Sequence[sqlite3.Connection],
        genesis: Beacon,
        *,
        chained: bool,
    ) -> None:
        self.path = path
        self._lock = lock
        self._closed = False
        self._writer, self._reader = connections
        self._reading = threading.Lock()
        self._chained = chained
        self._seed = genesis.signature
        self._recent: OrderedDict[int, bytes] = OrderedDict({0: genesis.signature})
        self._last = 0
        rows = self._reader.execute(
            "SELECT round, signature FROM rounds ORDER BY round DESC LIMIT ?", (RECENT_ROUNDS,)
        ).fetchall()
        for number, signature in reversed(rows):
            self._remember(number, _checked_signature(path, number, signature))

    # ---- reading: on the loop, from memory -----------------------------------------------------

    def last(self) -> Beacon:
        """The last round; round 0 with the genesis seed where none is stored."""
        beacon = self.recent(self._last)
        return Beacon(0, b"", self._seed) if beacon is None else beacon

    def recent(self, number: int) -> Beacon | None:
        """One of the RECENT_ROUNDS last stored; None for any other, stored or not."""
        found = self._recent.get(number)
        before = self._recent.get(number - 1) if self._chained else b""
        if not number or found is None or before is None:
            return None
        return Beacon(number, before, found)

    # ---- reading: on any thread ----------------------------------------------------------------

    def read(self, first: int, count: int) -> Sequence[Beacon]:
        """Stored rounds from `first` on in order, READ_ROUNDS_AT_MOST; raises StoreFailed."""
        with self._reading:
            return self._range(first, min(count, READ_ROUNDS_AT_MOST))

    def _range(self, first: int, count: int) -> Sequence[Beacon]:
        try:
            rows = self._reader.execute(
                "SELECT round, signature FROM rounds WHERE round BETWEEN ? AND ? ORDER BY round",
                (first - 1, first + count - 1),
            ).fetchall()
        except _SQLITE_SAYS as error:
            raise StoreFailed(f"{self.path}: rounds from {first} on: {error}") from error
        found = {
            number: _checked_signature(self.path, number, signature) for number, signature in rows
        }
        if first == 1:
            found[0] = self._seed
        return [
            Beacon(number, found[number - 1] if self._chained else b"", found[number])
            for number in range(first, first + count)
            if number in found and (number - 1 in found or not self._chained)
        ]

    # ---- writing: on one thread of its own -----------------------------------------------------

    def append(self, beacon: Beacon) -> None:
        """Store the round after the last, durably; raises NoRoom, StoreFailed, nothing changed."""
        try:
            self._writer.execute(
                "INSERT INTO rounds (round, signature) VALUES (?, ?)",
                (beacon.round, beacon.signature),
            )
        except sqlite3.Error as error:
            kind = NoRoom if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL else StoreFailed
            raise kind(f"{self.path}: round {beacon.round}: {error}") from error

    def appended(self, beacon: Beacon) -> None:
        """On the loop, after `append`: from now on the round is read."""
        if beacon.round != self._last + 1:
            raise ValueError(f"round {beacon.round} does not follow {self._last}")
        self._remember(beacon.round, beacon.signature)

    def copy_to(self, path: Path) -> None:
        """Write a copy with all that is stored, on a thread; raises StoreFailed, OSError."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE)
        os.close(descriptor)
        try:
            # A reader of its own: a copy of many rounds keeps nobody waiting.
            with closing(_connected(self.path)) as source, closing(_connected(path)) as target:
                source.backup(target)
        except sqlite3.Error as error:
            raise StoreFailed(f"{path}: {error}") from error

    def close(self) -> None:
        """Let go of the file; nothing of this may be under way. A second time does nothing."""
        if self._closed:
            return
        self._closed = True
        for connection in (self._reader, self._writer):
            connection.close()
        os.close(self._lock)

    def _remember(self, number: int, signature: bytes) -> None:
        self._recent[number] = signature
        self._last = number
        if len(self._recent) > RECENT_ROUNDS + 1:
            self._recent.popitem(last=False)


# ---- opening -------------------------------------------------------------------------------------


def open_store(folder: Path, chain_hash: bytes, genesis: Beacon, *, chained: bool) -> Store:
    """
    The store of this chain in the network's database folder, made where there is none.

    `genesis` is round 0. Raises StoreRefused.
    """
    for each in reversed((folder, *folder.parents)):
        each.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    path = folder / FILE_NAME
    lock = _locked(folder)
    try:
        fresh = _recognised(path)
        connections: list[sqlite3.Connection] = []
        try:
            for _ in range(2):
                connections.append(_connected(path))
            # One that was interrupted while it was made holds nothing yet.
            if fresh or _is_empty(connections[0]):
                _made(connections[0], chain_hash)
            _checked(path, connections[0], chain_hash)
            return Store(path, lock, connections, genesis, chained=chained)
        except BaseException:
            for connection in connections:
                connection.close()
            raise
    except (*_SQLITE_SAYS, StoreFailed) as error:
        os.close(lock)
        raise StoreRefused(_damaged(path, str(error))) from error
    except BaseException:
        os.close(lock)
        raise


def _checked_signature(path: Path, number: int, signature: object) -> bytes:
    # A column's type is the row's own in SQLite: a turned bit makes bytes a text or a number.
    if not isinstance(signature, bytes):
        raise StoreFailed(f"{path}: the signature of round {number} is no bytes")
    return signature


def _damaged(path: Path, why: str) -> str:
    return (
        f"{path}: damaged: {why}. Nothing was changed; move the file away to sync the rounds "
        "from the other members again"
    )


def _locked(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreRefused(f"{folder} is in use by another process") from error
    return descriptor


def _recognised(path: Path) -> bool:
    """Whether the file is yet to be made; raises StoreRefused for one of another kind."""
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise StoreRefused(f"{path} cannot be read: {error.strerror}") from error
    if head and not head.startswith(_MAGIC):
        kind = "a bbolt database, as drand keeps" if head[16:20] == _BBOLT_MAGIC else "unknown"
        raise StoreRefused(
            f"{path}: no database of this node ({kind}). Nothing was changed; move the file away "
            "to sync the rounds from the other members"
        )
    return not head


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout = 1000")
    return connection


def _is_empty(connection: sqlite3.Connection) -> bool:
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return not kind and not objects


def _made(connection: sqlite3.Connection, chain_hash: bytes) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # In one transaction: a file without its chain is none of ours.
    connection.execute("BEGIN IMMEDIATE")
    for statement in _CREATE.strip().split("\n"):
        connection.execute(statement)
    connection.execute("INSERT INTO chain (hash) VALUES (?)", (chain_hash,))
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {_FORM}")
    connection.execute("COMMIT")


def _checked(path: Path, connection: sqlite3.Connection, chain_hash: bytes) -> None:
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    if kind != _APPLICATION_ID:
        raise StoreRefused(f"{path}: an SQLite database, and none of this node. It stays as it is")
    if form != _FORM:
        raise StoreRefused(
            f"{path}: its form is {form} and this release knows {_FORM}. It stays as it is"
        )
    # Reads the whole file: some 0.4 s a million rounds.
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise StoreRefused(_damaged(path, found))
    hashes = connection.execute("SELECT hash FROM chain").fetchall()
    if hashes != [(chain_hash,)]:
        raise StoreRefused(
            f"{path}: holds rounds of another chain than the group's, {chain_hash.hex()}. "
            "It stays as it is"
        )
    first, last, count = connection.execute(
        "SELECT min(round), max(round), count(*) FROM rounds"
    ).fetchone()
    if count and (first != 1 or last != count):
        raise StoreRefused(_damaged(path, f"{count} rounds, from {first} to {last}"))
    connection.execute("PRAGMA synchronous = FULL")
