"""Who may disturb a leader; the two halves of a one-way cut, and what excuses an election."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Violation
from suites.etcd.leadership import leader_and_term_stay_while_a_majority_is_undisturbed as promise
from tests.tape import Tape

Leads = Callable[[str, float], tuple[str, int]]


def always(leader: str, term: int) -> Leads:
    return lambda node, _: ("leader" if node == leader else "follower", term)


def story(
    leads: Leads,
    *,
    acts: Sequence[tuple[float, Callable[[Tape, float], object]]] = (),
    end_s: float = 20.0,
) -> Tape:
    """Each node is observed twice a second and says what `leads` answers; `acts` happen between."""
    tape = Tape()
    waiting = sorted(acts, key=lambda act: act[0])
    for tick in range(1, int(end_s * 2)):
        time_s = tick / 2
        while waiting and waiting[0][0] <= time_s:
            at_s, act = waiting.pop(0)
            act(tape, at_s)
        for node in "abc":
            role, term = leads(node, time_s)
            tape.observe(time_s, node, role=role, term=term)
    return tape


def judged(tape: Tape) -> list[Violation]:
    return list(promise.judge(tape.history()))


def one_way_cut(tape: Tape, time_s: float) -> None:
    """The follower c does not hear the leader a."""
    tape.fault(time_s, 1, ["a", "c"])
    tape.link(time_s, "a", "c", cut=True)
    tape.link(time_s, "c", "a", cut=True)


def healed(tape: Tape, time_s: float) -> None:
    tape.link(time_s, "a", "c", cut=False)
    tape.link(time_s, "c", "a", cut=False)
    tape.evidence(time_s, 1, "heal")


CUT = [(4.0, one_way_cut), (12.0, healed)]


def test_a_leader_left_alone_stays() -> None:
    assert judged(story(always("a", 3), acts=CUT)) == []


def test_a_member_that_was_cut_off_disturbs_the_majority_when_it_returns() -> None:
    """The isolated member's own term rises while it is cut off; at the heal all take it over."""

    def disturbed(node: str, time_s: float) -> tuple[str, int]:
        term = 3
        if time_s >= 12.0 or (node == "c" and time_s >= 6.0):
            term = 13
        if time_s >= 13.0:
            return ("leader" if node == "b" else "follower"), 14
        return ("leader" if node == "a" and term == 3 else "follower"), term

    tape = story(disturbed, acts=CUT)
    found = judged(tape)
    assert len(found) == 1
    assert "a led in term 3" in found[0].text
    seen, disturbed_at = (tape.events[index] for index in found[0].events)
    assert (seen.process, disturbed_at.time_s) == ("a", 12.0)


def test_a_stall_does_not_raise_the_term_by_ten() -> None:
    def risen(by: int) -> Leads:
        def leads(node: str, time_s: float) -> tuple[str, int]:
            return ("leader" if node == "a" else "follower"), 3 + (by if time_s >= 12.5 else 0)

        return leads

    for by, excusable in ((1, True), (3, True), (4, False), (10, False)):
        found = judged(story(risen(by), acts=CUT))
        assert [one.excusable for one in found] == [excusable], by


def test_one_observation_makes_the_difference() -> None:
    tape = story(always("a", 3), acts=CUT)
    assert judged(tape) == []
    at = next(event for event in tape.events if event.process == "b" and event.time_s == 12.5)
    value = at.value | {"term": 4}
    tape.events[at.index] = type(at)(at.index, at.time_s, "b", "ok", "observe", value)
    assert len(judged(tape)) == 1


def test_the_term_of_a_member_outside_is_its_own_affair() -> None:
    tape = story(lambda node, _: (("leader" if node == "a" else "follower"), 3), acts=CUT[:1])
    for event in list(tape.events):
        if event.process == "c" and event.f == "observe" and event.time_s > 5.0:
            value = event.value | {"term": 13}
            tape.events[event.index] = type(event)(
                event.index, event.time_s, "c", "ok", "observe", value
            )
    assert judged(tape) == []


def changes(at_s: float) -> Leads:
    return lambda node, time_s: always(*(("a", 3) if time_s < at_s else ("b", 4)))(node, time_s)


def test_an_election_without_a_reason() -> None:
    assert len(judged(story(changes(8.0)))) == 1


def stop_leader(tape: Tape, time_s: float) -> None:
    tape.state(time_s, "a", "stopped")


def cut_leader(tape: Tape, time_s: float) -> None:
    tape.part(time_s, ["a"], ["b", "c"], cut=True)


def slow_leader(tape: Tape, time_s: float) -> None:
    tape.link(time_s, "a", "b", cut=False, shape="delay 0.2 s")
    tape.link(time_s, "c", "a", cut=False, shape="open, delay 0.2 s")


def limit_leader(tape: Tape, time_s: float) -> None:
    tape.limit(time_s, "a", over=True)


def untrusted_leader(tape: Tape, time_s: float) -> None:
    for node in "bc":
        tape.handshake(time_s, node, "a", good=False)


@pytest.mark.parametrize(
    "act", [stop_leader, cut_leader, slow_leader, limit_leader, untrusted_leader]
)
def test_a_disturbed_leader_may_be_replaced(act: Callable[[Tape, float], object]) -> None:
    tape = story(changes(8.0), acts=[(7.0, act)])
    assert judged(tape) == []


def test_a_leader_that_steps_down_before_it_ends_was_asked_to() -> None:
    """The new term is seen at 8.0 s, the old leader's end at 8.9 s, the question at 6.0 s."""
    assert judged(story(changes(8.0), acts=[(8.9, stop_leader)])) == []
    assert len(judged(story(changes(8.0), acts=[(11.0, stop_leader)]))) == 1

    def asked(tape: Tape, time_s: float) -> None:
        tape.add(time_s, "chaoskit", "change", "invoke", id=2, change="Upgrade", targets=["a"])

    def done(tape: Tape, time_s: float) -> None:
        tape.add(time_s, "chaoskit", "change", "ok", id=2)

    assert judged(story(changes(8.0), acts=[(6.0, asked), (11.0, stop_leader)])) == []
    later = story(changes(8.0), acts=[(6.0, asked), (7.0, done), (11.0, stop_leader)])
    assert len(judged(later)) == 1


def test_an_election_under_way_when_all_was_mended_is_no_disturbance() -> None:
    """The old leader comes back at 7.0 s and is seen as such, while b is being elected."""

    def leads(node: str, time_s: float) -> tuple[str, int]:
        return always(*(("a", 3) if time_s < 8.0 else ("b", 4)))(node, time_s)

    def resume(tape: Tape, time_s: float) -> None:
        tape.state(time_s, "a", "running")

    def pause(tape: Tape, time_s: float) -> None:
        tape.state(time_s, "a", "paused")

    assert judged(story(leads, acts=[(5.5, pause), (7.0, resume)])) == []


def test_a_leader_of_the_past_that_does_not_know_it_yet_is_none() -> None:
    """From 6.0 s on b leads in term 4; a, cut off for a while, says until 14.0 s that it leads."""

    def leads(node: str, time_s: float) -> tuple[str, int]:
        if node == "a" and time_s < 14.0:
            return "leader", 3
        return always(*(("a", 3) if time_s < 6.0 else ("b", 4)))(node, time_s)

    def all_cut(tape: Tape, time_s: float) -> None:
        tape.part(time_s, ["b"], ["c"], cut=True)

    def mended(tape: Tape, time_s: float) -> None:
        tape.part(time_s, ["a"], ["b", "c"], cut=False)
        tape.part(time_s, ["b"], ["c"], cut=False)

    acts = [(5.0, cut_leader), (8.6, all_cut), (9.0, mended)]
    assert judged(story(leads, acts=acts)) == []


def test_no_leader_is_no_evidence() -> None:
    with pytest.raises(Inconclusive):
        judged(story(lambda _node, _time: ("follower", 3)))
    with pytest.raises(Inconclusive):
        promise.judge(History(()))
