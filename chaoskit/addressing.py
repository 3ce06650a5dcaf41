"""
Addresses of a cluster: pure arithmetic on one subnet.

Owns: which address a node, a proxy, a directed link and an observer's link has. Refuses: I/O.
A cluster takes a /22: the first /24 holds proxies and nodes, the second the links between nodes,
the third the harness's own links. 192.0.2.0/24 (TEST-NET-1, RFC 5737) stands for the upstream side
of each link inside the proxy's own network, so that both of its legs can be counted apart.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chaoskit.errors import UsageError

PREFIX_BITS = 22
DEFAULT_RANGE = "10.231.0.0/16"
_FIRST_NODE = 11
_LINKS_AT_MOST = 254


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """
    The addresses of the directed link source -> target.

    `address` is what the source dials; `upstream` stands for the target inside the proxy.
    """

    source: str
    target: str
    address: str
    upstream: str

    @property
    def name(self) -> str:
        """The link's name, such as "e1>e2"."""
        return f"{self.source}>{self.target}"


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """
    Every address of one cluster in `subnet` (CIDR, a /22).

    `proxy` forwards between nodes, `watcher` the harness's own links; `watch` maps a node to the
    address at which the harness dials it. `link_range` and `watch_range` are CIDR.
    """

    subnet: str
    proxy: str
    watcher: str
    nodes: Mapping[str, str]
    links: tuple[LinkAddress, ...]
    watch: Mapping[str, str]
    link_range: str
    watch_range: str

    def hosts(self, node: str) -> dict[str, str]:
        """What each peer's name means inside `node`: the address of the link to it."""
        own = {node: self.nodes[node]}
        return own | {link.target: link.address for link in self.links if link.source == node}


def address_plan(nodes: Sequence[str], subnet: str) -> AddressPlan:
    """
    Lay out a full mesh over `nodes` in `subnet`.

    Raises UsageError when the mesh has over 254 links (more than 16 nodes).
    """
    network = ipaddress.IPv4Network(subnet)
    first, second, third, _ = network.subnets(new_prefix=24)
    pairs = [(a, b) for a in nodes for b in nodes if a != b]
    if len(pairs) > _LINKS_AT_MOST:
        raise UsageError(f"{len(nodes)} nodes have {len(pairs)} links; 16 nodes are the limit")
    return AddressPlan(
        subnet=subnet,
        proxy=str(first[5]),
        watcher=str(first[6]),
        nodes={name: str(first[_FIRST_NODE + i]) for i, name in enumerate(nodes)},
        links=tuple(
            LinkAddress(a, b, str(second[i + 1]), f"192.0.2.{i + 1}")
            for i, (a, b) in enumerate(pairs)
        ),
        watch={name: str(third[i + 1]) for i, name in enumerate(nodes)},
        link_range=str(second),
        watch_range=str(third),
    )


def free_subnets(taken: Iterable[str], *, within: str = DEFAULT_RANGE) -> list[str]:
    """
    The /22 networks of the range `within` that overlap none of `taken` (CIDR), in order.

    Raises UsageError when `within` is no IPv4 network that holds a /22.
    """
    try:
        whole = ipaddress.IPv4Network(within)
        candidates = list(whole.subnets(new_prefix=PREFIX_BITS))
    except ValueError as error:
        raise UsageError(f"{within} is no range of /{PREFIX_BITS} networks: {error}") from error
    used = [ipaddress.IPv4Network(one, strict=False) for one in taken]
    return [str(one) for one in candidates if not any(one.overlaps(other) for other in used)]
