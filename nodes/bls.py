"""
Threshold BLS signatures over BLS12-381: the one module that uses blspy.

Owns: the four signature schemes of the randomness beacon by name, what each hashes, keys,
signatures, partial signatures with their index, the check of a share against the public polynomial,
and the recovery of a group's signature. Refuses: points that are not in the subgroup or at
infinity, secrets of zero or not below the group's order, partials whose index or length is wrong.
It knows no clock and no file.

Rules:

* Points and secrets go in and come out as bytes, compressed and big-endian: 48 bytes in G1, 96 in
  G2, 32 for a secret. What cannot be decoded raises; a signature that merely does not fit is False.
* A partial signature is the signer's index as two big-endian bytes, then a signature with its
  share. Indices count from 0; the polynomial's variable is the index plus one.
* Signatures are deterministic: any threshold of valid partials recovers the same bytes.

Sources: draft-irtf-cfrg-bls-signature-05 (BLS), RFC 9380 (hashing to curves), Boldyreva 2003
(threshold BLS), Feldman 1987 (commitments), Straus 1964 (sums of multiples).
"""

from __future__ import annotations

import functools
import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from blspy import BasicSchemeMPL, G1Element, G2Element, PrivateKey

ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
SECRET_BYTES = 32
INDEX_BYTES = 2
_G1_BYTES = 48
_G2_BYTES = 96
_WINDOW_BITS = 4
_WINDOWS = 64  # of four bits, in the 255 of a scalar

_Point = TypeVar("_Point", G1Element, G2Element)


class BlsError(ValueError):
    """What was handed over cannot be used; the message says why, never a secret's value."""


class InvalidSecretError(BlsError):
    """Not 32 bytes, zero, or not below the order of the group."""


class InvalidPointError(BlsError):
    """Not a compressed point of the group's prime-order subgroup, or the point at infinity."""


class InvalidPartialError(BlsError):
    """Not an index of two bytes and a signature of the scheme's length."""


class NotEnoughPartialsError(BlsError):
    """Fewer distinct signers than the threshold."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """
    One way to sign rounds: which group the keys are in, what is hashed, and under which domain.

    `chained`: the message of a round covers the signature of the one before. `keys_in_g1`: public
    keys have 48 bytes and signatures 96; else the reverse. `domain`: the hash-to-curve's DST.
    """

    name: str
    chained: bool
    keys_in_g1: bool
    domain: bytes

    @property
    def key_bytes(self) -> int:
        """Length of a public key."""
        return _G1_BYTES if self.keys_in_g1 else _G2_BYTES

    @property
    def signature_bytes(self) -> int:
        """Length of a signature; a partial has INDEX_BYTES more."""
        return _G2_BYTES if self.keys_in_g1 else _G1_BYTES

    def digest(self, round_number: int, previous_signature: bytes) -> bytes:
        """The 32 bytes that are signed for a round; only a chained scheme looks at the second."""
        head = previous_signature if self.chained else b""
        return hashlib.sha256(head + round_number.to_bytes(8, "big")).digest()


_DOMAIN_G2 = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
_DOMAIN_G1 = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
DEFAULT_SCHEME = "pedersen-bls-chained"
SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        scheme.name: scheme
        for scheme in (
            Scheme(DEFAULT_SCHEME, chained=True, keys_in_g1=True, domain=_DOMAIN_G2),
            Scheme("pedersen-bls-unchained", chained=False, keys_in_g1=True, domain=_DOMAIN_G2),
            # Deprecated, and kept with its mistake: the domain of G2 while it hashes to G1.
            Scheme("bls-unchained-on-g1", chained=False, keys_in_g1=False, domain=_DOMAIN_G2),
            Scheme("bls-unchained-g1-rfc9380", chained=False, keys_in_g1=False, domain=_DOMAIN_G1),
        )
    }
)


def randomness(signature: bytes) -> bytes:
    """The 32 bytes of randomness that a round's signature yields, in every scheme."""
    return hashlib.sha256(signature).digest()


# ---- secrets and points ------------------------------------------------------------------------


def secret_from_bytes(data: bytes) -> int:
    """A secret from its 32 big-endian bytes; raises InvalidSecretError."""
    if len(data) != SECRET_BYTES:
        raise InvalidSecretError(f"a secret has {SECRET_BYTES} bytes, not {len(data)}")
    return _checked(int.from_bytes(data, "big"))


def secret_to_bytes(secret: int) -> bytes:
    """The 32 big-endian bytes of a secret; raises InvalidSecretError."""
    return _checked(secret).to_bytes(SECRET_BYTES, "big")


def new_secret() -> int:
    """A secret from the system's random source."""
    return secrets.randbelow(ORDER - 1) + 1


def _checked(secret: int) -> int:
    if not 0 < secret < ORDER:
        raise InvalidSecretError("a secret is neither zero nor as large as the order of the group")
    return secret


def public_key(scheme: Scheme, secret: int) -> bytes:
    """The public key of a secret."""
    if scheme.keys_in_g1:
        return bytes(_private(secret).get_g1())
    return bytes(_multiple(_checked(secret), G2Element.generator()))


def check_key(scheme: Scheme, key: bytes) -> None:
    """Raise InvalidPointError unless these bytes are a usable public key of the scheme."""
    if scheme.keys_in_g1:
        _decode(G1Element, key, "public key")
    else:
        _decode(G2Element, key, "public key")


def _private(secret: int) -> PrivateKey:
    return PrivateKey.from_bytes(secret_to_bytes(secret))


def _decode(group: type[_Point], data: bytes, what: str) -> _Point:
    if len(data) != group.SIZE:
        raise InvalidPointError(f"a {what} has {group.SIZE} bytes here, not {len(data)}")
    try:
        point = group.from_bytes(data)
    except ValueError as error:
        raise InvalidPointError(f"no valid {what}: {error}") from error
    if point == group():
        raise InvalidPointError(f"the {what} is the point at infinity")
    return point


# ---- signatures --------------------------------------------------------------------------------


def sign(scheme: Scheme, secret: int, message: bytes) -> bytes:
    """Sign bytes; the same secret and message give the same signature."""
    if scheme.keys_in_g1:
        # The library's own signing is twice as fast as a multiplication over its additions; its
        # fixed domain is the one of both schemes whose keys are in G1.
        return bytes(BasicSchemeMPL.sign(_private(secret), message))
    return bytes(_multiple(_checked(secret), G1Element.from_message(message, scheme.domain)))


def verify(scheme: Scheme, key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is the key's; raises InvalidPointError for the key, never for it."""
    if scheme.keys_in_g1:
        return _verify_in_g2(_decode(G1Element, key, "public key"), message, signature)
    return _verify_in_g1(scheme, _decode(G2Element, key, "public key"), message, signature)


def _verify_in_g2(key: G1Element, message: bytes, signature: bytes) -> bool:
    try:
        point = _decode(G2Element, signature, "signature")
    except InvalidPointError:
        return False
    return BasicSchemeMPL.verify(key, message, point)


def _verify_in_g1(scheme: Scheme, key: G2Element, message: bytes, signature: bytes) -> bool:
    try:
        point = _decode(G1Element, signature, "signature")
    except InvalidPointError:
        return False
    hashed = G1Element.from_message(message, scheme.domain)
    return point.pair(G2Element.generator()) == hashed.pair(key)


def sign_partial(scheme: Scheme, share: int, index: int, message: bytes) -> bytes:
    """A member's part of the group's signature; `index` is the member's, from 0 to 65534."""
    if not 0 <= index < 0xFFFF:
        raise InvalidPartialError(f"an index lies between 0 and 65534, {index} does not")
    return index.to_bytes(INDEX_BYTES, "big") + sign(scheme, share, message)


def partial_index(scheme: Scheme, partial: bytes) -> int:
    """Who says to have made this partial; raises InvalidPartialError when its length is wrong."""
    wanted = INDEX_BYTES + scheme.signature_bytes
    if len(partial) != wanted:
        raise InvalidPartialError(f"a partial has {wanted} bytes here, not {len(partial)}")
    return int.from_bytes(partial[:INDEX_BYTES], "big")


# ---- polynomials -------------------------------------------------------------------------------


def share_of(coefficients: Sequence[int], index: int) -> int:
    """The share of a member: the secret polynomial at its index plus one."""
    total = 0
    for coefficient in reversed(coefficients):
        total = (total * (index + 1) + coefficient) % ORDER
    return total


def commitments(scheme: Scheme, coefficients: Iterable[int]) -> tuple[bytes, ...]:
    """What may be published of a secret polynomial: its coefficients times the generator."""
    return tuple(public_key(scheme, coefficient) for coefficient in coefficients)


class PublicPolynomial:
    """
    A group's public side: the commitments to its secret polynomial, `threshold` of them.

    The first commitment is the group's public key. Keys of shares are computed once and kept.
    """

    def __init__(self, scheme: Scheme, commits: Sequence[bytes]) -> None:
        if not commits:
            raise BlsError("a group has at least one commitment")
        self.scheme = scheme
        self.commits = tuple(commits)
        self._share_keys: dict[int, G1Element | G2Element] = {}
        self._evaluate: Callable[[int], G1Element | G2Element]
        if scheme.keys_in_g1:
            in_g1 = [_decode(G1Element, commit, "commitment") for commit in commits]
            self._key: G1Element | G2Element = in_g1[0]
            self._evaluate = functools.partial(_value_at, in_g1)
        else:
            in_g2 = [_decode(G2Element, commit, "commitment") for commit in commits]
            self._key = in_g2[0]
            self._evaluate = functools.partial(_value_at, in_g2)

    @property
    def threshold(self) -> int:
        """How many partials make a signature."""
        return len(self.commits)

    @property
    def public_key(self) -> bytes:
        """What the group's signatures verify under."""
        return self.commits[0]

    def share_key(self, index: int) -> bytes:
        """The public key that belongs to the share of a member."""
        return bytes(self._share_key(index))

    def holds(self, index: int, share: int) -> bool:
        """Whether a share is this member's: Feldman's check."""
        return public_key(self.scheme, share) == self.share_key(index)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether this is the group's signature."""
        return self._verify(self._key, message, signature)

    def verify_partial(self, message: bytes, partial: bytes) -> bool:
        """Whether the partial is of the member it names; raises InvalidPartialError (length)."""
        index = partial_index(self.scheme, partial)
        return self._verify(self._share_key(index), message, partial[INDEX_BYTES:])

    def recover(self, partials: Iterable[bytes]) -> bytes:
        """
        The group's signature from at least `threshold` partials of distinct members.

        Partials are taken as verified: from one bad one comes a signature that does not verify.
        Raises NotEnoughPartialsError, InvalidPartialError, InvalidPointError.
        """
        chosen: dict[int, bytes] = {}
        for partial in partials:
            chosen.setdefault(partial_index(self.scheme, partial), partial[INDEX_BYTES:])
        if len(chosen) < self.threshold:
            raise NotEnoughPartialsError(f"{len(chosen)} of {self.threshold} partials")
        indices = sorted(chosen)[: self.threshold]
        weights = lagrange_weights(indices)
        if self.scheme.keys_in_g1:
            found = [_decode(G2Element, chosen[index], "partial signature") for index in indices]
            return bytes(_sum_of_multiples(weights, found))
        found_g1 = [_decode(G1Element, chosen[index], "partial signature") for index in indices]
        return bytes(_sum_of_multiples(weights, found_g1))

    def _share_key(self, index: int) -> G1Element | G2Element:
        # Bounded by the indices of two bytes; a core asks for its members' alone.
        key = self._share_keys.get(index)
        if key is None:
            key = self._evaluate(index + 1)
            self._share_keys[index] = key
        return key

    def _verify(self, key: G1Element | G2Element, message: bytes, signature: bytes) -> bool:
        if isinstance(key, G1Element):
            return _verify_in_g2(key, message, signature)
        return _verify_in_g1(self.scheme, key, message, signature)


def lagrange_weights(indices: Sequence[int]) -> list[int]:
    """For each index the factor by which its share counts at zero; indices are distinct."""
    weights = []
    for one in indices:
        above = below = 1
        for other in indices:
            if other != one:
                above = above * (other + 1) % ORDER
                below = below * (other - one) % ORDER
        weights.append(above * pow(below, -1, ORDER) % ORDER)
    return weights


# ---- multiples of points: blspy has additions alone --------------------------------------------


def _value_at(points: Sequence[_Point], variable: int) -> _Point:
    """A polynomial of points at a small variable, by Horner's scheme."""
    total = points[-1]
    for point in reversed(points[:-1]):
        total = _times(variable, total) + point
    return total


def _times(factor: int, point: _Point) -> _Point:
    """A small multiple, by doubling and adding."""
    total = point
    for bit in bin(factor)[3:]:
        total = total + total
        if bit == "1":
            total = total + point
    return total


def _multiple(scalar: int, point: _Point) -> _Point:
    return _sum_of_multiples([scalar], [point])


def _sum_of_multiples(scalars: Sequence[int], points: Sequence[_Point]) -> _Point:
    """Straus: all sums share their doublings; windows of four bits from tables of 15 multiples."""
    tables = []
    for point in points:
        table = [point]
        for _ in range(2, 1 << _WINDOW_BITS):
            table.append(table[-1] + point)
        tables.append(table)
    total = type(points[0])()
    for window in range(_WINDOWS - 1, -1, -1):
        if window != _WINDOWS - 1:
            for _ in range(_WINDOW_BITS):
                total = total + total
        for scalar, table in zip(scalars, tables, strict=True):
            digit = scalar >> (window * _WINDOW_BITS) & 0xF
            if digit:
                total = total + table[digit - 1]
    return total
