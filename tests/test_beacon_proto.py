"""The generated messages are those of the .proto files, and the numbers on the wire are drand's."""

from __future__ import annotations

from pathlib import Path

from nodes.beacon.proto import drand_pb2
from tests import beacon_generate


def test_what_is_checked_in_is_what_protoc_makes(tmp_path: Path) -> None:
    names = beacon_generate.generate(tmp_path)
    assert len(names) == 4
    for name in names:
        checked_in = (beacon_generate.REPOSITORY / name).read_text()
        assert checked_in == (tmp_path / name).read_text(), f"{name}: run tests.beacon_generate"


def test_hot_messages_have_these_bytes() -> None:
    """Field number << 3 | wire type, by hand: what a real drand would decode."""
    metadata = drand_pb2.Metadata(
        node_version=drand_pb2.NodeVersion(major=2, minor=1, patch=3), beaconID="b"
    )
    assert metadata.SerializeToString() == b"\x0a\x06\x08\x02\x10\x01\x18\x03\x12\x01b"
    partial = drand_pb2.PartialBeaconPacket(
        round=5, previous_signature=b"p", partial_sig=b"s", metadata=drand_pb2.Metadata()
    )
    assert partial.SerializeToString() == b"\x08\x05\x12\x01p\x1a\x01s\x22\x00"
    beacon = drand_pb2.BeaconPacket(previous_signature=b"p", round=6, signature=b"s")
    assert beacon.SerializeToString() == b"\x0a\x01p\x10\x06\x1a\x01s"
    asked = drand_pb2.SyncRequest(from_round=7, metadata=drand_pb2.Metadata(chain_hash=b"h"))
    assert asked.SerializeToString() == b"\x08\x07\x12\x03\x1a\x01h"
    served = drand_pb2.PublicRandResponse(
        round=8, signature=b"s", previous_signature=b"p", randomness=b"r"
    )
    assert served.SerializeToString() == b"\x08\x08\x12\x01s\x1a\x01p\x22\x01r"
    identity = drand_pb2.IdentityResponse(
        address="a", key=b"k", tls=True, signature=b"s", schemeName="n"
    )
    assert identity.SerializeToString() == b"\x0a\x01a\x12\x01k\x18\x01\x22\x01s\x32\x01n"


def test_services_and_methods_are_drands() -> None:
    services = drand_pb2.DESCRIPTOR.services_by_name
    found = {
        f"{service.full_name}/{method.name}"
        for service in services.values()
        for method in service.methods
    }
    assert {
        "drand.Protocol/GetIdentity",
        "drand.Protocol/PartialBeacon",
        "drand.Protocol/SyncChain",
        "drand.Protocol/Status",
        "drand.Public/PublicRand",
        "drand.Public/PublicRandStream",
        "drand.Public/ChainInfo",
        "drand.Public/ListBeaconIDs",
        "drand.Control/PingPong",
        "drand.Control/Shutdown",
    } <= found
