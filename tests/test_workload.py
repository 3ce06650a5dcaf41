"""The load: a constant rate of arrivals, every outcome recorded as what it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chaoskit.clock import monotonic, wait_until
from chaoskit.errors import ChaosError
from chaoskit.history import Recorder
from chaoskit.operations import attempts
from chaoskit.system import Endpoint, Operation, OutcomeUnknown, Rejected
from chaoskit.workload import Load, Tally, record_snapshot
from tests.stand_in import Idle, still, traffic

ENDPOINTS = {node: Endpoint(node, "127.0.0.1", {"client": 7002}) for node in ("a", "b", "c")}
Answer = Callable[[Operation], Mapping[str, Any]]


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "history.jsonl")
    yield made
    made.close()


def load(recorder: Recorder, answer: Answer, *, rate_per_s: float = 200.0, **more: Any) -> Load:
    system = still(traffic=traffic(answer, timeout_s=0.5))
    return Load(system, ENDPOINTS, recorder, rate_per_s, Random(7), **more)


def run(recorder: Recorder, answer: Answer, count: int, **more: Any) -> Load:
    with load(recorder, answer, **more) as running:
        wait_until(
            lambda: running.next_operation >= running.first_operation + count,
            what="operations",
            timeout_s=30,
            poll_s=0.005,
        )
    return running


def test_every_operation_is_invoked_and_has_its_outcome(recorder: Recorder) -> None:
    def answer(operation: Operation) -> Mapping[str, Any]:
        match int(operation.value["value"]) % 3:
            case 0:
                return {"revision": 5}
            case 1:
                raise Rejected("refused")
        raise OutcomeUnknown("timed_out")

    done = run(recorder, answer, 60)
    found = attempts(recorder.history())
    assert len(found) == done.next_operation
    kinds = {0: "ok", 1: "fail", 2: "info"}
    for attempt in found:
        assert attempt.completion is not None
        assert attempt.completion.type == kinds[int(attempt.value["value"]) % 3]
    causes = {e.value.get("cause") for e in recorder.history() if e.type in ("fail", "info")}
    assert causes == {"refused", "timed_out"}
    assert {a.result["revision"] for a in found if a.acknowledged} == {5}
    by_type = [
        sum(a.completion is not None and a.completion.type == k for a in found)
        for k in kinds.values()
    ]
    assert done.tally() == Tally(*by_type)


def test_operations_are_numbered_and_spread_over_all_nodes(recorder: Recorder) -> None:
    done = run(recorder, lambda _: {}, 30, first_operation=100)
    found = sorted(attempts(recorder.history()), key=lambda one: one.value["op"])
    assert [one.value["op"] for one in found] == list(range(100, done.next_operation))
    assert [one.node for one in found[:4]] == ["a", "b", "c", "a"]


def test_what_is_asked_is_drawn_from_the_seed_alone(recorder: Recorder, tmp_path: Path) -> None:
    other = Recorder(tmp_path / "other.jsonl")
    asked = []
    for one in (recorder, other):
        run(one, lambda _: {}, 20)
        found = sorted(attempts(one.history()), key=lambda one: one.value["op"])
        asked.append([attempt.value for attempt in found[:20]])
    other.close()
    assert asked[0] == asked[1]


def test_a_slow_system_gets_no_fewer_operations(recorder: Recorder) -> None:
    free = threading.Event()

    def slow(_: Operation) -> Mapping[str, Any]:
        free.wait(60)
        return {}

    began_s = monotonic()
    with load(recorder, slow, rate_per_s=100.0) as running:
        wait_until(
            lambda: running.next_operation >= 50, what="arrivals", timeout_s=30, poll_s=0.005
        )
        took_s = monotonic() - began_s
        assert running.tally().acknowledged == 0
        free.set()
    assert took_s >= 0.4, "no faster than the rate"


def test_an_arrival_that_no_client_can_take_certainly_had_no_effect(recorder: Recorder) -> None:
    free = threading.Event()

    def stuck(_: Operation) -> Mapping[str, Any]:
        free.wait(60)
        return {}

    with load(recorder, stuck, rate_per_s=2000.0) as running:
        wait_until(lambda: running.next_operation >= 400, what="arrivals", timeout_s=30)
        free.set()
    unsent = [e for e in recorder.history() if e.value.get("cause") == "not sent"]
    assert unsent
    assert {(event.process, event.type) for event in unsent} == {("queue", "fail")}
    assert running.tally().failed == len(unsent)


def test_what_is_under_way_comes_to_its_end(recorder: Recorder) -> None:
    begun = threading.Event()

    def last(_: Operation) -> Mapping[str, Any]:
        begun.set()
        threading.Event().wait(0.1)
        return {}

    with load(recorder, last, rate_per_s=50.0):
        begun.wait(5)
    assert all(attempt.acknowledged for attempt in attempts(recorder.history()))
    assert not [t for t in threading.enumerate() if t.name.startswith("load-")]


def test_a_bug_in_a_client_ends_the_load_and_is_raised(recorder: Recorder) -> None:
    def broken(_: Operation) -> Mapping[str, Any]:
        raise KeyError("revision")

    with load(recorder, broken) as running:
        wait_until(lambda: running._failure, what="the end", timeout_s=30)
        for ask in (running.tally, running.raise_failure):
            with pytest.raises(ChaosError, match="a client of the load ended by KeyError: 'rev"):
                ask()
    with pytest.raises(ChaosError, match="KeyError"):
        running.raise_failure()


def test_a_system_without_traffic_cannot_be_loaded(recorder: Recorder) -> None:
    with (
        pytest.raises(ChaosError, match="still declares no traffic"),
        Load(still(), ENDPOINTS, recorder, 1.0, Random(1)),
    ):
        pass


@pytest.mark.parametrize(("timeout_s", "given_s"), [(2.0, 10.0), (20.0, 20.0)])
def test_a_snapshot_has_time_of_its_own(
    recorder: Recorder, timeout_s: float, given_s: float
) -> None:
    given: list[float] = []

    def connect(_: Endpoint, patience_s: float) -> Idle:
        given.append(patience_s)
        return Idle(lambda _: {"entries": {}})

    ours = traffic(lambda _: {}, timeout_s=timeout_s, snapshot=Operation("read all", {}))
    record_snapshot(recorder, replace(ours, connect=connect), Endpoint("n1", "127.0.0.1", {}))
    assert given == [given_s]
    assert [one.type for one in recorder.history().of("read all")] == ["invoke", "ok"]
