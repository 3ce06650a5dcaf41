"""Turns: everybody's things in order, and nobody waits for more than one of each other."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.beacon.turns import Turns


@given(st.lists(st.sampled_from("abcd"), max_size=60))
def test_each_source_in_order_and_in_turn(sources: list[str]) -> None:
    turns: Turns[tuple[str, int]] = Turns()
    for number, source in enumerate(sources):
        turns.put(source, (source, number))
        assert turns.waiting(source) == sources[: number + 1].count(source)
    taken = []
    while turns:
        present = {source for source in "abcd" if turns.waiting(source)}
        assert len(turns) == len(present)
        taken.append(turns.take())
    assert sorted(taken, key=lambda one: one[1]) == list(enumerate_back(sources))
    for source in "abcd":
        own = [number for name, number in taken if name == source]
        assert own == sorted(own)
        # Between two of this source at most one of each other one.
        places = [at for at, (name, _) in enumerate(taken) if name == source]
        for before, after in pairwise(places):
            between = [name for name, _ in taken[before + 1 : after]]
            assert len(between) == len(set(between))


def enumerate_back(sources: list[str]) -> list[tuple[str, int]]:
    return [(source, number) for number, source in enumerate(sources)]


def test_nothing_waits() -> None:
    turns: Turns[int] = Turns()
    assert not turns
    assert turns.waiting("a") == 0
    with pytest.raises(LookupError):
        turns.take()
