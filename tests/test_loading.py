"""The load on a cluster: one at a time, counted on, gone when it is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chaoskit.clock import wait_until
from chaoskit.errors import ChaosError
from chaoskit.history import Recorder
from chaoskit.loading import Loading
from chaoskit.operations import attempts
from chaoskit.system import Endpoint, Operation
from tests.stand_in import still, traffic

ENDPOINTS = {node: Endpoint(node, "127.0.0.1", {"client": 7002}) for node in ("a", "b")}


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "history.jsonl")
    yield made
    made.close()


def answer(_: Operation) -> Mapping[str, Any]:
    return {"revision": 5}


def loading(recorder: Recorder, **more: Any) -> Loading:
    system = still(**{"traffic": traffic(answer, timeout_s=0.5), **more})
    return Loading(system, lambda: ENDPOINTS, recorder, Random(7))


def acknowledged(load: Loading) -> int:
    done = load.tally()
    return 0 if done is None else done.acknowledged


def test_operations_are_numbered_on_from_load_to_load(recorder: Recorder) -> None:
    load = loading(recorder)
    assert load.tally() is None
    given: list[int] = []
    for _ in range(2):
        with load.loaded(200.0):
            wait_until(lambda: acknowledged(load) >= 5, what="operations", timeout_s=30)
            load.end()
            ended = acknowledged(load)
            assert acknowledged(load) == ended
        assert load.tally() is None
        # Clients begin side by side, so that one with a higher number may be on record first.
        numbers = sorted(one.value["op"] for one in attempts(recorder.history()))
        assert numbers[: len(given)] == given, "the first load's come before the second's"
        assert len(numbers) >= len(given) + 5
        given = numbers
    assert given == list(range(len(given))), "none is given twice, none is left out"


@pytest.mark.parametrize("rate_per_s", [0.0, 50.0])
def test_none_is_asked_for_or_could_be_carried_out(recorder: Recorder, rate_per_s: float) -> None:
    load = loading(recorder, **({} if rate_per_s == 0 else {"traffic": None}))
    with load.loaded(rate_per_s):
        assert load.tally() is None
        load.end()
    assert not attempts(recorder.history())


def test_what_ended_a_client_is_raised(recorder: Recorder) -> None:
    def broken(_: Operation) -> Mapping[str, Any]:
        raise ValueError("no JSON")

    load = loading(recorder, traffic=traffic(broken, timeout_s=0.5))

    def ended() -> bool:
        try:
            load.raise_failure()
        except ChaosError:
            return True
        return False

    with pytest.raises(ChaosError, match="ValueError: no JSON"), load.loaded(200.0):
        wait_until(ended, what="a client to end", timeout_s=30)
    load.raise_failure()  # whose load is over has nothing left to tell
