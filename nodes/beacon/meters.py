"""
What a running node counts: the process and the HTTP interface tell it here, the metrics read it.

Owns: the counters, and the latest values of what is told. Refuses: calls that the release's surface
does not list. How they are named outside is in metrics.py.

Rules: used on the node's one asyncio loop. What was never told is not there, as with drand: a peer
that no partial was sent to has no sample, nor has a network before its first stored round.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from nodes.beacon.releases import Call

LATENCY_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CODES = (
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
)
"""gRPC's codes by number, as metrics spell them."""
_METHODS = frozenset(
    ("get", "put", "head", "post", "delete", "connect", "options", "notify", "trace", "patch")
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A network's last stored round: how late it was, and the group that it was made by."""

    round: int
    late_s: float
    members: int
    threshold: int


@dataclass(slots=True)
class Latency:
    """Answers to requests of one method, by their duration."""

    count: int = 0
    total_s: float = 0.0
    within: list[int] = field(default_factory=lambda: [0] * len(LATENCY_BOUNDS_S))


class Meters:
    """Everything that is counted; read-only for the metrics."""

    def __init__(self, calls: tuple[Call, ...]) -> None:
        self.calls = calls
        self.stored: dict[str, Stored] = {}
        self.partial_failed: dict[tuple[str, str], bool] = {}
        self.dial_failures: Counter[str] = Counter()
        self.calls_started: Counter[Call] = Counter()
        self.calls_answered: Counter[tuple[Call, str]] = Counter()
        self.http_answered: Counter[tuple[str, str]] = Counter()
        self.http_latency: dict[str, Latency] = {}
        self.http_in_flight = 0
        self._by_name = {(call.service, call.method): call for call in calls}

    # ---- told by the process -----------------------------------------------------------------

    def beacon_stored(self, beacon_id: str, stored: Stored) -> None:
        """A round was stored, made here or synced."""
        self.stored[beacon_id] = stored

    def partial_sent(self, beacon_id: str, address: str, *, delivered: bool) -> None:
        """Our partial went to a member, or did not; `delivered` says nothing of its use there."""
        self.partial_failed[beacon_id, address] = not delivered

    def dial_failed(self, address: str) -> None:
        """A connection to a member could not be opened."""
        self.dial_failures[address] += 1

    def call_started(self, service: str, method: str) -> None:
        """A peer's call arrived; one that the surface does not list is not counted."""
        call = self._by_name.get((service, method))
        if call is not None:
            self.calls_started[call] += 1

    def call_answered(self, service: str, method: str, code: str) -> None:
        """It was answered with this code, one of CODES, for a stream at its end."""
        if code not in CODES:
            raise ValueError(f"{code!r} is no gRPC code; they are {', '.join(CODES)}")
        call = self._by_name.get((service, method))
        if call is not None:
            self.calls_answered[call, code] += 1

    # ---- told by the HTTP interface ----------------------------------------------------------

    def http_answer(self, method: str, status: int, duration_s: float) -> None:
        """A request was answered."""
        name = method.lower() if method.lower() in _METHODS else "unknown"
        self.http_answered[str(status), name] += 1
        latency = self.http_latency.setdefault(name, Latency())
        latency.count += 1
        latency.total_s += duration_s
        for at, bound_s in enumerate(LATENCY_BOUNDS_S):
            latency.within[at] += duration_s <= bound_s
