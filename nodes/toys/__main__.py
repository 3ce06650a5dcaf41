"""
`python3 -m nodes.toys`: the command line of a toy.

Owns: flags, and what a person is told when they cannot be meant. Exit codes: 0 after SIGTERM or
SIGINT, 2 for bad flags, 1 when a port, a file or the disk fails.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from nodes.toys.behaviours import Variant
from nodes.toys.journal import Corrupt, Journal
from nodes.toys.server import Node, Settings
from nodes.toys.transport import Address, tls_contexts

NODES_LIMIT = 12


def address(text: str) -> Address:
    """HOST:PORT as an address."""
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT with a port of 1 to 65535")
    return Address(host, int(port))


def peers(text: str) -> Mapping[str, Address]:
    """n1=HOST:PORT,n2=HOST:PORT,... as a dial map."""
    found: dict[str, Address] = {}
    for part in text.split(","):
        name, equals, where = part.partition("=")
        if not (name and equals) or name in found:
            raise argparse.ArgumentTypeError(f"{part!r} is not NAME=HOST:PORT, each name once")
        found[name] = address(where)
    if len(found) > NODES_LIMIT:
        raise argparse.ArgumentTypeError(f"{len(found)} nodes are more than {NODES_LIMIT}")
    return found


def parser() -> argparse.ArgumentParser:
    """The flags."""
    flags = argparse.ArgumentParser(
        prog="python3 -m nodes.toys",
        description="A tiny replicated key-value store, honest or broken in one way.",
        allow_abbrev=False,
    )
    flags.add_argument("--name", required=True, help="this node, one of the names in --peers")
    flags.add_argument("--listen", type=address, required=True, help="HOST:PORT for peers")
    flags.add_argument("--client", type=address, required=True, help="HOST:PORT for clients (HTTP)")
    flags.add_argument(
        "--peers", type=peers, required=True, help="NAME=HOST:PORT,...: where to dial each node"
    )
    flags.add_argument("--data", type=Path, required=True, help="an existing, writable folder")
    flags.add_argument(
        "--behaviour",
        type=Variant,
        default=Variant.HONEST,
        choices=list(Variant),
        metavar="NAME",
        help=f"one of {', '.join(Variant)}",
    )
    flags.add_argument("--release", default="1", help="the version that this node reports")
    for part in ("certificate", "key", "authority"):
        flags.add_argument(f"--tls-{part}", default="", help="PEM file; all three or none")
    flags.add_argument(
        "--insecure", action="store_true", help="plaintext between peers, whatever --tls-* say"
    )
    return flags


def settings(arguments: Sequence[str]) -> Settings:
    """The settings in the arguments; ends the process with code 2 when they cannot be meant."""
    flags = parser()
    given = flags.parse_args(arguments)
    files = (given.tls_certificate, given.tls_key, given.tls_authority)
    if any(files) and not all(files):
        flags.error("--tls-certificate, --tls-key and --tls-authority go together")
    if given.name not in given.peers:
        flags.error(f"--name {given.name} is none of the nodes in --peers")
    if not given.data.is_dir():
        flags.error(f"--data {given.data} is no folder")
    tls = None
    if all(files) and not given.insecure:
        try:
            tls = tls_contexts(*files)
        except OSError as error:
            flags.error(f"cannot use the files of --tls-certificate, -key, -authority: {error}")
    return Settings(
        name=given.name,
        listen=given.listen,
        client=given.client,
        peers=given.peers,
        data=given.data,
        variant=given.behaviour,
        release=given.release,
        tls=tls,
    )


def main(arguments: Sequence[str]) -> int:
    """Run a node until it is told to stop; answers the exit code."""
    given = settings(arguments)
    path = given.data / "journal"
    try:
        journal = Journal(path, buffered_records=given.variant.behaviour.buffered_records)
        asyncio.run(Node(given, journal).run())
        journal.close()
    except (OSError, Corrupt, ValueError) as error:
        sys.stderr.write(f"toy {given.name}: {error}; its journal is {path}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
