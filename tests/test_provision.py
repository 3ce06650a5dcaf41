"""A cluster's folders, files, certificates and mounts: whose they are, and that all of it goes."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from chaoskit.certificates import Authority
from chaoskit.history import Recorder
from chaoskit.journal import Journal
from chaoskit.node import Node
from chaoskit.ownership import Kind
from chaoskit.provision import Workshop
from chaoskit.redaction import Redactor, SecretTooShort
from chaoskit.system import ConfigFile, InitialFile, Placement
from chaoskit.vintage import Left, Store, Vintage
from tests.fakes import OWNER, FakeBackend
from tests.stand_in import NODES, still


def files(placement: Placement) -> list[ConfigFile]:
    credential = placement.credential
    if credential is None:
        return []
    return [
        ConfigFile("certificate.pem", credential.certificate_pem),
        ConfigFile("key.pem", credential.key_pem, secret=True),
        ConfigFile("authority.pem", placement.authority_pem),
    ]


@dataclass
class Rig:
    """A workshop whose journal, backend and run folder are a test's own."""

    folder: Path
    kept: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    redactor: Redactor = field(default_factory=Redactor)

    def __post_init__(self) -> None:
        self.journal = Journal(f"provision-{os.getpid()}", folder=self.folder / "journal")
        self.scratch = self.folder / self.journal.name("c1")
        self.backend = FakeBackend(self.scratch, NODES)
        self.recorder = Recorder(self.folder / "history.jsonl")
        self.workshop = Workshop(
            self.scratch,
            self.folder / "nodes",
            self.journal,
            self.redactor,
            lambda system, release: f"{system.name}:{release.label}",
            lambda reference: f"sha256:{reference}",
            self.kept.__setitem__,
            self.folder / "vintages",
        )

    def furnish(
        self,
        authority: Authority | None = None,
        *,
        faulty: bool = False,
        vintage: Vintage | None = None,
        **more: Any,
    ) -> list[Node]:
        self.workshop.open()
        system = still(**{"files": files} | more)
        found = self.workshop.furnish(
            system,
            system.releases[0],
            {},
            self.backend,
            authority,
            self.recorder,
            faulty=faulty,
            vintage=vintage,
        )
        assert tuple(found) == NODES
        return list(found.values())

    def announced(self) -> set[tuple[Kind, str]]:
        return {(one.kind, one.identity) for one in self.journal.outstanding()}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.workshop.clear()
    assert made.journal.finish() == ()
    made.recorder.close()


def test_nothing_is_made_that_the_journal_does_not_name(rig: Rig) -> None:
    rig.furnish()
    assert rig.announced() == {(Kind.FOLDER, str(rig.scratch))}
    assert {one.name for one in rig.folder.iterdir() if one.is_dir()} == {
        "journal",
        "nodes",  # for the logs
        rig.scratch.name,
    }


def test_folders_are_the_nodes_own(rig: Rig) -> None:
    for node in rig.furnish():
        data, config = node.folders.data, node.folders.config
        assert data == rig.scratch / node.name / "data"
        assert data.stat().st_mode & 0o777 == 0o700
        assert config == rig.scratch / node.name / "config"
        assert node.image == "still:1"
        if os.geteuid() == 0:
            assert (data.stat().st_uid, data.stat().st_gid) == OWNER


def test_data_of_a_vintage_lie_there_instead_of_a_first_start_s(rig: Rig, tmp_path: Path) -> None:
    old = {name: tmp_path / "old" / name for name in NODES}
    for name, folder in old.items():
        (folder / "member").mkdir(parents=True)
        (folder / "member" / "entries").write_text(f"of {name}")
    hidden = b"the-share-of-a-node"
    left = Left("still", "1", "", "2026-11-21", {}, dict.fromkeys(NODES, 1), (hidden,))
    vintage = Store(rig.workshop.vintages).add(left, old)

    def never(_: Sequence[Placement]) -> Mapping[str, Sequence[InitialFile]]:
        raise AssertionError("nothing is dealt to nodes that have run before")

    for node in rig.furnish(vintage=vintage, initial_data=never):
        entries = node.folders.data / "member" / "entries"
        assert entries.read_text() == f"of {node.name}"
        if os.geteuid() == 0:
            for path in (entries, entries.parent):
                assert (path.stat().st_uid, path.stat().st_gid) == OWNER
    assert rig.workshop.hidden() == (hidden,)
    assert hidden not in rig.redactor.clean(b"found " + hidden)


def test_a_secret_too_short_to_be_kept_is_refused_by_its_place(rig: Rig) -> None:
    short = b"1234567"
    given = [ConfigFile("open", short), ConfigFile("token", short, secret=True)]
    with pytest.raises(
        SecretTooShort, match=r"^token of [abc]: a secret of 7 bytes cannot be told"
    ):
        rig.furnish(files=lambda _: given)


def test_a_secret_too_short_in_a_data_folder_is_refused_by_its_place(rig: Rig) -> None:
    left = {"b": [InitialFile("keys/share", b"the share", secrets=(b"1234567",))]}
    with pytest.raises(SecretTooShort, match=r"^keys/share of b: a secret of 7 bytes"):
        rig.furnish(initial_data=lambda _: left)


def test_a_key_is_for_its_node_alone_and_never_in_the_run_folder(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, registered = set(), set()
    monkeypatch.setattr(Redactor, "register", lambda _, secret: registered.add(secret))
    for node in rig.furnish(Authority()):
        path = node.folders.config / "key.pem"
        assert path.stat().st_mode & 0o777 == 0o400
        key = path.read_bytes()
        keys.add(key)
    assert len(keys) == len(NODES)
    assert registered == keys
    assert [one for one in (rig.folder / "nodes").rglob("*") if one.is_file()] == []


def test_a_certificate_is_for_every_address_at_which_its_node_appears(rig: Rig) -> None:
    (node, *_) = rig.furnish(Authority())
    leaf = x509.load_pem_x509_certificate((node.folders.config / "certificate.pem").read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    place = rig.backend.layout
    assert set(names.get_values_for_type(x509.DNSName)) == {"a", "localhost"}
    assert set(names.get_values_for_type(x509.IPAddress)) == {
        ipaddress.ip_address(one)
        for one in (
            "127.0.0.1",
            *place.proxies,
            place.nodes["a"],
            place.watch["a"],
            *(link.address for link in place.links if link.target == "a"),
        )
    }


def test_without_a_secure_port_there_are_no_keys(rig: Rig) -> None:
    assert [list(node.folders.config.iterdir()) for node in rig.furnish()] == [[], [], []]


def test_how_each_node_runs_is_kept(rig: Rig) -> None:
    nodes = rig.furnish()
    for node in nodes:
        node.create()
    rig.workshop.inspect(NODES, rig.backend)
    assert rig.kept == {name: {"argv": ["still", "--name", name]} for name in NODES}


def test_what_is_cleared_is_gone_from_the_disk_and_from_the_journal(rig: Rig) -> None:
    (node, *_) = rig.furnish()
    (node.folders.data / "deep").mkdir()
    (node.folders.data / "deep" / "file").write_bytes(b"x")
    rig.workshop.clear()
    assert not rig.scratch.exists()
    assert rig.announced() == set()


@pytest.mark.engine
def test_faulty_storage_is_announced_mounted_and_gone_again(rig: Rig) -> None:
    nodes = rig.furnish(faulty=True)
    mounts = {node.folders.data for node in nodes}
    assert rig.announced() == {(Kind.FOLDER, str(rig.scratch))} | {
        (Kind.MOUNT, str(path)) for path in mounts
    }
    for node in nodes:
        assert node.storage.serves()
        assert node.folders.data.is_mount()
        (node.folders.data / "file").write_bytes(b"through")
        assert (rig.scratch / node.name / "data" / "file").read_bytes() == b"through"
    rig.workshop.clear()
    assert not any(path.is_mount() for path in mounts)
    assert not rig.scratch.exists()
    assert rig.announced() == set()


def dealt(placements: Sequence[Placement]) -> Mapping[str, Sequence[InitialFile]]:
    """One secret for all of them, and for each the names of all."""
    names = " ".join(one.name for one in placements).encode()
    return {
        one.name: (
            InitialFile("group/names", names),
            InitialFile("group/deep/share", b"share: 0011223344556677", (SHARED,)),
        )
        for one in placements[:2]
    }


SHARED = bytes.fromhex("0011223344556677")


def test_what_members_share_is_made_once_and_lies_in_their_data(rig: Rig) -> None:
    asked: list[int] = []

    def initial(placements: Sequence[Placement]) -> Mapping[str, Sequence[InitialFile]]:
        asked.append(len(placements))
        return dealt(placements)

    nodes = rig.furnish(initial_data=initial)
    assert asked == [len(NODES)]
    for node in nodes[:2]:
        group = node.folders.data / "group"
        assert (group / "names").read_bytes() == b"a b c"
        share = group / "deep" / "share"
        assert share.read_bytes() == b"share: 0011223344556677"
        assert share.stat().st_mode & 0o777 == 0o600
        assert (group / "names").stat().st_mode & 0o777 == 0o644
        if os.geteuid() == 0:
            owners = {(one.stat().st_uid, one.stat().st_gid) for one in (group, *group.rglob("*"))}
            assert owners == {OWNER}
    assert list(nodes[2].folders.data.iterdir()) == []


def test_a_secret_of_the_initial_data_is_known_as_what_it_is(rig: Rig) -> None:
    rig.furnish(initial_data=dealt)
    assert b"0011223344556677" not in rig.redactor.clean(b"its share is 0011223344556677!")


def test_initial_data_stay_in_their_folder(rig: Rig) -> None:
    def astray(placements: Sequence[Placement]) -> Mapping[str, Sequence[InitialFile]]:
        return {placements[0].name: (InitialFile("../config/x", b"x"),)}

    with pytest.raises(ValueError, match="outside"):
        rig.furnish(initial_data=astray)
