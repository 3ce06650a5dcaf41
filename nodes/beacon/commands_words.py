"""
What verbs print: statuses, groups and chains, in the words that operators know from drand.

Owns: the texts. Refuses: packets that no group or chain can be made of, with CommandFailed.

Rules: a status is told as each line of releases tells it; messages as JSON have their fields' wire
names, bytes in hexadecimal, and nothing that is empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nodes.beacon.errors import BeaconError
from nodes.beacon.group import ChainInfo, Group, Member, group_text
from nodes.beacon.http_answers import info_fields
from nodes.beacon.identity import Identity
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.releases import Line, Surface

_CEREMONY = {0: "Done", 1: "In progress", 2: "Not started"}
_PROCESS = {0: "Not inited", 1: "Inited"}


class CommandFailed(BeaconError):
    """A verb that did not do what it is for; its message is what the operator is told."""


def status(surface: Surface, answer: drand.StatusResponse) -> str:
    """A node's status in one network."""
    beacon, store = answer.beacon, answer.chain_store
    lines = ["* Dkg ", f" - Status: {_CEREMONY.get(answer.dkg.status, 'Unknown')} "]
    if surface.line is Line.V1:
        # A node of ours reshares nothing, and of others this is not read.
        lines += ["* Reshare ", " - Status: Not started "]
    else:
        lines += [f"DKG epoch: {answer.epoch} "]
    lines += [
        "* ChainStore ",
        f" - IsEmpty: {_flag(store.is_empty)} ",
        f" - LastRound: {store.last_stored} ",
        "* BeaconProcess ",
        f" - Status: {_PROCESS.get(beacon.status, 'Unknown')} ",
        f" - Stopped: {_flag(beacon.is_stopped)} ",
        f" - Started: {_flag(beacon.is_started)} ",
        f" - Serving: {_flag(beacon.is_serving)} ",
        f" - Running: {_flag(beacon.is_running)} ",
    ]
    if answer.connections:
        lines.append("* Network visibility")
        for address, reached in sorted(answer.connections.items()):
            lines.append(f" - {address} -> {'OK' if reached else 'X no connection'}")
    return "\n".join(lines) + "\n"


def status_fields(surface: Surface, answer: drand.StatusResponse) -> dict[str, object]:
    """A node's status as JSON; v1 has a reshare in it, and other words for rounds."""
    found = message(answer)
    if surface.line is Line.V2:
        return found
    last = answer.chain_store.last_stored
    rounds: dict[str, object] = {"last_round": last} if last else {}
    if not answer.chain_store.is_empty:
        rounds["length"] = last + 1
    store = {"is_empty": True} if answer.chain_store.is_empty else {}
    replaced = {"dkg": found.pop("dkg", {}), "reshare": {}, "beacon": found.pop("beacon", {})}
    return (
        replaced
        | {"chain_store": store | rounds}
        | {name: value for name, value in found.items() if name == "connections"}
    )


def group(surface: Surface, packet: drand.GroupPacket) -> Group:
    """The group in a packet, as the release's files have it; raises CommandFailed."""
    v1 = surface.line is Line.V1
    try:
        return Group(
            packet.threshold,
            packet.period,
            float(packet.catchup_period),
            packet.genesis_time,
            packet.transition_time,
            packet.genesis_seed,
            packet.schemeID,
            packet.metadata.beaconID,
            tuple(
                Member(
                    node.index,
                    Identity(
                        node.public.address,
                        node.public.key,
                        node.public.signature,
                        node.public.tls if v1 else None,
                        packet.schemeID,
                    ),
                )
                for node in packet.nodes
            ),
            tuple(packet.dist_key) or None,
        )
    except ValueError as error:
        raise CommandFailed(f"the daemon's answer is no group: {error}") from error


def group_shown(shown: Group) -> str:
    """A group with its hash."""
    text = group_text(shown)
    digest = shown.hash(with_coefficients=True).hex()
    return (
        f"The following group.toml file has been created\n{text}\n\n"
        f"Hash of the group configuration: {digest}"
    )


def chain(packet: drand.ChainInfoPacket) -> ChainInfo:
    """The chain in a packet."""
    return ChainInfo(
        packet.public_key,
        packet.period,
        packet.genesis_time,
        packet.groupHash,
        packet.schemeID,
        packet.metadata.beaconID,
    )


def chain_shown(info: ChainInfo) -> str:
    """A chain's description."""
    return json.dumps(info_fields(info), indent=4)


def message(shown: Any) -> dict[str, object]:
    """A message's fields that are set, by their names on the wire."""
    found: dict[str, object] = {}
    for descriptor, value in shown.ListFields():
        if isinstance(value, Mapping):
            found[descriptor.name] = {key: _value(one) for key, one in value.items()}
        elif isinstance(value, bool | int | float | str | bytes) or hasattr(value, "ListFields"):
            found[descriptor.name] = _value(value)
        else:
            found[descriptor.name] = [_value(one) for one in value]
    return found


def _value(value: Any) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return message(value) if hasattr(value, "ListFields") else value


def _flag(on: bool) -> str:  # noqa: FBT001 - a message's own
    return "true" if on else "false"
