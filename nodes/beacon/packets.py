"""
What a network puts on the wire and reads off it.

Owns: metadata, partials, rounds, chain and group as messages. Refuses: nothing; what a message
lacks is empty in what is made of it, and the core refuses that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from nodes import bls
from nodes.beacon.group import Group, canonical_id
from nodes.beacon.identity import Identity
from nodes.beacon.messages import Beacon, Partial
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.versions import Version

_RANDOMNESS_LEFT_OUT = Version(2, 0, 2)


@dataclass(frozen=True)
class Packets:
    """The messages of one network; `chain_hash` is empty before its ceremony."""

    beacon_id: str
    version: Version
    chain_hash: bytes

    def metadata(self) -> drand.Metadata:
        """Who answers: our version, the network, the chain."""
        version = drand.NodeVersion(
            major=self.version.major, minor=self.version.minor, patch=self.version.patch
        )
        return drand.Metadata(
            node_version=version, beaconID=self.beacon_id, chain_hash=self.chain_hash
        )

    @cached_property
    def taken(self) -> drand.Empty:
        """That a partial was taken: the same for each, so it is made once."""
        return drand.Empty(metadata=self.metadata())

    def partial(self, partial: Partial) -> drand.PartialBeaconPacket:
        """Our partial: the one request that names our version, by which receivers judge it."""
        metadata = self.metadata()
        metadata.ClearField("chain_hash")
        return drand.PartialBeaconPacket(
            round=partial.round,
            previous_signature=partial.previous_signature,
            partial_sig=partial.partial,
            metadata=metadata,
        )

    def sync(self, from_round: int) -> drand.SyncRequest:
        """A request for rounds."""
        return drand.SyncRequest(
            from_round=from_round, metadata=drand.Metadata(beaconID=self.beacon_id)
        )

    def beacon(self, beacon: Beacon) -> drand.BeaconPacket:
        """A round for a member."""
        return drand.BeaconPacket(
            previous_signature=beacon.previous_signature,
            round=beacon.round,
            signature=beacon.signature,
            metadata=drand.Metadata(beaconID=self.beacon_id),
        )

    def randomness(self, beacon: Beacon, *, streamed: bool) -> drand.PublicRandResponse:
        """A round for everyone; v2.0.2 and later leave out what follows from the signature."""
        said = streamed or self.version < _RANDOMNESS_LEFT_OUT
        return drand.PublicRandResponse(
            round=beacon.round,
            signature=beacon.signature,
            previous_signature=beacon.previous_signature,
            randomness=bls.randomness(beacon.signature) if said else b"",
            metadata=self.metadata(),
        )

    def chain(self, group: Group) -> drand.ChainInfoPacket:
        """The chain, to whoever verifies it."""
        chain = group.chain()
        return drand.ChainInfoPacket(
            public_key=chain.public_key,
            period=chain.period_s,
            genesis_time=chain.genesis_s,
            hash=chain.hash(),
            groupHash=chain.group_hash,
            schemeID=chain.scheme_name,
            metadata=self.metadata(),
        )

    def group(self, group: Group) -> drand.GroupPacket:
        """The group, to its operator."""
        return drand.GroupPacket(
            nodes=[
                drand.Node(index=member.index, public=_identity(member.identity))
                for member in group.members
            ],
            threshold=group.threshold,
            period=group.period_s,
            genesis_time=group.genesis_s,
            transition_time=group.transition_s,
            genesis_seed=group.genesis_seed,
            dist_key=group.coefficients or (),
            catchup_period=int(group.catchup_period_s),
            schemeID=group.scheme.name,
            metadata=self.metadata(),
        )

    @staticmethod
    def partial_in(packet: drand.PartialBeaconPacket) -> Partial:
        """The partial that came."""
        return Partial(packet.round, packet.previous_signature, packet.partial_sig)

    @staticmethod
    def beacon_in(packet: drand.BeaconPacket) -> tuple[str | None, Beacon]:
        """The network that a peer says it is of, where it says one, and the round that came."""
        beacon = Beacon(packet.round, packet.previous_signature, packet.signature)
        if not packet.HasField("metadata"):
            return None, beacon
        said = packet.metadata.beaconID
        try:
            return canonical_id(said), beacon
        except ValueError:
            return said, beacon


def _identity(identity: Identity) -> drand.Identity:
    return drand.Identity(
        address=identity.address,
        key=identity.key,
        tls=bool(identity.tls),
        signature=identity.signature,
    )
