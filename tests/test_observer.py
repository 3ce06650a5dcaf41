"""Observers: a node that refuses was sampled; a sample not taken is a gap; a bug ends the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit import observer
from chaoskit.clock import monotonic, pause, wait_until
from chaoskit.errors import ChaosError
from chaoskit.history import Event, Recorder
from chaoskit.observer import Observers
from chaoskit.system import Endpoint, Observation, Unobserved
from tests.stand_in import still

LONG_S = 30.0  # no machine takes that long for what is meant to be done in time
ENDPOINTS = {node: Endpoint(node, "127.0.0.1", {"client": 7002}) for node in ("a", "b")}

SEEN = Observation(
    ready=True, version="1", role="leader", term=3, progress=7, digest="d", detail={"x": 1}
)


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    monkeypatch.setattr(observer, "INTERVAL_S", 0.02)
    monkeypatch.setattr(observer, "_GAP_AFTER_S", LONG_S)  # a slow machine leaves gaps of its own
    made = Recorder(tmp_path / "history.jsonl")
    yield made
    made.close()


class Watched:
    """What the nodes answer; `hold` makes the next answers of b wait."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.cause = ""
        self.broken = False
        self.free = threading.Event()
        self.free.set()
        self.held = threading.Event()
        self.asked: list[float] = []
        self.patience: list[float] = []

    def observe(self, endpoint: Endpoint, timeout_s: float) -> Observation:
        assert timeout_s <= observer.SAMPLE_TIMEOUT_S
        if endpoint.node == "b":
            if not self.free.is_set():
                self.held.set()
            self.free.wait(LONG_S)
            return Observation(ready=True, progress=1)
        self.asked.append(monotonic())
        self.patience.append(timeout_s)
        if self.broken:
            raise KeyError("progress")
        if self.cause:
            raise Unobserved(self.cause)
        return SEEN

    def observers(self) -> Observers:
        return Observers(still(observe=self.observe), ENDPOINTS, self.recorder)

    def of(self, node: str, f: str = "observe") -> list[Event]:
        return [event for event in self.recorder.history().of(f) if event.process == node]

    def wait(self, count: int, node: str = "a") -> None:
        have = len(self.of(node))
        wait_until(
            lambda: len(self.of(node)) >= have + count,
            what="samples",
            timeout_s=LONG_S,
            poll_s=0.01,
        )


@pytest.fixture
def watched(recorder: Recorder) -> Watched:
    return Watched(recorder)


def test_an_answer_is_recorded_whole(watched: Watched) -> None:
    with watched.observers() as observers:
        watched.wait(2)
        assert observers.latest()["a"] == SEEN
    (first, *_) = watched.of("a")
    took_s = first.value.pop("took_s")
    assert 0 <= took_s <= LONG_S
    assert first.type == "ok"
    assert first.value == {
        "ready": True,
        "version": "1",
        "role": "leader",
        "term": 3,
        "progress": 7,
        "digest": "d",
        "detail": {"x": 1},
    }
    assert watched.of("a", "gap") == []


def test_a_refusal_is_a_sample_and_no_gap(watched: Watched) -> None:
    with watched.observers() as observers:
        watched.wait(1)
        watched.cause = "refused"
        watched.wait(3)
        assert observers.latest()["a"] is None
        watched.cause = ""
        watched.wait(2)
        assert observers.latest()["a"] is not None
    causes = [event.value.get("cause") for event in watched.of("a")]
    assert "refused" in causes
    assert all(event.type == "fail" for event in watched.of("a") if "cause" in event.value)
    assert watched.of("a", "gap") == []


def test_a_sample_not_taken_is_a_gap_of_that_node_alone(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "_GAP_AFTER_S", 0.6)
    with watched.observers():
        watched.wait(1, "b")
        watched.free.clear()
        assert watched.held.wait(LONG_S)
        held_s = watched.recorder.now_s()
        pause(0.9)  # what is waited for is that nothing happens
        watched.free.set()
        watched.wait(2, "b")
    gaps = watched.of("b", "gap")  # before it and after it a stall of the machine may make another
    (gap,) = [one for one in gaps if one.value["from_s"] <= held_s <= one.value["to_s"]]
    assert gap.value["to_s"] - gap.value["from_s"] >= 0.6
    assert gap.value["to_s"] <= gap.time_s


def test_one_node_that_hangs_holds_up_no_other(watched: Watched) -> None:
    with watched.observers():
        watched.free.clear()
        watched.wait(5)
        watched.free.set()


def test_a_bug_ends_the_observer_and_is_raised_with_its_node(watched: Watched) -> None:
    with watched.observers() as observers:
        watched.wait(1)
        watched.broken = True
        wait_until(lambda: observers._watchers.failure, what="the end", timeout_s=LONG_S)
        for ask in (observers.latest, observers.raise_failure):
            with pytest.raises(ChaosError, match="observer-a ended by KeyError: 'progress'"):
                ask()


def test_samples_that_began_before_a_moment_do_not_count_after_it(watched: Watched) -> None:
    with watched.observers() as observers:
        watched.wait(1, "b")
        watched.free.clear()
        watched.wait(2)
        moment_s = monotonic()
        watched.wait(3)
        assert not observers.all_asked_since(moment_s)  # b's last sample began before
        watched.free.set()
        wait_until(
            lambda: observers.all_asked_since(moment_s), what="fresh samples", timeout_s=LONG_S
        )


def test_nobody_is_asked_after_the_end(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "SAMPLE_TIMEOUT_S", LONG_S)  # and so long is an end waited for
    with watched.observers():
        watched.wait(1)
    before = len(watched.asked)
    names = {thread.name for thread in threading.enumerate()}
    assert not any(name.startswith("observer-") for name in names)
    assert len(watched.asked) == before


def test_a_node_that_comes_up_is_asked_sooner_and_with_growing_patience(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "INTERVAL_S", LONG_S)
    monkeypatch.setattr(observer, "EAGER_INTERVAL_S", 0.01)
    monkeypatch.setattr(observer, "_EAGER_SAMPLES", 1_000_000)
    watched.cause = "refused"
    with watched.observers():
        watched.wait(6)
        watched.cause = ""
        wait_until(  # a sample that was under way may still be a refusal
            lambda: watched.of("a")[-1].type == "ok", what="an answer", timeout_s=LONG_S
        )
        count = len(watched.of("a"))
        pause(0.1)  # what is waited for is that nothing happens: it is not asked so soon again
        assert len(watched.of("a")) == count
    assert watched.patience[0] < observer.SAMPLE_TIMEOUT_S
    assert watched.patience[5] == observer.SAMPLE_TIMEOUT_S


def test_a_node_that_never_comes_up_is_not_asked_so_often_for_ever(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "INTERVAL_S", LONG_S)
    monkeypatch.setattr(observer, "EAGER_INTERVAL_S", 0.001)
    monkeypatch.setattr(observer, "_EAGER_SAMPLES", 3)
    watched.cause = "refused"
    with watched.observers():
        wait_until(lambda: len(watched.of("a")) >= 3, what="three samples", timeout_s=LONG_S)
        pause(0.1)  # as above
    assert len(watched.of("a")) == 3
