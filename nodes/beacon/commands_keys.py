"""
The verbs that work on a node's folder: key pairs, reset, rounds to be deleted.

Owns: what they change and print. Refuses: a scheme or an address that is none, keys that are there
already (as far as the release looks), rounds that are not there; CommandFailed then.

Rules:

* A key pair that the release cannot load is overwritten, as the real ones do it. One that loads by
  the scheme that is asked for (profiles.KeyGuard) has no pair in keys of the other curve; one that
  refuses keys without their scheme's name (identity.MissingScheme) none in those.
* `reset` keeps the key pair, as its help has always said; the real ones delete it with the rest.
* Rounds are deleted by copying those before them, and the copy takes the old file's place whole.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from nodes import bls
from nodes.beacon import layout
from nodes.beacon.commands_context import Context
from nodes.beacon.commands_words import CommandFailed
from nodes.beacon.core import genesis
from nodes.beacon.dealer import VINTAGES
from nodes.beacon.errors import BeaconError, FileRefused
from nodes.beacon.group import Group, read_group
from nodes.beacon.identity import (
    KeyPair,
    SelfSignature,
    checked_key,
    new_key_pair,
    public_text,
    read_key_pair,
    scheme_named,
)
from nodes.beacon.profiles import KeyGuard, Profile
from nodes.beacon.releases import VINTAGE_OF, Line
from nodes.beacon.startup_keys import write
from nodes.beacon.store import FILE_NAME, READ_ROUNDS_AT_MOST, Store, open_store


def generate(context: Context) -> None:
    """Make a key pair and write it, or say that there is one, which later ones call a failure."""
    v1 = context.surface.line is Line.V1
    address = _address(context)
    try:
        scheme = scheme_named(context.given.text("scheme"), "--scheme")
    except FileRefused as error:
        raise CommandFailed(str(error)) from error
    tls = not context.given.on("tls-disable") if v1 else None
    with_tls = "" if not v1 else " with TLS indication" if tls else " without TLS."
    context.say(f"Generating private / public key pair{with_tls}")
    vintage = VINTAGES[VINTAGE_OF[context.surface.release]].self_signature
    try:
        pair = new_key_pair(scheme, address, vintage, tls=tls)
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    files = layout.Network(context.folder(), context.network())
    as_asked = context.profile.key_guard is KeyGuard.LOADS_AS_ASKED
    if _loads(files, context.profile, scheme if as_asked else None):
        name = "" if as_asked else f" for beaconID {files.beacon_id}"
        lead = "" if as_asked else "\n"
        context.say(f"{lead}Keypair{name} already present in `{files.path}`.")
        context.say("Remove them before generating new one")
        if as_asked:
            return
        raise CommandFailed("keypair already exists")
    _write(files, pair)
    context.say(f"Saved the key : {address} at {files.public_key}")
    context.say(f"Generated keys at  {files.public_key.parent.absolute()}")
    context.say(f"{public_text(pair.identity)}\n")


def _address(context: Context) -> str:
    arguments = context.given.arguments
    if not arguments:
        raise CommandFailed("missing drand address in argument. Abort")
    if len(arguments) > 1:
        listed = " ".join(arguments)[:200]
        raise CommandFailed(
            f"expecting only one argument, the address, but got:\n\t[{listed}]\nAborting. Note "
            "that the flags need to go before the argument"
        )
    if not re.search(r":\d+$", arguments[0]):
        # The real ones ask for a port on the terminal until they are given one.
        raise CommandFailed(f"Invalid port: {arguments[0][:200]}")
    return arguments[0]


def _loads(files: layout.Network, profile: Profile, wanted: bls.Scheme | None) -> bool:
    try:
        pair, _ = _read(files, profile)
        if wanted is not None:
            checked_key(pair.identity.key, wanted, str(files.public_key))
    except BeaconError:
        return False
    return True


def _read(files: layout.Network, profile: Profile) -> tuple[KeyPair, bls.Scheme]:
    return read_key_pair(
        layout.read(files.private_key),
        layout.read(files.public_key),
        group_scheme=None,
        missing=profile.missing_scheme,
    )


def _write(files: layout.Network, pair: KeyPair) -> None:
    try:
        write(files, pair)
    except OSError as error:
        raise CommandFailed(f"could not save key: {error}") from error


def self_sign(context: Context) -> None:
    """Sign our identity as v1 does, where it is not."""
    files = layout.Network(context.folder(), context.network())
    try:
        pair, scheme = _read(files, context.profile)
    except BeaconError as error:
        why = f"beacon id [{files.beacon_id}] - loading private/public: {error}"
        raise CommandFailed(why) from error
    if pair.identity.signed_as(scheme) is SelfSignature.KEY:
        context.say(f"beacon id [{files.beacon_id}] - public identity already self signed.")
        return
    _write(files, pair.resigned(scheme, SelfSignature.KEY, tells_tls=True))
    context.say(
        f"beacon id [{files.beacon_id}] - Public identity self signed for scheme {scheme.name}"
    )


def reset(context: Context) -> None:
    """Delete share, group and rounds, once the operator has said y."""
    context.write(
        "You are about to delete your local share, group file and generated random beacons. "
        "Are you sure you wish to perform this operation? [y/N]"
    )
    answer = context.answer()
    if not answer:
        raise CommandFailed("error reading: EOF")
    if answer.strip().lower() != "y":
        context.write("drand: not reseting the state.")
        return
    for files in _networks(context):
        try:
            files.share.unlink(missing_ok=True)
            files.group.unlink(missing_ok=True)
            if files.database.exists():
                shutil.rmtree(files.database)
        except OSError as error:
            raise CommandFailed(
                f"drand: beacon id [{files.beacon_id}] - err reseting beacons database: {error}"
            ) from error
        context.say(f"drand: beacon id [{files.beacon_id}] - database reset")


def delete_rounds(context: Context) -> None:
    """Delete the rounds from the given one on."""
    text = context.given.arguments[0] if context.given.arguments else ""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise CommandFailed(f"given round not valid: {text[:40]}")
    for files in _networks(context):
        try:
            _delete_from(files, int(text))
        except (BeaconError, OSError) as error:
            raise CommandFailed(f"beacon id [{files.beacon_id}] - {error}") from error


def _delete_from(files: layout.Network, first: int) -> None:
    group = read_group(*layout.read(files.group))
    store = _opened(files.database, group)
    try:
        last = store.last().round
        if first > last:
            raise FileRefused(f"given round is ahead of the chain: {last}")
        folder = files.path / "db.shorter"
        shutil.rmtree(folder, ignore_errors=True)
        _copied(store, folder, group, first)
        # Folded into one file when its last connection is closed.
        (folder / FILE_NAME).replace(files.database / FILE_NAME)
    finally:
        store.close()
    for name in (f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"):
        (files.database / name).unlink(missing_ok=True)
    shutil.rmtree(folder)


def _copied(store: Store, folder: Path, group: Group, before: int) -> None:
    shorter = _opened(folder, group)
    try:
        for first in range(1, before, READ_ROUNDS_AT_MOST):
            for beacon in store.read(first, min(READ_ROUNDS_AT_MOST, before - first)):
                shorter.append(beacon)
    finally:
        shorter.close()


def _opened(folder: Path, group: Group) -> Store:
    seed = genesis(group.genesis_seed)
    return open_store(folder, group.chain().hash(), seed, chained=group.scheme.chained)


def _networks(context: Context) -> tuple[layout.Network, ...]:
    if context.given.is_set("all"):
        return layout.networks_in(context.folder())
    files = layout.Network(context.folder(), context.network())
    if not files.path.is_dir():
        raise CommandFailed(
            f"beacon id [{files.beacon_id}] - error trying to read store: {files.path} is not there"
        )
    return (files,)
