"""
etcd as a system under test: three members, TLS between peers, watched over the JSON gateway.

Peers identify each other by certificates that carry the proxy's address too: through a proxy every
peer appears there, and etcd checks a dialler's address against its certificate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaoskit.http import HttpClient, NoAnswer
from chaoskit.panel import CatchUp, Curve, Panels
from chaoskit.releases import read_releases
from chaoskit.system import (
    Artifact,
    ArtifactKind,
    ConfigFile,
    Endpoint,
    Observation,
    Operation,
    Placement,
    Port,
    System,
    Timing,
    TimingKind,
    Traffic,
    Unobserved,
)
from suites.etcd.client import EtcdClient, decode, operations
from suites.etcd.invariants import PROMISES

_LONGEST_SHOWN = 64
_NEWEST = {
    "key": "AA==",
    "range_end": "AA==",
    "sort_target": "MOD",
    "sort_order": "DESCEND",
    "limit": 1,
    "serializable": True,
}


def command(placement: Placement) -> Sequence[str]:
    """The argv of a member; `peer_listen` is the scheme it serves peers by."""
    name, ports, settings = placement.name, placement.ports, placement.settings
    scheme = settings["peer_scheme"]
    listen = settings.get("peer_listen", scheme)
    members = (
        f"{peer}={scheme}://{placement.hosts[peer]}:{ports['peer']}" for peer in placement.peers
    )
    argv = [
        "etcd",
        f"--name={name}",
        f"--data-dir={placement.data}/etcd",
        f"--listen-peer-urls={listen}://{placement.bind}:{ports['peer']}",
        f"--initial-advertise-peer-urls={scheme}://{placement.hosts[name]}:{ports['peer']}",
        f"--listen-client-urls=http://{placement.bind}:{ports['client']}",
        f"--advertise-client-urls=http://{placement.hosts[name]}:{ports['client']}",
        f"--initial-cluster={','.join(members)}",
        f"--initial-cluster-state={settings['cluster_state']}",
    ]
    if scheme == "https":
        folder = placement.config
        argv += [
            f"--peer-cert-file={folder}/peer.pem",
            f"--peer-key-file={folder}/peer-key.pem",
            f"--peer-trusted-ca-file={folder}/authority.pem",
            "--peer-client-cert-auth",
        ]
    if settings.get("quota_bytes"):
        argv.append(f"--quota-backend-bytes={settings['quota_bytes']}")
    return argv


def files(placement: Placement) -> Sequence[ConfigFile]:
    """The member's certificate, its key and the authority it trusts."""
    if placement.credential is None:
        return ()
    return (
        ConfigFile("peer.pem", placement.credential.certificate_pem),
        ConfigFile("peer-key.pem", placement.credential.key_pem, secret=True),
        ConfigFile("authority.pem", placement.authority_pem),
    )


def observe(endpoint: Endpoint, timeout_s: float) -> Observation:
    """One sample: status, and the newest key as the member itself holds it."""
    http = HttpClient(timeout_s)
    try:
        status, state = http.post(endpoint.url("client", "/v3/maintenance/status"), {})
        if status != 200:
            raise Unobserved(f"status {status}")
        read, newest = http.post(endpoint.url("client", "/v3/kv/range"), _NEWEST)
        asked, versions = http.get(endpoint.url("client", "/version"))
        if read != 200 or asked != 200:  # a member that stops answers one and refuses the next
            raise Unobserved(f"status {read if read != 200 else asked}")
    except NoAnswer as error:
        raise Unobserved(error.cause) from error
    finally:
        http.close()
    header = state["header"]
    leader = state.get("leader", "0")
    pairs = newest.get("kvs", [])
    pair = pairs[0] if pairs else None
    role = "leader" if leader == header["member_id"] else "follower"
    return Observation(
        ready=leader != "0" and not state.get("errors"),
        version=str(state["version"]),
        role=role if leader != "0" else "without a leader",
        term=int(state["raftTerm"]),
        progress=int(pair["mod_revision"]) if pair else 0,
        digest=f"{decode(pair['key'])}={_short(decode(pair.get('value', '')))}" if pair else "",
        detail={
            "leader": leader,
            "raft_index": int(state["raftIndex"]),
            "cluster_version": str(versions.get("etcdcluster", "")),
        },
    )


def _short(value: str) -> str:
    """A value as it is, or a digest of one that would swell the history."""
    if len(value) <= _LONGEST_SHOWN:
        return value
    return f"sha256:{hashlib.sha256(value.encode()).hexdigest()[:16]}"


def steady(seen: Mapping[str, Observation]) -> bool:
    """Everybody is ready and follows the same leader in the same term."""
    leaders = {one.detail["leader"] for one in seen.values()}
    terms = {one.term for one in seen.values()}
    return all(one.ready for one in seen.values()) and len(leaders) == len(terms) == 1


SYSTEM = System(
    name="etcd",
    nodes=("e1", "e2", "e3"),
    ports=(
        Port("peer", 2380, linked=True, secure=True, plaintext={"peer_listen": "http"}),
        Port("client", 2379),
    ),
    quorum=2,
    releases=read_releases(Path(__file__).with_name("releases.toml")),
    command=command,
    files=files,
    observe=observe,
    steady=steady,
    progress_bound_s=5.0,
    settle_s=12.0,
    settings={"peer_scheme": "https", "cluster_state": "new"},
    artifacts=(
        Artifact("peer certificate", "peer.pem", ArtifactKind.CERTIFICATE),
        Artifact("peer key", "peer-key.pem", ArtifactKind.KEY, secret=True),
        Artifact("data", "etcd", ArtifactKind.DATABASE, in_data=True),
    ),
    timings=(
        Timing("election", 1.0, TimingKind.PROTOCOL, "--election-timeout", floor_s=0.05),
        Timing("heartbeat", 0.1, TimingKind.PROTOCOL, "--heartbeat-interval", floor_s=0.01),
    ),
    invariants=PROMISES,
    traffic=Traffic(EtcdClient, operations, snapshot=Operation("snapshot", {})),
    panels=Panels(
        curves=(
            Curve(
                title="raft term",
                words="raftTerm of each member's status: it grows with every election",
                reads="term",
            ),
        ),
        catch_up=CatchUp(
            words="revisions of the newest key that the farthest member has and this one has not",
            noun="revisions",
        ),
    ),
)
