"""A dealt group: its files have the form that each release's have, and its members make rounds."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from tests.beacon_vectors import FOLDERS, MEMBERS, Folder

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes import bls
from nodes.beacon import layout
from nodes.beacon.dealer import VINTAGES, Dealt, Vintage, deal, leave
from nodes.beacon.group import read_group
from nodes.beacon.identity import MissingScheme, read_key_pair
from nodes.beacon.share import own_member, read_share
from nodes.beacon.signing import GroupSigning
from tests.beacon_simulation import World, real_world

GENESIS_S = 1_795_249_200


def dealt(
    scheme: str = bls.DEFAULT_SCHEME,
    *,
    members: int = 4,
    threshold: int = 3,
    vintage: Vintage = VINTAGES["v2"],
    beacon_id: str = "default",
) -> Dealt:
    return deal(
        bls.SCHEMES[scheme],
        [f"127.0.0.1:{21010 + number}" for number in range(members)],
        threshold=threshold,
        period_s=1,
        catchup_period_s=1.0 if vintage.seed_covers_coefficients else 0.0,
        genesis_s=GENESIS_S,
        beacon_id=beacon_id,
        vintage=vintage,
    )


def world_of(given: Dealt) -> World:
    world = real_world(given.group, [share for _, share in given.members])
    for name in world.nodes:
        world.start(name)
    return world


def vintage_of(folder: Folder) -> Vintage:
    return VINTAGES[next(name for name in VINTAGES if folder.release.startswith(name))]


def form(text: str) -> str:
    """A file without what is another's each time: keys and signatures by length, no numbers."""
    text = re.sub(r'"([0-9a-f]{16,})"', lambda match: f"<{len(match[1]) // 2} bytes>", text)
    text = re.sub(r"(GenesisTime|TransitionTime) = [1-9]\d*", r"\1 = <time>", text)
    text = re.sub(r"^Index = \d+", "Index = <number>", text, flags=re.MULTILINE)
    return re.sub(r'"127\.0\.0\.1:\d+"', "<address>", text)


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_the_files_have_the_form_of_the_releases_own(folder: Folder, tmp_path: Path) -> None:
    scheme = folder.published["info"]["schemeID"]
    given = dealt(scheme, vintage=vintage_of(folder))
    for number, (pair, share) in enumerate(given.members):
        network = layout.Network(tmp_path / str(number), "default")
        leave(network, given.group, pair, share)
        for path in (network.private_key, network.public_key, network.share, network.group):
            theirs = (folder.path / MEMBERS[0] / path.name).read_text()
            assert form(path.read_text()) == form(theirs), path.name
        assert stat.S_IMODE(network.private_key.stat().st_mode) == 0o600
        assert stat.S_IMODE(network.share.stat().st_mode) == 0o600


@pytest.mark.parametrize("vintage", VINTAGES, ids=str)
def test_what_is_left_is_read_and_belongs_together(vintage: str, tmp_path: Path) -> None:
    given = dealt(vintage=VINTAGES[vintage], beacon_id="un")
    for pair, share in given.members:
        network = layout.Network(tmp_path / str(share.index), "un")
        leave(network, given.group, pair, share)
        group = read_group(*layout.read(network.group))
        read, _ = read_key_pair(
            layout.read(network.private_key),
            layout.read(network.public_key),
            group_scheme=group.scheme,
            missing=MissingScheme.IS_THE_GROUPS,
        )
        assert group == given.group
        assert own_member(group, read, read_share(*layout.read(network.share)), "share").index == (
            share.index
        )
        signed = pair.identity.signed_as(group.scheme)
        assert signed is VINTAGES[vintage].self_signature
    keys = [member.identity.key for member in given.group.members]
    assert keys == sorted(keys)
    covers = VINTAGES[vintage].seed_covers_coefficients
    assert given.group.hash(with_coefficients=covers) == given.group.genesis_seed


@pytest.mark.parametrize("scheme", bls.SCHEMES)
def test_dealt_members_make_rounds_that_verify(scheme: str) -> None:
    world = world_of(dealt(scheme))
    world.run_rounds(3)
    assert set(world.lasts().values()) == {3}


def test_no_two_groups_share_a_secret() -> None:
    one, other = dealt(), dealt()
    assert one.group.coefficients != other.group.coefficients
    assert {pair.secret for pair, _ in one.members}.isdisjoint(
        pair.secret for pair, _ in other.members
    )


@pytest.mark.parametrize(("members", "threshold"), [(4, 2), (4, 5), (4, 0), (0, 0)])
def test_what_is_no_group_is_refused(members: int, threshold: int) -> None:
    with pytest.raises(ValueError, match="Threshold"):
        dealt(members=members, threshold=threshold)


@pytest.mark.parametrize(("members", "threshold"), [(5, 3), (12, 7)])
def test_no_member_verifies_a_partial_twice(
    members: int, threshold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verifying is what a round costs; seconds are tests/bench_beacon.py's."""
    rounds = 4
    world = world_of(dealt(members=members, threshold=threshold))
    world.run_rounds(1)
    looks = []
    verify = GroupSigning.verify_partial

    def counted(self: GroupSigning, number: int, previous: bytes, partial: bytes) -> bool:
        looks.append((id(self), number, partial))
        return verify(self, number, previous, partial)

    monkeypatch.setattr(GroupSigning, "verify_partial", counted)
    world.run_rounds(rounds)
    assert set(world.lasts().values()) == {1 + rounds}
    assert len(looks) == len(set(looks))
    assert rounds * members * (threshold - 1) <= len(looks) <= rounds * members * (members - 1)
