"""
The verbs that ask a daemon over its control port, or other nodes over their own.

Owns: what each asks and prints. Refuses: what the daemon refuses, and a daemon that is not there,
with CommandFailed in drand's words.

Rules: every call is bounded by CALL_S, one over a chain by CHECK_S; nothing is tried again.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from nodes.beacon import calls, commands_words
from nodes.beacon.calls import CallFailed, Message, Method
from nodes.beacon.channels import Channels
from nodes.beacon.commands_context import Context
from nodes.beacon.commands_words import CommandFailed
from nodes.beacon.errors import BeaconError
from nodes.beacon.eventlog import Log, to_stderr
from nodes.beacon.group import canonical_id, group_text, read_group
from nodes.beacon.layout import read
from nodes.beacon.options import PORT_AT_MOST
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.proto import health_pb2 as health
from nodes.beacon.releases import Line
from nodes.beacon.wire import Channel

CALL_S = 30.0
CHECK_S = 3600.0
_ADDRESS = re.compile(r"(?:\[[^\[\]]*\]|[^:\[\]]*):\d{1,5}")


def stop(context: Context) -> None:
    """Stop the daemon, or one network where one is named."""
    if context.given.is_set("id"):
        name = context.network()
        request = drand.ShutdownRequest(metadata=_metadata(name))
        _ask(context, calls.SHUTDOWN, request, f"error stopping beacon process [{name}]: ")
        context.say(f"beacon process [{name}] stopped correctly. Bye.")
        return
    _ask(context, calls.SHUTDOWN, drand.ShutdownRequest(), "error stopping drand daemon: ")
    context.say("drand daemon stopped correctly. Bye.")


def load(context: Context) -> None:
    """Load a network."""
    name = context.network()
    request = drand.LoadBeaconRequest(metadata=_metadata(name))
    _ask(context, calls.LOAD_BEACON, request, f"could not reload the beacon process [{name}]: ")
    context.say(f"Beacon process [{name}] was loaded on drand.")


def ping(context: Context) -> None:
    """Whether the daemon answers."""
    _ask(context, calls.PING_PONG, drand.Ping(), "drand: can't ping the daemon ... ")
    context.say(f"drand daemon is alive on port {_port(context)}")


def list_schemes(context: Context) -> None:
    """The schemes that the daemon knows."""
    why = "drand: can't get the list of scheme ids availables ... "
    answer = _ask(context, calls.LIST_SCHEMES, drand.ListSchemesRequest(), why)
    context.say("Drand supports the following list of schemes: ")
    for number, name in enumerate(answer.ids):
        context.say(f"{number}) {name} ")
    context.say("\nChoose one of them and set it on --scheme flag ")


def status(context: Context) -> None:
    """The status of one network, or of all that run."""
    given = context.given
    listing, all_of_them = given.is_set("list-ids"), given.is_set("all")
    if given.is_set("id") and (listing or all_of_them):
        raise CommandFailed("drand: can't use --id with --all or --list-ids flags at the same time")
    names = [context.network()]
    if listing or all_of_them:
        why = "drand: can't get the list of running beacon ids on the daemon ... "
        v1 = context.surface.line is Line.V1
        method = calls.LIST_RUNNING if v1 else calls.LIST_BEACON_IDS
        names = list(_ask(context, method, drand.ListBeaconIDsRequest(), why).ids)
    if listing:
        spelt = f"{_compact({'ids': names})} "
        context.say(spelt if given.is_set("json") else _running(names))
        return
    found: dict[str, object] = {}
    for name in names:
        why = f"drand: can't get the status of the network with id [{name}]... "
        request = drand.StatusRequest(metadata=_metadata(name))
        answer = _ask(context, calls.STATUS, request, why)
        if given.is_set("json"):
            found[name] = commands_words.status_fields(context.surface, answer)
            continue
        context.say(f"the status of network with id [{name}] is: ")
        context.say(f"{commands_words.status(context.surface, answer)} ")
    if given.is_set("json"):
        context.say(f"{_compact({'beacons': found})} ")


def remote_status(context: Context) -> None:
    """The status of other nodes, and whom of each other they reach."""
    name = context.network()
    addresses = context.given.arguments
    # v1 says so of every address, and its daemon dials as it was started.
    tls = context.surface.line is Line.V1
    request = drand.RemoteStatusRequest(
        metadata=_metadata(name),
        addresses=[drand.Address(address=address, tls=tls) for address in addresses],
    )
    found = _ask(context, calls.REMOTE_STATUS, request, "").statuses
    # Where none is named v2 shows all members, v1 nobody.
    everyone = () if context.surface.line is Line.V1 else sorted(found)
    shown = {one: found.get(one) for one in addresses or everyone}
    if context.given.is_set("json"):
        fields = {
            one: None if answer is None else commands_words.status_fields(context.surface, answer)
            for one, answer in shown.items()
        }
        context.say(f"{_compact(fields)} ")
        return
    for address, answer in shown.items():
        context.say(f"Status of beacon {name} on node {address}")
        if answer is None:
            context.say("\t- NO STATUS; can't connect")
        else:
            context.say(commands_words.status(context.surface, answer))


def show_group(context: Context) -> None:
    """The group, its hash alone, or into a file."""
    request = drand.GroupRequest(metadata=_metadata(context.network()))
    packet = _ask(context, calls.GROUP_FILE, request, "fetching group file error: ")
    group = commands_words.group(context.surface, packet)
    if context.given.is_set("out"):
        try:
            Path(context.given.text("out")).write_text(group_text(group))
        except OSError as error:
            why = f"drand: can't save group to specified file name: {error}"
            raise CommandFailed(why) from error
    elif context.given.on("hash"):
        context.say(group.hash(with_coefficients=True).hex())
    else:
        context.say(commands_words.group_shown(group))


def show_chain(context: Context) -> None:
    """The chain, or its hash alone."""
    request = drand.ChainInfoRequest(metadata=_metadata(context.network()))
    packet = _ask(context, calls.CHAIN_INFO, request, "could not request chain info: ")
    info = commands_words.chain(packet)
    shown = info.hash().hex() if context.given.on("hash") else commands_words.chain_shown(info)
    context.say(shown)


def show_public(context: Context) -> None:
    """Our public key."""
    request = drand.PublicKeyRequest(metadata=_metadata(context.network()))
    answer = _ask(context, calls.PUBLIC_KEY, request, "drand: could not request drand.public: ")
    context.say(json.dumps(commands_words.message(answer), indent=4))


def backup(context: Context) -> None:
    """Have the daemon copy its database."""
    request = drand.BackupDBRequest(
        output_file=context.given.text("out"), metadata=_metadata(context.network())
    )
    _ask(context, calls.BACKUP_DATABASE, request, "could not back up: ")


def sync(context: Context) -> None:
    """Have the daemon check its chain, and tell what it found."""
    given = context.given
    if given.on("follow"):
        raise CommandFailed("sync --follow: not in this release of the node")
    try:
        chain_hash = bytes.fromhex(given.text("chain-hash"))
    except ValueError as error:
        why = f"--chain-hash {given.text('chain-hash')[:80]!r}: {error}"
        raise CommandFailed(
            f"error asking to check chain up to {given.text('up-to')}: {why}"
        ) from error
    request = drand.StartSyncRequest(
        nodes=given.text("sync-nodes").split(","),
        is_tls=context.surface.line is Line.V1 and not given.on("tls-disable"),
        up_to=int(given.text("up-to")),
        metadata=drand.Metadata(beaconID=context.network(), chain_hash=chain_hash),
    )
    asyncio.run(_checking(context, request))


async def _checking(context: Context, request: drand.StartSyncRequest) -> None:
    channel = Channel(f"127.0.0.1:{_port(context)}", tls=False, trusted=None)
    try:
        async with asyncio.timeout(CHECK_S):
            async for progress in channel.stream(calls.START_CHECK_CHAIN, request):
                if progress.current:
                    context.say(f"synced round up to {progress.current} of {progress.target}")
                elif progress.target:
                    context.say(f"Finished checking chain validity: {progress.target} faulty")
                else:
                    context.say("Finished checking chain validity: No faulty beacon found!")
    except CallFailed as error:
        raise CommandFailed(
            f"error asking to check chain up to {request.up_to}: {error}"
        ) from error
    except TimeoutError as error:
        raise CommandFailed(f"the chain was not checked within {CHECK_S:g} s") from error
    finally:
        await channel.close()


def check(context: Context) -> None:
    """Whether nodes answer: those that are named, or every member of a group."""
    given = context.given
    addresses, name = list(given.arguments), given.text("id")
    if given.is_set("group"):
        if given.is_set("id"):
            raise CommandFailed("id flag is not reqired when using group flag")
        group = read_group(*read(Path(given.text("group"))))
        addresses, name = [one.identity.address for one in group.members], group.id
    elif not addresses:
        raise CommandFailed("drand: check-group expects a list of identities or group flag")
    for address in addresses:
        if not _ADDRESS.fullmatch(address):
            why = f"address {address}: missing port in address"
            raise CommandFailed(f"error for address {address}: {why}")
    identities = given.is_set("group") or given.is_set("id")
    silent = asyncio.run(_silent(context, addresses, name if identities else None))
    if silent:
        raise CommandFailed(f"following nodes don't answer: {','.join(silent)}")


async def _silent(context: Context, addresses: list[str], name: str | None) -> list[str]:
    found = []
    for address in addresses:
        try:
            await _reach(context, address, name)
        except BeaconError as error:
            why = f": {error}" if context.given.on("verbose") else ""
            context.say(f"drand: error checking id {address}{why}")
            found.append(address)
        else:
            context.say(f"drand: id {address} answers correctly")
    return found


async def _reach(context: Context, address: str, name: str | None) -> None:
    """Call a node at its own address; raises BeaconError."""
    v1 = context.surface.line is Line.V1
    dialling = context.surface.transport.dialling(built_insecure=context.conn_insecure)
    trusted = context.trusted()
    log = Log("", "beacon/commands_control.py", verbose=False, write=to_stderr)
    channels = Channels(dialling, trusted.read_bytes() if trusted else None, log)
    channels.know(address, says_tls=not context.given.on("tls-disable"))
    try:
        channel = await channels.to(address)
        if name is not None:
            request = drand.IdentityRequest(metadata=_metadata(canonical_id(name)))
            answer = await channel.call(calls.GET_IDENTITY, request, timeout_s=CALL_S)
            if answer.address != address:
                raise CommandFailed(
                    f"mismatch of address: contact {address} reply with {answer.address}"
                )
        elif v1:
            await channel.call(calls.HOME, drand.ListBeaconIDsRequest(), timeout_s=CALL_S)
        else:
            await channel.call(calls.HEALTH_CHECK, health.HealthCheckRequest(), timeout_s=CALL_S)
    finally:
        await channels.close()


# ---- asking ------------------------------------------------------------------------------------


def _ask(context: Context, method: Method[Any, Any], request: Message, why: str) -> Any:
    """The daemon's answer; raises CommandFailed that begins with `why`."""

    async def call() -> Any:
        channel = Channel(f"127.0.0.1:{_port(context)}", tls=False, trusted=None)
        try:
            return await channel.call(method, request, timeout_s=CALL_S)
        finally:
            await channel.close()

    try:
        return asyncio.run(call())
    except CallFailed as error:
        raise CommandFailed(f"{why}{error}") from error


def _port(context: Context) -> str:
    text = context.given.text("control") or "8888"
    if not text.isdecimal() or not 0 < int(text) <= PORT_AT_MOST:
        raise CommandFailed(f"can't instantiate control client: {text[:40]!r} is no port")
    return text


def _metadata(name: str) -> drand.Metadata:
    return drand.Metadata(beaconID=name)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _running(names: list[str]) -> str:
    return f"running beacon ids on the node: [{', '.join(names)}]"
