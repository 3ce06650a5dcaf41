"""
A member's share of its group's secret: `dist_key.private`.

Owns: the share, its file, and the check that share, key pair and group belong together. Refuses: a
share that is none, commitments that are no points, and a share that is not the one its group's
public polynomial promises its member (Feldman's check). No error holds a share.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nodes import bls
from nodes.beacon.document import parsed, written
from nodes.beacon.errors import FileRefused, NotAMember, SchemeMismatch
from nodes.beacon.group import INDEX_AT_MOST, Group, Member
from nodes.beacon.identity import KeyPair, scheme_named


@dataclass(frozen=True, slots=True)
class Share:
    """
    The share of the member at `index`, and the commitments of the polynomial that it is a value of.

    `private_polynomial` is what some releases left of the ceremony, and None where the file has no
    such key; it is written as it was read and used for nothing.
    """

    index: int
    secret: int = field(repr=False)
    commits: tuple[bytes, ...]
    private_polynomial: tuple[bytes, ...] | None = field(repr=False)
    scheme_name: str | None


def read_share(path: str, text: str) -> Share:
    """The share from its file's text; raises FileRefused."""
    table = parsed(text, path)
    has_polynomial = "PrivatePoly" in table
    try:
        share = Share(
            table.whole("Index", at_most=INDEX_AT_MOST),
            bls.secret_from_bytes(table.hexadecimal("Share")),
            table.hexadecimals("Commits"),
            table.hexadecimals("PrivatePoly") if has_polynomial else None,
            table.text_or_none("SchemeName"),
        )
    except bls.InvalidSecretError as error:
        raise table.refused(f"Share: {error}") from error
    table.finish()
    if share.scheme_name is not None:
        scheme_named(share.scheme_name, path)
    return share


def share_text(share: Share) -> str:
    """The text of `dist_key.private`."""
    return written(
        {
            "Index": share.index,
            "Share": bls.secret_to_bytes(share.secret),
            "Commits": share.commits,
            "PrivatePoly": share.private_polynomial,
            "SchemeName": share.scheme_name,
        }
    )


def own_member(group: Group, pair: KeyPair, share: Share, path: str) -> Member:
    """
    The group's member that this key pair and this share make us; `path` is the share's file.

    Raises NotAMember where the group does not hold the key, SchemeMismatch, and FileRefused where
    the share is of another group, of another member, or not what the group's polynomial promises.
    """
    member = group.member_with_key(pair.identity.key)
    if member is None:
        raise NotAMember(
            f"{path}: the group of {group.id} holds no member with our key; was the key pair "
            "overwritten, or the group file replaced?"
        )
    if share.scheme_name is not None and share.scheme_name != group.scheme.name:
        raise SchemeMismatch(
            f"{path}: scheme mismatch for group or share: "
            f"the share's is {share.scheme_name}, the group's is {group.scheme.name}"
        )
    if share.commits != group.coefficients:
        raise FileRefused(f"{path}: Commits are not the group's coefficients: another ceremony's")
    if share.index != member.index:
        raise FileRefused(f"{path}: Index is {share.index}; the group knows us as {member.index}")
    if not bls.PublicPolynomial(group.scheme, share.commits).holds(share.index, share.secret):
        raise FileRefused(
            f"{path}: Share is not what the group's coefficients promise member {share.index}"
        )
    return member
