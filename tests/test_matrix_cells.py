"""The cells of a matrix: which there are, their order, what fits, shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.errors import UsageError
from chaoskit.fault import target
from chaoskit.matrix_cells import (
    CELL_S,
    CLUSTER_S,
    Cell,
    Known,
    cells_of,
    chosen,
    estimate_s,
    fields_for,
    grouped,
    last_of,
    least_recent_first,
    parse_shard,
    reruns_allowed,
    sharded,
)
from tests.test_rehearsal_plan import system


@dataclass(frozen=True)
class Alone:
    NEEDS: ClassVar = ("engine", "faulty storage")
    node: str = target()
    delay_s: float = 0.2


@dataclass(frozen=True)
class Timely:
    NEEDS: ClassVar = ("a clock that can be set",)
    node: str = target()


@dataclass(frozen=True)
class Pair:
    one: str = target()
    other: tuple[str, ...] = target()


@dataclass(frozen=True)
class Aimless:
    delay_s: float = 0.2


def cell(number: int, release: str = "1", *, storage: bool = False) -> Cell:
    return Cell("store", release, f"Fault{number:03}", "leader", storage)


def test_the_first_target_gets_the_role_and_the_others_the_other() -> None:
    assert fields_for(Alone, "leader") == {"node": "leader"}
    assert fields_for(Pair, "leader") == {"one": "leader", "other": ("follower",)}
    assert fields_for(Pair, "follower") == {"one": "follower", "other": ("leader",)}
    with pytest.raises(UsageError):
        fields_for(Aimless, "leader")


def test_who_is_restarted_is_the_last_target() -> None:
    assert last_of({"one": "leader", "other": "follower"}) == "follower"
    assert last_of({"one": "leader", "others": ("s2", "s3")}) == "s3"


def test_where_all_are_alike_nodes_are_aimed_at() -> None:
    assert fields_for(Pair, "s1", ("s1", "s1", "s2", "s3")) == {"one": "s1", "other": ("s2",)}
    made = cells_of(system("1", "2"), {"Alone": Alone}, roles=("s1",))
    assert [one.name for one in made] == ["store 1 Alone s1", "store 2 Alone s1"]


def test_a_cell_for_each_fault_release_and_role() -> None:
    faults = {"Alone": Alone, "Pair": Pair, "Timely": Timely}
    made = cells_of(system("1", "2"), faults)
    assert len(made) == len(set(made)) == 3 * 2 * 2
    assert {one.fault for one in made if one.storage} == {"Alone"}
    assert {one.fault for one in made if one.clocks} == {"Timely"}
    assert len({one.cluster for one in made}) == 3 * 2
    assert {one.release for one in cells_of(system("1", "2"), faults, releases=("2",))} == {"2"}


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    assert parse_shard("") == (1, 1)
    with pytest.raises(UsageError):
        parse_shard(text)


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 9))
def test_the_shards_are_all_cells_each_once(cells: int, releases: int, count: int) -> None:
    every = [cell(number, str(number % releases)) for number in range(cells)]
    parts = [sharded(every, f"{number}/{count}") for number in range(1, count + 1)]
    assert sorted(one for part in parts for one in part) == sorted(every)
    assert max(map(len, parts)) < len(every) or count == 1 or len(every) == 1


def test_the_least_recently_run_comes_first_and_never_run_before_all() -> None:
    cells = [cell(number) for number in range(4)]
    known = {
        cells[0].name: Known("2026-11-21T03:00:00+00:00", 5.0),
        cells[1].name: Known("2026-11-20T03:00:00+00:00", 5.0),
        cells[3].name: Known("2026-11-19T03:00:00+00:00", 5.0),
    }
    assert least_recent_first(cells, known) == [cells[2], cells[3], cells[1], cells[0]]


def test_a_cell_never_run_is_thought_to_take_as_long_as_others_do() -> None:
    known = {cell(number).name: Known("", 2.0 + number) for number in range(3)}
    assert estimate_s(cell(1), known) == 3.0
    assert estimate_s(cell(9), known) == 3.0
    assert estimate_s(cell(9), {}) == CELL_S


def test_what_fits_is_taken_oldest_first_and_run_cluster_by_cluster() -> None:
    cells = [cell(0, "1"), cell(1, "2"), cell(2, "1"), cell(3, "2")]
    known = {one.name: Known(f"2026-11-2{at}", 10.0) for at, one in enumerate(cells)}
    budget_s = 3 * 10.0 + 2 * CLUSTER_S
    assert chosen(cells, known, budget_s=budget_s) == (cells[0], cells[2], cells[1])
    assert chosen(cells, known, budget_s=1.0) == ()
    assert grouped((cells[0], cells[2], cells[1])) == [(cells[0], cells[2]), (cells[1],)]


@given(st.lists(st.floats(1, 50), min_size=1, max_size=30), st.floats(0, 400))
def test_a_choice_never_costs_more_than_the_budget(durations: list[float], budget_s: float) -> None:
    cells = [cell(number, str(number % 3)) for number in range(len(durations))]
    known = {one.name: Known("2026", took_s) for one, took_s in zip(cells, durations, strict=True)}
    taken = chosen(cells, known, budget_s=budget_s)
    clusters = {one.cluster for one in taken}
    cost_s = sum(known[one.name].duration_s for one in taken) + CLUSTER_S * len(clusters)
    assert cost_s <= budget_s + 1e-6
    assert len(set(taken)) == len(taken)
    assert len(grouped(taken)) == len(clusters)


def test_two_percent_are_run_once_more_one_at_least() -> None:
    assert [reruns_allowed(count) for count in (1, 50, 152, 400)] == [1, 1, 3, 8]
