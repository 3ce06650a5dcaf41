"""
One sample of a beacon node, from what a real drand shows: HTTP and Prometheus metrics.

Owns: the answer of `/public/latest` and `/info`, and the metrics that tell of peers and of every
network of the daemon. Refuses: `/health`, whose first answer after a start is always 503.

An observation's progress is the newest round, its digest that round's signature in hex. Its detail:
`behind` (rounds that are due by now and not there), `failing` (peers that did not take the last
partial signature, by name), `size` and `threshold` of the group as the node has it, `rounds` (the
newest round of each network by beacon id), `late_s` (by how many seconds the newest round was late
when it was stored here), `denied` (how many partial signatures of others it has answered with
PermissionDenied since it started, which is a refusal and never slowness). A node is ready when it
is at most two rounds behind: a round is out up to a second after it is due.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaoskit import clock
from chaoskit.http import HttpClient, NoAnswer
from chaoskit.system import Endpoint, Observation, Unobserved
from suites.beacon.asking import Asking

READY_BEHIND_AT_MOST = 2
_WANTED = (
    "drand_build_time",
    "last_beacon_round",
    "error_sending_partial",
    "dial_failures",
    "group_size",
    "group_threshold",
    "beacon_discrepancy_latency",
)
# what counts a failure with a peer, and the label that says whose address it is
_FAILURES = {"dial_failures": "peer_address", "error_sending_partial": "address"}
_LINE = re.compile(rf"^({'|'.join(_WANTED)})\{{(.*?)\}} (\S+)$", re.MULTILINE)
_DENIED = re.compile(
    r'^grpc_server_handled_total\{grpc_code="PermissionDenied",grpc_method="PartialBeacon"'
    r".*\} (\S+)$",
    re.MULTILINE,
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the metrics: its name, its labels, its value."""

    name: str
    labels: Mapping[str, str]
    value: float

    @property
    def network(self) -> str:
        """The beacon id that it is of; drand spells the label in two ways."""
        return self.labels.get("beacon_id") or self.labels.get("beaconID") or "default"


def metrics_in(text: str) -> Iterator[Metric]:
    """The lines of a node's metrics that a sample needs."""
    for name, labels, value in _LINE.findall(text):
        yield Metric(name, dict(_LABEL.findall(labels)), float(value))


def rounds_due(genesis_s: int, period_s: int, now_s: float) -> int:
    """How many rounds are due at `now_s` (Unix time): round r is at genesis + (r - 1) periods."""
    return max(0, int((now_s - genesis_s) // period_s) + 1)


def observe(endpoint: Endpoint, timeout_s: float, *, secure: bool = False) -> Observation:
    """
    One sample; `secure`: of a group that uses TLS.

    Raises Unobserved when the node does not answer, or not with a chain.
    """
    http = HttpClient(timeout_s)
    asking = Asking(http, endpoint, secure)
    try:
        chain = _document(asking, "/info")
        latest = _document(asking, "/public/latest")
        counted, text = http.text(endpoint.url("metrics", "/metrics"))
    except NoAnswer as error:
        raise Unobserved(error.cause) from error
    finally:
        http.close()
    now_s = clock.utc_now().timestamp()
    if counted != 200:
        raise Unobserved(f"status {counted}")
    metrics = list(metrics_in(text))
    newest = int(latest.get("round", 0))  # before the first round the genesis seed stands there
    behind = rounds_due(chain["genesis_time"], chain["period"], now_s) - newest
    return Observation(
        ready=newest > 0 and behind <= READY_BEHIND_AT_MOST,
        version=next((one.labels["version"] for one in metrics if "version" in one.labels), ""),
        progress=newest,
        digest=str(latest["signature"]) if newest else "",
        detail=_detail(metrics, endpoint.peers)
        | {"behind": behind, "denied": sum(int(float(one)) for one in _DENIED.findall(text))},
    )


def _document(asking: Asking, path: str) -> Any:
    status, text = asking.text(path)
    if status != 200:  # its body is empty
        raise Unobserved(f"status {status}")
    try:
        return json.loads(text)
    except ValueError:
        raise Unobserved("garbled") from None


def _peer(address: str, peers: Mapping[str, str]) -> str:
    """Whose address a member has told."""
    host = address.rpartition(":")[0]
    return peers.get(host, host)


def _detail(metrics: list[Metric], peers: Mapping[str, str]) -> dict[str, Any]:
    named = {(one.name, one.network): int(one.value) for one in metrics}
    return {
        "failing": sorted(
            {
                _peer(one.labels["address"], peers)
                for one in metrics
                if one.name == "error_sending_partial" and one.value and one.network == "default"
            }
        ),
        "size": named.get(("group_size", "default")),
        "threshold": named.get(("group_threshold", "default")),
        "rounds": {
            one.network: int(one.value) for one in metrics if one.name == "last_beacon_round"
        },
        "late_s": next(
            (
                round(one.value / 1000, 3)
                for one in metrics
                if one.name == "beacon_discrepancy_latency" and one.network == "default"
            ),
            None,
        ),
    }


def stamp(line: str) -> float | None:
    """The Unix time that a line of a member's log bears; None where it bears none."""
    try:
        said = json.loads(line)
        return datetime.fromisoformat(said["ts"]).timestamp()
    except (ValueError, LookupError, TypeError):
        return None


def failures(endpoint: Endpoint, timeout_s: float) -> Mapping[str, int]:
    """
    Dials that failed since the node started, by peer, and one more for each network whose last
    partial signature the peer did not take: a connection into nothing stays up for long.

    Raises Unobserved.
    """
    http = HttpClient(timeout_s)
    try:
        status, text = http.text(endpoint.url("metrics", "/metrics"))
    except NoAnswer as error:
        raise Unobserved(error.cause) from error
    finally:
        http.close()
    if status != 200:
        raise Unobserved(f"status {status}")
    told: Counter[str] = Counter()
    for one in metrics_in(text):
        if address := one.labels.get(_FAILURES.get(one.name, "")):
            told[_peer(address, endpoint.peers)] += int(one.value)
    return told
