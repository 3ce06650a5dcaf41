"""The node's files: what each release left reads, hashes, is written again; the rest is refused."""

from __future__ import annotations

import hashlib
import random
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.beacon_vectors import BEACONS, FOLDERS, MEMBERS, VECTORS, Folder

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes import bls
from nodes.beacon import layout
from nodes.beacon.errors import BeaconError, FileMissing, FileRefused, NotAMember, SchemeMismatch
from nodes.beacon.group import ChainInfo, Group, canonical_id, group_text, read_group
from nodes.beacon.identity import (
    KeyPair,
    MissingScheme,
    SelfSignature,
    check_address,
    new_key_pair,
    private_text,
    public_text,
    read_key_pair,
)
from nodes.beacon.share import Share, own_member, read_share, share_text

EACH_MEMBER = [
    pytest.param(folder, member, id=f"{folder}-{member}")
    for folder in FOLDERS
    for member in MEMBERS
]
TESTNET = VECTORS / "testnet-default-group.toml"


def group_of(folder: Folder, member: str = "node1") -> Group:
    return read_group(*layout.read(folder.path / member / "drand_group.toml"))


def pair_of(
    folder: Folder,
    member: str = "node1",
    *,
    missing: MissingScheme = MissingScheme.IS_THE_GROUPS,
    edit: Callable[[str], str] = str,
) -> tuple[KeyPair, bls.Scheme]:
    private = layout.read(folder.path / member / "drand_id.private")
    public = layout.read(folder.path / member / "drand_id.public")
    return read_key_pair(
        (private[0], edit(private[1])),
        (public[0], edit(public[1])),
        group_scheme=group_of(folder, member).scheme,
        missing=missing,
    )


def share_of(folder: Folder, member: str = "node1") -> Share:
    return read_share(*layout.read(folder.path / member / "dist_key.private"))


def folder_of(release: str, scheme: str) -> Folder:
    return next(one for one in FOLDERS if (one.release, one.scheme) == (release, scheme))


# ---- what each release left --------------------------------------------------------------------


@pytest.mark.parametrize(("folder", "member"), EACH_MEMBER)
def test_every_file_is_written_again_byte_for_byte(folder: Folder, member: str) -> None:
    pair, _ = pair_of(folder, member)
    written = {
        "drand_id.private": private_text(pair),
        "drand_id.public": public_text(pair.identity),
        "dist_key.private": share_text(share_of(folder, member)),
        "drand_group.toml": group_text(group_of(folder, member)),
    }
    for name, text in written.items():
        assert text == (folder.path / member / name).read_text(), name


def test_the_test_networks_group_is_written_again_byte_for_byte() -> None:
    text = TESTNET.read_text()
    assert group_text(read_group("group", text)) == text


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_the_chains_description_and_hash_come_out(folder: Folder) -> None:
    info = folder.published["info"]
    chain = group_of(folder).chain()
    assert chain.hash().hex() == info["hash"]
    assert chain.public_key.hex() == info["public_key"]
    assert chain.group_hash.hex() == info["groupHash"]
    assert (chain.period_s, chain.genesis_s) == (info["period"], info["genesis_time"])
    assert (chain.scheme_name, chain.beacon_id) == (info["schemeID"], info["metadata"]["beaconID"])


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_the_genesis_seed_is_the_groups_hash_as_its_vintage_takes_it(folder: Folder) -> None:
    group = group_of(folder)
    with_coefficients = folder.release.startswith("v2")
    assert group.hash(with_coefficients=with_coefficients) == group.genesis_seed
    assert group.hash(with_coefficients=not with_coefficients) != group.genesis_seed


def test_the_group_hash_that_a_release_printed_comes_out() -> None:
    """v1.5.7 printed this hash for its rfc9380 group: with coefficients, unlike its seed."""
    printed = {
        group_of(folder).hash(with_coefficients=True).hex()[:8]
        for folder in FOLDERS
        if folder.release == "v1.5.7"
    }
    assert "30005d52" in printed


PUBLIC_CHAINS = {
    "mainnet": (
        30,
        1595431050,
        "default",
        "176f93498eac9ca337150b46d21dd58673ea4e3581185f869672e59fa4cb390a",
        "8990e7a9aaed2ffed73dbd7092123d6f289930540d7651336225dc172e51b2ce",
    ),
    "quicknet": (
        3,
        1692803367,
        "quicknet",
        "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e",
        "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971",
    ),
}


@pytest.mark.parametrize("name", PUBLIC_CHAINS)
def test_the_hashes_of_public_chains_come_out(name: str) -> None:
    period_s, genesis_s, beacon_id, seed, expected = PUBLIC_CHAINS[name]
    beacon = next(one for one in BEACONS if one["chain"] == name)
    key, group_hash = bytes.fromhex(beacon["public_key"]), bytes.fromhex(seed)
    chain = ChainInfo(key, period_s, genesis_s, group_hash, beacon["scheme"], beacon_id)
    assert chain.hash().hex() == expected


def test_the_test_networks_group_has_holes_and_names_its_chain() -> None:
    group = read_group(*layout.read(TESTNET))
    assert [member.index for member in group.members] == [0, 2, 3, 7, 8, 9, 10, 11]
    assert (group.threshold, group.period_s, group.catchup_period_s) == (7, 25, 15)
    assert group.chain().hash().hex() == (
        "84b2234fb34e835dccd048255d7ad3194b81af7d978c3bf157e3469592ae4e02"
    )
    assert group.member(1) is None
    assert group.member(7) is group.members[3]
    for member in group.members:
        assert member.identity.signed_as(group.scheme) is SelfSignature.KEY


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_identities_are_signed_as_their_vintage_signs(folder: Folder) -> None:
    group = group_of(folder)
    vintage = SelfSignature.SCHEME_AND_KEY if folder.release.startswith("v2") else SelfSignature.KEY
    for member in group.members:
        assert member.identity.signed_as(group.scheme) is vintage
    pair, scheme = pair_of(folder)
    for other in SelfSignature:
        tells_tls = pair.identity.tls is not None
        again = pair.resigned(scheme, other, tells_tls=tells_tls)
        assert again.identity.signed_as(scheme) is other
        assert (again.identity == pair.identity) == (
            other is vintage and pair.identity.scheme_name is not None
        )


@pytest.mark.parametrize(("folder", "member"), EACH_MEMBER)
def test_key_pair_share_and_group_belong_together(folder: Folder, member: str) -> None:
    group, (pair, scheme), share = (
        group_of(folder, member),
        pair_of(folder, member),
        share_of(folder, member),
    )
    own = own_member(group, pair, share, "share")
    assert (own.identity, own.index) == (pair.identity, share.index)
    assert scheme is group.scheme


# ---- key files that name no scheme -------------------------------------------------------------


def without_scheme(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if "SchemeName" not in line)


@pytest.mark.parametrize(
    ("missing", "folder", "refusal"),
    [
        (MissingScheme.IS_THE_GROUPS, folder_of("v1.4.9", "chained"), None),
        (MissingScheme.IS_THE_GROUPS, folder_of("v1.5.7", "chained"), None),
        (MissingScheme.IS_THE_GROUPS, folder_of("v2.0.2-testnet", "unchained"), None),
        (MissingScheme.IS_THE_GROUPS, folder_of("v1.5.7", "rfc9380"), FileRefused),
        (MissingScheme.IS_DEFAULT, folder_of("v1.4.9", "chained"), None),
        (MissingScheme.IS_DEFAULT, folder_of("v2.0.2-testnet", "unchained"), SchemeMismatch),
        (MissingScheme.IS_DEFAULT, folder_of("v1.5.7", "rfc9380"), FileRefused),
        (MissingScheme.REFUSED, folder_of("v1.4.9", "chained"), FileRefused),
        (MissingScheme.REFUSED, folder_of("v2.0.2-testnet", "unchained"), FileRefused),
        (MissingScheme.REFUSED, folder_of("v1.5.7", "rfc9380"), FileRefused),
    ],
    ids=str,
)
def test_key_files_without_a_scheme_load_as_each_releases_loader_would(
    missing: MissingScheme, folder: Folder, refusal: type[FileRefused] | None
) -> None:
    if refusal is None:
        pair, scheme = pair_of(folder, missing=missing, edit=without_scheme)
        assert scheme is group_of(folder).scheme
        assert pair.scheme_name is None
        assert private_text(pair) == without_scheme(
            (folder.path / "node1" / "drand_id.private").read_text()
        )
        return
    with pytest.raises(FileRefused) as caught:
        pair_of(folder, missing=missing, edit=without_scheme)
    assert caught.type is refusal
    pair_of(folder, missing=MissingScheme.IS_THE_GROUPS)


def test_a_wrong_scheme_of_the_same_curve_is_the_groups_for_the_later_loaders() -> None:
    folder = folder_of("v2.0.2-testnet", "unchained")

    def edit(text: str) -> str:
        return text.replace("pedersen-bls-unchained", "pedersen-bls-chained")

    _, scheme = pair_of(folder, missing=MissingScheme.IS_THE_GROUPS, edit=edit)
    assert scheme.name == "pedersen-bls-unchained"
    with pytest.raises(SchemeMismatch):
        pair_of(folder, missing=MissingScheme.IS_DEFAULT, edit=edit)


def test_a_new_pair_is_one_and_reads_back() -> None:
    for scheme in bls.SCHEMES.values():
        pair = new_key_pair(scheme, "a.example:4444", SelfSignature.SCHEME_AND_KEY, tls=None)
        assert pair.identity.signed_as(scheme) is SelfSignature.SCHEME_AND_KEY
        texts = ("private", private_text(pair)), ("public", public_text(pair.identity))
        again = read_key_pair(*texts, group_scheme=scheme, missing=MissingScheme.REFUSED)
        assert again == (pair, scheme)


# ---- what does not belong together -------------------------------------------------------------


def test_anothers_key_share_or_group_is_refused() -> None:
    folder, other = folder_of("v2.1.4", "chained"), folder_of("v1.5.7", "chained")
    group, (pair, _), share = group_of(folder), pair_of(folder), share_of(folder)
    with pytest.raises(NotAMember):
        own_member(group_of(other), pair, share, "share")
    with pytest.raises(FileRefused, match="ceremony"):
        own_member(group, pair, share_of(other), "share")
    with pytest.raises(FileRefused, match="Index"):
        own_member(group, pair, share_of(folder, "node2"), "share")
    foreign = Share(share.index, 7, share.commits, None, share.scheme_name)
    with pytest.raises(FileRefused, match="promise"):
        own_member(group, pair, foreign, "share")
    renamed = Share(share.index, share.secret, share.commits, None, "pedersen-bls-unchained")
    with pytest.raises(SchemeMismatch):
        own_member(group, pair, renamed, "share")
    private = layout.read(folder.path / "node1" / "drand_id.private")
    public = layout.read(folder.path / "node2" / "drand_id.public")
    with pytest.raises(FileRefused, match="belong"):
        read_key_pair(private, public, group_scheme=None, missing=MissingScheme.REFUSED)


# ---- files that are not what they should be ----------------------------------------------------

GROUP_EDITS = {
    "unknown key": ("ID = ", 'Colour = "red"\nID = '),
    "unknown in member": ("  Index = 0", '  Index = 0\n  Weight = "1"'),
    "missing": ("Threshold = 3\n", ""),
    "threshold too low": ("Threshold = 3", "Threshold = 2"),
    "threshold too high": ("Threshold = 3", "Threshold = 5"),
    "threshold a text": ("Threshold = 3", 'Threshold = "3"'),
    "threshold a truth": ("Threshold = 3", "Threshold = true"),
    "coefficients too many": ("Threshold = 3", "Threshold = 4"),
    "no period": ('Period = "1s"', 'Period = "0s"'),
    "half a period": ('Period = "1s"', 'Period = "1500ms"'),
    "a period that is none": ('Period = "1s"', 'Period = "soon"'),
    "negative genesis": ("GenesisTime = ", "GenesisTime = -"),
    "scheme unknown": ('SchemeID = "pedersen', 'SchemeID = "bls-bn254'),
    "scheme of another curve": ("pedersen-bls-chained", "bls-unchained-on-g1"),
    "index twice": ("Index = 1", "Index = 0"),
    "index a truth": ("Index = 1", "Index = true"),
    "index too high": ("Index = 1", "Index = 65535"),
    "address twice": ("127.0.0.1:21010", "127.0.0.1:21020"),
    "address without port": ("127.0.0.1:21010", "127.0.0.1"),
    "address with port 0": ("127.0.0.1:21010", "127.0.0.1:0"),
    "key not hexadecimal": ('Key = "', 'Key = "x'),
    "key with a space": ('Key = "a7', 'Key = "a 7'),
    "key no point": ('Key = "a7', 'Key = "a6'),
    "coefficient no point": ('Coefficients = ["a7', 'Coefficients = ["a6'),
    "seed short": ('GenesisSeed = "25', 'GenesisSeed = "'),
    "id of a path": ('ID = "default"', 'ID = "../default"'),
    "no toml": ("Threshold", "Threshold Threshold"),
    "toml twice": ("Threshold = 3", "Threshold = 3\nThreshold = 3"),
    "nested without end": ("Threshold = 3", "Threshold = " + "[" * 50_000),
}


@pytest.mark.parametrize("name", GROUP_EDITS)
def test_a_group_file_that_is_not_one_is_refused_with_its_name(name: str) -> None:
    before, after = GROUP_EDITS[name]
    text = (folder_of("v2.1.4", "chained").path / "node1" / "drand_group.toml").read_text()
    assert before in text
    with pytest.raises(FileRefused) as caught:
        read_group("some/drand_group.toml", text.replace(before, after))
    assert str(caught.value).startswith("some/drand_group.toml: ")
    assert len(str(caught.value)) < 400


def test_a_file_is_bounded_in_length_and_in_members() -> None:
    text = TESTNET.read_text()
    with pytest.raises(FileRefused, match="longer"):
        read_group("group", text + "#" * 2**20)
    with pytest.raises(FileRefused, match="entries"):
        read_group("group", text + "\n[[Nodes]]\n" * 1024)


def test_a_groups_hash_is_of_its_name_and_not_of_the_order_of_its_members() -> None:
    group = group_of(folder_of("v2.1.4", "chained"))
    expected = group.hash(with_coefficients=True)
    backwards = replace(group, members=group.members[::-1])
    assert backwards.hash(with_coefficients=True) == expected
    for same in (None, "", "default"):
        assert replace(group, beacon_id=same).hash(with_coefficients=True) == expected
    renamed = replace(group, beacon_id="quicknet")
    assert renamed.hash(with_coefficients=True) != expected
    assert renamed.chain().hash() != group.chain().hash()


def test_a_groups_hash_is_of_all_that_names_it() -> None:
    """Its fields in their order and widths, taken together here once more; a transition too."""
    group = replace(group_of(folder_of("v2.1.4", "chained")), transition_s=2**40, beacon_id="x")
    assert group.coefficients is not None

    def blake(data: bytes) -> bytes:
        return hashlib.blake2b(data, digest_size=32).digest()

    nodes = b"".join(
        blake(one.index.to_bytes(4, "little") + one.identity.key) for one in group.members
    )
    numbers = group.threshold.to_bytes(4, "little") + group.genesis_s.to_bytes(8, "little")
    after = (2**40).to_bytes(8, "little")
    whole = nodes + numbers + after + blake(b"".join(group.coefficients)) + b"x"
    assert group.hash(with_coefficients=True) == blake(whole)
    assert group.hash(with_coefficients=False) == blake(nodes + numbers + after + b"x")


def test_an_unknown_key_is_named_with_those_that_are_known() -> None:
    text = 'Colour = "red"\n' + TESTNET.read_text()
    with pytest.raises(FileRefused, match=r"unknown: Colour\. Known here: .*Threshold"):
        read_group("group", text)


SECRET_EDITS: dict[str, Callable[[str], str]] = {
    "zero": lambda text: text.replace(text.split('"')[1], "00" * 32, 1),
    "the order": lambda text: text.replace(text.split('"')[1], f"{bls.ORDER:064x}", 1),
    "short": lambda text: text.replace(text.split('"')[1], text.split('"')[1][2:], 1),
    "odd": lambda text: text.replace(text.split('"')[1], text.split('"')[1][1:], 1),
    "unclosed": lambda text: text.replace('"', "", 1),
    "twice": lambda text: text + text,
    "cut": lambda text: text[:40],
    "empty": lambda _: "",
    "unknown": lambda text: text + "Colour = 1\n",
}


@pytest.mark.parametrize("name", SECRET_EDITS)
def test_a_secret_file_that_is_not_one_is_refused_and_never_quoted(name: str) -> None:
    folder = folder_of("v2.1.4", "rfc9380")
    public = layout.read(folder.path / "node1" / "drand_id.public")
    path, text = layout.read(folder.path / "node1" / "drand_id.private")
    shared_path, shared = layout.read(folder.path / "node1" / "dist_key.private")
    secrets = [text.split('"')[1], shared.split('"')[1]]
    edit = SECRET_EDITS[name]
    with pytest.raises(FileRefused) as caught:
        read_key_pair((path, edit(text)), public, group_scheme=None, missing=MissingScheme.REFUSED)
    with pytest.raises(FileRefused) as caught_share:
        read_share(shared_path, edit(shared))
    for error in (caught, caught_share):
        assert not any(secret[4:20] in str(error.value) for secret in secrets)


def test_no_secret_is_shown() -> None:
    folder = folder_of("v2.1.4", "chained")
    pair, _ = pair_of(folder)
    share = share_of(folder)
    for value, secret in ((pair, pair.secret), (share, share.secret)):
        assert str(secret) not in repr(value)
        assert f"{secret:x}" not in repr(value)


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.sampled_from(["flip", "cut", "double", "swap"]))
def test_whatever_happened_to_a_file_it_loads_or_is_refused(seed: int, how: str) -> None:
    """Mutations of real files: no other exception, and what loads is written as it was read."""
    draw = random.Random(seed)
    folder = draw.choice(FOLDERS)
    name = draw.choice(["drand_group.toml", "dist_key.private"])
    data = bytearray((folder.path / draw.choice(MEMBERS) / name).read_bytes())
    at, to = sorted(draw.randrange(len(data)) for _ in range(2))
    if how == "flip":
        data[at] ^= 1 << draw.randrange(8)
    elif how == "cut":
        del data[at:to]
    elif how == "double":
        data[to:to] = data[at:to]
    else:
        data[at], data[to] = data[to], data[at]
    text = data.decode(errors="replace")
    try:
        if name == "drand_group.toml":
            group = read_group("group", text)
            assert read_group("again", group_text(group)) == group
        else:
            share = read_share("share", text)
            assert read_share("again", share_text(share)) == share
    except BeaconError as error:
        assert str(error)  # noqa: PT017 - what is refused says why


# ---- where they lie ----------------------------------------------------------------------------


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = layout.Network(tmp_path, "default")
    layout.replace(network.share, "one", secret=True)
    layout.replace(network.group, "two", secret=False)
    assert stat.S_IMODE(network.share.stat().st_mode) == 0o600
    assert stat.S_IMODE(network.group.stat().st_mode) == 0o644
    for path in (network.path, network.path.parent, network.share.parent):
        assert stat.S_IMODE(path.stat().st_mode) & 0o037 == 0

    def fails(_: Path, __: Path) -> Path:
        raise OSError(28, "no space")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="no space"):
        layout.replace(network.share, "three", secret=True)
    assert network.share.read_text() == "one"
    assert [path.name for path in sorted(network.share.parent.iterdir())] == [
        "dist_key.private",
        "drand_group.toml",
    ]
    assert layout.networks_in(tmp_path) == (network,)


def test_what_cannot_be_read_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileMissing):
        layout.read(tmp_path / "nothing")
    with pytest.raises(FileRefused):
        layout.read(tmp_path)
    (tmp_path / "binary").write_bytes(b"Key = \xff")
    with pytest.raises(FileRefused, match="UTF-8"):
        layout.read(tmp_path / "binary")
    (tmp_path / "large").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(FileRefused, match="longer"):
        layout.read(tmp_path / "large")


@pytest.mark.parametrize("name", ["..", "a/b", ".hidden", "a b", "x" * 65, "ä"])
def test_a_beacon_id_is_a_folders_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="beacon id"):
        canonical_id(name)
    with pytest.raises(ValueError, match="beacon id"):
        layout.Network(tmp_path, name)
    assert canonical_id("") == canonical_id("default") == "default"
    assert canonical_id("quicknet-t") == "quicknet-t"


@pytest.mark.parametrize(
    "address", ["", ":1", "a", "a:", "a:0", "a:65536", "a:b", "a b:1", "a:1\n", "[::1:5"]
)
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        check_address(address)
    for good in ("127.0.0.1:4444", "n1.example:443", "[::1]:65535"):
        check_address(good)
