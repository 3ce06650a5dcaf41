"""
The load: clients that invoke operations at a constant arrival rate and record what came of them.

Owns: arrivals (an open loop: a slow system gets no fewer operations), the spread over nodes, and
the record of each operation as invoke, then ok, fail (certainly no effect) or info (unknown).
Refuses: retries, and waiting for an answer before the next arrival.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Self

from chaoskit.errors import ChaosError
from chaoskit.history import Recorder
from chaoskit.system import (
    Client,
    Endpoint,
    Operation,
    OutcomeUnknown,
    Rejected,
    System,
    Traffic,
)

_CLIENTS_AT_MOST = 48
_CLIENTS_AT_LEAST = 4
_SNAPSHOT_TIMEOUT_S = 10.0  # a reading of our own: nothing is judged by how long it took


@dataclass(frozen=True, slots=True)
class Tally:
    """How many operations were acknowledged, failed for certain, and have an unknown outcome."""

    acknowledged: int = 0
    failed: int = 0
    unknown: int = 0


@dataclass(slots=True)
class Load:
    """
    A constant load of `rate_per_s` operations a second, for the length of the block.

    Operation numbers go on from `first_operation`, so that two loads of one run never share one.
    """

    system: System
    endpoints: dict[str, Endpoint]
    recorder: Recorder
    rate_per_s: float
    random: Random
    first_operation: int = 0
    _queue: queue.Queue[tuple[int, str, Operation] | None] = field(default_factory=queue.Queue)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _failure: Exception | None = None
    _counts: dict[str, int] = field(default_factory=lambda: {"ok": 0, "fail": 0, "info": 0})
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _invoked: int = 0

    def __enter__(self) -> Self:
        traffic = self._traffic()
        wanted = int(self.rate_per_s * traffic.timeout_s) + _CLIENTS_AT_LEAST
        clients = min(_CLIENTS_AT_MOST, wanted)
        self._queue = queue.Queue(maxsize=4 * clients)
        targets = [self._arrive] + [self._serve] * clients
        self._threads = [  # all of them first: who ends the load tells each client
            threading.Thread(
                target=self._guarded, args=(target, number), name=f"load-{number}", daemon=True
            )
            for number, target in enumerate(targets)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the arrivals, let every operation under way come to its end; idempotent."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=4 * self._traffic().timeout_s)

    def tally(self) -> Tally:
        """What came of the operations so far. Raises ChaosError if a client ended."""
        self.raise_failure()
        with self._lock:
            return Tally(self._counts["ok"], self._counts["fail"], self._counts["info"])

    @property
    def next_operation(self) -> int:
        """The number after the last operation invoked so far."""
        return self.first_operation + self._invoked

    def raise_failure(self) -> None:
        """Raise ChaosError from what ended a client, if one ended."""
        if self._failure is not None:
            error = self._failure
            raise ChaosError(
                f"a client of the load ended by {type(error).__name__}: {error}; "
                f"mend the traffic of {self.system.name}"
            ) from error

    def _traffic(self) -> Traffic:
        if self.system.traffic is None:
            raise ChaosError(f"{self.system.name} declares no traffic: it cannot be loaded")
        return self.system.traffic

    def _guarded(self, target: object, number: int) -> None:
        assert callable(target)
        try:
            target(number)
        except Exception as error:  # noqa: BLE001  # the edge of a thread: raised by its owner
            self._failure = self._failure or error
            self._stop.set()

    def _arrive(self, _: int) -> None:
        nodes = list(self.endpoints)
        operations = self._traffic().operations(self.random)
        begun_s = self.recorder.now_s()
        while not self._stop.wait(
            max(0.0, begun_s + self._invoked / self.rate_per_s - self.recorder.now_s())
        ):
            number = self.next_operation
            node = nodes[self._invoked % len(nodes)]
            operation = next(operations)
            self._invoked += 1
            try:
                self._queue.put_nowait((number, node, operation))
            except queue.Full:  # every client waits: this arrival was never sent
                self._record("queue", operation, number, node, "invoke", {})
                self._record("queue", operation, number, node, "fail", {"cause": "not sent"})
        for _client in self._threads[1:]:
            self._queue.put(None, timeout=4 * self._traffic().timeout_s)

    def _serve(self, number: int) -> None:
        traffic = self._traffic()
        clients: dict[str, Client] = {}
        try:
            while (work := self._queue.get()) is not None:
                operation_number, node, operation = work
                if node not in clients:
                    clients[node] = traffic.connect(self.endpoints[node], traffic.timeout_s)
                self._invoke(f"client {number}", clients[node], operation_number, node, operation)
        finally:
            for client in clients.values():
                client.close()

    def _invoke(
        self, process: str, client: Client, number: int, node: str, operation: Operation
    ) -> None:
        self._record(process, operation, number, node, "invoke", {})
        try:
            result = client.invoke(operation)
        except Rejected as rejected:
            self._record(process, operation, number, node, "fail", {"cause": str(rejected)})
        except OutcomeUnknown as unknown:
            self._record(process, operation, number, node, "info", {"cause": str(unknown)})
        else:
            self._record(process, operation, number, node, "ok", dict(result))

    def _record(
        self,
        process: str,
        operation: Operation,
        number: int,
        node: str,
        kind: str,
        more: dict[str, object],
    ) -> None:
        value = {"op": number, "node": node} | dict(operation.value) | more
        match kind:
            case "invoke":
                self.recorder.record(process, operation.f, value, kind="invoke")
            case "ok" | "fail" | "info":
                self.recorder.record(process, operation.f, value, kind=kind)
                with self._lock:
                    self._counts[kind] += 1
            case other:
                raise AssertionError(other)


def record_snapshot(recorder: Recorder, traffic: Traffic, endpoint: Endpoint) -> None:
    """Read everything one node holds, by a client of its own, and record what came of it."""
    assert traffic.snapshot is not None
    operation = traffic.snapshot
    value = {"node": endpoint.node}
    recorder.record("client snapshot", operation.f, value, kind="invoke")
    client = traffic.connect(endpoint, max(traffic.timeout_s, _SNAPSHOT_TIMEOUT_S))
    try:
        result = client.invoke(operation)
    except (Rejected, OutcomeUnknown) as error:
        recorder.record("client snapshot", operation.f, value | {"cause": str(error)}, kind="fail")
    else:
        recorder.record("client snapshot", operation.f, value | dict(result), kind="ok")
    finally:
        client.close()
