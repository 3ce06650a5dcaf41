"""
What the HTTP interface and the metrics read of a running node.

Owns: the two interfaces, and the states of a connection. Refuses: nothing. The process implements
both; tests of HTTP and metrics bring their own small ones. What the process has to tell the metrics
(a round stored, a partial sent, a call answered) it tells to metrics.Meters, which it is given.

Rules: everything here is called on the node's one asyncio loop. `wait_for` and `get` may take their
time, as long as a disk does; everything else answers at once from memory. A database that cannot be
read raises BeaconError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Protocol

from nodes.beacon.group import Group
from nodes.beacon.messages import Beacon


class ConnectionState(IntEnum):
    """The state of an outgoing connection, as gRPC's channels name and drand numbers them."""

    IDLE = 0
    CONNECTING = 1
    READY = 2
    TRANSIENT_FAILURE = 3
    SHUTDOWN = 4


class NetworkView(Protocol):
    """One network (beacon id) of the node."""

    @property
    def beacon_id(self) -> str:
        """Its canonical name."""
        ...

    @property
    def group(self) -> Group | None:
        """The group that the node makes rounds with; None before a ceremony: no chain to serve."""
        ...

    @property
    def streams(self) -> int:
        """How many peers are being sent new rounds."""
        ...

    def last(self) -> Beacon:
        """The last stored round; round 0, whose signature is the genesis seed, where none is."""
        ...

    async def get(self, round_number: int) -> Beacon | None:
        """A stored round from 1 on, chained schemes with its previous signature; None: not here."""
        ...

    async def wait_for(self, round_number: int, timeout_s: float) -> Beacon | None:
        """The round as soon as it is stored, None when it is not within this time."""
        ...


class NodeView(Protocol):
    """The node."""

    @property
    def address(self) -> str:
        """Its own address, host:port, as its identity says."""
        ...

    @property
    def started_s(self) -> float:
        """When the process started, in seconds of the Unix clock."""
        ...

    def networks(self) -> Sequence[NetworkView]:
        """The networks that run at present, in the order in which they were loaded."""
        ...

    def connections(self) -> Mapping[str, ConnectionState]:
        """The outgoing connections to other members, by their address; none before the first."""
        ...
