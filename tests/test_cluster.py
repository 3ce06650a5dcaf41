"""A cluster: what it waits for and how long, what it can be asked, and what it leaves: nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit import clock, identity
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, NotApplicable, UsageError, WaitTimedOut
from chaoskit.history import Recorder
from chaoskit.mesh import refused
from chaoskit.node import Node
from chaoskit.ownership import mark
from chaoskit.session import Session
from chaoskit.setting import Setting
from chaoskit.system import Observation, Unobserved
from chaoskit.workload import Tally
from suites.toys.system import toys
from tests.fakes import FakeBackend, opened, running
from tests.stand_in import NODES, still

# without an engine, the docker SDK leaves the socket of its failed connect to the collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
WAIT_S = 20.0


def seen(progress: int = 1, *, ready: bool = True, role: str = "") -> Observation:
    return Observation(ready=ready, progress=progress, role=role, version="1", digest="d")


class Watched:
    """Observers as a test wants them: `samples` and whether they are `fresh`."""

    def __init__(self) -> None:
        self.samples: dict[str, Observation | None] = {node: seen() for node in NODES}
        self.sampled_s = 0.0
        self.failure: Exception | None = None
        self.again = 0

    def asked_again(self) -> None:
        self.again += 1

    def latest(self) -> dict[str, Observation | None]:
        self.raise_failure()
        return dict(self.samples)

    def all_asked_since(self, moment_s: float) -> bool:
        return self.sampled_s >= moment_s

    def raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def idle(tmp_path: Path, watched: Watched) -> Iterator[Cluster]:
    """A cluster that was never entered, with observers of the test's."""
    recorder = Recorder(tmp_path / "history.jsonl")
    made = Cluster(
        still(),
        Setting(release="1"),
        name="c1",
        backend=FakeBackend(tmp_path, NODES),
        recorder=recorder,
        workshop=cast("Any", None),
        random=Random(1),
    )
    made.observers = cast("Any", watched)
    made.wire = cast("Any", SimpleNamespace(survey_again=watched.asked_again))
    made.nodes = cast(
        "dict[str, Node]",
        {
            name: SimpleNamespace(
                name=name,
                state="running",
                image_id="sha256:0",
                configuration=SimpleNamespace(release=SimpleNamespace(label="1")),
            )
            for name in NODES
        },
    )
    yield made
    recorder.close()


# -- waiting -----------------------------------------------------------------------------------


def test_what_was_seen_before_the_call_is_no_steady_state(idle: Cluster, watched: Watched) -> None:
    watched.sampled_s = clock.monotonic()
    with pytest.raises(WaitTimedOut, match=r"waited 0\.1 s for the steady state of still; last"):
        idle.await_steady_state(timeout_s=0.1)
    assert (idle.history().of("cluster"), watched.again) == ([], 0)
    watched.sampled_s = clock.monotonic() + 60
    idle.await_steady_state(timeout_s=1.0)
    assert watched.again == 1, "links on which a handshake failed while a node came up"
    assert [one.value["event"] for one in idle.history().of("cluster")] == ["steady"]


@pytest.mark.parametrize("silent", [None, seen(ready=False)], ids=["no answer", "not ready"])
def test_one_node_is_enough_to_be_unsteady(
    idle: Cluster, watched: Watched, silent: Observation | None
) -> None:
    watched.sampled_s = clock.monotonic() + 60
    watched.samples["c"] = silent
    with pytest.raises(WaitTimedOut, match="the steady state of still"):
        idle.await_steady_state(timeout_s=0.05)


def test_progress_is_the_highest_that_any_node_shows(
    idle: Cluster, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle.system = replace(idle.system, driven=False)
    watched.samples |= {"a": seen(7), "b": None}
    with pytest.raises(WaitTimedOut, match="progress by 2 from 7; last seen: 7"):
        idle.await_progress(by=2, timeout_s=0.05)
    before = watched.samples
    samples = chain([before, before], repeat(before | {"b": seen(9)}))
    monkeypatch.setattr(watched, "latest", lambda: next(samples))
    idle.await_progress(by=2, timeout_s=WAIT_S)
    assert next(samples)["b"] == seen(9), "the third that was taken"


def test_progress_of_a_driven_system_is_what_was_acknowledged(
    idle: Cluster, watched: Watched
) -> None:
    idle.system = replace(idle.system, driven=True)
    done: list[Iterator[int]] = [repeat(3)]
    tally = SimpleNamespace(tally=lambda: Tally(acknowledged=next(done[0])))
    idle._loading._load = cast("Any", tally)
    watched.samples["a"] = seen(1000)  # others' doings are nothing to it
    with pytest.raises(WaitTimedOut, match="progress by 1 from 3"):
        idle.await_progress(by=1, timeout_s=0.05)
    assert idle.tally().acknowledged == 3
    done[0] = chain([3, 3], repeat(4))
    idle.await_progress(by=1, timeout_s=WAIT_S)
    assert next(done[0]) == 4


def test_a_wait_of_ones_own_names_what_and_returns_what_came(idle: Cluster) -> None:
    with pytest.raises(WaitTimedOut, match=r"waited 0\.05 s for the moon"):
        idle.await_that(lambda: None, what="the moon", timeout_s=0.05)
    assert idle.await_that(lambda: "came", what="the moon", timeout_s=1.0) == "came"


def test_while_waiting_an_observer_that_ended_is_raised(idle: Cluster, watched: Watched) -> None:
    watched.failure = ChaosError("the observer of a ended")
    waits: list[Callable[[], None]] = [
        lambda: idle.await_steady_state(timeout_s=5.0),
        lambda: idle.await_progress(by=1, timeout_s=5.0),
        lambda: idle.hold(0.01),
    ]
    for wait in waits:
        with pytest.raises(ChaosError, match="the observer of a ended"):
            wait()


# -- asking ------------------------------------------------------------------------------------


def test_a_target_is_a_node_or_a_role_seen_now(
    idle: Cluster, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.samples["b"] = seen(role="leader")
    assert [idle.target(name) for name in ("a", "leader")] == ["a", "b"]
    watched.samples["b"] = seen(role="follower")
    with pytest.raises(NotApplicable, match=r"no node of still is 'leader' now: .*follower"):
        idle.target("leader")
    monkeypatch.setattr("chaoskit.cluster._ROLE_TIMEOUT_S", 0.1)
    watched.samples["b"] = None
    with pytest.raises(NotApplicable, match=r"no node of still is 'leader' now: .*no answer"):
        idle.target("leader")
    with pytest.raises(NotApplicable, match="still has no node 'x': a, b, c"):
        idle.node("x")


def test_a_role_is_waited_for_while_somebody_does_not_answer(
    idle: Cluster, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = watched.samples | {"b": None}
    samples = chain(repeat(silent, 3), repeat(silent | {"b": seen(role="leader")}))
    monkeypatch.setattr(watched, "latest", lambda: next(samples))
    assert idle.target("leader") == "b"
    others = chain(repeat(silent, 3), repeat(watched.samples))  # it answers, and is none
    monkeypatch.setattr(watched, "latest", lambda: next(others))
    with pytest.raises(NotApplicable, match="no node of still is 'leader' now"):
        idle.target("leader")


def test_who_does_not_run_is_named(idle: Cluster) -> None:
    idle.require_running("a", "b")
    idle.nodes["b"].state = "stopped"
    with pytest.raises(NotApplicable, match="b is stopped, not running"):
        idle.require_running("a", "b")


def test_level_means_that_all_who_answer_show_the_same(idle: Cluster, watched: Watched) -> None:
    watched.samples["a"] = None
    assert idle.is_level()
    watched.samples["b"] = seen(2)
    assert not idle.is_level()


def test_packets_round_the_proxy_are_recorded_where_they_are_counted(idle: Cluster) -> None:
    idle.record_bypass()
    assert idle.history().of("bypass") == []
    cast("FakeBackend", idle.backend).bypassed = 4
    idle.record_bypass()
    assert idle.history().of("bypass")[0].value == {"packets": 4}


def test_a_check_needs_an_experiment_and_a_certificate_a_secure_port(idle: Cluster) -> None:
    with pytest.raises(ChaosError, match="none is under way"):
        idle.check()
    with pytest.raises(NotApplicable, match="still has no secure port"):
        idle.credential("a")
    idle.poison("first")
    idle.poison("second")
    assert idle.poisoned == "first"


# -- a whole one, of toys, without an engine ----------------------------------------------------


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, Cluster]]:
    with running(tmp_path_factory.mktemp("cluster"), toys(), backend="process") as up:
        yield up


@pytest.fixture
def cluster(both: tuple[Session, Cluster]) -> Cluster:
    return both[1]


def test_its_beginning_is_recorded_in_order(cluster: Cluster) -> None:
    started, steady, *_ = cluster.history().of("cluster")
    assert [started.value["event"], steady.value["event"]] == ["started", "steady"]
    assert started.value["nodes"] == ["n1", "n2", "n3"]
    assert started.value["quorum"] == 2
    assert steady.value["releases"] == {"n1": "1", "n2": "1", "n3": "1"}
    assert len(set(steady.value["images"].values())) == 1
    first = {one.process: one.time_s for one in reversed(cluster.history().of("observe"))}
    assert set(first) == {"n1", "n2", "n3"}
    assert max(first.values()) <= steady.time_s, "all were seen before it was called steady"


def test_the_machine_is_measured_all_the_while(cluster: Cluster) -> None:
    clock.wait_until(
        lambda: cluster.history().of("machine"), what="a machine event", timeout_s=WAIT_S
    )
    event = cluster.history().of("machine")[0].value
    assert set(event) == {"steal", "idle", "pressure", "waiting", "proxy_lag_s", "sync_s", "over"}
    assert event["proxy_lag_s"] is not None
    assert event["sync_s"] > 0
    cluster.raise_failure()


def test_load_is_counted_on_from_load_to_load(cluster: Cluster) -> None:
    def numbers() -> list[int]:
        return [one.value["op"] for one in cluster.history().of("put", "get", "cas")]

    with cluster.loaded(50):
        cluster.await_progress(by=5, timeout_s=WAIT_S)
        assert cluster.tally().acknowledged >= 5
    first = max(numbers())
    assert cluster.tally() == Tally()
    count = len(numbers())
    with cluster.loaded(50):
        cluster.await_progress(by=5, timeout_s=WAIT_S)
    assert min(numbers()[count:]) > first
    with cluster.loaded(0):
        assert cluster.tally() == Tally()


def test_how_each_node_runs_stands_in_the_run_folder(both: tuple[Session, Cluster]) -> None:
    session, _ = both
    for node in ("n1", "n2", "n3"):
        (kept,) = (session.folder.nodes / node).glob("*.json")
        assert "nodes.toys" in kept.read_text()


def test_the_fingerprint_tells_what_a_test_left_changed(cluster: Cluster) -> None:
    def changed(before: dict[str, str]) -> set[str]:
        now = cluster.fingerprint()
        return {name for name in before if before[name] != now[name]}

    before = cluster.fingerprint()
    with cluster.mesh.shaped({"n1>n2": refused()}):
        assert changed(before) == {"links"}
    with cluster.node("n2").paused():
        assert changed(before) == {"n2 process"}
    with cluster.node("n3").down():
        assert changed(before) >= {"n3 process", "n3 arguments"}
    assert changed(before) == {"n3 process"}, "another pid"
    after = cluster.fingerprint()
    extra = cluster.node("n1").folders.config / "extra"
    extra.write_bytes(b"x")
    assert changed(after) == {"n1 configuration"}
    extra.unlink()
    cluster.await_steady_state(timeout_s=WAIT_S)


def scratch(session: Session) -> list[Path]:
    return list(Path("/var/tmp").glob(f"chaoskit-{session.folder.name}*"))  # noqa: S108


def test_when_it_is_left_nothing_of_it_runs_or_lies_about(tmp_path: Path) -> None:
    with opened(tmp_path, backend="process") as session:
        with session.cluster(toys(), Setting(release="1")) as cluster:
            pids = {node.pid for node in cluster.nodes.values()}
            assert len(scratch(session)) == 1
        assert scratch(session) == []
        marked = {one.pid for one in identity.marked(mark(session.folder.name))}
        assert not marked & pids
        assert cluster.history().of("cluster")[-1].value["event"] == "stopped"
        states = [one.value["state"] for one in cluster.history().of("state")]
        assert states == ["running"] * 3, "that they end with it is no exit of theirs"


def never_ready(_endpoint: object, _timeout_s: float) -> Observation:
    raise Unobserved("refused")


def broken_observer(_endpoint: object, _timeout_s: float) -> Observation:
    raise ZeroDivisionError("a defect of the suite")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"observe": never_ready, "start_timeout_s": 0.5},
            WaitTimedOut,
            "the steady state of toys",
        ),
        ({"observe": broken_observer}, ChaosError, "ended by ZeroDivisionError"),
        ({"command": lambda _: ["no-such-program"]}, ChaosError, "no-such-program"),
    ],
    ids=["never steady", "its observer breaks", "its program is missing"],
)
def test_a_start_that_fails_leaves_nothing_either(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with opened(tmp_path, backend="process") as session:
        system = replace(toys(), **changes)
        with pytest.raises(error, match=words):
            session.cluster(system, Setting(release="1")).__enter__()
        assert scratch(session) == []
        ours = identity.marked(mark(session.folder.name))
        assert len(ours) <= 1, "the reaper alone"


def test_an_unknown_release_lists_those_there_are(tmp_path: Path) -> None:
    with (
        opened(tmp_path, backend="process") as session,
        pytest.raises(UsageError, match=r"9.*1.*2"),
    ):
        session.cluster(toys(), Setting(release="9")).__enter__()


def test_one_that_is_left_standing_is_not_taken_down(tmp_path: Path) -> None:
    with opened(tmp_path, backend="process") as session:
        with session.cluster(toys(), Setting(release="1")) as cluster:
            cluster.leave_standing()
        assert all(node.state == "running" for node in cluster.nodes.values())
        assert {node.pid for node in cluster.nodes.values()}
        cluster._cleanup.close()
        assert scratch(session) == []
