"""
A network that has a key pair and waits for its ceremony.

Owns: what others read of it. Refuses: nothing; it has no chain to serve, and routing says so.
"""

from __future__ import annotations

from nodes.beacon.loading import Loaded
from nodes.beacon.messages import Beacon
from nodes.beacon.packets import Packets


class Awaiting:
    """A network without group; its packets have no chain's hash."""

    def __init__(self, loaded: Loaded, packets: Packets) -> None:
        self.loaded = loaded
        self.packets = packets

    @property
    def beacon_id(self) -> str:
        """Its canonical name."""
        return self.loaded.files.beacon_id

    @property
    def group(self) -> None:
        """None yet."""
        return

    @property
    def streams(self) -> int:
        """Nobody is sent anything."""
        return 0

    def last(self) -> Beacon:
        """Round 0, without a seed."""
        return Beacon(0, b"", b"")

    async def get(self, round_number: int) -> Beacon | None:  # noqa: ARG002 - the view's
        """Nothing is stored."""
        return None

    async def wait_for(self, round_number: int, timeout_s: float) -> Beacon | None:  # noqa: ARG002
        """Nothing is stored, and nothing is waited for."""
        return None
