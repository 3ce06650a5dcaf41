"""Threshold BLS: public beacons verify, shares recombine, what is no point or secret is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from tests.beacon_vectors import BEACONS

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from blspy import G1Element, G2Element

from nodes import bls
from nodes.bls import PublicPolynomial, Scheme

SCHEMES = tuple(bls.SCHEMES.values())


def secrets_of(count: int, seed: int = 7) -> list[int]:
    random = Random(seed)
    return [random.randrange(1, bls.ORDER) for _ in range(count)]


def group(scheme: Scheme, threshold: int) -> tuple[list[int], PublicPolynomial]:
    coefficients = secrets_of(threshold)
    return coefficients, PublicPolynomial(scheme, bls.commitments(scheme, coefficients))


def partials(
    scheme: Scheme, coefficients: list[int], indices: list[int], message: bytes
) -> list[bytes]:
    return [
        bls.sign_partial(scheme, bls.share_of(coefficients, index), index, message)
        for index in indices
    ]


# ---- public beacons ----------------------------------------------------------------------------


def _names(beacon: dict[str, Any]) -> str:
    return f"{beacon['chain']} {beacon['round']}"


@pytest.mark.parametrize("beacon", BEACONS, ids=_names)
def test_a_public_beacon_verifies_and_its_neighbours_do_not(beacon: dict[str, Any]) -> None:
    scheme = bls.SCHEMES[beacon["scheme"]]
    key = bytes.fromhex(beacon["public_key"])
    previous = bytes.fromhex(beacon.get("previous_signature", ""))
    signature = bytes.fromhex(beacon["signature"])
    number = beacon["round"]
    assert bls.verify(scheme, key, scheme.digest(number, previous), signature)
    for neighbour in (number - 1, number + 1):
        assert not bls.verify(scheme, key, scheme.digest(neighbour, previous), signature)
    assert bls.randomness(signature).hex() == beacon["randomness"]
    if scheme.chained:
        assert not bls.verify(scheme, key, scheme.digest(number, signature), signature)
    else:
        assert scheme.digest(number, previous) == scheme.digest(number, b"another")


def test_every_scheme_has_a_public_beacon() -> None:
    assert {beacon["scheme"] for beacon in BEACONS} == set(bls.SCHEMES)


def test_a_beacon_of_one_domain_fails_under_the_other() -> None:
    old, new = (bls.SCHEMES[f"bls-unchained-{name}"] for name in ("on-g1", "g1-rfc9380"))
    found = {old.name: 0, new.name: 0}
    for beacon in BEACONS:
        if beacon["scheme"] not in found:
            continue
        found[beacon["scheme"]] += 1
        other = new if beacon["scheme"] == old.name else old
        key, signature = (bytes.fromhex(beacon[name]) for name in ("public_key", "signature"))
        assert not bls.verify(other, key, other.digest(beacon["round"], b""), signature)
    assert min(found.values()) >= 5


# ---- signing and recovering --------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_signature_is_the_keys_alone(scheme: Scheme) -> None:
    one, other = secrets_of(2)
    key = bls.public_key(scheme, one)
    signature = bls.sign(scheme, one, b"message")
    assert (len(key), len(signature)) == (scheme.key_bytes, scheme.signature_bytes)
    assert bls.verify(scheme, key, b"message", signature)
    assert not bls.verify(scheme, key, b"another", signature)
    assert not bls.verify(scheme, bls.public_key(scheme, other), b"message", signature)
    bls.check_key(scheme, key)


@pytest.mark.parametrize(("threshold", "members"), [(1, 1), (2, 3), (3, 5), (7, 12)])
@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_any_threshold_of_partials_recovers_the_signature(
    scheme: Scheme, threshold: int, members: int
) -> None:
    coefficients, public = group(scheme, threshold)
    message = scheme.digest(9, b"before")
    expected = bls.sign(scheme, coefficients[0], message)
    made = partials(scheme, coefficients, list(range(members)), message)
    random = Random(threshold)
    for _ in range(3):
        chosen = random.sample(made, threshold)
        assert public.recover(chosen) == expected
    assert public.recover(made) == expected
    assert public.verify(message, expected)
    assert public.public_key == bls.public_key(scheme, coefficients[0])
    with pytest.raises(bls.NotEnoughPartialsError):
        public.recover([*made[: threshold - 1], *made[: threshold - 1]])


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_indices_may_have_holes_and_be_large(scheme: Scheme) -> None:
    coefficients, public = group(scheme, 3)
    made = partials(scheme, coefficients, [65_534, 0, 11], b"m")
    assert public.recover(made) == bls.sign(scheme, coefficients[0], b"m")
    assert all(public.verify_partial(b"m", partial) for partial in made)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_partial_counts_for_its_own_member_and_message_alone(scheme: Scheme) -> None:
    coefficients, public = group(scheme, 3)
    one, two = partials(scheme, coefficients, [1, 2], b"m")
    assert public.verify_partial(b"m", one)
    assert not public.verify_partial(b"n", one)
    assert not public.verify_partial(b"m", two[:2] + one[2:])
    assert not public.verify_partial(b"m", one[:2] + bytes(scheme.signature_bytes))
    assert bls.partial_index(scheme, two) == 2
    for wrong in (b"", one[:1], one[:-1], one + b"\0"):
        with pytest.raises(bls.InvalidPartialError):
            public.verify_partial(b"m", wrong)
        with pytest.raises(bls.InvalidPartialError):
            public.recover([wrong])
    for index in (-1, 0xFFFF):
        with pytest.raises(bls.InvalidPartialError):
            bls.sign_partial(scheme, 5, index, b"m")


def test_a_bad_partial_spoils_the_recovered_signature() -> None:
    scheme = bls.SCHEMES[bls.DEFAULT_SCHEME]
    coefficients, public = group(scheme, 2)
    one, two = partials(scheme, coefficients, [0, 1], b"m")
    swapped = one[:2] + two[2:]
    assert not public.verify(b"m", public.recover([swapped, two]))


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_share_is_checked_against_the_commitments(scheme: Scheme) -> None:
    coefficients, public = group(scheme, 3)
    for index in (0, 4, 11):
        share = bls.share_of(coefficients, index)
        assert public.holds(index, share)
        assert public.share_key(index) == bls.public_key(scheme, share)
        assert not public.holds(index + 1, share)
    assert public.threshold == 3


# ---- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, bls.ORDER, bls.ORDER + 1, 2**256 - 1])
def test_a_secret_of_zero_or_beyond_the_order_is_refused(value: int) -> None:
    scheme = bls.SCHEMES[bls.DEFAULT_SCHEME]
    g1 = bls.SCHEMES["bls-unchained-g1-rfc9380"]
    refused: list[Callable[[], object]] = [
        lambda: bls.secret_from_bytes(value.to_bytes(32, "big")),
        lambda: bls.secret_to_bytes(value),
        lambda: bls.public_key(scheme, value),
        lambda: bls.public_key(g1, value),
        lambda: bls.sign(scheme, value, b"m"),
        lambda: bls.sign(g1, value, b"m"),
    ]
    for attempt in refused:
        with pytest.raises(bls.InvalidSecretError) as caught:
            attempt()
        assert str(value) not in str(caught.value)


def test_a_secret_has_32_bytes() -> None:
    for wrong in (b"", b"\1" * 31, b"\1" * 33):
        with pytest.raises(bls.InvalidSecretError):
            bls.secret_from_bytes(wrong)
    assert bls.secret_from_bytes(bls.secret_to_bytes(5)) == 5
    assert bls.secret_from_bytes(bls.secret_to_bytes(bls.ORDER - 1)) == bls.ORDER - 1
    assert 0 < bls.new_secret() != bls.new_secret()


def _outside_the_subgroup(scheme: Scheme) -> bytes:
    """A point on the curve and outside the subgroup: nearly all small abscissae are."""
    for abscissa in range(1, 50):
        encoded = bytearray(abscissa.to_bytes(scheme.key_bytes, "big"))
        encoded[0] |= 0x80
        try:
            if scheme.keys_in_g1:
                G1Element.from_bytes_unchecked(bytes(encoded))
            else:
                G2Element.from_bytes_unchecked(bytes(encoded))
        except ValueError:
            continue
        return bytes(encoded)
    pytest.fail("no such point was found")


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_what_is_no_key_is_refused(scheme: Scheme) -> None:
    size = scheme.key_bytes
    infinity = b"\xc0" + bytes(size - 1)
    outside = _outside_the_subgroup(scheme)
    for wrong in (b"", bytes(size), b"\xff" * size, infinity, outside, bytes(144 - size)):
        with pytest.raises(bls.InvalidPointError):
            bls.check_key(scheme, wrong)
        with pytest.raises(bls.InvalidPointError):
            bls.verify(scheme, wrong, b"m", b"")
        with pytest.raises(bls.InvalidPointError):
            PublicPolynomial(scheme, [bls.public_key(scheme, 5), wrong])
    with pytest.raises(bls.BlsError):
        PublicPolynomial(scheme, [])


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_what_is_no_signature_is_false_and_nothing_worse(scheme: Scheme) -> None:
    key = bls.public_key(scheme, 5)
    good = bls.sign(scheme, 5, b"m")
    flipped = bytes([good[0] ^ 0x20]) + good[1:]
    infinity = b"\xc0" + bytes(len(good) - 1)
    for wrong in (b"", good[:-1], good + b"\0", bytes(len(good)), infinity, flipped, b"\xff" * 96):
        assert not bls.verify(scheme, key, b"m", wrong)


# ---- what it costs -----------------------------------------------------------------------------


def _cost_ms(action: Callable[[], object], times: int = 15) -> float:
    """CPU, not time passed, and the least of several: what else runs adds to the others."""
    action()
    taken = []
    for _ in range(times):
        began = time.thread_time()
        action()
        taken.append((time.thread_time() - began) * 1e3)
    return min(taken)


@pytest.mark.parametrize("name", [bls.DEFAULT_SCHEME, "bls-unchained-g1-rfc9380"])
def test_what_each_operation_costs_is_printed(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scheme = bls.SCHEMES[name]
    coefficients, public = group(scheme, 7)
    secret = coefficients[0]
    message = scheme.digest(1, b"")
    made = partials(scheme, coefficients, list(range(12)), message)
    signature = public.recover(made)
    figures = {
        "sign": _cost_ms(lambda: bls.sign(scheme, secret, message)),
        "verify": _cost_ms(lambda: public.verify(message, signature)),
        "verify partial": _cost_ms(lambda: public.verify_partial(message, made[3])),
        "recover 7 of 12": _cost_ms(lambda: public.recover(made)),
        "decode commitments": _cost_ms(lambda: PublicPolynomial(scheme, public.commits)),
    }
    with capsys.disabled():
        said = ", ".join(f"{what} {value:.2f}" for what, value in figures.items())
        print(f"\n{name}, CPU ms: {said}")  # noqa: T201 - a figure for whoever reads the run
    # Straus shares the doublings: a sum of seven multiples costs well below seven of them.
    if scheme.keys_in_g1:
        one_ms = _cost_ms(lambda: bls.public_key(bls.SCHEMES["bls-unchained-on-g1"], secret))
    else:
        one_ms = figures["sign"]
    assert figures["recover 7 of 12"] < 0.85 * 7 * one_ms
