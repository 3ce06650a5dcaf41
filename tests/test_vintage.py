"""What an old release left: stored by content, laid out byte for byte, and nothing else passes."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit.errors import ChaosError, UsageError
from chaoskit.vintage import Left, Store, Vintage, default_folder

LEFT = Left(
    system="still",
    release="1",
    image="sha256:aa",
    made_utc="2026-11-21T10:00:00+00:00",
    settings={"colour": "red"},
    progress={"a": 7, "b": None},
    hidden=(b"a-share-of-a-key",),
)


def left_behind(folder: Path, content: bytes = b"entries") -> dict[str, Path]:
    """Two data folders as nodes leave them: nested, a mode of its own, a hole, a link."""
    data = {name: folder / name for name in ("a", "b")}
    for name, place in data.items():
        (place / "member" / "wal").mkdir(parents=True, mode=0o700)
        (place / "member" / "wal" / "0.wal").write_bytes(content + name.encode())
        (place / "key").write_bytes(b"a-share-of-a-key")
        (place / "key").chmod(0o600)
        (place / "current").symlink_to("member/wal/0.wal")
        with (place / "sparse").open("wb") as file:
            file.truncate(1 << 20)
    return data


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "vintages")


def empty(folder: Path) -> dict[str, Path]:
    made = {name: folder / name for name in ("a", "b")}
    for place in made.values():
        place.mkdir(parents=True)
    return made


def listing(data: dict[str, Path]) -> dict[str, tuple[int, bytes]]:
    """Every path below the folders: its mode and bytes, or where it leads."""
    found = {}
    for name, place in data.items():
        for path in place.rglob("*"):
            mode = path.lstat().st_mode
            held = b""
            if stat.S_ISLNK(mode):
                held = os.fsencode(path.readlink())
            elif path.is_file():
                held = path.read_bytes()
            found[f"{name}/{path.relative_to(place)}"] = mode, held
    return found


def test_what_was_left_is_laid_out_byte_for_byte(store: Store, tmp_path: Path) -> None:
    data = left_behind(tmp_path / "old")
    vintage = store.add(LEFT, data)
    new = empty(tmp_path / "new")
    made = store.lay_out(vintage, new)
    assert listing(new) == listing(data)
    assert {str(path) for path in made} == {f"{tmp_path}/new/{name}" for name in listing(data)}, (
        "each is said, so that its owner can be set"
    )


def test_a_vintage_is_known_by_its_content_alone(store: Store, tmp_path: Path) -> None:
    first = store.add(LEFT, left_behind(tmp_path / "one"))
    again = store.add(replace(LEFT, made_utc="2026-11-22"), left_behind(tmp_path / "two"))
    other = store.add(LEFT, left_behind(tmp_path / "three", b"more"))
    assert again == first, "what is there already stays as it is"
    assert other.digest != first.digest
    assert [one.digest for one in store.all()] == sorted([first.digest, other.digest])
    moved = left_behind(tmp_path / "four")
    (moved["a"] / "key").chmod(0o644)
    assert store.add(LEFT, moved).digest != first.digest, "a mode is content too"


def test_everything_that_is_known_of_it_comes_back(store: Store, tmp_path: Path) -> None:
    vintage = store.add(LEFT, left_behind(tmp_path / "old"))
    found = store.find(vintage.digest[:4])
    assert found == vintage
    assert found.left == LEFT
    assert found.size_bytes == 2 * (1 << 20) + 2 * len(b"entriesa") + 2 * len(LEFT.hidden[0])
    assert found.told() == {"digest": found.digest, "release": "1", "progress": {"a": 7, "b": None}}
    assert found.line().startswith(
        f"{found.digest[:12]}  still 1, 2 nodes, 2.1 MB, made 2026-11-21"
    )


def test_keys_in_it_are_its_owners_alone_and_shown_nowhere(store: Store, tmp_path: Path) -> None:
    vintage = store.add(LEFT, left_behind(tmp_path / "old"))
    for path in [store.folder, *store.folder.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert "a-share" not in repr(vintage)
    assert "a-share" not in repr(LEFT)


@pytest.mark.parametrize("named", ["", "abc", "ffff", "zz"])
def test_a_name_that_is_none_lists_those_there_are(
    store: Store, tmp_path: Path, named: str
) -> None:
    vintage = store.add(LEFT, left_behind(tmp_path / "old"))
    with pytest.raises(UsageError, match=rf"{vintage.name} \(still 1\); `chaoskit vintage make"):
        store.find(named)


def test_an_empty_store_says_how_to_fill_it(store: Store) -> None:
    assert store.all() == []
    with pytest.raises(UsageError, match="none; `chaoskit vintage make SYSTEM RELEASE` makes one"):
        store.find("abcd")


def test_what_is_removed_is_gone_and_may_be_made_again(store: Store, tmp_path: Path) -> None:
    data = left_behind(tmp_path / "old")
    vintage = store.add(LEFT, data)
    store.remove(vintage)
    assert store.all() == []
    assert list(store.folder.iterdir()) == []
    assert store.add(LEFT, data) == vintage


def test_a_changed_archive_is_refused(store: Store, tmp_path: Path) -> None:
    vintage = store.add(LEFT, left_behind(tmp_path / "old"))
    archive = store.folder / vintage.digest / "a.tar.gz"
    archive.write_bytes(
        gzip.compress(gzip.decompress(archive.read_bytes()).replace(b"entriesa", b"entriesX"))
    )
    with pytest.raises(ChaosError, match=r"its content has another hash now.*make it again"):
        store.lay_out(vintage, empty(tmp_path / "new"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../b/outside", tarfile.REGTYPE),
        ("deep/../../outside", tarfile.REGTYPE),
        ("/outside", tarfile.REGTYPE),
        ("link/outside", tarfile.REGTYPE),
        ("pipe", tarfile.FIFOTYPE),
        ("hard", tarfile.LNKTYPE),
    ],
)
def test_an_archive_that_leads_out_of_its_folder_is_refused(
    store: Store, tmp_path: Path, name: str, kind: bytes
) -> None:
    vintage = store.add(LEFT, left_behind(tmp_path / "old"))
    archive = store.folder / vintage.digest / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as written:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, ".."
        written.addfile(link)
        entry = tarfile.TarInfo(name)
        entry.type = kind
        written.addfile(entry)
    folders = empty(tmp_path / "new")
    with pytest.raises(ChaosError, match=r"a\.tar\.gz: .* is not what belongs into a data folder"):
        store.lay_out(vintage, folders)
    assert not any(folders["a"].iterdir())


@pytest.mark.parametrize("kept_bytes", [0, 10, 200])
def test_a_cut_archive_is_refused(store: Store, tmp_path: Path, kept_bytes: int) -> None:
    vintage = store.add(LEFT, left_behind(tmp_path / "old"))
    archive = store.folder / vintage.digest / "b.tar.gz"
    archive.write_bytes(archive.read_bytes()[:kept_bytes])
    with pytest.raises(ChaosError, match=r"b\.tar\.gz"):
        store.lay_out(vintage, empty(tmp_path / "new"))


@pytest.mark.parametrize("written", ["", "{}", '{"schema": 2}', '{"schema": 1, "digest": "aa"}'])
def test_a_garbled_document_is_named(store: Store, tmp_path: Path, written: str) -> None:
    vintage = store.add(LEFT, left_behind(tmp_path / "old"))
    (store.folder / vintage.digest / "vintage.json").write_text(written)
    with pytest.raises(UsageError, match=r"vintage\.json"):
        store.all()


def test_it_fits_only_the_nodes_that_left_it(store: Store, tmp_path: Path) -> None:
    vintage = store.add(LEFT, left_behind(tmp_path / "old"))
    new = empty(tmp_path / "new")
    new["c"] = new.pop("b")
    with pytest.raises(UsageError, match="data of a, b, and the cluster has a, c"):
        store.lay_out(vintage, new)


def test_what_no_archive_carries_is_refused_and_leaves_nothing(
    store: Store, tmp_path: Path
) -> None:
    data = left_behind(tmp_path / "old")
    os.mkfifo(data["b"] / "pipe")
    with pytest.raises(ChaosError, match="b/pipe is no file, folder or symbolic link"):
        store.add(LEFT, data)
    assert list(store.folder.iterdir()) == []


def test_they_lie_with_the_state_of_chaoskit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/chaoskit/vintages")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_folder() == Path.home() / ".local/state/chaoskit/vintages"


def test_a_vintage_is_never_a_draft(store: Store, tmp_path: Path) -> None:
    vintage = store.add(LEFT, left_behind(tmp_path / "old"))
    (store.folder / ".draft-of-a-killed-run").mkdir()
    assert [one.digest for one in store.all()] == [vintage.digest]
    assert isinstance(vintage, Vintage)
