"""
A node as a process: its networks, its listeners, its end.

Owns: the order of starting and stopping. Refuses: folders that hold no key pair, files that do not
belong together, ports that are taken: `start` raises, and nothing is left running.

Skeleton: signatures stand, bodies follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nodes.beacon.meters import Meters
from nodes.beacon.options import Options
from nodes.beacon.surface_view import ConnectionState, NetworkView


class Daemon:
    """A node; also the NodeView that HTTP and metrics read."""

    def __init__(self, options: Options, meters: Meters) -> None:
        self.options = options
        self.meters = meters
        self.started_s = 0.0

    async def start(self) -> None:
        """Load the folder's networks and listen; raises BeaconError, OSError, nothing left open."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Stop listening and every network, orderly; a second time does nothing."""
        raise NotImplementedError

    async def ended(self) -> int:
        """
        Wait until the node is to end; answers the exit code.

        0 when the operator asked for it (`request_end`, by signal or over the control port), 1 when
        its last network failed. Whoever waits calls `stop` then.
        """
        raise NotImplementedError

    def request_end(self) -> None:
        """Let `ended` answer 0: for signal handlers."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        """Our own address, host:port, as our identity says."""
        raise NotImplementedError

    @property
    def private_address(self) -> str:
        """Where we listen for members: host:port with the port that was given or chosen."""
        raise NotImplementedError

    @property
    def control_port(self) -> int:
        """Where we listen for the operator, on 127.0.0.1."""
        raise NotImplementedError

    def networks(self) -> Sequence[NetworkView]:
        """The networks that run at present, in the order in which they were loaded."""
        raise NotImplementedError

    def connections(self) -> Mapping[str, ConnectionState]:
        """The outgoing connections to other members, by their address; none before the first."""
        raise NotImplementedError
