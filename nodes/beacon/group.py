"""
A group: who makes a chain together, under which public polynomial, and when; `drand_group.toml`.

Owns: members, the group, its hash, the chain's description and hash, and the group's file.
Refuses: members that share an index or an address, a threshold that the members cannot meet or that
is no majority, coefficients that are not as many as the threshold, keys that are no points.

Rules:

* Indices may have holes: the number of a member that did not finish a ceremony is not reused.
* The chain's hash covers the first group's hash as genesis seed, so it outlives every later group.
  Up to v1 that seed is the group's hash taken before its coefficients were known, from v2 on with
  them; the file says the seed, and what it says counts.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from nodes import bls
from nodes.beacon.document import Table, parsed, written
from nodes.beacon.identity import (
    Identity,
    checked_key,
    identity_from,
    identity_lines,
    scheme_named,
)
from nodes.beacon.rounds import ROUNDS_AT_MOST, Schedule

DEFAULT_ID = "default"
INDEX_AT_MOST = 0xFFFE
MEMBERS_AT_MOST = 1024
PERIOD_S_AT_MOST = 2**32 - 1
SEED_BYTES = 32
ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
ID_LENGTH_AT_MOST = 64


def canonical_id(beacon_id: str) -> str:
    """The name of a network; the empty one is `default`. Raises ValueError."""
    name = beacon_id or DEFAULT_ID
    # It becomes the name of a folder.
    if len(name) > ID_LENGTH_AT_MOST or not ID_CHARACTERS.issuperset(name) or name[0] == ".":
        raise ValueError(f"{name[:ID_LENGTH_AT_MOST]!r} is no beacon id")
    return name


@dataclass(frozen=True, slots=True)
class Member:
    """A member and its index, from 0, which its share and its partials carry."""

    index: int
    identity: Identity

    def __post_init__(self) -> None:
        if not 0 <= self.index <= INDEX_AT_MOST:
            raise ValueError(f"an index is a number from 0 to {INDEX_AT_MOST}, not {self.index}")


@dataclass(frozen=True, slots=True)
class Group:
    """
    A group as its file holds it; `period_s` and times in whole seconds, `genesis_seed` 32 bytes.

    `coefficients`: the commitments to the shared polynomial, `threshold` of them, or None before
    the ceremony ended. `transition_s`: when this group takes over, 0 where nothing says so.
    `scheme_name` and `beacon_id` are None where the file does not hold them.
    """

    threshold: int
    period_s: int
    catchup_period_s: float
    genesis_s: int
    transition_s: int
    genesis_seed: bytes
    scheme_name: str | None
    beacon_id: str | None
    members: tuple[Member, ...]
    coefficients: tuple[bytes, ...] | None

    def __post_init__(self) -> None:
        count = len(self.members)
        least = count // 2 + 1
        if not least <= self.threshold <= count:
            raise ValueError(
                f"Threshold is {self.threshold}; with {count} members it is from {least} to {count}"
            )
        if not 1 <= self.period_s <= PERIOD_S_AT_MOST:
            raise ValueError(f"Period is {self.period_s} s; it is at least one second")
        if self.catchup_period_s < 0:
            raise ValueError(f"CatchupPeriod is {self.catchup_period_s} s; it is not negative")
        if not (0 <= self.genesis_s < ROUNDS_AT_MOST and 0 <= self.transition_s < ROUNDS_AT_MOST):
            raise ValueError("GenesisTime and TransitionTime are seconds since 1970")
        if len(self.genesis_seed) != SEED_BYTES:
            raise ValueError(f"GenesisSeed has {SEED_BYTES} bytes, not {len(self.genesis_seed)}")
        _distinct("Index", (member.index for member in self.members))
        _distinct("Address", (member.identity.address for member in self.members))
        _distinct("Key", (member.identity.key.hex() for member in self.members))
        if self.coefficients is not None and len(self.coefficients) != self.threshold:
            raise ValueError(
                f"{len(self.coefficients)} Coefficients, and a Threshold of {self.threshold}"
            )
        canonical_id(self.beacon_id or "")

    @property
    def id(self) -> str:
        """The network's name."""
        return canonical_id(self.beacon_id or "")

    @property
    def scheme(self) -> bls.Scheme:
        """The group's scheme, which counts whatever its members' entries say."""
        return bls.SCHEMES[self.scheme_name or bls.DEFAULT_SCHEME]

    @property
    def schedule(self) -> Schedule:
        """When its rounds are."""
        return Schedule(self.genesis_s, self.period_s)

    def member(self, index: int) -> Member | None:
        """The member of this index."""
        return next((member for member in self.members if member.index == index), None)

    def member_with_key(self, key: bytes) -> Member | None:
        """The member of this public key."""
        return next((member for member in self.members if member.identity.key == key), None)

    def hash(self, *, with_coefficients: bool) -> bytes:
        """The 32 bytes that name this group; a v1 genesis seed is the hash without coefficients."""
        digest = hashlib.blake2b(digest_size=32)
        for member in sorted(self.members, key=lambda one: one.index):
            entry = struct.pack("<I", member.index) + member.identity.key
            digest.update(hashlib.blake2b(entry, digest_size=32).digest())
        digest.update(struct.pack("<IQ", self.threshold, self.genesis_s))
        if self.transition_s:
            digest.update(struct.pack("<q", self.transition_s))
        if with_coefficients and self.coefficients:
            joined = b"".join(self.coefficients)
            digest.update(hashlib.blake2b(joined, digest_size=32).digest())
        if self.id != DEFAULT_ID:
            digest.update(self.id.encode())
        return digest.digest()

    def chain(self) -> ChainInfo:
        """What describes the chain to whoever verifies it; ValueError before the ceremony."""
        if self.coefficients is None:
            raise ValueError("a group without coefficients has no chain")
        return ChainInfo(
            self.coefficients[0],
            self.period_s,
            self.genesis_s,
            self.genesis_seed,
            self.scheme.name,
            self.id,
        )


def _distinct(what: str, values: Iterable[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"two members have the {what} {value}")
        seen.add(value)


@dataclass(frozen=True, slots=True)
class ChainInfo:
    """A chain, to whoever verifies it; `group_hash` is the genesis seed."""

    public_key: bytes
    period_s: int
    genesis_s: int
    group_hash: bytes
    scheme_name: str
    beacon_id: str

    def hash(self) -> bytes:
        """The 32 bytes that name the chain on the wire and in HTTP paths."""
        digest = hashlib.sha256(struct.pack(">Iq", self.period_s, self.genesis_s))
        digest.update(self.public_key + self.group_hash)
        if self.beacon_id != DEFAULT_ID:
            digest.update(self.beacon_id.encode())
        return digest.digest()


# ---- the file ----------------------------------------------------------------------------------


def read_group(path: str, text: str) -> Group:
    """The group from its file's text, every key of it decoded; raises FileRefused."""
    table = parsed(text, path)
    members = tuple(_member(entry) for entry in table.tables("Nodes", at_most=MEMBERS_AT_MOST))
    public_key = table.table_or_none("PublicKey")
    coefficients = None
    if public_key is not None:
        coefficients = public_key.hexadecimals("Coefficients")
        public_key.finish()
    period_s = table.duration("Period")
    if period_s != int(period_s):
        raise table.refused("Period is a whole number of seconds")
    scheme_name = table.text_or_none("SchemeID")
    scheme = scheme_named(bls.DEFAULT_SCHEME if scheme_name is None else scheme_name, path)
    try:
        group = Group(
            table.whole("Threshold", at_most=MEMBERS_AT_MOST),
            int(period_s),
            table.duration("CatchupPeriod"),
            table.whole("GenesisTime"),
            table.whole("TransitionTime"),
            table.hexadecimal("GenesisSeed"),
            scheme_name,
            table.text_or_none("ID"),
            members,
            coefficients,
        )
    except ValueError as error:
        raise table.refused(str(error)) from error
    table.finish()
    for member in members:
        checked_key(member.identity.key, scheme, f"{path}: member {member.index}")
    for number, coefficient in enumerate(coefficients or ()):
        checked_key(coefficient, scheme, f"{path}: coefficient {number}")
    return group


def _member(table: Table) -> Member:
    member = Member(table.whole("Index", at_most=INDEX_AT_MOST), identity_from(table))
    table.finish()
    return member


def group_text(group: Group) -> str:
    """The text of `drand_group.toml`, members in the order they have here."""
    text = written(
        {
            "Threshold": group.threshold,
            "Period": float(group.period_s),
            "CatchupPeriod": float(group.catchup_period_s),
            "GenesisTime": group.genesis_s,
            "TransitionTime": group.transition_s,
            "GenesisSeed": group.genesis_seed,
            "SchemeID": group.scheme_name,
            "ID": group.beacon_id,
        }
    )
    for member in group.members:
        lines = identity_lines(member.identity) | {"Index": member.index}
        text += "\n[[Nodes]]\n" + written(lines, indent="  ")
    if group.coefficients is not None:
        lines = {"Coefficients": group.coefficients}
        text += "\n[PublicKey]\n" + written(lines, indent="  ")
    return text
