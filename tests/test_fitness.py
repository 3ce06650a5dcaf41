"""What a probe finds becomes a limit event at every change, and at no other time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit import clock
from chaoskit.errors import ChaosError
from chaoskit.fitness import FitnessWatch, Reading
from chaoskit.history import Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "history.jsonl")
    yield made
    made.close()


def test_every_change_is_told_with_what_the_probe_found(recorder: Recorder) -> None:
    found = [
        Reading(over=False, value_s=0.1, limit_s=1.0),
        Reading(over=True, value_s=1.23456, limit_s=1.0, told={"full": True}),
        None,  # no answer: it stays what it was
        Reading(over=True, value_s=9.0, limit_s=1.0),
        Reading(over=False, value_s=0.2, limit_s=1.0, told={"full": False}),
    ]
    left = iter(found)
    watch = FitnessWatch("disk", {"n1": lambda: next(left)}, recorder, "look there")
    for _ in found:
        watch.look("n1")
    assert [(one.process, one.value) for one in recorder.history().of("limit")] == [
        ("n1", {"probe": "disk", "over": True, "full": True, "value_s": 1.2346, "limit_s": 1.0}),
        ("n1", {"probe": "disk", "over": False, "full": False, "value_s": 0.2, "limit_s": 1.0}),
    ]


def test_each_node_has_a_probe_of_its_own(recorder: Recorder) -> None:
    asked: list[str] = []

    def probe(node: str) -> Reading:
        asked.append(node)
        return Reading(over=node == "b", value_s=2.0, limit_s=1.0)

    probes = {"a": lambda: probe("a"), "b": lambda: probe("b")}
    with FitnessWatch("clock", probes, recorder, "look there") as watch:
        clock.wait_until(lambda: {*asked} == {"a", "b"}, what="both", timeout_s=30)
        watch.raise_failure()
    assert [one.process for one in recorder.history().of("limit")] == ["b"]


def test_a_probe_that_fails_is_told_with_where_to_look(recorder: Recorder) -> None:
    def probe() -> Reading:
        raise OSError("gone")

    with FitnessWatch("disk", {"n1": probe}, recorder, "look at that disk") as watch:
        clock.wait_until(lambda: watch._watchers.failure, what="its end", timeout_s=30)
        with pytest.raises(ChaosError, match=r"disk-n1 ended by OSError: gone.*look at that disk"):
            watch.raise_failure()
