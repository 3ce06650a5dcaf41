"""
The kernel's packet counters and the gate of dead addresses, in a proxy's network.

Owns: the nftables rules that chaoskit loads into a proxy's own network namespace: for
each directed link six counters, the translation of its upstream address, and the set of dead
targets whose SYN is answered by a reset at once. Refuses: the host's own rules (those are in
`hostrules`) and judgement.

Why: Toxiproxy's byte counters move only when a connection ends, and its accept loop blocks while
it dials an address that does not answer. The gate works on the upstream address before it is
translated (priority -150): a reject after the translation is never heard by the dialler.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from chaoskit.errors import ChaosError
from chaoskit.namespace import Namespace

_TABLE = "chaoskit"
_DATA_BYTES_FROM = 80  # a TCP segment without data has at most this length in all
_CALL_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """
    Packets of one directed link since the cluster began.

    `asked` entered from the source, `answered` left towards it; `sent` left towards the target,
    `got` came from it: these four count packets that carry data. `opened` are the source's SYNs,
    `refused` the resets it was sent.
    """

    asked: int = 0
    answered: int = 0
    sent: int = 0
    got: int = 0
    opened: int = 0
    refused: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            *(getattr(self, one.name) + getattr(other, one.name) for one in fields(self))
        )

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(
            *(getattr(self, one.name) - getattr(other, one.name) for one in fields(self))
        )


@dataclass(frozen=True, slots=True)
class Leg:
    """What to count: a link's name, its two addresses in the proxy, its target's own address."""

    name: str
    address: str
    upstream: str
    target: str


def _elements(pairs: Iterable[str]) -> str:
    return "elements = { " + ", ".join(pairs) + " }"


def ruleset(legs: Sequence[Leg]) -> str:
    """The nftables script for `legs`; every target starts in the set of the dead."""
    kinds = [field.name for field in fields(Traffic)]
    lines = [f"table ip {_TABLE} {{"]
    lines += [f"counter {kind}_{i} {{ }}" for kind in kinds for i in range(len(legs))]
    inside = {"asked", "answered", "opened", "refused"}
    for kind in kinds:
        keys = [leg.address if kind in inside else leg.upstream for leg in legs]
        pairs = _elements(f'{key} : "{kind}_{i}"' for i, key in enumerate(keys))
        lines.append(f"map {kind} {{ type ipv4_addr : counter; {pairs}; }}")
    real = _elements(f"{leg.upstream} : {leg.target}" for leg in legs)
    dead = _elements(leg.upstream for leg in legs)
    data = f"meta length > {_DATA_BYTES_FROM}"
    lines += [
        f"map real {{ type ipv4_addr : ipv4_addr; {real}; }}",
        f"set dead {{ type ipv4_addr; {dead}; }}",
        "chain translate { type nat hook output priority -100; dnat to ip daddr map @real; }",
        "chain leaving { type filter hook output priority -150;",
        "tcp flags & (syn | ack) == syn ip daddr @dead reject with tcp reset",
        f"{data} counter name ip daddr map @sent",
        f"{data} counter name ip saddr map @answered",
        "tcp flags & rst == rst counter name ip saddr map @refused",
        "}",
        # at 150 the source of an answer is translated back already; at 0 it is not yet
        "chain entering { type filter hook input priority 150;",
        f"{data} counter name ip daddr map @asked",
        f"{data} counter name ip saddr map @got",
        "tcp flags & (syn | ack) == syn counter name ip daddr map @opened",
        "}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _run(argv: Sequence[str], *, stdin: str = "") -> str:
    try:
        done = subprocess.run(
            argv, input=stdin, text=True, capture_output=True, check=False, timeout=_CALL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise ChaosError(f"{' '.join(argv)} did not end in {error.timeout:g} s") from error
    if done.returncode != 0:
        raise ChaosError(f"{' '.join(argv)} failed with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Counters:
    """The rules of one proxy, by way of its namespace."""

    def __init__(self, namespace: Namespace, legs: Sequence[Leg]) -> None:
        self._namespace = namespace
        self._legs = tuple(legs)

    def _inside(self, argv: Sequence[str], *, stdin: str = "") -> str:
        return self._namespace.run(lambda: _run(argv, stdin=stdin), timeout_s=_CALL_TIMEOUT_S + 1.0)

    def install(self, *, link_range: str) -> None:
        """Own `link_range`, route the upstream addresses, load the rules, all in one go."""
        self._inside(
            ["ip", "-batch", "-"],
            stdin=f"route add local {link_range} dev lo\nroute add 192.0.2.0/24 dev eth0\n",
        )
        self._inside(["nft", "-f", "-"], stdin=ruleset(self._legs))

    def bury(self, targets: Iterable[str]) -> None:
        """Answer SYNs to these targets (their own addresses) by a reset from now on."""
        self._gate("add", targets)

    def revive(self, targets: Iterable[str]) -> None:
        """Let SYNs to these targets through again."""
        self._gate("delete", targets)

    def dead(self) -> frozenset[str]:
        """The targets (their own addresses) that are in the gate now."""
        listed = self._inside(["nft", "-j", "list", "set", "ip", _TABLE, "dead"])
        elements = next(
            entry["set"].get("elem", ())
            for entry in json.loads(listed)["nftables"]
            if "set" in entry
        )
        return frozenset(leg.target for leg in self._legs if leg.upstream in elements)

    def _gate(self, verb: str, targets: Iterable[str]) -> None:
        wanted = frozenset(targets)
        upstreams = [leg.upstream for leg in self._legs if leg.target in wanted]
        flush = "".join(
            f"add element ip {_TABLE} dead {{ {one} }}\n"  # so that deleting it cannot fail
            + (f"delete element ip {_TABLE} dead {{ {one} }}\n" if verb == "delete" else "")
            for one in upstreams
        )
        self._inside(["nft", "-f", "-"], stdin=flush)

    def read(self) -> Mapping[str, Traffic]:
        """All counters, by the link's name."""
        listed = self._inside(["nft", "-j", "list", "counters", "table", "ip", _TABLE])
        found: dict[str, int] = {}
        for entry in json.loads(listed)["nftables"]:
            counter: dict[str, Any] = entry.get("counter", {})
            if counter:
                found[counter["name"]] = counter["packets"]
        kinds = [field.name for field in fields(Traffic)]
        return {
            leg.name: Traffic(**{kind: found[f"{kind}_{i}"] for kind in kinds})
            for i, leg in enumerate(self._legs)
        }
