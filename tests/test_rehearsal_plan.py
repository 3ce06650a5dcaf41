"""The plan of a rehearsal: the way, the order, the steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from chaoskit.errors import UsageError
from chaoskit.rehearsal_plan import (
    StepKind,
    in_minutes,
    make_plan,
    next_members,
    rolled_back,
)
from chaoskit.rehearsal_route import RehearsalRequest
from chaoskit.system import (
    Client,
    Endpoint,
    Observation,
    Operation,
    Placement,
    Port,
    Release,
    System,
    Traffic,
)

LABELS = ("1.3.9", "1.4.2", "1.4.7", "1.5.1", "1.5.30", "1.6.0", "1.7.3")


def _command(_: Placement) -> Sequence[str]:
    return ("serve",)


def _observe(_: Endpoint, __: float) -> Observation:
    return Observation(ready=True)


def _connect(_: Endpoint, __: float) -> Client:
    raise NotImplementedError


def _operations(_: Random) -> Iterator[Operation]:
    yield Operation("put", {})


def system(*labels: str, nodes: int = 3, **more: Any) -> System:
    values: dict[str, Any] = {
        "name": "store",
        "nodes": tuple(f"s{number}" for number in range(1, nodes + 1)),
        "ports": (Port("peer", 4000, linked=True),),
        "quorum": nodes // 2 + 1,
        "releases": tuple(Release(label, version=label) for label in labels or LABELS),
        "command": _command,
        "observe": _observe,
        "traffic": Traffic(_connect, _operations),
        "settle_s": 12.0,
    }
    return System(**(values | more))


def test_a_plan_upgrades_every_member_once_a_hop_and_ends_with_faults() -> None:
    plan = make_plan(system(), RehearsalRequest("1.4.7", "1.6"), seed="51c2")
    kinds = [step.kind for step in plan.steps]
    assert kinds == [StepKind.START, *[StepKind.UPGRADE] * 6, StepKind.FAULTS]
    assert [step.number for step in plan.steps] == list(range(1, 9))
    hops = [(step.source, step.target, step.turn) for step in plan.steps[1:7]]
    assert hops == [
        *[("1.4.7", "1.5.30", turn) for turn in (1, 2, 3)],
        *[("1.5.30", "1.6.0", turn) for turn in (1, 2, 3)],
    ]
    assert plan.estimate_s == sum(step.estimate_s for step in plan.steps)
    assert sorted(plan.order) == ["s1", "s2", "s3"]


def test_a_rollback_undoes_the_last_step_first() -> None:
    one = RehearsalRequest("1.4.7", "1.5.1", rollback="end")
    plan = make_plan(system(), one, seed="51c2")
    back = [step for step in plan.steps if step.kind is StepKind.ROLLBACK]
    assert [step.undoes for step in back] == [4, 3, 2]
    assert [step.kind for step in plan.steps][4:6] == [StepKind.FAULTS, StepKind.SETTLE]
    early = make_plan(system(), replace(one, rollback="after:2"), seed="51c2")
    assert [step.kind.value for step in early.steps] == [
        "start",
        "upgrade",
        "upgrade",
        "settle",
        "rollback",
        "rollback",
    ]
    assert [step.undoes for step in early.steps[-2:]] == [3, 2]


@pytest.mark.parametrize("text", ["after:0", "after:4", "after:x", "begin"])
def test_a_rollback_that_cannot_be_meant_is_refused(text: str) -> None:
    assert rolled_back("after:3", 3) == 3
    with pytest.raises(UsageError, match="rollback"):
        rolled_back(text, 3)


def test_the_seed_draws_the_order() -> None:
    one = RehearsalRequest("1.4.7", "1.5.1")
    orders = {make_plan(system(nodes=5), one, seed=f"{n:04x}").order for n in range(20)}
    assert len(orders) > 3
    again = [make_plan(system(nodes=5), one, seed="00aa").order for _ in range(2)]
    assert again[0] == again[1]


def test_several_members_go_at_once() -> None:
    one = RehearsalRequest("1.4.7", "1.5.1", max_unavailable=2, rollback="end")
    plan = make_plan(system(nodes=5), one, seed="51c2")
    ups = [step for step in plan.steps if step.kind is StepKind.UPGRADE]
    assert [(step.turn, step.size) for step in ups] == [(1, 2), (3, 2), (5, 1)]
    backs = [step for step in plan.steps if step.kind is StepKind.ROLLBACK]
    assert [(step.turn, step.size, step.undoes) for step in backs] == [
        (5, 1, 4),
        (3, 2, 3),
        (1, 2, 2),
    ]
    lines = "\n".join(plan.lines())
    assert "upgrade members 1 to 2 of 5 at once  1.4.7 -> 1.5.1  margin 2 -> 0 -> 2" in lines
    assert "upgrade member 5 of 5 (the leader)  1.4.7 -> 1.5.1  margin 2 -> 1 -> 2" in lines
    assert plan.document()["rehearsal"]["steps"][1]["size"] == 2
    alone = make_plan(system(nodes=5), replace(one, max_unavailable=1), seed="51c2")
    assert plan.estimate_s < alone.estimate_s
    early = make_plan(system(nodes=5), replace(one, rollback="after:4"), seed="51c2")
    assert [step.size for step in early.steps] == [1, 2, 2, 1, 2, 2]
    with pytest.raises(UsageError, match="2 at a time, so after:K with K one of 2, 4, 5"):
        make_plan(system(nodes=5), replace(one, rollback="after:3"), seed="51c2")


@pytest.mark.parametrize(
    ("nodes", "at_once", "says"),
    [(3, 2, "would break the quorum: of 3 members 2"), (5, 3, "break the quorum"), (3, 0, "least")],
)
def test_more_at_once_than_a_quorum_spares_is_refused(nodes: int, at_once: int, says: str) -> None:
    request = RehearsalRequest("1.4.7", "1.5.1", max_unavailable=at_once)
    with pytest.raises(UsageError, match=says):
        make_plan(system(nodes=nodes), request, seed="51c2")


@pytest.mark.parametrize(
    "more", [{"max_unavailable": 2}, {"max_unavailable": 0}, {"load_per_s": 0}]
)
def test_a_margin_below_nothing_and_no_load_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        make_plan(system(), RehearsalRequest("1.4.7", "1.5.1", **more), seed="51c2")
    with pytest.raises(UsageError, match="traffic"):
        make_plan(system(traffic=None), RehearsalRequest("1.4.7", "1.5.1"), seed="51c2")


def test_the_printed_plan_numbers_its_steps_and_says_what_each_proves() -> None:
    plan = make_plan(system(), RehearsalRequest("1.4.7", "1.5.1", rollback="end"), seed="51c2")
    lines = plan.lines()
    assert "1.4.7 -> 1.5.1" in lines[0]
    assert in_minutes(plan.estimate_s) in lines[1]
    numbered = [line for line in lines[3:] if not line.startswith("    ")]
    assert [int(line.split()[0]) for line in numbered] == [step.number for step in plan.steps]
    assert any("margin 1 -> 0 -> 1" in line for line in lines)
    assert any("way back after 12 s" in line for line in lines)
    assert plan.document()["rehearsal"]["steps"][1]["target"] == "1.5.1"


def test_what_an_operator_changes_is_told_where_it_is_changed() -> None:
    long = "a thing that takes so many words that no line of eighty characters could hold it all"

    def changed(source: str, target: str) -> Sequence[str]:
        return (f"{source} had it, {target} has not", long) if target == "1.5.30" else ()

    asked = RehearsalRequest("1.4.7", "1.6")
    plan = make_plan(system(), asked, seed="51c2", changed=changed)
    assert plan.changes_to("1.5.30") == ("1.4.7 had it, 1.5.30 has not", long)
    assert plan.changes_to("1.6.0") == ()
    lines = plan.lines()
    at = lines.index("      an operator changes for 1.5.30:")
    assert lines[at + 1] == "      - 1.4.7 had it, 1.5.30 has not"
    assert " ".join(f"{lines[at + 2]} {lines[at + 3]}".split()) == f"- {long}"
    assert lines[at + 3].startswith("        "), "it goes on below its beginning"
    assert all(len(line) <= 80 for line in lines[: at + 4])
    assert plan.document()["rehearsal"]["changes"] == [list(plan.changes_to("1.5.30")), []]


def test_links_are_cut_in_each_step_where_there_are_any() -> None:
    asked = RehearsalRequest("1.4.7", "1.5.1")
    linked = make_plan(system(), asked, seed="51c2")
    alone = make_plan(system(ports=(Port("client", 4000),)), asked, seed="51c2")
    assert sum("links are cut" in line for line in linked.lines()) == 1
    assert not any("links are cut" in line for line in alone.lines())
    assert linked.estimate_s > alone.estimate_s


def test_a_system_that_moves_by_itself_and_has_no_leader_is_told_so() -> None:
    asked = RehearsalRequest("1.4.7", "1.5.1")
    told = make_plan(system(driven=False), asked, seed="51c2", led=False).lines()
    assert not any("lead" in line for line in told)
    moving = [make_plan(system(driven=one), asked, seed="51c2") for one in (True, False)]
    assert [one.borne_progress for one in moving] == [20, 8], "rounds take seconds, and puts do not"
    assert any("with 1 other paused the others and it move on" in line for line in told)
    assert any("an operation is acknowledged" in line for line in PLAN_LINES)
    assert any("who leads when a turn comes goes last" in line for line in PLAN_LINES)


def test_a_vintage_is_named_where_the_members_start_on_it() -> None:
    request = RehearsalRequest("1.4.7", "1.5.1", vintage="0a1b2c3d4e5f")
    plan = make_plan(system(), request, seed="51c2")
    assert any("at 1.4.7 on vintage 0a1b2c3d4e5f; load" in line for line in plan.lines())
    assert plan.document()["rehearsal"]["vintage"] == "0a1b2c3d4e5f"


def test_the_leader_goes_last() -> None:
    roles = {"s1": "leader", "s2": "follower", "s3": "follower"}
    order = ("s1", "s2", "s3")
    assert next_members(order, [], roles, 1) == ("s2",)
    assert next_members(order, ["s2"], roles, 1) == ("s3",)
    assert next_members(order, ["s2", "s3"], roles, 1) == ("s1",)
    assert next_members(order, [], roles, 2) == ("s2", "s3")
    assert next_members(order, ["s2"], roles, 2) == ("s3", "s1")
    with pytest.raises(ValueError, match="0 members have not had their turn"):
        next_members(("s1",), ["s1"], roles, 1)


PLAN_LINES = make_plan(system(), RehearsalRequest("1.4.7", "1.5.1"), seed="51c2").lines()


def test_minutes_are_for_people() -> None:
    assert [in_minutes(value) for value in (31.6, 60, 130)] == ["32 s", "1 m 00 s", "2 m 10 s"]
