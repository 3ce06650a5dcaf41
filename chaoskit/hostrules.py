"""
The host's packet rules that chaoskit needs: who may pass between containers, and who tried to.

Owns: accept rules for the proxies of one cluster's bridge, and reading the counter of the engine's
own DROP rule on that bridge: packets that tried to go round the proxy. The rules stand in FORWARD
itself: whenever any network is made the engine takes its chain DOCKER-USER out and puts it back,
and in between the proxies' own packets would meet the DROP and be counted.
Refuses: any rule that names another bridge. Needs the right to change the host's rules.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence

from chaoskit.errors import ChaosError

_CALL_TIMEOUT_S = 10.0


def _run(argv: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            argv, text=True, capture_output=True, check=False, timeout=_CALL_TIMEOUT_S
        )
    except FileNotFoundError as error:
        raise ChaosError(f"{argv[0]} is not on this host: run `make setup`") from error
    if done.returncode != 0:
        raise ChaosError(f"{' '.join(argv)} failed with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def rules(bridge: str, addresses: Sequence[str], *, comment: str) -> tuple[tuple[str, ...], ...]:
    """
    The accept rules that let each of `addresses` (hosts or CIDR) talk on `bridge`.

    `comment` says whose they are, so that nobody else's rule is ever removed.
    """
    remark = ("-m", "comment", "--comment", comment)
    return tuple(
        ("FORWARD", "-i", bridge, "-o", bridge, flag, address, *remark, "-j", "ACCEPT")
        for address in addresses
        for flag in ("-s", "-d")
    )


def add(rule: Sequence[str]) -> None:
    """Put a rule at the head of its chain."""
    _run(["iptables", "-w", "5", "-I", *rule])


def undo(rule: Sequence[str]) -> tuple[str, ...]:
    """The argv that takes a rule out of its chain."""
    return ("iptables", "-w", "5", "-D", *rule)


def remove(rule: Sequence[str]) -> bool:
    """Take a rule out of its chain; whether that was done (it was there, and could be)."""
    argv = undo(rule)
    done = subprocess.run(argv, capture_output=True, check=False, timeout=_CALL_TIMEOUT_S)
    return done.returncode == 0


def went_round(bridge: str) -> int:
    """
    Packets from container to container on `bridge` that the engine's own rule dropped.

    Raises ChaosError when that rule is not there: then the proxy can be passed.
    """
    listed = _run(["iptables-save", "-c", "-t", "filter"])
    name = re.escape(bridge)
    found = re.search(
        rf"^\[(\d+):\d+\] -A FORWARD -i {name} -o {name} -j DROP$", listed, re.MULTILINE
    )
    if found is None:
        raise ChaosError(f"no DROP rule of the engine on bridge {bridge}: the proxy can be passed")
    return int(found[1])
