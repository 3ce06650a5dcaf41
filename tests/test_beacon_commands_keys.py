"""The verbs that work on a node's folder: key pairs, signatures, reset, rounds to be deleted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.beacon_network import Done, drand
from tests.beacon_vectors import FOLDERS, MEMBERS

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes import bls
from nodes.beacon import commands_dealer, layout
from nodes.beacon.core import genesis
from nodes.beacon.group import Group, read_group
from nodes.beacon.identity import KeyPair, MissingScheme, SelfSignature, read_key_pair
from nodes.beacon.messages import Beacon
from nodes.beacon.releases import SURFACES, Line
from nodes.beacon.store import Store, open_store

RELEASES = tuple(SURFACES)
V1, V2 = RELEASES
CHAINED, UNCHAINED, OTHER_CURVE = (
    "pedersen-bls-chained",
    "pedersen-bls-unchained",
    "bls-unchained-g1-rfc9380",
)


def generated(release: str, folder: Path, scheme: str = CHAINED, *flags: str) -> Done:
    insecure = ("--tls-disable",) if SURFACES[release].line is Line.V1 else ()
    where = ("--folder", str(folder), "--control", "1", "--scheme", scheme)
    return drand(release, "generate-keypair", *insecure, *where, *flags, "127.0.0.1:4444")


def pair_in(folder: Path, beacon_id: str = "default") -> tuple[KeyPair, bls.Scheme]:
    files = layout.Network(folder, beacon_id)
    return read_key_pair(
        layout.read(files.private_key),
        layout.read(files.public_key),
        group_scheme=None,
        missing=MissingScheme.REFUSED,
    )


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- key pairs -------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("scheme", bls.SCHEMES)
def test_a_key_pair_is_its_releases(release: str, scheme: str, tmp_path: Path) -> None:
    assert generated(release, tmp_path, scheme, "--id", "some").code == 0
    pair, found = pair_in(tmp_path, "some")
    v1 = SURFACES[release].line is Line.V1
    assert found.name == scheme
    assert pair.identity.tls is (False if v1 else None)
    wanted = SelfSignature.KEY if v1 else SelfSignature.SCHEME_AND_KEY
    assert pair.identity.signed_as(found) is wanted


def test_a_key_pair_of_v1_says_that_it_uses_tls(tmp_path: Path) -> None:
    where = ("--folder", str(tmp_path), "--control", "1")
    done = drand(V1, "generate-keypair", *where, "127.0.0.1:4444")
    assert "key pair with TLS indication\n" in done.text
    assert pair_in(tmp_path)[0].identity.tls is True


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("second", [UNCHAINED, OTHER_CURVE])
def test_who_generates_again_with_another_scheme(release: str, second: str, tmp_path: Path) -> None:
    """v1.5.8 loads the old pair by the scheme that is asked for: the other curve's is no pair."""
    generated(release, tmp_path)
    before = files_in(tmp_path)
    done = generated(release, tmp_path, second)
    overwritten = release == V1 and second == OTHER_CURVE
    assert (files_in(tmp_path) != before) is overwritten
    assert ("Remove them before generating new one" in done.text) is not overwritten
    assert done.code == (0 if release == V1 else 1)
    assert pair_in(tmp_path)[1].name == (second if overwritten else CHAINED)


@pytest.mark.parametrize("release", RELEASES)
def test_a_pair_that_cannot_be_loaded_is_overwritten(release: str, tmp_path: Path) -> None:
    generated(release, tmp_path)
    layout.Network(tmp_path, "default").public_key.unlink()
    assert generated(release, tmp_path).code == 0
    assert pair_in(tmp_path)[1].name == CHAINED


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "missing drand address in argument. Abort"),
        (("a:1", "b:2"), "Aborting. Note that the flags need to go before the argument"),
        (("a",), "Invalid port: a"),
        (("a:99999",), "host:port"),
        (("--scheme", "x", "a:1"), 'invalid scheme name "x"'),
        (("--id", "../up", "a:1"), "beacon id"),
    ],
)
def test_what_no_key_pair_can_be_made_of(
    release: str, arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = drand(release, "generate-keypair", "--folder", str(tmp_path / "new"), *arguments)
    assert done.code == 1
    assert said in done.text
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_told() -> None:
    done = drand(V2, "generate-keypair", "--folder", "/dev/null/none", "a:1")
    assert done.code == 1
    assert "could not save key" in done.text


# ---- self-sign -------------------------------------------------------------------------------


def test_v1_signs_again_what_v2_has_signed(tmp_path: Path) -> None:
    folder = next(one for one in FOLDERS if str(one) == "v2.1.4-chained")
    files = layout.Network(tmp_path, "default")
    files.private_key.parent.mkdir(parents=True)
    for path in (files.private_key, files.public_key):
        shutil.copy(folder.path / MEMBERS[0] / path.name, path)
    where = ("util", "self-sign", "--folder", str(tmp_path))
    assert drand(V1, *where) == Done(
        0, f"beacon id [default] - Public identity self signed for scheme {CHAINED}\n"
    )
    pair, scheme = pair_in(tmp_path)
    assert pair.identity.signed_as(scheme) is SelfSignature.KEY
    assert drand(V1, *where).text == "beacon id [default] - public identity already self signed.\n"
    assert drand(V2, *where).code == 1  # v2 has no such verb
    assert drand(V1, *where, "--id", "other").code == 1


# ---- reset and del-beacon --------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A member's folder with rounds 1 to 300."""
    arguments = ["--as-left-by", V2, "--folder", str(tmp_path), "--threshold", "1"]
    arguments += ["--node", "n=127.0.0.1:4444", "--period", "1s", "--genesis", "1795249200"]
    assert commands_dealer.main(arguments) == 0
    store, _ = opened(tmp_path / "n")
    for number in range(1, 301):
        store.append(beacon(number))
    store.close()
    return tmp_path / "n"


def opened(folder: Path) -> tuple[Store, Group]:
    files = layout.Network(folder, "default")
    group = read_group(*layout.read(files.group))
    seed = genesis(group.genesis_seed)
    return open_store(files.database, group.chain().hash(), seed, chained=True), group


def beacon(number: int) -> Beacon:
    return Beacon(number, b"", number.to_bytes(96, "big"))


@pytest.mark.parametrize("first", [1, 2, 257, 300])
def test_rounds_are_deleted_from_one_on(folder: Path, first: int) -> None:
    done = drand(V2, "util", "del-beacon", "--folder", str(folder), str(first))
    assert done == Done(0, "")
    store, group = opened(folder)
    try:
        assert store.last().round == first - 1
        kept = [one.signature for at in range(1, first, 256) for one in store.read(at, 256)]
        assert kept[: first - 1] == [beacon(number).signature for number in range(1, first)]
        store.append(beacon(first))
        assert group.threshold == 1
    finally:
        store.close()
    left = {path.name for path in layout.Network(folder, "default").path.iterdir()}
    assert left == {"db", "groups", "key"}


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "301", "9" * 30])
def test_rounds_that_are_none_are_not_deleted(folder: Path, text: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("drand.db")}
    done = drand(V2, "util", "del-beacon", "--folder", str(folder), *([text] if text else []))
    assert done.code == 1
    assert before == {path: path.read_bytes() for path in folder.rglob("drand.db")}


def test_a_daemon_that_runs_keeps_its_rounds(folder: Path) -> None:
    store, _ = opened(folder)
    try:
        done = drand(V2, "util", "del-beacon", "--folder", str(folder), "5")
        assert (done.code, "in use by another process" in done.text) == (1, True)
        assert store.last().round == 300
    finally:
        store.close()


@pytest.mark.parametrize("release", RELEASES)
def test_reset_keeps_the_key_pair_alone(release: str, folder: Path) -> None:
    files = layout.Network(folder, "default")
    keys = {path: path.read_bytes() for path in (files.private_key, files.public_key)}
    reset = ("util", "reset", "--folder", str(folder))
    for answer in ("n\n", "\n", "yes\n"):
        done = drand(release, *reset, answer=answer)
        assert done.code == 0
        assert done.text.endswith("drand: not reseting the state.")
        assert files.group.exists()
    assert drand(release, *reset).code == 1  # nobody answers
    assert files.group.exists()
    done = drand(release, *reset, answer="Y\n")
    assert done.text.endswith("drand: beacon id [default] - database reset\n")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == keys


def test_a_network_that_is_not_there_is_told(tmp_path: Path) -> None:
    for verb in (("reset",), ("del-beacon", "1")):
        done = drand(
            V2, "util", verb[0], "--folder", str(tmp_path), "--id", "x", *verb[1:], answer="y\n"
        )
        assert done.code == 1
        assert "beacon id [x] - error trying to read store" in done.text


def test_all_networks_are_reset_together(folder: Path) -> None:
    arguments = ["--as-left-by", V2, "--folder", str(folder.parent), "--threshold", "1"]
    arguments += ["--node", "n=127.0.0.1:4444", "--period", "1s", "--genesis", "1795249200"]
    assert commands_dealer.main([*arguments, "--beacon-id", "more"]) == 0
    done = drand(V2, "util", "reset", "--folder", str(folder), "--all", answer="y\n")
    assert done.text.count("database reset") == 2
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {
        "drand_id.private",
        "drand_id.public",
    }
