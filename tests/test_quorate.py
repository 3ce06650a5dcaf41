"""Who is healthy, connected and quorate, held against brute force over all states."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.quorate import (
    Pair,
    below_quorum,
    hung_together,
    largest_clique,
    largest_component,
    margin,
    owed_share,
    quorate,
    timelines,
    voters,
)
from tests.tape import NODES, Tape


def pairs_of(nodes: Collection[str]) -> list[Pair]:
    return [Pair(pair) for pair in combinations(nodes, 2)]


def subsets(items: Collection[str]) -> Iterator[frozenset[str]]:
    for size in range(len(items) + 1):
        yield from map(frozenset, combinations(items, size))


def cliques(healthy: Collection[str], connected: frozenset[Pair]) -> list[frozenset[str]]:
    """Brute force: every subset of which all pairs are connected."""
    return [one for one in subsets(healthy) if connected.issuperset(pairs_of(one))]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_quorate_equals_brute_force_in_all_states(size: int) -> None:
    nodes = "abcde"[:size]
    edges = pairs_of(nodes)
    states = 0
    for chosen in product([False, True], repeat=len(edges)):
        connected = frozenset(edge for edge, there in zip(edges, chosen, strict=True) if there)
        largest = {one: len(one) for one in cliques(nodes, connected)}
        for healthy in subsets(nodes):
            best = max(length for one, length in largest.items() if one <= healthy)
            found = largest_clique(healthy, connected)
            assert len(found) == best
            assert connected.issuperset(pairs_of(found))
            for quorum in range(1, size + 1):
                assert quorate(healthy, connected, quorum) == (best >= quorum)
            states += 1
    assert states == 2 ** (len(edges) + size)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_margin_and_voters_equal_brute_force(size: int) -> None:
    nodes = "abcd"[:size]
    edges = pairs_of(nodes)
    for chosen in product([False, True], repeat=len(edges)):
        connected = frozenset(edge for edge, there in zip(edges, chosen, strict=True) if there)
        for healthy, quorum in product(subsets(nodes), range(1, size + 1)):
            able = [one for one in cliques(healthy, connected) if len(one) >= quorum]
            assert voters(healthy, connected, quorum) == frozenset().union(*able)
            if not able:
                best = max(map(len, cliques(healthy, connected)))
                assert margin(healthy, connected, quorum) == best - quorum < 0
                continue
            fatal = min(
                len(gone)
                for gone in subsets(healthy)
                if not any(one.isdisjoint(gone) for one in able)
            )
            assert margin(healthy, connected, quorum) == fatal - 1


@pytest.mark.parametrize("order", [1, -1])
def test_the_symmetric_rule_over_all_directed_link_states(order: int) -> None:
    """Each of six directions is good, cut, of a failed handshake, or both; set from any state."""
    links = [(a, b) for a in NODES for b in NODES if a != b]
    tape = Tape()
    expected = []
    for number, state in enumerate(list(product("okxb", repeat=len(links)))[::order], start=1):
        for link, one in zip(links, state, strict=True):
            tape.link(float(number), *link, cut=one in "xb")
            tape.handshake(float(number), *link, good=one in "ox")
        cut = {link for link, one in zip(links, state, strict=True) if one in "xb"}
        bad = {link for link, one in zip(links, state, strict=True) if one != "o"}
        whole = {Pair(pair) for pair in combinations(NODES, 2) if not {pair, pair[::-1]} & bad}
        ways = [pair for pair in combinations(NODES, 2) if not {pair, pair[::-1]} <= cut]
        expected.append((float(number), whole, bool(ways)))
    tape.add(expected[-1][0] + 1.0, "chaoskit", "note", text="end")
    (timeline,) = timelines(tape.history())
    intervals = iter(timeline.intervals)
    current = next(intervals)
    for time_s, whole, conceivable in expected:
        while current.end_s <= time_s:
            current = next(intervals)
        assert current.connected == whole
        assert current.quorate == bool(whole)
        assert current.conceivable == conceivable


@given(
    st.sets(st.sampled_from("abcdefg")),
    st.sets(st.sampled_from(pairs_of("abcdefg"))),
)
def test_a_component_is_closed_and_no_other_is_larger(nodes: set[str], linked: set[Pair]) -> None:
    found = largest_component(nodes, linked)
    reach = {node: {node} for node in nodes}
    for _ in nodes:
        for pair in linked:
            if pair <= nodes:
                a, b = pair
                both = reach[a] | reach[b]
                for node in both:
                    reach[node] = both
    assert len(found) == max(map(len, reach.values()), default=0)
    assert all(reach[node] == found for node in found)


def test_quorate_follows_the_facts() -> None:
    tape = Tape()
    tape.link(1.0, "a", "b", cut=True)
    tape.link(1.0, "a", "c", cut=True)
    tape.state(2.0, "b", "paused")
    tape.state(3.0, "b", "running")
    tape.handshake(4.0, "c", "b", good=False)
    tape.link(5.0, "a", "b", cut=False)
    tape.limit(6.0, "b", over=True)
    tape.limit(7.0, "b", over=False, probe="clock")
    tape.limit(8.0, "b", over=False)
    tape.handshake(9.0, "c", "b", good=True)
    tape.add(10.0, "chaoskit", "note", text="end")
    (timeline,) = timelines(tape.history())
    told = [(one.start_s, one.end_s, one.quorate, one.margin) for one in timeline.intervals]
    assert told == [
        (0.0, 1.0, True, 1),
        (1.0, 2.0, True, 0),
        (2.0, 3.0, False, -1),
        (3.0, 4.0, True, 0),
        (4.0, 5.0, False, -1),
        (5.0, 6.0, True, 0),
        (6.0, 8.0, False, -1),
        (8.0, 9.0, True, 0),
        (9.0, 10.0, True, 0),
    ]


def test_the_permissive_reading_needs_nodes_down_or_both_directions_cut() -> None:
    tape = Tape()
    for source in NODES:
        for target in NODES:
            if source < target:
                tape.link(1.0, source, target, cut=True)
    tape.handshake(1.5, "c", "b", good=False)
    tape.limit(2.0, "a", over=True)
    tape.part(3.0, ["a"], ["b", "c"], cut=True)
    tape.link(4.0, "c", "b", cut=True)
    tape.link(5.0, "c", "b", cut=False)
    tape.state(6.0, "c", "stopped")
    tape.add(7.0, "chaoskit", "note", text="end")
    (timeline,) = timelines(tape.history())
    assert not any(one.quorate for one in timeline.intervals if one.start_s >= 1.0)
    assert [(start_s, end_s) for start_s, end_s, _ in below_quorum(timeline)] == [
        (4.0, 5.0),
        (6.0, 7.0),
    ]
    assert all(one.conceivable for one in timeline.intervals if one.quorate)


def test_nothing_known_of_a_node_is_not_healthy_and_not_down() -> None:
    tape = Tape(started=False)
    tape.cluster(0.0)
    tape.add(1.0, "chaoskit", "note", text="end")
    (timeline,) = timelines(tape.history())
    assert [(one.quorate, one.conceivable) for one in timeline.intervals] == [(False, True)]


def test_facts_go_to_the_cluster_that_has_the_node() -> None:
    tape = Tape()
    tape.cluster(1.0, ["x", "y", "z"], name="other")
    for node in "xyz":
        tape.state(1.0, node, "running")
    tape.state(2.0, "x", "stopped")
    tape.link(2.5, "x", "a", cut=True)
    tape.link(2.5, "chaoskit", "a", cut=True)
    tape.cluster(3.0, name="c1", event="stopped")
    tape.state(3.0, "a", "stopped")
    tape.cluster(4.0, name="again")
    tape.add(5.0, "chaoskit", "note", text="end")
    first, other, again = timelines(tape.history())
    assert [(one.start_s, one.end_s, one.margin) for one in first.intervals] == [(0.0, 3.0, 1)]
    assert [one.margin for one in other.intervals] == [1, 0]
    assert [(one.start_s, one.end_s, one.quorate) for one in again.intervals] == [(4.0, 5.0, False)]


def test_time_before_the_scope_is_carried_over_and_not_counted() -> None:
    tape = Tape()
    tape.part(1.0, ["a"], ["b", "c"], cut=True)
    tape.scope(10.0, "start")
    tape.state(12.0, "b", "stopped")
    tape.scope(14.0, "end")
    (timeline,) = timelines(tape.history())
    assert [(one.start_s, one.end_s, one.quorate) for one in timeline.intervals] == [
        (10.0, 12.0, True),
        (12.0, 14.0, False),
    ]


def test_owed_share_is_of_the_windows_alone() -> None:
    tape = Tape()
    tape.state(2.0, "a", "stopped")
    tape.state(4.0, "b", "stopped")
    tape.state(6.0, "b", "running")
    tape.add(10.0, "chaoskit", "note", text="end")
    history = tape.history()
    assert owed_share(history, [(2.0, 10.0)]) == pytest.approx(0.75)
    assert owed_share(history, [(4.0, 6.0)]) == 0.0
    assert owed_share(history, [(0.0, 1.0), (5.0, 7.0)]) == pytest.approx(2 / 3)
    assert owed_share(history, []) is None


def test_what_is_conceivable_alone_is_not_owed() -> None:
    tape = Tape()
    for node in "bc":
        tape.handshake(2.0, "a", node, good=False)
        tape.handshake(2.0, node, "bc".replace(node, ""), good=False)
    tape.add(4.0, "chaoskit", "note", text="end")
    assert owed_share(tape.history(), [(0.0, 4.0)]) == pytest.approx(0.5)


# -- over a stretch of time --------------------------------------------------------------------


def test_who_hangs_together_one_after_the_other() -> None:
    tape = Tape(("a", "b", "c"), quorum=2)
    for source, target in (("a", "b"), ("a", "c"), ("b", "c")):
        tape.link(1.0, source, target, cut=True)
        tape.link(1.0, target, source, cut=True)
    tape.link(2.0, "a", "b", cut=False)
    tape.link(3.0, "a", "b", cut=True)
    tape.link(4.0, "c", "b", cut=False)  # one direction is enough
    tape.state(6.0, "a", "stopped")
    tape.link(7.0, "b", "a", cut=False)
    tape.observe(9.0, "b")
    history = tape.history()
    (timeline,) = timelines(history)
    for from_s, to_s, together in (
        (0.5, 0.9, "abc"),
        (1.0, 1.9, "a"),
        (1.0, 2.0, "ab"),
        (2.5, 2.6, "ab"),
        (2.5, 4.0, "abc"),
        (3.0, 5.0, "bc"),
        (6.0, 9.0, "bc"),
    ):
        assert hung_together(history, timeline, from_s, to_s) == frozenset(together), from_s
