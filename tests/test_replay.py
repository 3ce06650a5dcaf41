"""Saved plans: read back by test, refused when garbled, and a test held to its own."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chaoskit.errors import UsageError
from chaoskit.plan import Plan, Step
from chaoskit.replay import Replay, SavedPlans, WentAstray, read_plans
from faults.slow_link import SlowLink, jittered

FIRST = Step(0.5, "Isolate", {"node": "leader", "style": "refused"}, duration_s=2.0)
SECOND = Step(3.0, "Split", {"side": ("e1",), "style": "dropped"}, duration_s=1.0)
ONE = Plan(system="etcd", release="3.5.16", seed="7f3a", load_per_s=5.0, steps=(FIRST,))


def saved(tmp_path: Path, **values: Any) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"schema": 1} | values))
    return path


def test_a_single_plan_is_for_tests_that_ask_for_one(tmp_path: Path) -> None:
    path = saved(tmp_path, **ONE.document())
    plans = read_plans(path)
    assert plans == SavedPlans(seed="7f3a", single=ONE)
    assert plans.of("any", asks=True) == ONE
    assert plans.of("any", asks=False) is None


@pytest.mark.parametrize("asks", [True, False])
def test_a_runs_plans_are_found_by_test(tmp_path: Path, asks: bool) -> None:  # noqa: FBT001
    path = saved(
        tmp_path, seed="7f3a", images=["x@1=r"], backend="process", tests={"t::a": ONE.document()}
    )
    plans = read_plans(path)
    assert (plans.seed, plans.images, plans.single) == ("7f3a", ("x@1=r",), None)
    assert plans.backend == "process"
    assert plans.of("t::a", asks=asks) == ONE
    assert plans.of("t::b", asks=asks) is None


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"schema": 2, "tests": {}}, "no plan of schema 1"),
        ({"tests": []}, "tests are no objects"),
        ({"tests": {"a": 3}}, "tests are no objects"),
        ({"tests": {"t.py::a": {"speed": 1}}}, "is no plan: .*speed"),
        ({"tests": {"t.py::a": {"steps": [{"at_s": 0, "action": 3}]}}}, "is no plan: .*3"),
        ({"tests": {"t.py::a": {}}, "images": "x"}, "images are no texts"),
        ({"tests": {"demo act 1: partition": {}}}, "plan of a demo.*`command`.*verdicts.json"),
        ({"tests": {}}, "a cluster to play with.*`command`"),
        ({"tests": {}, "backend": "vm"}, "no backend 'vm'"),
        ({"rehearsal": {}}, "plan of a rehearsal.*verdicts.json"),
    ],
)
def test_what_is_no_plan_is_refused(tmp_path: Path, values: dict[str, Any], says: str) -> None:
    path = saved(tmp_path, **values)
    with pytest.raises(UsageError, match=says) as refused:
        read_plans(path)
    assert str(path) in str(refused.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(b"\xff\x00\x12")
    with pytest.raises(UsageError, match="is no JSON"):
        read_plans(path)


def test_steps_are_taken_in_order() -> None:
    replay = Replay("t", (FIRST, SECOND))
    assert len(replay.left) == 2
    assert replay.next("Isolate", {"style": "refused"}) is FIRST
    assert replay.next("Split", {"side": ["e1"], "style": "dropped"}) is SECOND
    assert not replay.left
    with pytest.raises(WentAstray, match=r"t begins Kill \{\}, and its plan has 2 steps, all"):
        replay.next("Kill", {})


@pytest.mark.parametrize(
    ("action", "fields"),
    [("Isolate", {"style": "dropped"}), ("Pause", {"style": "refused"}), ("Isolate", {"x": 1})],
)
def test_another_step_goes_astray(action: str, fields: dict[str, Any]) -> None:
    replay = Replay("t", (FIRST,))
    with pytest.raises(WentAstray, match=r"step 1 of its plan is: at 0\.5 s  Isolate node=leader"):
        replay.next(action, fields)
    assert replay.left == (FIRST,)


def test_jitter_is_drawn_into_steps() -> None:
    def drawn(seed: int) -> tuple[Step, ...]:
        return jittered(
            *("a", "b"), delay_s=0.2, jitter_s=0.1, each_s=1.5, times=20, random=Random(seed)
        )

    steps = drawn(1)
    assert [step.at_s for step in steps] == [1.5 * number for number in range(20)]
    assert {step.duration_s for step in steps} == {1.5}
    delays_s = [step.fields["delay_s"] for step in steps]
    assert all(0.1 <= delay_s <= 0.3 for delay_s in delays_s)
    assert len(set(delays_s)) > 10
    assert all(SlowLink(**step.fields) for step in steps)
    assert steps == drawn(1) != drawn(2)


@pytest.mark.parametrize(("jitter_s", "times"), [(0.2, 3), (0.0, 3), (0.1, 0)])
def test_what_is_no_jitter_is_refused(jitter_s: float, times: int) -> None:
    with pytest.raises(ValueError, match="no jitter"):
        jittered(
            *("a", "b"), delay_s=0.2, jitter_s=jitter_s, each_s=1, times=times, random=Random(1)
        )
