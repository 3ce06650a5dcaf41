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
_RESTORE = ("iptables-restore", "-w", "5", "--noflush")


def _run(argv: Sequence[str], *, stdin: str = "") -> str:
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
            timeout=_CALL_TIMEOUT_S,
        )
    except FileNotFoundError as error:
        raise ChaosError(f"{argv[0]} is not on this host: run `make setup`") from error
    except subprocess.TimeoutExpired as error:
        raise ChaosError(f"{' '.join(argv)} did not end in {error.timeout:g} s") from error
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


def add(wanted: Sequence[Sequence[str]]) -> None:
    """Put all of these rules at the head of their chains, or none."""
    _run(_RESTORE, stdin=_script("-I", wanted))


def _script(verb: str, wanted: Sequence[Sequence[str]]) -> str:
    """What iptables-restore takes; no word of ours needs quotes."""
    return "\n".join(["*filter", *(" ".join((verb, *rule)) for rule in wanted), "COMMIT", ""])


def undo(rule: Sequence[str]) -> tuple[str, ...]:
    """The argv that takes a rule out of its chain."""
    return ("iptables", "-w", "5", "-D", *rule)


def remove(unwanted: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Take rules out of their chains; answers those that were there and could be."""
    try:
        _run(_RESTORE, stdin=_script("-D", unwanted))
    except ChaosError:  # all or none: one of them is gone already, so one after the other
        return tuple(tuple(rule) for rule in unwanted if _remove_one(rule))
    return tuple(tuple(rule) for rule in unwanted)


def _remove_one(rule: Sequence[str]) -> bool:
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
