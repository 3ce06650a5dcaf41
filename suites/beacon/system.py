"""
A beacon's group as a system under test: our node, and real drand by --chaos-image.

Owns: how a member is started, from folders that our dealer dealt, and how it is watched and loaded.
Refuses: what a member does; it is reached by its command line, HTTP and metrics alone, which are
drand's: v1 says itself whether it speaks TLS, v2 speaks plaintext (a build with
`conn_insecure`). Peers dial each other by the names in the group: the links lie behind these.

In a group with TLS (v1 alone) the setting `tls` of a member is "on", or "off" for one that was
started without its certificate; that covers its HTTP interface too.

In a terminated group nginx stands before each member and ends TLS; the setting `front` of a member
says how it is set up (suites/beacon/terminator.py). A v1 there is told to do without TLS, which its
identity says that it uses. In a group that has both, a v1 ends TLS itself and nginx stands before a
v2: it comes when a member is upgraded, with the same certificate, and goes when it goes back.

What a member starts on need not be of the release that it is: the setting `keys_as_left_by` names
the one whose ceremony left keys, shares and group, `config_as_left_by` the one that its command
line was written for; empty: the release that starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from chaoskit.companion import Companion
from chaoskit.http import ask_date
from chaoskit.releases import read_releases
from chaoskit.system import (
    Artifact,
    ArtifactKind,
    Clock,
    ConfigFile,
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
from suites.beacon.margin import margin_is_told
from suites.beacon.operating import commands
from suites.beacon.panels import panels
from suites.beacon.punctuality import rounds_keep_time
from suites.beacon.terminator import FRONT, Front, terminator
from suites.beacon.watching import failures, observe, stamp

DEFAULT = "default"
CONFIGURATION = "config_as_left_by"
BEHIND = "127.0.0.1:4500"
_MOST_NODES = 12
_GENESIS_IN_S = 6.0
_CERTIFICATE, _KEY, _TRUSTED = "tls/certificate.pem", "tls/key.pem", "trusted/authority.pem"


def beacon(
    nodes: int = 5,
    *,
    threshold: int = 3,
    period_s: int = 1,
    catchup_period_s: int = 0,
    scheme: str = "pedersen-bls-chained",
    networks: Sequence[str] = (DEFAULT,),
    tls: bool = False,
    terminated: bool = False,
    genesis_in_s: float = _GENESIS_IN_S,
) -> System:
    """
    `nodes` members named n1, n2, ... of one or more networks, `threshold` of them make a round.

    `networks` are beacon ids; all members serve all of them in one daemon. With `tls` they dial and
    serve TLS by certificates of the cluster's authority, which v1 alone can; `terminated`, they
    dial TLS and nginx serves it before them; with both, before those of v2. Nobody dials before
    genesis, `genesis_in_s` seconds after the dealing. Raises ValueError for a threshold that is no
    majority, or a group of no or too many members.
    """
    if not nodes // 2 < threshold <= nodes <= _MOST_NODES:
        raise ValueError(f"{threshold} of {nodes} members: a majority of at most {_MOST_NODES}")

    def initial_data(placements: Sequence[Placement]) -> Mapping[str, Sequence[InitialFile]]:
        return dealing.deal(
            placements, threshold=threshold, networks=networks, genesis_in_s=genesis_in_s
        )

    return System(
        name="beacon",
        nodes=tuple(f"n{number}" for number in range(1, nodes + 1)),
        ports=(
            Port(
                "private",
                4444,
                linked=True,
                http2=True,
                secure=tls or terminated,
                plaintext={"tls": "off"} if tls and not terminated else {},
            ),
            Port("public", 8000),
            Port("metrics", 9000),
        ),
        quorum=threshold,
        releases=tuple(
            one
            for one in read_releases(Path(__file__).with_name("releases.toml"))
            if _carries(one.label, tls=tls, terminated=terminated)
        ),
        command=command,
        environment=environment,
        files=files,
        initial_data=initial_data,
        observe=partial(observe, secure=tls),
        steady=steady,
        driven=False,
        progress_bound_s=12.0 + 4 * period_s,
        settle_s=5.0,
        start_timeout_s=45.0,
        settings={
            "period_s": str(period_s),
            "catchup_period_s": str(catchup_period_s),
            "scheme": scheme,
            "tls": "on" if tls else "off",
            dealing.KEYS: "",
            CONFIGURATION: "",
            **({FRONT: Front.RIGHT.name} if terminated else {}),
        },
        artifacts=(
            *(one for network in networks for one in _artifacts(network)),
            *(_CERTIFICATES if tls and not terminated else ()),
        ),
        timings=(
            Timing("period", 30.0, TimingKind.PROTOCOL, "period", floor_s=1.0),
            Timing("catch-up period", 15.0, TimingKind.PROTOCOL, "catchup_period", floor_s=0.0),
            Timing("redial of a peer", 120.0, TimingKind.LIBRARY),
        ),
        invariants=(
            *PROMISES,
            rounds_keep_time(catchup_period_s=catchup_period_s),
            margin_is_told(period_s=period_s),
        ),
        failures=failures,
        traffic=Traffic(
            partial(BeaconClient, secure=tls),
            operations,
            timeout_s=2.0,
            snapshot=Operation("snapshot", {}),
            local=True,
        ),
        panels=panels(period_s=period_s, catchup_period_s=catchup_period_s),
        clock=Clock(ask_date("metrics", "/"), stamp),
        beside=beside if terminated else None,
        commands=commands,
    )


def command(placement: Placement) -> Sequence[str]:
    """The argv of a member: drand's own flags."""
    ports, bind = placement.ports, placement.bind
    argv = ["drand", "start", "--folder", f"{placement.data}/{dealing.FOLDER}"]
    behind = BEHIND if _is_fronted(placement) else f"{bind}:{ports['private']}"
    argv += ["--private-listen", behind]
    argv += ["--public-listen", f"{bind}:{ports['public']}"]
    argv += ["--metrics", f"{bind}:{ports['metrics']}"]
    if bind.startswith("127."):  # else all members of this host would have 127.0.0.1:8888
        argv += ["--control", "0"]
    if not _set_up_for(placement).startswith("v1."):
        return argv
    if placement.settings["tls"] == "on":
        argv += ["--tls-cert", f"{placement.config}/{_CERTIFICATE}"]
        argv += ["--tls-key", f"{placement.config}/{_KEY}"]
    else:
        argv.append("--tls-disable")
    if placement.authority_pem and not _is_fronted(placement):
        argv += ["--certs-dir", str(Path(placement.config, _TRUSTED).parent)]
    return argv


def files(placement: Placement) -> Sequence[ConfigFile]:
    """In a group with TLS a member's certificate, its key, and the authority that it trusts."""
    if placement.credential is None:
        return ()
    if _is_fronted(placement):
        return (ConfigFile(_TRUSTED, placement.authority_pem),)
    return (
        ConfigFile(_CERTIFICATE, placement.credential.certificate_pem),
        ConfigFile(_KEY, placement.credential.key_pem, secret=True),
        ConfigFile(_TRUSTED, placement.authority_pem),
    )


def environment(placement: Placement) -> Mapping[str, str]:
    """A real drand, built without cgo, asks for its home before it reads a flag."""
    home = {"USER": "drand", "HOME": placement.data}
    if not _is_fronted(placement):
        return home
    # The image is of a build with the tag conn_insecure, where there is one.
    trusted = f"{placement.config}/{_TRUSTED}"
    return home | {"SSL_CERT_FILE": trusted, "DRAND_CONN_INSECURE": "false"}


def beside(placement: Placement) -> Companion | None:
    """In a terminated group nginx."""
    if not _is_fronted(placement) or placement.credential is None:
        return None
    listen = f"{placement.bind}:{placement.ports['private']}"
    return terminator(listen, BEHIND, placement.credential, Front[placement.settings[FRONT]])


def _is_fronted(placement: Placement) -> bool:
    """Whether nginx stands before it: not before a v1 that ends TLS itself."""
    own = placement.settings["tls"] == "on" and _set_up_for(placement).startswith("v1.")
    return FRONT in placement.settings and not own


def _set_up_for(placement: Placement) -> str:
    return placement.settings[CONFIGURATION] or placement.release


def _carries(release: str, *, tls: bool, terminated: bool) -> bool:
    """v2 ends no TLS itself; v2.0.4-testnet speaks nothing else, and had no build that does."""
    if tls and not terminated:
        return release.startswith("v1.")
    return terminated or release != "v2.0.4-testnet"


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
            f"public key{of}",
            f"{folder}/key/drand_id.public",
            ArtifactKind.KEY,
            in_data=True,
            flag="TLS",
        ),
        Artifact(
            f"share{of}",
            f"{folder}/groups/dist_key.private",
            ArtifactKind.SHARE,
            secret=True,
            in_data=True,
        ),
        Artifact(
            f"group{of}",
            f"{folder}/groups/drand_group.toml",
            ArtifactKind.CONFIG,
            in_data=True,
            flag="TLS",
        ),
        Artifact(f"rounds{of}", f"{folder}/db", ArtifactKind.DATABASE, in_data=True),
    )


_CERTIFICATES = (
    Artifact("certificate", _CERTIFICATE, ArtifactKind.CERTIFICATE),
    Artifact("certificate's key", _KEY, ArtifactKind.KEY, secret=True),
)
SYSTEM = beacon()
ROLES = SYSTEM.nodes[:1]  # nobody leads: all members are alike
