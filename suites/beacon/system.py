"""
A beacon's group as a system under test: our node, and real drand by --chaos-image.

Owns: how a member is started, from folders that our dealer dealt, and how it is watched and loaded.
Refuses: what a member does; it is reached by its command line, HTTP and metrics alone, which are
drand's: v1.5.8 says itself whether it speaks TLS, v2 speaks plaintext (a build with
`conn_insecure`). Peers dial each other by the names in the group: the links lie behind these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from chaoskit.releases import read_releases
from chaoskit.system import (
    Artifact,
    ArtifactKind,
    InitialFile,
    Observation,
    Operation,
    Placement,
    Port,
    System,
    Timing,
    TimingKind,
    Traffic,
)
from suites.beacon import dealing
from suites.beacon.client import BeaconClient, operations
from suites.beacon.invariants import PROMISES
from suites.beacon.punctuality import rounds_keep_time
from suites.beacon.watching import failures, observe

DEFAULT = "default"
_MOST_NODES = 12
_GENESIS_IN_S = 6.0


def beacon(
    nodes: int = 5,
    *,
    threshold: int = 3,
    period_s: int = 1,
    catchup_period_s: int = 0,
    scheme: str = "pedersen-bls-chained",
    networks: Sequence[str] = (DEFAULT,),
) -> System:
    """
    `nodes` members named n1, n2, ... of one or more networks, `threshold` of them make a round.

    `networks` are beacon ids; all members serve all of them in one daemon. Raises ValueError for a
    threshold that is no majority, or a group of no or too many members.
    """
    if not nodes // 2 < threshold <= nodes <= _MOST_NODES:
        raise ValueError(f"{threshold} of {nodes} members: a majority of at most {_MOST_NODES}")

    def initial_data(placements: Sequence[Placement]) -> Mapping[str, Sequence[InitialFile]]:
        return dealing.deal(
            placements, threshold=threshold, networks=networks, genesis_in_s=_GENESIS_IN_S
        )

    return System(
        name="beacon",
        nodes=tuple(f"n{number}" for number in range(1, nodes + 1)),
        ports=(
            Port("private", 4444, linked=True, http2=True),
            Port("public", 8000),
            Port("metrics", 9000),
        ),
        quorum=threshold,
        releases=read_releases(Path(__file__).with_name("releases.toml")),
        command=command,
        environment=environment,
        initial_data=initial_data,
        observe=observe,
        steady=steady,
        driven=False,
        progress_bound_s=12.0 + 4 * period_s,
        settle_s=5.0,
        start_timeout_s=45.0,
        settings={
            "period_s": str(period_s),
            "catchup_period_s": str(catchup_period_s),
            "scheme": scheme,
        },
        artifacts=tuple(one for network in networks for one in _artifacts(network)),
        timings=(
            Timing("period", 30.0, TimingKind.PROTOCOL, "period", floor_s=1.0),
            Timing("catch-up period", 15.0, TimingKind.PROTOCOL, "catchup_period", floor_s=0.0),
            Timing("redial of a peer", 120.0, TimingKind.LIBRARY),
        ),
        invariants=(*PROMISES, rounds_keep_time(catchup_period_s=catchup_period_s)),
        failures=failures,
        traffic=Traffic(
            BeaconClient,
            operations,
            timeout_s=2.0,
            snapshot=Operation("snapshot", {}),
            local=True,
        ),
    )


def command(placement: Placement) -> Sequence[str]:
    """The argv of a member: drand's own flags."""
    ports, bind = placement.ports, placement.bind
    argv = ["drand", "start", "--folder", f"{placement.data}/{dealing.FOLDER}"]
    argv += ["--private-listen", f"{bind}:{ports['private']}"]
    argv += ["--public-listen", f"{bind}:{ports['public']}"]
    argv += ["--metrics", f"{bind}:{ports['metrics']}"]
    if placement.release.startswith("v1."):
        argv.append("--tls-disable")
    return argv


def environment(placement: Placement) -> Mapping[str, str]:
    """A real drand, built without cgo, asks these for its home before it reads a flag."""
    return {"USER": "drand", "HOME": placement.data}


def steady(seen: Mapping[str, Observation]) -> bool:
    """Everybody is in time, and nobody's last partial signature was refused."""
    return all(one.ready and not one.detail["failing"] for one in seen.values())


def _artifacts(network: str) -> tuple[Artifact, ...]:
    folder = f"{dealing.FOLDER}/multibeacon/{network}"
    of = "" if network == DEFAULT else f" of {network}"
    return (
        Artifact(
            f"private key{of}",
            f"{folder}/key/drand_id.private",
            ArtifactKind.KEY,
            secret=True,
            in_data=True,
        ),
        Artifact(
            f"public key{of}", f"{folder}/key/drand_id.public", ArtifactKind.KEY, in_data=True
        ),
        Artifact(
            f"share{of}",
            f"{folder}/groups/dist_key.private",
            ArtifactKind.SHARE,
            secret=True,
            in_data=True,
        ),
        Artifact(
            f"group{of}", f"{folder}/groups/drand_group.toml", ArtifactKind.CONFIG, in_data=True
        ),
        Artifact(f"rounds{of}", f"{folder}/db", ArtifactKind.DATABASE, in_data=True),
    )


SYSTEM = beacon()
