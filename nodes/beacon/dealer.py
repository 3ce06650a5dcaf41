"""
A group out of one hand: keys, shares and group as a ceremony would have left them.

Owns: dealing, and what each vintage of releases leaves in the four files of a member. Refuses: what
the group itself refuses (thresholds, addresses, periods), before a file is written.

Rules: whoever deals has known every share, so a dealt group is for tests and trials, and stands in
until members hold ceremonies. Members are numbered in the order of their public keys, as drand's
ceremonies number them. What a vintage writes is read off real releases' files, not off their notes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from nodes import bls
from nodes.beacon import layout
from nodes.beacon.group import SEED_BYTES, Group, Member, group_text
from nodes.beacon.identity import (
    KeyPair,
    SelfSignature,
    new_key_pair,
    private_text,
    public_text,
)
from nodes.beacon.share import Share, share_text


@dataclass(frozen=True, slots=True)
class Vintage:
    """
    What the files of some releases have in common.

    `tls`: whether identities say that they use TLS. `names_schemes`: whether key pair, share and
    members' entries name their scheme. `seed_covers_coefficients`: whether the genesis seed is the
    group's hash with its coefficients; where it is, the file also gives a transition time.
    """

    self_signature: SelfSignature
    tls: bool | None
    names_schemes: bool
    seed_covers_coefficients: bool


VINTAGES: Mapping[str, Vintage] = MappingProxyType(
    {
        "v1.4": Vintage(
            SelfSignature.KEY, tls=False, names_schemes=False, seed_covers_coefficients=False
        ),
        "v1.5": Vintage(
            SelfSignature.KEY, tls=False, names_schemes=True, seed_covers_coefficients=False
        ),
        "v2.0.0": Vintage(
            SelfSignature.SCHEME_AND_KEY,
            tls=False,
            names_schemes=True,
            seed_covers_coefficients=True,
        ),
        "v2": Vintage(
            SelfSignature.SCHEME_AND_KEY,
            tls=None,
            names_schemes=True,
            seed_covers_coefficients=True,
        ),
    }
)
"""By the first release that wrote so; of v2, the first that left TLS out (v2.0.2-testnet)."""


@dataclass(frozen=True, slots=True)
class Dealt:
    """A group, and each member's key pair and share, in the order of their indices."""

    group: Group
    members: tuple[tuple[KeyPair, Share], ...]


def deal(
    scheme: bls.Scheme,
    addresses: Sequence[str],
    *,
    threshold: int,
    period_s: int,
    catchup_period_s: float,
    genesis_s: int,
    beacon_id: str,
    vintage: Vintage,
) -> Dealt:
    """Deal a fresh group of members at these addresses; raises ValueError for what is no group."""
    pairs = sorted(
        (
            new_key_pair(scheme, address, vintage.self_signature, tls=vintage.tls)
            for address in addresses
        ),
        key=lambda pair: pair.identity.key,
    )
    if not vintage.names_schemes:
        pairs = [_unnamed(pair) for pair in pairs]
    members = tuple(Member(index, pair.identity) for index, pair in enumerate(pairs))
    secrets = [bls.new_secret() for _ in range(max(1, threshold))]
    commits = bls.commitments(scheme, secrets)
    unseeded = Group(
        threshold,
        period_s,
        catchup_period_s,
        genesis_s,
        genesis_s if vintage.seed_covers_coefficients else 0,
        bytes(SEED_BYTES),
        scheme.name,
        beacon_id,
        members,
        commits,
    )
    seed = unseeded.hash(with_coefficients=vintage.seed_covers_coefficients)
    name = scheme.name if vintage.names_schemes else None
    shares = [
        Share(index, bls.share_of(secrets, index), commits, None, name)
        for index in range(len(pairs))
    ]
    group = replace(unseeded, genesis_seed=seed)
    return Dealt(group, tuple(zip(pairs, shares, strict=True)))


def leave(network: layout.Network, group: Group, pair: KeyPair, share: Share) -> None:
    """Write a member's four files where they belong; raises OSError."""
    layout.replace(network.private_key, private_text(pair), secret=True)
    layout.replace(network.public_key, public_text(pair.identity), secret=False)
    layout.replace(network.share, share_text(share), secret=True)
    layout.replace(network.group, group_text(group), secret=False)


def _unnamed(pair: KeyPair) -> KeyPair:
    return replace(pair, scheme_name=None, identity=replace(pair.identity, scheme_name=None))
