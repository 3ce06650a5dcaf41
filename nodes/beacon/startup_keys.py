"""
What a release does with its own key pairs before it runs.

Owns: the looks at every network's pair that come first, and writing anew what the release writes
anew. Refuses: pairs that the release cannot load, in any network: the daemon does not start then,
and takes its other networks with it, as drand's.

Rules: v1 refuses an identity that v1 did not sign. v2 signs those anew that v2 did not, before it
looks whether the pair's scheme is the group's; a release that takes a missing name for the default
scheme has then written the wrong one. The secret stays as it is. A group that cannot be read is
left for later: it costs its own network alone.
"""

from __future__ import annotations

from pathlib import Path

from nodes import bls
from nodes.beacon import layout
from nodes.beacon.dealer import VINTAGES, Vintage
from nodes.beacon.errors import BeaconError, FileMissing, FileRefused
from nodes.beacon.group import read_group
from nodes.beacon.identity import (
    KeyPair,
    MissingScheme,
    SelfSignature,
    private_text,
    public_text,
    read_key_pair,
)
from nodes.beacon.profiles import OwnSignature, Profile
from nodes.beacon.releases import VINTAGE_OF


def prepare(folder: Path, beacon_id: str | None, profile: Profile) -> None:
    """
    Look at the pairs of these networks, all for None, and sign anew what is to be signed anew.

    Raises BeaconError for the first that is refused, OSError where one cannot be written.
    """
    found = [
        one for one in layout.networks_in(folder) if beacon_id is None or one.beacon_id == beacon_id
    ]
    if profile.own_signature is OwnSignature.MADE_ANEW:
        vintage = VINTAGES[VINTAGE_OF[profile.surface.release]]
        for files in found:
            try:
                _sign_anew(files, profile.missing_scheme, vintage)
            except BeaconError as error:
                raise type(error)(
                    "unable to self-sign using new format for keys, check your installation. Err: "
                    f"beacon id [{files.beacon_id}] - error loading private/public: {error}"
                ) from error
    for files in found:
        pair, scheme = _read(files, _group_scheme(files), profile.missing_scheme)
        if profile.own_signature is OwnSignature.MUST_HOLD:
            _check(files, pair, scheme)


def write(files: layout.Network, pair: KeyPair) -> None:
    """Make the pair the network's; raises OSError."""
    layout.replace(files.private_key, private_text(pair), secret=True)
    layout.replace(files.public_key, public_text(pair.identity), secret=False)


def _sign_anew(files: layout.Network, missing: MissingScheme, vintage: Vintage) -> None:
    group_scheme = _group_scheme(files) if missing is MissingScheme.IS_THE_GROUPS else None
    pair, scheme = _read(files, group_scheme, missing)
    named = {pair.scheme_name, pair.identity.scheme_name} == {scheme.name}
    if not named or pair.identity.signed_as(scheme) is not vintage.self_signature:
        tells_tls = vintage.tls is not None
        write(files, pair.resigned(scheme, vintage.self_signature, tells_tls=tells_tls))


def _check(files: layout.Network, pair: KeyPair, scheme: bls.Scheme) -> None:
    if pair.identity.signed_as(scheme) is not SelfSignature.KEY:
        raise FileRefused(
            f"{files.public_key}: INVALID SELF SIGNATURE bls: invalid signature. "
            "Action: run `drand util self-sign`"
        )


def _read(
    files: layout.Network, group_scheme: bls.Scheme | None, missing: MissingScheme
) -> tuple[KeyPair, bls.Scheme]:
    return read_key_pair(
        layout.read(files.private_key),
        layout.read(files.public_key),
        group_scheme=group_scheme,
        missing=missing,
    )


def _group_scheme(files: layout.Network) -> bls.Scheme | None:
    """The group's scheme; None before a ceremony, and where the group cannot be read."""
    try:
        return read_group(*layout.read(files.group)).scheme
    except (FileMissing, FileRefused):
        return None
