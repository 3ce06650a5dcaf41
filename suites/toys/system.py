"""
The toys as a system under test.

Owns: how a toy is started, watched and loaded. Refuses: what a toy does; `nodes.toys` is reached
by its command line and its HTTP port alone.

The command begins with `python3 -m nodes.toys`. In an image `nodes` lies under /opt, on
PYTHONPATH; the process backend runs the same arguments by its own interpreter, in a folder from
which `nodes` can be imported. Release 2 is the same program that reports another version.

Operations carry `consistency: linearizable`, reads too: a toy answers none without a majority.
Results: put {}, get {"value"}, cas {"swapped"} (and "value", what was held, when not swapped).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

from chaoskit.http import HttpClient, NoAnswer, ask_date
from chaoskit.panel import CatchUp, Curve, Panels
from chaoskit.system import (
    Artifact,
    ArtifactKind,
    Clock,
    ConfigFile,
    Endpoint,
    Observation,
    Operation,
    OutcomeUnknown,
    Placement,
    Port,
    Rejected,
    Release,
    System,
    Timing,
    TimingKind,
    Traffic,
    Unobserved,
)

PEER_PORT = 7001
CLIENT_PORT = 7002
KEYS = 5
FEWEST, MOST = 3, 12
_FAILURES = ("refused", "timed_out", "resets", "closed", "handshakes")


def toys(
    nodes: int = 3, *, behaviours: Mapping[str, str] | None = None, secure: bool = False
) -> System:
    """
    `nodes` toys (3 to 12) named n1, n2, ...; a majority is the quorum.

    `behaviours` maps a node to forks, forgets, hangs or lies; all others are honest. `secure`:
    they speak TLS to each other, each with a certificate of the cluster's authority; the setting
    `peer_tls` = "off" makes a node speak plaintext. Raises ValueError for a node that is none.
    """
    if not FEWEST <= nodes <= MOST:
        raise ValueError(f"{nodes} toys: {FEWEST} to {MOST} can work together")
    names = tuple(f"n{number}" for number in range(1, nodes + 1))
    broken = dict(behaviours or {})
    if strangers := sorted(broken.keys() - set(names)):
        raise ValueError(f"no toy is named {', '.join(strangers)}; there are {', '.join(names)}")
    peer = Port("peer", PEER_PORT, linked=True, secure=secure, plaintext={"peer_tls": "off"})
    return System(
        name="toys",
        nodes=names,
        ports=(
            peer if secure else Port("peer", PEER_PORT, linked=True),
            Port("client", CLIENT_PORT),
        ),
        quorum=nodes // 2 + 1,
        releases=tuple(_release(label) for label in ("1", "2")),
        command=_command(broken),
        observe=observe,
        files=_files if secure else lambda _: (),
        settle_s=1.0,
        progress_bound_s=3.0,
        stop_timeout_s=5.0,
        start_timeout_s=10.0,
        settings={"peer_tls": "on"} if secure else {},
        artifacts=(
            Artifact("journal", "journal", ArtifactKind.DATABASE, in_data=True),
            *(_CREDENTIALS if secure else ()),
        ),
        timings=(
            Timing("answer of a peer", 0.5, TimingKind.MACHINE),
            Timing("answer of the leader", 1.0, TimingKind.MACHINE),
            Timing("answer to a client", 1.5, TimingKind.MACHINE),
        ),
        failures=failures,
        traffic=Traffic(connect=ToysClient, operations=operations, timeout_s=2.0),
        clock=Clock(ask_date("client", "/status"), stamp),
        panels=Panels(
            curves=(Curve(title="term", words="it grows with every election", reads="term"),),
            catch_up=CatchUp(words="behind the farthest toy", noun="entries"),
        ),
    )


_CREDENTIALS = (
    Artifact("certificate", "certificate.pem", ArtifactKind.CERTIFICATE),
    Artifact("key", "key.pem", ArtifactKind.KEY, secret=True),
    Artifact("authority", "authority.pem", ArtifactKind.CERTIFICATE),
)


def _release(label: str) -> Release:
    recipe = ("docker/image.sh", "toys", label)
    return Release(label, image=f"chaoskit/toys:{label}", recipe=recipe, version=label)


def _command(broken: Mapping[str, str]) -> Callable[[Placement], Sequence[str]]:
    def command(placement: Placement) -> Sequence[str]:
        peer, client = placement.ports["peer"], placement.ports["client"]
        own = {placement.name: placement.bind}
        hosts = {name: placement.hosts[name] for name in placement.peers if name not in own} | own
        dial_map = ",".join(f"{name}={hosts[name]}:{peer}" for name in placement.peers)
        argv = ["python3", "-m", "nodes.toys", "--name", placement.name]
        argv += ["--listen", f"{placement.bind}:{peer}", "--client", f"{placement.bind}:{client}"]
        argv += ["--peers", dial_map, "--data", placement.data, "--release", placement.release]
        argv += ["--behaviour", broken.get(placement.name, "honest")]
        if "peer_tls" in placement.settings:
            for part in ("certificate", "key", "authority"):
                argv += [f"--tls-{part}", f"{placement.config}/{part}.pem"]
            if placement.settings["peer_tls"] == "off":
                argv.append("--insecure")
        return argv

    return command


def _files(placement: Placement) -> Sequence[ConfigFile]:
    credential = placement.credential
    if credential is None:
        return ()
    return (
        ConfigFile("certificate.pem", credential.certificate_pem),
        ConfigFile("key.pem", credential.key_pem, secret=True),
        ConfigFile("authority.pem", placement.authority_pem),
    )


def observe(endpoint: Endpoint, timeout_s: float) -> Observation:
    """One sample of a toy: GET /status. Raises Unobserved when it does not answer."""
    client = HttpClient(timeout_s)
    try:
        _, seen = client.get(endpoint.url("client", "/status"))
        return Observation(
            ready=seen["ready"],
            version=seen["version"],
            role=seen["role"],
            term=seen["term"],
            progress=seen["progress"],
            digest=seen["digest"],
            detail={
                name: seen[name] for name in ("peers", "syncs", "turned_away", "leader", "waiting")
            },
        )
    except NoAnswer as error:
        raise Unobserved(error.cause) from error
    except KeyError as error:
        raise Unobserved("error") from error
    finally:
        client.close()


def stamp(line: str) -> float | None:
    """The Unix time that a line of a toy's log bears; None where it bears none."""
    try:
        return datetime.fromisoformat(line.partition(" ")[0]).timestamp()
    except ValueError:
        return None


def failures(endpoint: Endpoint, timeout_s: float) -> Mapping[str, int]:
    """What went wrong on a toy's own connections to each peer. Raises Unobserved."""
    peers = observe(endpoint, timeout_s).detail["peers"]
    return {name: sum(counts[kind] for kind in _FAILURES) for name, counts in peers.items()}


@dataclass(slots=True)
class ToysClient:
    """A client of one toy over a connection that is kept."""

    endpoint: Endpoint
    timeout_s: float
    _http: HttpClient | None = None

    def invoke(self, operation: Operation) -> Mapping[str, Any]:
        """POST one operation; answers its result. Raises Rejected or OutcomeUnknown."""
        self._http = self._http or HttpClient(self.timeout_s)
        asked = {name: one for name, one in operation.value.items() if name != "consistency"}
        try:
            code, result = self._http.post(self.endpoint.url("client", f"/{operation.f}"), asked)
        except NoAnswer as error:
            if error.cause == "refused":
                raise Rejected(error.cause) from error
            raise OutcomeUnknown(error.cause) from error
        if code == 200:
            return result
        if code == 504:
            raise OutcomeUnknown(result.get("error", str(code)))
        raise Rejected(result.get("error", str(code)))

    def close(self) -> None:
        """Close its connection."""
        if self._http is not None:
            self._http.close()


def operations(random: Random) -> Iterator[Operation]:
    """An endless stream of puts, gets and cas on a few keys; no value is written twice."""
    newest: dict[str, str] = {}
    number = 0
    while True:
        number += 1
        key = f"k{random.randrange(KEYS)}"
        value = f"{random.getrandbits(32):08x}-{number}"
        asked: dict[str, Any] = {"key": key}
        match f := random.choices(("put", "get", "cas"), weights=(5, 3, 2))[0]:
            case "put":
                asked |= {"value": value}
            case "cas":
                asked |= {"expect": newest.get(key), "value": value}
        if f != "get":
            newest[key] = value
        yield Operation(f, asked | {"consistency": "linearizable"})


SYSTEM = toys()
# What a matrix must find broken: killed, each of these loses what it had acknowledged.
CANARY = toys(behaviours=dict.fromkeys(SYSTEM.nodes, "forgets"))
