"""
`python -m nodes.beacon dealer`: leave a folder per member as a release's ceremony would have.

Owns: the flags, and one line of JSON about what was left. Refuses: releases that are not known,
what is no group, and members that are there already; nothing is written then.

Rules: the folder of a member is its name below `--folder`; run again with another `--beacon-id` it
becomes a member of that network too. Exit codes: 0, 2 for flags that cannot be meant, 1 where a
member is there already or the disk fails. Needs nothing of the node that runs: no gRPC, no HTTP.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nodes import bls
from nodes.beacon import durations, layout
from nodes.beacon.dealer import VINTAGES, Dealt, deal, leave
from nodes.beacon.group import DEFAULT_ID, MEMBERS_AT_MOST, canonical_id
from nodes.beacon.releases import VINTAGE_OF

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


def run(arguments: Sequence[str], now_s: float) -> int:
    """Deal as the arguments say; answers the exit code, ends the process for bad flags."""
    flags = _flags()
    given = flags.parse_args(arguments)
    if given.as_left_by not in VINTAGE_OF:
        flags.error(
            f"argument --as-left-by: unknown release {given.as_left_by!r}; "
            f"known: {', '.join(VINTAGE_OF)}"
        )
    vintage = VINTAGES[VINTAGE_OF[given.as_left_by]]
    if given.tls and vintage.tls is None:
        flags.error(f"argument --tls: the files of {given.as_left_by} say nothing of TLS")
    addresses = dict(given.node)
    if len(addresses) != len(given.node):
        flags.error("argument --node: two nodes have one name")
    try:
        dealt = deal(
            bls.SCHEMES[given.scheme],
            list(addresses.values()),
            threshold=given.threshold,
            period_s=given.period,
            catchup_period_s=given.catchup_period,
            genesis_s=given.genesis or math.ceil(now_s + given.genesis_in),
            beacon_id=given.beacon_id,
            vintage=replace(vintage, tls=True) if given.tls else vintage,
        )
    except ValueError as error:
        flags.error(str(error))
    networks = {name: layout.Network(given.folder / name, given.beacon_id) for name in addresses}
    there = [str(network.path) for network in networks.values() if network.path.exists()]
    if there:
        sys.stderr.write(f"already there, nothing written: {', '.join(there)}\n")
        return 1
    try:
        _leave_all(dealt, addresses, networks)
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}; the members are incomplete\n")
        return 1
    sys.stdout.write(_summary(dealt, networks) + "\n")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run by the clock."""
    return run(arguments, time.time())


def _leave_all(
    dealt: Dealt, addresses: Mapping[str, str], networks: Mapping[str, layout.Network]
) -> None:
    by_address = {pair.identity.address: (pair, share) for pair, share in dealt.members}
    for name, address in addresses.items():
        leave(networks[name], dealt.group, *by_address[address])


def _summary(dealt: Dealt, networks: Mapping[str, layout.Network]) -> str:
    chain = dealt.group.chain()
    return json.dumps(
        {
            "beacon_id": chain.beacon_id,
            "chain_hash": chain.hash().hex(),
            "public_key": chain.public_key.hex(),
            "genesis_time": chain.genesis_s,
            "folders": {name: str(network.folder) for name, network in networks.items()},
        }
    )


# ---- flags -------------------------------------------------------------------------------------


def _node(text: str) -> tuple[str, str]:
    name, equals, address = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not NAME=HOST:PORT")
    return name, address


def _duration(text: str) -> float:
    try:
        return durations.seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _whole_seconds(text: str) -> int:
    seconds = _duration(text)
    if seconds < 1 or seconds != int(seconds):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of seconds, at least one")
    return int(seconds)


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,3}", text) or int(text) > MEMBERS_AT_MOST:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number from 1 to {MEMBERS_AT_MOST}")
    return int(text)


def _beacon_id(text: str) -> str:
    try:
        return canonical_id(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _time(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,17}", text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no time in seconds since 1970")
    return int(text)


def _flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="python -m nodes.beacon dealer",
        description="Leave each member's folder as a release's key ceremony would have left it.",
        allow_abbrev=False,
    )
    flags.add_argument("--as-left-by", required=True, metavar="RELEASE", help="such as v2.1.4")
    flags.add_argument("--folder", type=Path, required=True, help="members' folders go below it")
    flags.add_argument(
        "--node",
        type=_node,
        action="append",
        required=True,
        metavar="NAME=HOST:PORT",
        help="a member's folder and the address that others dial; once per member",
    )
    flags.add_argument("--threshold", type=_count, required=True, help="signers of a round")
    flags.add_argument("--period", type=_whole_seconds, required=True, help="such as 3s")
    flags.add_argument(
        "--catchup-period", type=_duration, default=0.0, help="between rounds that are late (0s)"
    )
    genesis = flags.add_mutually_exclusive_group(required=True)
    genesis.add_argument("--genesis", type=_time, metavar="UNIX", help="when round 1 is")
    genesis.add_argument("--genesis-in", type=_duration, metavar="DURATION", help="from now")
    flags.add_argument("--beacon-id", type=_beacon_id, default=DEFAULT_ID, help="the network")
    flags.add_argument(
        "--tls", action="store_true", help="identities say that they use TLS (before v2.0.2)"
    )
    flags.add_argument("--scheme", choices=list(bls.SCHEMES), default=bls.DEFAULT_SCHEME)
    return flags
