"""
Certificates for the clusters under test, right ones and wrong ones.

Owns: making authorities and leaves, and reading what a certificate says of itself. Refuses: judging
one (that is what a handshake is for), and writing keys to disk (who needs a file writes it, in a
folder of its own). Rules: keys are ECDSA P-256 and new for every leaf; a leaf serves as server and
as client, because peers of one cluster are both; a wrong certificate is wrong in one way only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from chaoskit.clock import utc_now

Validity = Literal["valid", "expired", "not_yet_valid"]

SLACK = timedelta(hours=1)  # a node's clock may be that far behind ours
LIFETIME = timedelta(days=3650)  # and a clock fault may set it more than a year ahead
WRONG_BY = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Credential:
    """A leaf and its private key, both PEM; the key never shows in a representation."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


class Authority:
    """
    A certificate authority with a key of its own; two of them are foreign to each other.

    Self-signed, valid from the year 2000 to 3000 (trustme fixes that), so no clock fault makes the
    authority itself expire.
    """

    def __init__(self) -> None:
        import trustme  # slow (0.2 s), and only clusters with TLS need it

        self._authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.certificate_pem: bytes = self._authority.cert_pem.bytes()

    def issue(
        self, names: Sequence[str], addresses: Sequence[str], *, kind: Validity = "valid"
    ) -> Credential:
        """
        A new leaf for these DNS names and IP addresses, for servers and clients alike.

        "valid" begins an hour ago and lasts ten years; "expired" ended and "not_yet_valid" begins
        seven days from now, beyond any clock skew that is not meant. Takes about 1 ms. Raises
        ValueError without any name or address, or for one that is neither.
        """
        import trustme

        for name in names:
            if not name or set(name) & set("/@ ") or _is_address(name):
                raise ValueError(f"{name!r} is no DNS name")
        parsed = [str(ipaddress.ip_address(address)) for address in addresses]
        if not (names or parsed):
            raise ValueError("a leaf needs a name or an address")
        begins, ends = _window(kind)
        leaf = self._authority.issue_cert(
            *names,
            *parsed,
            not_before=begins,
            not_after=ends,
            key_type=trustme.KeyType.ECDSA,
        )
        return Credential(leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes())


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _window(kind: Validity) -> tuple[datetime, datetime]:
    now = utc_now()
    match kind:
        case "valid":
            return now - SLACK, now + LIFETIME
        case "expired":
            return now - 2 * WRONG_BY, now - WRONG_BY
        case "not_yet_valid":
            return now + WRONG_BY, now + WRONG_BY + LIFETIME


def fingerprint(certificate_pem: bytes) -> str:
    """
    SHA-256 over the DER form of the first certificate in `certificate_pem`: 64 hex digits.

    The same that a handshake reports for a server that serves it. Raises ValueError when there is
    no certificate in it.
    """
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(certificate_pem).fingerprint(SHA256()).hex()


def not_after(certificate_der: bytes) -> datetime | None:
    """When a certificate (DER) expires, in UTC; None for one that cannot be read."""
    from cryptography.x509 import load_der_x509_certificate

    try:
        return load_der_x509_certificate(certificate_der).not_valid_after_utc
    except ValueError:
        return None
