"""
A database at its quota: every write is refused, on every member, until somebody does something.

Seen in: every etcd that was never compacted. The first member to notice raises an alarm that all
obey. In the field it heals when old revisions are compacted and the files defragmented, and when
the alarm, which nobody lowers by itself, has been disarmed. Refuses: a cluster without a quota.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.fault import Witness, target
from chaoskit.http import HttpClient, NoAnswer
from chaoskit.sighting import Meter, Probe, Sighting
from suites.etcd.client import encode

_TIMEOUT_S = 5.0
_WITHIN_S = 5.0
_VALUE_BYTES = 16 * 1024
_REFUSED_STATUS = 429
# Refused puts and transactions, as a member's gRPC server counts them (ResourceExhausted).
_REFUSED = re.compile(
    r'^grpc_server_handled_total\{grpc_code="ResourceExhausted",grpc_method="(?:Put|Txn)"[^}]*\} '
    r"([0-9.e+]+)$",
    re.MULTILINE,
)


class _Gateway:
    """Every member's JSON gateway, by the harness's own links."""

    def __init__(self, cluster: Cluster) -> None:
        self._endpoints = {name: cluster.endpoint(name) for name in cluster.nodes}
        self._http = HttpClient(_TIMEOUT_S)

    def call(self, node: str, path: str, document: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            return self._http.post(self._endpoints[node].url("client", path), document)
        except NoAnswer as error:
            raise ChaosError(f"{node} did not answer {path}: {error}") from error

    def must(self, node: str, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        status, answer = self.call(node, path, document)
        if status != 200:
            raise ChaosError(f"{node} answered {path} with status {status}: {answer}")
        return answer

    def size_bytes(self, node: str) -> int:
        """The size of the database's file, which is what the quota limits."""
        return int(self.must(node, "/v3/maintenance/status", {})["dbSize"])

    def refused(self, node: str) -> int:
        """How many writes the member has refused for lack of space since it started."""
        try:
            _, text = self._http.text(self._endpoints[node].url("client", "/metrics"))
        except NoAnswer as error:
            raise ChaosError(f"{node} shows no metrics: {error}") from error
        return sum(int(float(number)) for number in _REFUSED.findall(text))

    def close(self) -> None:
        self._http.close()


def _compact(gateway: _Gateway, nodes: list[str]) -> None:
    """Drop every revision but the present one."""
    state = gateway.must(nodes[0], "/v3/kv/range", {"key": encode("ballast"), "limit": 1})
    revision = state["header"]["revision"]
    gateway.must(nodes[0], "/v3/kv/compaction", {"revision": revision, "physical": True})


def _defragment(gateway: _Gateway, nodes: list[str]) -> None:
    """Give back what compaction left free, on each member."""
    for node in nodes:
        gateway.must(node, "/v3/maintenance/defragment", {})


def _disarm(gateway: _Gateway, nodes: list[str]) -> None:
    """Lower every alarm that is up."""
    raised = gateway.must(nodes[0], "/v3/maintenance/alarm", {"action": "GET"})
    for alarm in raised.get("alarms", ()):
        gateway.must(
            nodes[0],
            "/v3/maintenance/alarm",
            {"action": "DEACTIVATE", "memberID": alarm["memberID"], "alarm": alarm["alarm"]},
        )


_REMEDIES: Mapping[str, Callable[[_Gateway, list[str]], None]] = {
    "compact": _compact,
    "defragment": _defragment,
    "disarm": _disarm,
}


@dataclass(frozen=True, slots=True)
class QuotaReached:
    """
    `node` is written to until its quota refuses; `remedy` is what is done afterwards, in order.

    The remedy makes space: compact, defragment. It may also disarm, or not.
    """

    NEEDS: ClassVar = ("engine", "a quota")
    PROOF: ClassVar = "the databases' size, from each member; writes its server has refused"

    node: str = target()
    remedy: tuple[str, ...] = ("compact", "defragment", "disarm")

    @contextmanager
    def inject(self, cluster: Cluster) -> Iterator[Witness]:
        """Overwrite one key until a write is refused; then do what the remedy says."""
        quota = cluster.node(self.node).placement().settings.get("quota_bytes")
        if not quota:
            raise NotApplicable(f"{self.node} has no quota")
        if unknown := set(self.remedy) - set(_REMEDIES):
            raise NotApplicable(f"no remedy {', '.join(sorted(unknown))}")
        gateway, nodes, quota_bytes = _Gateway(cluster), list(cluster.nodes), int(quota)
        try:
            _fill(gateway, self.node, quota_bytes)
            yield Witness(
                probes=[_is_full(gateway, node, quota_bytes) for node in nodes],
                meters=[_refused_writes(gateway, node) for node in nodes],
                within_s=_WITHIN_S,
            )
            for step in self.remedy:
                _REMEDIES[step](gateway, nodes)
        finally:
            cluster.recorder.record("chaoskit", "note", {"text": _alarms(gateway, nodes)})


def _fill(gateway: _Gateway, node: str, quota_bytes: int) -> None:
    value = encode("x" * _VALUE_BYTES)
    for _ in range(2 * quota_bytes // _VALUE_BYTES):
        status, _answer = gateway.call(
            node, "/v3/kv/put", {"key": encode("ballast"), "value": value}
        )
        if status == _REFUSED_STATUS:
            return
    raise ChaosError(f"twice the quota of {quota_bytes} bytes was written and nothing was refused")


def _is_full(gateway: _Gateway, node: str, quota_bytes: int) -> Probe:
    def look() -> Sighting:
        size_bytes = gateway.size_bytes(node)
        return Sighting(2 * size_bytes > quota_bytes, f"{size_bytes} of {quota_bytes} bytes")

    return Probe(f"the size of the database of {node}", look)


def _refused_writes(gateway: _Gateway, node: str) -> Meter:
    return Meter(f"writes that {node} refused", lambda: gateway.refused(node))


def _alarms(gateway: _Gateway, nodes: list[str]) -> str:
    raised = gateway.must(nodes[0], "/v3/maintenance/alarm", {"action": "GET"}).get("alarms", ())
    names = [f"{one['alarm']} of member {one['memberID']}" for one in raised]
    return f"alarms that stand after the remedy: {', '.join(names) or 'none'}"
