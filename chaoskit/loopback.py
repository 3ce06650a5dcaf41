"""
A cluster's place in the loopback network: a prefix 127.x.y, and an address for everything in it.

Owns: taking a prefix that nobody has, and laying out nodes, links and the harness's own links in
it. Refuses: a prefix that is in use, also by a cluster that outlived its harness. Every address of
127.0.0.0/8 can be listened on without a right to anything (Linux, RFC 1122 3.2.1.3).
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Sequence
from pathlib import Path

from chaoskit.backend import Layout, LinkPlace
from chaoskit.errors import ChaosError

API_PORT = 8474
_CLAIM_PORT = 8473
_PREFIXES = 254 * 256  # 127.1.0 to 127.254.255
_PREFIX_TRIES = 64
_LAST_HOST = 254
_LOOPBACK = "127.0.0.1"  # whom every dial within 127.0.0.0/8 appears to come from


def process_layout(prefix: str, nodes: Sequence[str], scratch: Path) -> Layout:
    """
    The addresses of a cluster within `prefix` ("127.x.y"): .1 to .3 are its own, then nodes, the
    harness's links and the links between nodes. Raises ChaosError when 254 are too few.
    """
    pairs = [(source, target) for source in nodes for target in nodes if source != target]
    needed = 3 + 2 * len(nodes) + len(pairs)
    if needed > _LAST_HOST:
        raise ChaosError(f"{len(nodes)} nodes need {needed} addresses; a cluster has {_LAST_HOST}")
    hosts = (f"{prefix}.{number}" for number in range(4, _LAST_HOST + 1))
    own = {node: next(hosts) for node in nodes}
    watch = {node: next(hosts) for node in nodes}
    links = tuple(
        LinkPlace(source, target, next(hosts), upstream_host=own[target])
        for source, target in pairs
    )
    dialled = {(link.source, link.target): link.address for link in links}
    return Layout(
        links=links,
        watch=watch,
        watch_upstream=own,
        nodes=own,
        hosts={
            node: {peer: dialled.get((node, peer), own[node]) for peer in nodes} for node in nodes
        },
        bind=own,
        proxies=(_LOOPBACK,),
        data={node: str(scratch / node / "data") for node in nodes},
        config={node: str(scratch / node / "config") for node in nodes},
        proxy_loopback=f"{prefix}.1",
    )


def claim(prefix: str) -> socket.socket | None:
    """
    Take a prefix for as long as the answer is open; None when somebody has it.

    A cluster that outlived its harness has no claim any more, but its proxies still listen.
    """
    held = socket.socket()
    try:
        held.bind((f"{prefix}.1", _CLAIM_PORT))
        for host in (2, 3):
            with socket.socket() as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind((f"{prefix}.{host}", API_PORT))
    except OSError:
        held.close()
        return None
    held.listen()
    return held


def free_prefix(name: str) -> tuple[str, socket.socket]:
    """
    A prefix and what holds it for as long as it is open.

    Spread by `name`, so that two clusters rarely try the same one. Raises ChaosError when none of
    64 is free.
    """
    first = int(hashlib.sha256(name.encode()).hexdigest(), 16)
    for attempt in range(_PREFIX_TRIES):
        number = (first + attempt) % _PREFIXES
        prefix = f"127.{1 + number // 256}.{number % 256}"
        held = claim(prefix)
        if held is not None:
            return prefix, held
    raise ChaosError(
        f"none of {_PREFIX_TRIES} loopback prefixes is free: `chaoskit sweep` ends what dead runs "
        f"left"
    )
