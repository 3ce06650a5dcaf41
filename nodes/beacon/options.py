"""
What a node is started with.

Owns: the options, checked. Refuses: a listening address that is none, ports out of range, a
certificate without its key. How they are spelt on a command line is the command line's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nodes.beacon.group import canonical_id
from nodes.beacon.profiles import Profile
from nodes.beacon.releases import Surface
from nodes.beacon.transport import Dialling

PORT_AT_MOST = 65535


@dataclass(frozen=True, slots=True)
class Certificate:
    """What we show to those who dial us: PEM files of a chain and of its key."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Options:
    """
    What a node is started with.

    `private_listen`: host:port for other members, None for the address of our identity; port 0 is
    chosen by the system. `control_port`: for the operator, on 127.0.0.1, 0 as before.
    `certificate`: None to listen in plaintext. `trusted`: PEM file of the certificate authorities
    that others' certificates are checked by, None for the system's. `beacon_id`: the one network to
    load, None for all that the folder holds. `check_versions`: whether calls of incompatible
    releases are refused (DISABLE_VERSION_CHECK=1 says no). `alarm_s`: how often the node looks
    whether it should warn of its group's threshold, seconds.
    """

    folder: Path
    profile: Profile
    private_listen: str | None
    control_port: int
    certificate: Certificate | None
    dialling: Dialling
    trusted: Path | None
    beacon_id: str | None
    check_versions: bool
    verbose: bool
    alarm_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.control_port <= PORT_AT_MOST:
            raise ValueError(f"a port is a number from 0 to {PORT_AT_MOST}: {self.control_port}")
        if self.private_listen is not None:
            host, _, port = self.private_listen.rpartition(":")
            if not host or not port.isdecimal() or int(port) > PORT_AT_MOST:
                raise ValueError(
                    f"{self.private_listen[:80]!r} is no address to listen at; wanted host:port"
                )
        if self.beacon_id is not None:
            canonical_id(self.beacon_id)
        if self.alarm_s <= 0:
            raise ValueError(f"a time between two looks is more than nothing: {self.alarm_s} s")

    @property
    def surface(self) -> Surface:
        """What the release looks like from outside."""
        return self.profile.surface
