"""
A network as its files have it: key pair, group, share, and that they belong together.

Owns: which files are read, and what is missing when one is. Refuses: what the files' readers
refuse; a share without a group or a group without a share; the group of another network.

Rules: a network without group and share waits for its ceremony. Nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodes import bls
from nodes.beacon import layout
from nodes.beacon.core import Place
from nodes.beacon.errors import FileMissing, FileRefused
from nodes.beacon.group import Group, read_group
from nodes.beacon.identity import KeyPair, MissingScheme, read_key_pair
from nodes.beacon.share import Share, own_member, read_share


@dataclass(frozen=True, slots=True)
class Membership:
    """What a ceremony left us: the group, our share, and our place in it."""

    group: Group
    share: Share
    place: Place


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network's files; `membership` is None before its ceremony."""

    files: layout.Network
    pair: KeyPair
    scheme: bls.Scheme
    membership: Membership | None

    @property
    def address(self) -> str:
        """Where our identity says that we are reached."""
        return self.pair.identity.address


def load(files: layout.Network, missing: MissingScheme) -> Loaded:
    """Read a network's files; raises BeaconError."""
    group = _group(files)
    pair, scheme = read_key_pair(
        layout.read(files.private_key),
        layout.read(files.public_key),
        group_scheme=None if group is None else group.scheme,
        missing=missing,
    )
    if group is None:
        if files.share.exists():
            raise FileMissing(f"{files.group} is not there, and {files.share} is")
        return Loaded(files, pair, scheme, None)
    if group.id != files.beacon_id:
        raise FileRefused(f"{files.group}: ID is {group.id}; its folder is {files.beacon_id}'s")
    if group.coefficients is None:
        raise FileRefused(f"{files.group}: no PublicKey: its ceremony has not ended")
    share = read_share(*layout.read(files.share))
    member = own_member(group, pair, share, str(files.share))
    place = Place(
        group.id,
        group.schedule,
        group.catchup_period_s,
        {one.index: one.identity.address for one in group.members},
        member.index,
    )
    return Loaded(files, pair, scheme, Membership(group, share, place))


def _group(files: layout.Network) -> Group | None:
    try:
        path, text = layout.read(files.group)
    except FileMissing:
        return None
    return read_group(path, text)
