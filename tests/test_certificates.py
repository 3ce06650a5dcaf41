"""Certificates: valid in the way asked for, wrong in one way only, usable on both sides of mTLS."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import ssl
from datetime import timedelta
from pathlib import Path
from time import thread_time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from chaoskit.certificates import Authority, Credential, Validity, fingerprint, not_after
from chaoskit.clock import utc_now


def parsed(credential: Credential) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credential.certificate_pem)


def test_a_leaf_is_for_the_names_and_addresses_asked() -> None:
    leaf = parsed(Authority().issue(["n1", "n1.example"], ["127.0.0.2", "::1"]))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1", "n1.example"]
    addresses = names.get_values_for_type(x509.IPAddress)
    assert addresses == [ipaddress.ip_address("127.0.0.2"), ipaddress.ip_address("::1")]


def test_a_leaf_serves_and_dials() -> None:
    leaf = parsed(Authority().issue(["n1"], []))
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH} <= set(usage)


def test_keys_are_p256_fresh_and_belong_to_their_leaf() -> None:
    authority = Authority()
    first, second = authority.issue(["n1"], []), authority.issue(["n1"], [])
    assert first.key_pem != second.key_pem
    for credential in (first, second):
        key = load_pem_private_key(credential.key_pem, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
        assert key.public_key() == parsed(credential).public_key()


def test_a_key_is_not_shown() -> None:
    credential = Authority().issue(["n1"], [])
    assert "PRIVATE" in credential.key_pem.decode()
    assert "PRIVATE" not in repr(credential)


@pytest.mark.parametrize(
    ("kind", "inside_days", "outside_days"),
    [("valid", [0, 400], []), ("expired", [-10], [-1, 0]), ("not_yet_valid", [8], [0, 1])],
)
def test_a_leaf_is_wrong_in_its_dates_only(
    kind: Validity, inside_days: list[int], outside_days: list[int]
) -> None:
    authority = Authority()
    leaf = parsed(authority.issue(["n1"], [], kind=kind))
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate_pem))

    def covers(in_days: int) -> bool:
        when = utc_now() + timedelta(days=in_days)
        return leaf.not_valid_before_utc <= when <= leaf.not_valid_after_utc

    assert all(covers(days) for days in inside_days)
    assert not any(covers(days) for days in outside_days)


def test_a_valid_leaf_allows_for_a_clock_that_is_behind() -> None:
    leaf = parsed(Authority().issue(["n1"], []))
    assert leaf.not_valid_before_utc <= utc_now() - timedelta(minutes=59)


def context(side: int, own: Credential, trusted: Authority, tmp_path: Path) -> ssl.SSLContext:
    file = tmp_path / "leaf.pem"
    file.write_bytes(own.certificate_pem + own.key_pem)
    made = ssl.SSLContext(side)
    made.load_cert_chain(file)
    made.load_verify_locations(cadata=trusted.certificate_pem.decode())
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """A whole handshake in memory; raises ssl.SSLError when one side refuses the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname="n1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for side in sides * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert all(side.getpeercert() for side in sides)


def test_peers_of_one_authority_shake_hands_and_foreign_ones_do_not(tmp_path: Path) -> None:
    ours, foreign = Authority(), Authority()
    own, other = ours.issue(["n1"], []), foreign.issue(["n1"], [])
    server = context(ssl.PROTOCOL_TLS_SERVER, own, ours, tmp_path)
    shake_hands(server, context(ssl.PROTOCOL_TLS_CLIENT, own, ours, tmp_path))
    with pytest.raises(ssl.SSLCertVerificationError):  # the server refuses the client
        shake_hands(server, context(ssl.PROTOCOL_TLS_CLIENT, other, ours, tmp_path))
    with pytest.raises(ssl.SSLCertVerificationError):  # the client refuses the server
        shake_hands(server, context(ssl.PROTOCOL_TLS_CLIENT, own, foreign, tmp_path))


def test_a_fingerprint_is_the_sha256_of_the_der() -> None:
    credential = Authority().issue(["n1"], [])
    der = ssl.PEM_cert_to_DER_cert(credential.certificate_pem.decode())
    assert fingerprint(credential.certificate_pem) == hashlib.sha256(der).hexdigest()
    assert not_after(der) == parsed(credential).not_valid_after_utc
    assert not_after(b"no certificate") is None
    with pytest.raises(ValueError):  # noqa: PT011  # the library's own words
        fingerprint(b"no certificate")


@pytest.mark.parametrize(
    ("names", "addresses"),
    [
        ([], []),
        ([""], []),
        (["a@b"], []),
        (["10.0.0.0/8"], []),
        (["127.0.0.1"], []),
        ([], ["n1"]),
        ([], ["10.0.0.0/8"]),
    ],
)
def test_what_is_no_name_or_address_is_refused(names: list[str], addresses: list[str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the messages are several
        Authority().issue(names, addresses)


def test_twelve_leaves_take_no_time() -> None:
    """Time of a processor, which a busy machine does not take: 7 ms; RSA would take seconds."""
    authority = Authority()
    took_s = []
    for _ in range(5):
        began_s = thread_time()
        for n in range(12):
            authority.issue([f"n{n}"], ["127.0.0.1"])
        took_s.append(thread_time() - began_s)
    assert min(took_s) < 0.5
