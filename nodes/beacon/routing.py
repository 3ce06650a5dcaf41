"""
Which network a call is about, and whether its caller's release may make it.

Owns: the networks by name and by chain hash, in the order in which they were loaded, and the gate
by version. Refuses: networks that do not run here, chain hashes that are not known or are another
network's, and callers of an incompatible release; each in drand's words, with its code.
"""

from __future__ import annotations

from collections.abc import Sequence

from nodes.beacon.awaiting import Awaiting
from nodes.beacon.calls import CallRefused, Code
from nodes.beacon.eventlog import Log
from nodes.beacon.group import canonical_id
from nodes.beacon.network import Network
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.versions import Version, compatible

SHOWN_CHARACTERS_AT_MOST = 64


class Routing:
    """The networks of a process; `version` is ours."""

    def __init__(self, version: Version, *, check_versions: bool, log: Log) -> None:
        self.version = version
        self._check_versions = check_versions
        self._log = log.of("routing")
        self._networks: dict[str, Network | Awaiting] = {}

    def networks(self) -> Sequence[Network | Awaiting]:
        """Those that run."""
        return tuple(self._networks.values())

    def add(self, network: Network | Awaiting) -> None:
        """From now on it is found."""
        self._networks[network.beacon_id] = network

    def drop(self, network: Network | Awaiting) -> None:
        """From now on it is not."""
        self._networks.pop(network.beacon_id, None)

    def named(self, beacon_id: str) -> Network | Awaiting:
        """The network of this name, empty for the default one; raises CallRefused."""
        try:
            network = self._networks.get(canonical_id(beacon_id))
        except ValueError:
            network = None
        if network is None:
            shown = (beacon_id or "default")[:SHOWN_CHARACTERS_AT_MOST]
            raise CallRefused(Code.UNKNOWN, f"beacon id [{shown}] is not running")
        return network

    def find(self, metadata: drand.Metadata) -> Network | Awaiting:
        """The network that a request's metadata names; raises CallRefused."""
        self.admit(metadata)
        if not metadata.chain_hash:
            return self.named(metadata.beaconID)
        for network in self.networks():
            if network.packets.chain_hash == metadata.chain_hash:
                said = metadata.beaconID
                if said and said != network.beacon_id:
                    shown = said[:SHOWN_CHARACTERS_AT_MOST]
                    raise CallRefused(
                        Code.UNKNOWN, f'invalid chain hash: "{shown}" != "{network.beacon_id}"'
                    )
                return network
        waiting = self._networks.get(metadata.beaconID or "default")
        if isinstance(waiting, Awaiting):
            # It does not know its chain's hash yet.
            return waiting
        shown = metadata.chain_hash.hex()[:SHOWN_CHARACTERS_AT_MOST]
        raise CallRefused(Code.UNKNOWN, f"unknown chainhash: {shown}")

    def started(self, metadata: drand.Metadata, otherwise: str) -> Network:
        """The network; raises CallRefused, with these words where it has no chain yet."""
        network = self.find(metadata)
        if isinstance(network, Awaiting):
            raise CallRefused(Code.UNKNOWN, otherwise)
        return network

    def admit(self, metadata: drand.Metadata) -> None:
        """Raise CallRefused for a caller whose release is incompatible; who names none may call."""
        if not self._check_versions or not metadata.HasField("node_version"):
            return
        said = metadata.node_version
        theirs = Version(said.major, said.minor, said.patch)
        if not compatible(self.version, theirs):
            self._log.warn(
                "node version rcv is no compatible --> rejecting message",
                received=str(theirs),
                **{"our node": str(self.version)},
            )
            raise CallRefused(
                Code.PERMISSION_DENIED,
                f"Incompatible node version. Current: {self.version}, received: {theirs}",
            )
