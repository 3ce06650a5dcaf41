"""Links between members of a beacon that were cut and are whole again."""

from __future__ import annotations

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.verdict import Kind
from suites.beacon.links import links_come_back_once_they_are_whole, mended_links
from tests.beacon_tape import NODES, BeaconTape

COMES_BACK = links_come_back_once_they_are_whole(within_s=5)
OTHERS = NODES[1:]


def cut_off(
    *, told: bool = True, stuck: bool = False, other_way: bool = False, until_s: float = 20.0
) -> BeaconTape:
    """
    N1 is cut off from 5 to 8 s; `told`: it says so; `stuck`: n2 stays out of its reach.

    `other_way`: n2 said that n1 was out of its reach too, which it is not any more then.
    """
    tape = BeaconTape()
    tape.level(1, 5)
    fault = tape.fault(4.9, 1, ["n1"])
    tape.part(5.0, ["n1"], OTHERS, cut=True)
    tape.sample(7.0, "n1", 5, failing=OTHERS if told else ())
    if other_way:
        tape.sample(7.1, "n2", 7, failing=["n1"])
    tape.part(8.0, ["n1"], OTHERS, cut=False)
    tape.evidence(8.1, 1, "heal")
    assert fault >= 0
    for number in range(9, int(until_s) + 1):
        for node in NODES:
            failing = ["n2"] if stuck and node == "n1" else []
            tape.sample(number + 0.3, node, number, failing=failing)
    return tape


def test_every_mended_link_is_found_with_what_its_source_said() -> None:
    found = list(mended_links(cut_off().history()))
    assert len(found) == 8
    tried = {(one.source, one.target) for one in found if one.tried}
    assert tried == {("n1", other) for other in OTHERS}
    assert {(one.cut.time_s, one.since_s) for one in found} == {(5.0, 8.0)}


def test_links_that_come_back() -> None:
    assert COMES_BACK.kind is Kind.LIVENESS
    assert COMES_BACK.name == "links_come_back_once_they_are_whole"
    assert list(COMES_BACK.judge(cut_off().history())) == []


def test_a_link_that_stays_dead_though_all_are_at_the_head() -> None:
    (found,) = COMES_BACK.judge(cut_off(stuck=True).history())
    assert "n1 reached n2 in none of" in found.text
    assert found.span_s == (8.0, 13.0)


def test_a_stall_is_no_excuse_where_the_other_way_came_back() -> None:
    (found,) = COMES_BACK.judge(cut_off(stuck=True).history())
    assert found.excusable, "nobody had dialled n1 in vain, so it shows nothing that they reach it"
    again = cut_off(stuck=True, other_way=True)
    (found,) = COMES_BACK.judge(again.history())
    assert not found.excusable


def test_a_link_that_is_cut_again_owes_nothing() -> None:
    for change in ("cut", "ended"):
        tape = cut_off(stuck=True, until_s=11.0)
        if change == "cut":
            tape.link(11.5, "n1", "n2", cut=True)
        else:
            tape.state(11.5, "n1", "stopped")
        for number in range(12, 20):
            tape.sample(number + 0.3, "n2", number)
        (link,) = (
            one for one in mended_links(tape.history()) if (one.source, one.target) == ("n1", "n2")
        )
        assert link.until_s == 11.5
        assert list(COMES_BACK.judge(tape.history())) == []


def test_a_group_that_does_not_recover_is_broken_too() -> None:
    tape = cut_off(until_s=8.0)
    for number in range(9, 20):
        tape.no_answer(number + 0.3, "n3")
        for node in NODES[:2] + NODES[3:]:
            tape.sample(number + 0.3, node, number)
    (found,) = COMES_BACK.judge(tape.history())
    assert "n3 was back not at all" in found.text


def test_links_that_nobody_tried_prove_nothing() -> None:
    with pytest.raises(Inconclusive, match="dialled in vain"):
        COMES_BACK.judge(cut_off(told=False).history())
    tape = BeaconTape()
    tape.level(1, 9)
    with pytest.raises(Inconclusive):
        COMES_BACK.judge(tape.history())
