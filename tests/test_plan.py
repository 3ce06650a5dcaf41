"""Plans: a value with a file, carried out at its times and undone when something raises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from chaoskit import catalogue
from chaoskit.errors import ChaosError, UsageError
from chaoskit.fault import inject
from chaoskit.plan import SCHEMA, Plan, Step, plan_of, run
from chaoskit.saved import read_document
from tests.stand_in import Jam, StandIn, Turn

WHOLE = Plan(
    system="etcd",
    release="3.5.16",
    seed="7f3a",
    load_per_s=5.0,
    steps=(
        Step(0.5, "Isolate", {"node": "leader"}, duration_s=2.0),
        Step(1.0, "Upgrade", {"node": "e1", "release": "3.6.16"}, may_exit=True),
    ),
    inputs={"style": "refused"},
)


def read_plan(path: Path) -> Plan:
    return plan_of(read_document(path, what="plan", schema=SCHEMA), path)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    kinds = {"Jam": Jam, "Turn": Turn}
    monkeypatch.setattr(catalogue, "make", lambda name, fields: kinds[name](**fields))
    made = StandIn(tmp_path)
    # time stands still but for holds
    made.recorder.now_s = lambda: sum(made.held)  # type: ignore[method-assign]
    yield made
    made.recorder.close()


def test_a_plan_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(WHOLE.document()))
    assert read_plan(path) == WHOLE
    assert read_plan(path).document() == WHOLE.document()


def test_a_plan_in_words() -> None:
    assert WHOLE.duration_s == 2.5
    assert Plan().duration_s == 0.0
    assert WHOLE.lines() == [
        " 1  at 0.5 s  Isolate node=leader, for 2 s",
        " 2  at 1 s  Upgrade node=e1 release=3.6.16",
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 2}, "no plan of schema 1"),
        ({"speed": 1}, "is no plan: .*speed"),
        ({"steps": [{"at_s": 0.0}]}, "is no plan: .*action"),
        ({"steps": [{"at_s": -1.0, "action": "Isolate"}]}, "is no time"),
        ({"steps": [{"at_s": 1.0, "action": "Isolate", "duration_s": 0}]}, "is no time"),
        ({"steps": [{"at_s": "soon", "action": "Isolate"}]}, "is no plan"),
        ({"steps": 3}, "is no plan"),
    ],
)
def test_what_is_no_plan_is_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(WHOLE.document() | change))
    with pytest.raises(UsageError, match=says):
        read_plan(path)


@pytest.mark.parametrize(
    ("content", "says"), [("[]", "no plan of schema"), ("{", "is no JSON"), (None, "no plan at")]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=says):
        read_plan(path)


def events(cluster: StandIn) -> list[str]:
    kinds = cluster.history().of("fault", "heal", "change", "witnessed")
    return [f"{event.f} {event.value['id']}" for event in kinds if event.type in ("invoke", "ok")]


def test_steps_are_carried_out_at_their_times(cluster: StandIn) -> None:
    jam = Step(0.5, "Jam", {"node": "a", "others": ()}, duration_s=2.0)
    steps = (jam, Step(1.0, "Turn", {"node": "b"}), replace(jam, at_s=3.0, duration_s=0.25))
    run(Plan(steps=steps), on=cluster.as_cluster)
    assert cluster.held == [0.5, 0.5, 1.5, 0.5, 0.25]
    assert events(cluster) == [
        *("fault 1", "change 2", "change 2", "witnessed 2", "heal 1", "heal 1"),
        *("fault 3", "heal 3", "heal 3"),
    ]


def test_a_fault_is_in_force_as_long_as_asked_however_long_it_takes_to_see_it(
    cluster: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = [0.0]
    cluster.recorder.now_s = lambda: sum(cluster.held) + sum(looked)  # type: ignore[method-assign]

    @contextmanager
    def slowly(*args: Any, **more: Any) -> Iterator[Any]:
        with inject(*args, **more) as one:
            looked.append(2.9)
            yield one

    monkeypatch.setattr("chaoskit.plan.inject", slowly)
    jam = Step(0.0, "Jam", {"node": "a", "others": ()}, duration_s=3.0)
    run(Plan(steps=(jam, replace(jam, at_s=3.0))), on=cluster.as_cluster)
    assert cluster.held == pytest.approx([0.0, 3.0, 0.0, 3.0])


def test_at_one_moment_what_ends_comes_before_what_begins(cluster: StandIn) -> None:
    first = Step(0.0, "Jam", {"node": "a", "others": ()}, duration_s=1.0)
    run(Plan(steps=(replace(first, at_s=1.0), first)), on=cluster.as_cluster)
    assert events(cluster) == ["fault 1", "heal 1", "heal 1", "fault 2", "heal 2", "heal 2"]


def test_the_same_step_twice_is_two_steps(cluster: StandIn) -> None:
    step = Step(0.0, "Jam", {"node": "a", "others": ()}, duration_s=1.0)
    cluster.world.stays = True  # else the first heal takes the second's away
    run(Plan(steps=(step, step)), on=cluster.as_cluster)
    assert len(cluster.history().of("absent")) == 2


def test_faults_in_force_are_healed_when_something_raises_the_last_first(
    cluster: StandIn,
) -> None:
    def fails(duration_s: float) -> None:
        if duration_s == 7.0:
            raise ChaosError("the observer of a ended")

    cluster.hold = fails  # type: ignore[method-assign]
    cluster.recorder.now_s = lambda: 0.0  # type: ignore[method-assign]
    jam = Step(0.0, "Jam", {"node": "a", "others": ()}, duration_s=8.0)
    steps = (jam, replace(jam, at_s=1.0), Step(7.0, "Turn", {"node": "b"}))
    with pytest.raises(ChaosError, match="the observer"):
        run(Plan(steps=steps), on=cluster.as_cluster)
    heals = [e.value["id"] for e in cluster.history().of("heal") if e.type == "ok"]
    assert heals == [2, 1]
    assert cast("Any", cluster).world.jammed is False


def test_what_a_step_may_do_reaches_its_fault(cluster: StandIn) -> None:
    fields = {"node": "a", "others": ()}
    steps = (
        Step(0.0, "Jam", fields, duration_s=1.0, may_exit=True),
        Step(2.0, "Turn", {"node": "a"}),
    )
    run(Plan(steps=steps), on=cluster.as_cluster)
    begun = [event for event in cluster.history().of("fault", "change") if event.type == "invoke"]
    assert [event.value["may_exit"] for event in begun] == [True, False]
