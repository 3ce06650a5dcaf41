"""
A member's long-term key pair and what it publishes of it: `drand_id.private`, `drand_id.public`.

Owns: the identity, its signature over itself in both vintages, the two files, and how a file that
names no scheme is loaded. Refuses: a secret that is none, a key that is no point of its scheme, a
pair whose halves do not belong together, keys of a file that nobody knows.

Rules:

* What a release wrote is kept: a field that its files lack (TLS from v2 on, SchemeName before v1.5)
  is None here and is not written. The secret file has mode 0600 and is never quoted in an error.
* Up to v1 an identity signs blake2b-256 of its key; v2 puts the scheme's name before it, so neither
  vintage's signature verifies as the other's.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from enum import Enum

from nodes import bls
from nodes.beacon.document import Table, parsed, written
from nodes.beacon.errors import FileRefused, SchemeMismatch

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):(\d{1,5})")


class SelfSignature(Enum):
    """What an identity's signature over itself covers."""

    KEY = "v1"
    SCHEME_AND_KEY = "v2"

    def message(self, scheme: bls.Scheme, key: bytes) -> bytes:
        """The bytes that are signed."""
        digest = hashlib.blake2b(key, digest_size=32).digest()
        return digest if self is SelfSignature.KEY else scheme.name.encode() + digest


class MissingScheme(Enum):
    """What a loader makes of key files without SchemeName, by the releases that do so."""

    REFUSED = "v2.0.0-testnet"
    IS_DEFAULT = "v2.0.1-testnet, v2.0.2-testnet"
    IS_THE_GROUPS = "v1.5, v2.0.3-testnet and later"


@dataclass(frozen=True, slots=True)
class Identity:
    """Where a member is reached (host:port), its public key, and its signature over itself."""

    address: str
    key: bytes
    signature: bytes
    tls: bool | None
    scheme_name: str | None

    def __post_init__(self) -> None:
        check_address(self.address)

    def signed_as(self, scheme: bls.Scheme) -> SelfSignature | None:
        """The vintage as which the signature verifies, or None: an invalid self signature."""
        for vintage in SelfSignature:
            if bls.verify(scheme, self.key, vintage.message(scheme, self.key), self.signature):
                return vintage
        return None


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An identity and its secret; `scheme_name` is what the secret's file says, if anything."""

    secret: int = field(repr=False)
    scheme_name: str | None
    identity: Identity

    def resigned(self, scheme: bls.Scheme, vintage: SelfSignature, *, tells_tls: bool) -> KeyPair:
        """The same pair signed in this vintage, both files naming the scheme, and TLS or not."""
        message = vintage.message(scheme, self.identity.key)
        identity = replace(
            self.identity,
            signature=bls.sign(scheme, self.secret, message),
            tls=bool(self.identity.tls) if tells_tls else None,
            scheme_name=scheme.name,
        )
        return replace(self, identity=identity, scheme_name=scheme.name)


def check_address(address: str) -> None:
    """Raise ValueError unless it is host:port."""
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match[2]) < 65536:
        raise ValueError(
            f"{address[:80]!r} is no address; wanted host:port, such as a.example:4444"
        )


def new_key_pair(
    scheme: bls.Scheme, address: str, vintage: SelfSignature, *, tls: bool | None
) -> KeyPair:
    """A fresh key pair that says it is reached at `address`; raises ValueError for the address."""
    secret = bls.new_secret()
    identity = Identity(address, bls.public_key(scheme, secret), b"", tls, scheme.name)
    pair = KeyPair(secret, scheme.name, identity)
    return pair.resigned(scheme, vintage, tells_tls=tls is not None)


# ---- schemes by name ---------------------------------------------------------------------------


def scheme_named(name: str, where: str) -> bls.Scheme:
    """The scheme of this name; raises FileRefused."""
    scheme = bls.SCHEMES.get(name)
    if scheme is None:
        known = ", ".join(bls.SCHEMES)
        raise FileRefused(f'{where}: invalid scheme name "{name[:80]}"; known: {known}')
    return scheme


def _scheme_of(
    name: str | None, where: str, group_scheme: bls.Scheme | None, missing: MissingScheme
) -> bls.Scheme:
    if name is None and missing is MissingScheme.REFUSED:
        return scheme_named("", where)
    scheme = scheme_named(bls.DEFAULT_SCHEME if name is None else name, where)
    if group_scheme is None or scheme == group_scheme:
        return scheme
    if missing is not MissingScheme.IS_THE_GROUPS:
        raise SchemeMismatch(
            f"{where}: scheme mismatch for group or share: "
            f"the key's is {scheme.name}, the group's is {group_scheme.name}"
        )
    # The keys are decoded before the group is looked at: those of the other curve cannot be.
    return group_scheme if scheme.keys_in_g1 == group_scheme.keys_in_g1 else scheme


# ---- the files ---------------------------------------------------------------------------------


def identity_from(table: Table) -> Identity:
    """The identity in a table, which may hold more; its key is not decoded yet."""
    address = table.text("Address")
    try:
        return Identity(
            address,
            table.hexadecimal("Key"),
            tls=table.flag_or_none("TLS"),
            signature=table.hexadecimal("Signature"),
            scheme_name=table.text_or_none("SchemeName"),
        )
    except ValueError as error:
        raise table.refused(str(error)) from error


def identity_lines(identity: Identity) -> dict[str, object]:
    """What a file holds of an identity, in drand's order."""
    return {
        "Address": identity.address,
        "Key": identity.key,
        "TLS": identity.tls,
        "Signature": identity.signature,
        "SchemeName": identity.scheme_name,
    }


def checked_key(key: bytes, scheme: bls.Scheme, where: str) -> bytes:
    """The key, if it is one of the scheme; raises FileRefused."""
    if len(key) != scheme.key_bytes:
        raise FileRefused(
            f"{where}: decoding public key: input string length must be equal to "
            f"{scheme.key_bytes} bytes for {scheme.name}, and is {len(key)}"
        )
    try:
        bls.check_key(scheme, key)
    except bls.InvalidPointError as error:
        raise FileRefused(f"{where}: {error}") from error
    return key


def read_key_pair(
    private: tuple[str, str],
    public: tuple[str, str],
    *,
    group_scheme: bls.Scheme | None,
    missing: MissingScheme,
) -> tuple[KeyPair, bls.Scheme]:
    """
    The key pair from the texts of its two files, each given as (path, text), and its scheme.

    Raises FileRefused, and SchemeMismatch where the group has another scheme than the loader finds.
    """
    secret_table = parsed(private[1], private[0])
    secret_bytes = secret_table.hexadecimal("Key")
    scheme_name = secret_table.text_or_none("SchemeName")
    secret_table.finish()
    public_table = parsed(public[1], public[0])
    identity = identity_from(public_table)
    public_table.finish()

    own_scheme = _scheme_of(scheme_name, private[0], None, missing)
    checked_key(identity.key, _scheme_of(identity.scheme_name, public[0], None, missing), public[0])
    scheme = own_scheme
    if group_scheme is not None:
        scheme = _scheme_of(scheme_name, private[0], group_scheme, missing)
    try:
        secret = bls.secret_from_bytes(secret_bytes)
    except bls.InvalidSecretError as error:
        raise FileRefused(f"{private[0]}: Key: {error}") from error
    checked_key(identity.key, scheme, public[0])
    if bls.public_key(scheme, secret) != identity.key:
        raise FileRefused(f"{private[0]}: this secret does not belong to the key in {public[0]}")
    return KeyPair(secret, scheme_name, identity), scheme


def private_text(pair: KeyPair) -> str:
    """The text of `drand_id.private`."""
    return written({"Key": bls.secret_to_bytes(pair.secret), "SchemeName": pair.scheme_name})


def public_text(identity: Identity) -> str:
    """The text of `drand_id.public`."""
    return written(identity_lines(identity))
