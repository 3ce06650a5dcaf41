"""What a node tells of the time bounds how far off it is; surely over the limit is unhealthy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit import clock
from chaoskit.clockreading import Offset, clock_watch, offset
from chaoskit.history import Recorder
from chaoskit.quorate import timelines
from chaoskit.system import Clock, Endpoint, Told, Unobserved

ENDPOINT = Endpoint("n1", "127.0.0.1", {})


class Node:
    """Tells the time to the second, `ahead_s` off; None: it does not answer."""

    def __init__(self) -> None:
        self.ahead_s: float | None = 0.0

    def ask(self, endpoint: Endpoint, timeout_s: float) -> Told:
        if self.ahead_s is None:
            raise Unobserved("timed_out")
        told_s = int(clock.utc_now().timestamp() + self.ahead_s)
        return Told(told_s, told_s + 1.0)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "history.jsonl")
    yield made
    made.close()


def clock_of(node: Node) -> Clock:
    return Clock(node.ask, lambda _: None, limit_s=1.0)


@pytest.mark.usefixtures("still_clock")
@pytest.mark.parametrize("ahead_s", [0.0, 5.0, -5.0, 0.9, -86_400.0])
def test_the_truth_lies_within_the_bounds(ahead_s: float) -> None:
    node = Node()
    node.ahead_s = ahead_s
    found = offset(clock_of(node), ENDPOINT)
    assert found.allows(ahead_s)
    assert not found.allows(ahead_s + 3.0)
    assert not found.allows(ahead_s - 3.0)


def test_it_is_off_by_what_is_sure() -> None:
    assert Offset(2.0, 3.0).surely_s == 2.0
    assert Offset(-3.0, -2.0).surely_s == -2.0
    assert Offset(-0.5, 0.5).surely_s == 0.0


@pytest.mark.usefixtures("still_clock")
def test_who_is_surely_over_the_limit_is_unhealthy_until_it_is_not(recorder: Recorder) -> None:
    node = Node()
    watch = clock_watch(clock_of(node), {"n1": ENDPOINT}, recorder)
    started = {"cluster": "c1", "event": "started", "nodes": ["n1"], "quorum": 1, "driven": True}
    recorder.record("chaoskit", "cluster", started | {"progress_bound_s": 5.0})
    recorder.record("n1", "state", {"state": "running"})
    for ahead_s in (0.0, 5.0, 5.0, None, -5.0, 0.0, 0.0):
        node.ahead_s = ahead_s
        watch.look("n1")
    limits = recorder.history().of("limit")
    assert [(one.value["probe"], one.value["over"]) for one in limits] == [
        ("clock", True),
        ("clock", False),
    ]
    assert 3.9 <= limits[0].value["value_s"] <= 5.0
    healthy = [one.healthy for one in timelines(recorder.history())[0].intervals]
    assert healthy[-2:] == [{"n1"}, frozenset()]


def test_nobody_is_asked_whose_clock_cannot_be_seen(recorder: Recorder) -> None:
    with clock_watch(None, {"n1": ENDPOINT}, recorder) as watch:
        watch.raise_failure()
    assert not recorder.history().of("limit")


def test_each_is_asked_for_as_long_as_it_is_watched(recorder: Recorder) -> None:
    node = Node()
    node.ahead_s = 9.0
    with clock_watch(clock_of(node), {"n1": ENDPOINT}, recorder) as watch:
        clock.wait_until(lambda: bool(recorder.history().of("limit")), what="a limit", timeout_s=30)
        watch.raise_failure()
