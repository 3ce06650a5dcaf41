"""Each standing promise on a history that keeps it, and on one that differs by one event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.history import EventType, History
from chaoskit.invariant import Invariant, Violation
from chaoskit.progress import progress_while_quorate
from chaoskit.standing import (
    no_fork,
    no_rollback,
    no_unexpected_exit,
    nothing_acknowledged_below_quorum,
    promises,
    promises_of,
)
from chaoskit.verdict import Kind
from suites.toys.system import toys
from tests.tape import Tape


def judged(invariant: Invariant, history: History) -> Sequence[Violation]:
    return list(invariant.judge(history))


# -- no_fork -----------------------------------------------------------------------------------


def test_no_fork() -> None:
    tape = Tape()
    one = tape.observe(1.0, "a", 7, digest="x")
    tape.observe(1.1, "b", 7, digest="x")
    tape.observe(1.2, "b", 8, digest="y")
    assert judged(no_fork, tape.history()) == []
    other = tape.observe(9.0, "c", 7, digest="z")
    (violation,) = judged(no_fork, tape.history())
    assert violation.events == (one, other)
    assert "a shows x" in violation.text
    assert "c shows z" in violation.text


def test_a_node_may_fork_from_itself() -> None:
    tape = Tape()
    tape.observe(1.0, "a", 7, digest="x")
    tape.observe(1.0, "b", 7, digest="x")
    tape.observe(2.0, "a", 7, digest="z")
    assert len(judged(no_fork, tape.history())) == 1


def test_two_clusters_are_no_fork() -> None:
    tape = Tape()
    tape.observe(1.0, "a", 7, digest="x")
    tape.observe(1.0, "b", 7, digest="x")
    tape.cluster(2.0, name="c2")
    tape.observe(3.0, "a", 7, digest="z")
    tape.observe(3.0, "b", 7, digest="z")
    assert judged(no_fork, tape.history()) == []


def test_no_fork_needs_two_nodes_at_the_same_progress() -> None:
    tape = Tape()
    tape.observe(1.0, "a", 7, digest="x")
    tape.observe(2.0, "a", 7, digest="x")
    tape.observe(2.0, "b", 8, digest="y")
    tape.observe(2.0, "c", 7)
    with pytest.raises(Inconclusive):
        judged(no_fork, tape.history())


# -- no_rollback -------------------------------------------------------------------------------


def test_no_rollback() -> None:
    tape = Tape()
    one = tape.observe(1.0, "a", 7)
    tape.observe(1.0, "b", 3)
    tape.observe(2.0, "a", 7)
    tape.no_answer(2.1, "a")
    assert judged(no_rollback, tape.history()) == []
    other = tape.observe(3.0, "a", 6)
    (violation,) = judged(no_rollback, tape.history())
    assert violation.events == (one + 2, other)


@pytest.mark.parametrize(("incarnation", "broken"), [(1, 1), (2, 0)])
def test_no_rollback_holds_per_incarnation(incarnation: int, broken: int) -> None:
    tape = Tape()
    tape.observe(1.0, "a", 7)
    tape.observe(1.1, "a", 8)
    tape.state(2.0, "a", "running", incarnation=incarnation)
    tape.observe(2.005, "a", 8)
    tape.observe(3.0, "a", 1)
    assert len(judged(no_rollback, tape.history())) == broken


@pytest.mark.parametrize(("progress", "broken"), [(7, 0), (6, 1)])
def test_data_of_a_vintage_begin_where_they_were_taken(progress: int, broken: int) -> None:
    tape = Tape()
    started = tape.add(
        0.0,
        "chaoskit",
        "cluster",
        cluster="c1",
        event="started",
        vintage={"digest": "aa", "release": "1", "progress": {"a": 7, "b": None}},
    )
    sample = tape.observe(1.0, "a", progress)
    tape.observe(1.0, "b", 1)
    found = judged(no_rollback, tape.history())
    assert [one.events for one in found] == [(started, sample)] * broken


def test_no_rollback_needs_two_samples_of_a_node() -> None:
    tape = Tape()
    tape.observe(1.0, "a", 7)
    tape.observe(2.0, "b", 6)
    with pytest.raises(Inconclusive):
        judged(no_rollback, tape.history())


# -- no_unexpected_exit ------------------------------------------------------------------------


@pytest.mark.parametrize(("signalled", "broken"), [(True, 0), (False, 1)])
def test_no_unexpected_exit(signalled: bool, broken: int) -> None:  # noqa: FBT001
    tape = Tape()
    tape.state(3.0, "a", "exited", signalled=signalled)
    found = judged(no_unexpected_exit, tape.history())
    assert [one.events for one in found] == [(4,)] * broken


@pytest.mark.parametrize(
    ("may_exit", "target", "time_s", "broken"),
    [
        (True, "a", 3.0, 0),
        (True, "a", 5.5, 0),
        (True, "b", 3.0, 1),
        (False, "a", 3.0, 1),
        (True, "a", 1.0, 1),
        (True, "a", 7.0, 1),
    ],
)
def test_an_exit_may_be_an_outcome_of_a_fault(
    may_exit: bool,  # noqa: FBT001
    target: str,
    time_s: float,
    broken: int,
) -> None:
    tape = Tape()
    story = sorted([(2.0, "fault"), (5.0, "heal"), (6.0, "absent"), (time_s, "exit")])
    for at_s, what in story:
        if what == "fault":
            tape.fault(at_s, 1, [target], may_exit=may_exit)
        elif what == "exit":
            tape.state(at_s, "a", "exited", signalled=False)
        else:
            tape.evidence(at_s, 1, what, probe="p")
    assert len(judged(no_unexpected_exit, tape.history())) == broken


@pytest.mark.parametrize(("time_s", "broken"), [(3.0, 0), (4.5, 1)])
def test_an_exit_before_the_scope_is_not_blamed_on_it(time_s: float, broken: int) -> None:
    tape = Tape()
    for at_s, what in sorted([(4.0, "scope"), (time_s, "exit")]):
        if what == "scope":
            tape.scope(at_s, "start")
        else:
            tape.state(at_s, "a", "exited", signalled=False)
    assert len(judged(no_unexpected_exit, tape.history())) == broken


@pytest.mark.parametrize(
    ("seen", "time_s", "code", "broken"),
    [
        ("fail", 3.0, 137, 0),
        ("ok", 3.0, 137, 1),
        ("fail", 3.0, 139, 1),
        ("fail", 1.0, 137, 1),
        ("fail", 7.0, 137, 1),
    ],
)
def test_our_own_hand_may_go_astray_in_a_fault_that_nobody_saw(
    seen: EventType, time_s: float, code: int, broken: int
) -> None:
    """By a SIGKILL, while the fault was there to be seen: not by a crash, nor before or after."""
    tape = Tape()
    story = [(2.0, "fault"), (4.0, "effective"), (5.0, "heal"), (6.0, "absent"), (time_s, "exit")]
    for at_s, what in sorted(story):
        if what == "fault":
            tape.fault(at_s, 1, ["b"])
        elif what == "exit":
            tape.add(at_s, "a", "state", state="exited", signalled=False, exit_code=code)
        else:
            kind: EventType = seen if what == "effective" else "ok"
            tape.evidence(at_s, 1, what, kind, probe="p")
    assert len(judged(no_unexpected_exit, tape.history())) == broken


@pytest.mark.parametrize(
    ("seen", "asks", "time_s", "broken"),
    [
        ("fail", False, 3.0, 0),
        ("ok", False, 3.0, 1),
        ("fail", True, 3.0, 1),
        ("fail", False, 1.0, 1),
        ("fail", False, 5.0, 1),
    ],
)
def test_our_own_hand_may_go_astray_in_a_change_that_nobody_saw(
    *, seen: EventType, asks: bool, time_s: float, broken: int
) -> None:
    tape = Tape()
    for at_s, what in sorted([(2.0, "change"), (4.0, "witnessed"), (time_s, "exit")]):
        if what == "change":
            more = {"id": 1, "change": "Turn", "targets": ["b"], "asks": asks}
            tape.add(at_s, "chaoskit", "change", "invoke", fields={}, **more)
        elif what == "exit":
            tape.add(at_s, "a", "state", state="exited", signalled=False, exit_code=137)
        else:
            tape.evidence(at_s, 1, "witnessed", seen, probe="p")
    assert len(judged(no_unexpected_exit, tape.history())) == broken


@pytest.mark.parametrize(
    ("ended_s", "told_s", "broken"), [(3.0, 8.0, 0), (3.0, 3.5, 0), (7.0, 8.0, 1), (1.0, 3.0, 1)]
)
def test_an_exit_is_of_the_moment_at_which_it_happened(
    ended_s: float, told_s: float, broken: int
) -> None:
    """The engine may tell of it when the fault that may end the process is over."""
    tape = Tape()
    for at_s, what in sorted([(2.0, "fault"), (5.0, "heal"), (6.0, "absent"), (told_s, "exit")]):
        if what == "fault":
            tape.fault(at_s, 1, ["a"], may_exit=True)
        elif what == "exit":
            exited: dict[str, Any] = {"state": "exited", "signalled": False, "exit_code": 1}
            tape.add(at_s, "a", "state", **exited, ended_s=ended_s)
        else:
            tape.evidence(at_s, 1, what, probe="p")
    assert len(judged(no_unexpected_exit, tape.history())) == broken


def test_no_unexpected_exit_needs_states() -> None:
    with pytest.raises(Inconclusive):
        judged(no_unexpected_exit, History(()))


# -- nothing_acknowledged_below_quorum ---------------------------------------------------------


def below(
    *,
    f: str = "put",
    kind: str = "ok",
    invoked_s: float = 4.0,
    answered_s: float = 4.1,
    said: dict[str, str] | None = None,
) -> Tape:
    """Three single nodes from 2 to 8 s; one operation."""
    tape = Tape()
    tape.part(2.0, ["a"], ["b", "c"], cut=True)
    tape.part(2.0, ["b"], ["c"], cut=True)
    story = [
        (invoked_s, "invoke"),
        (answered_s, kind),
        (8.0, "back"),
    ]
    asked = -1
    for time_s, what in sorted(story):
        if what == "back":
            tape.part(8.0, ["a"], ["b", "c"], cut=False)
        elif what == "invoke":
            asked = tape.invoke(time_s, 1, f, node="a", key="k", value="v", **(said or {}))
        elif what == "ok":
            tape.answer(time_s, asked, "ok", revision=3)
        else:
            tape.answer(time_s, asked, "fail" if what == "fail" else "info")
    tape.add(20.0, "chaoskit", "note", text="end")
    return tape


BELOW = nothing_acknowledged_below_quorum(0.5)


@pytest.mark.parametrize("kind", ["ok", "fail", "info"])
def test_nothing_acknowledged_below_quorum(kind: str) -> None:
    found = judged(BELOW, below(kind=kind).history())
    assert len(found) == (kind == "ok")
    for violation in found:
        assert len(violation.events) == 3


@pytest.mark.parametrize(
    ("invoked_s", "answered_s"),
    [
        (1.9, 2.6),  # asked while there was a quorum
        (2.4, 2.7),  # asked within the allowance
        (3.0, 8.2),  # answered when there was one again
        (3.0, 7.8),  # answered when there may have been one again
    ],
)
def test_an_answer_that_a_quorum_may_have_given_is_not_accused(
    invoked_s: float, answered_s: float
) -> None:
    tape = below(invoked_s=invoked_s, answered_s=answered_s)
    tape.part(30.0, ["a"], ["b", "c"], cut=True)  # and b, c are parted still: below the quorum
    tape.invoke(31.0, 1, "put", node="a", key="k", value="v")
    tape.add(40.0, "chaoskit", "note", text="end")
    assert judged(BELOW, tape.history()) == []


@pytest.mark.parametrize(("answered_s", "broken"), [(4.9, 1), (6.0, 0)])
def test_a_quorum_may_hear_of_it_one_after_the_other(answered_s: float, broken: int) -> None:
    """Of five, d and e are down; a hears b, and from 5 s on c: never both, but three in the end."""
    tape = Tape(("a", "b", "c", "d", "e"), quorum=3)
    tape.state(2.0, "d", "stopped")
    tape.state(2.0, "e", "stopped")
    tape.part(2.0, ["c"], ["a", "b"], cut=True)
    asked = tape.invoke(4.0, 1, "put", node="a", key="k", value="v")
    if answered_s < 5.0:
        tape.answer(answered_s, asked, "ok", revision=3)
    tape.part(5.0, ["b"], ["a", "c"], cut=True)
    tape.part(5.1, ["a"], ["c"], cut=False)
    if answered_s > 5.0:
        tape.answer(answered_s, asked, "ok", revision=3)
    tape.add(20.0, "chaoskit", "note", text="end")
    assert len(judged(BELOW, tape.history())) == broken


@pytest.mark.parametrize(("seen", "broken"), [("ok", 1), ("fail", 0)])
def test_facts_of_a_fault_that_nobody_saw_accuse_nobody(seen: EventType, broken: int) -> None:
    tape = below()
    tape.fault(1.9, 1, ["a"])
    tape.evidence(2.1, 1, "effective", seen, probe="p")
    tape.evidence(7.9, 1, "heal")
    tape.evidence(8.1, 1, "absent", probe="p")
    assert len(judged(BELOW, tape.history())) == broken


@pytest.mark.parametrize(
    ("f", "consistency", "broken"),
    [
        ("get", "linearizable", 1),
        ("get", "serializable", 0),
        ("get", None, 0),
        ("txn", None, 1),
        ("snapshot", None, 0),
        ("put", "serializable", 0),
    ],
)
def test_only_what_needs_a_quorum_is_accused(f: str, consistency: str | None, broken: int) -> None:
    said = {} if consistency is None else {"consistency": consistency}
    tape = below(f=f, said=said)
    if not broken:
        with pytest.raises(Inconclusive):
            judged(BELOW, tape.history())
    else:
        assert len(judged(BELOW, tape.history())) == 1


def test_one_open_direction_makes_a_quorum_conceivable() -> None:
    tape = Tape()
    tape.part(2.0, ["a"], ["b", "c"], cut=True)
    tape.link(2.0, "b", "c", cut=True)
    tape.operation(5.0, "put", key="k", value="v", node="b")
    tape.add(20.0, "chaoskit", "note", text="end")
    assert judged(BELOW, tape.history()) == []
    tape.link(20.0, "c", "b", cut=True)
    tape.operation(25.0, "put", key="k", value="v", node="b")
    tape.add(30.0, "chaoskit", "note", text="end")
    assert len(judged(BELOW, tape.history())) == 1


def test_while_a_heal_is_under_way_nothing_is_accused() -> None:
    for healing in (False, True):
        tape = Tape()
        for node in ("b", "c"):
            tape.state(2.0, node, "exited")
        if healing:
            tape.evidence(4.0, 1, "heal", "invoke")
        tape.operation(5.0, "put", key="k", value="v")
        tape.state(6.0, "b", "running")
        if healing:
            tape.evidence(6.0, 1, "heal", "ok")
        tape.operation(7.0, "put", key="k", value="v")
        if healing:
            with pytest.raises(Inconclusive):
                judged(BELOW, tape.history())
        else:
            assert len(judged(BELOW, tape.history())) == 1


def test_never_below_the_quorum_is_kept() -> None:
    tape = Tape()
    tape.operation(5.0, "put", key="k", value="v")
    assert judged(BELOW, tape.history()) == []


# -- progress_while_quorate: driven ------------------------------------------------------------


def driven(*, silent: tuple[float, float], end_s: float = 12.0) -> Tape:
    """Ten puts a second over all nodes; unknown outcomes in the silent time. The bound is 2 s."""
    tape = Tape()
    for tick in range(int(end_s * 10)):
        time_s = 0.05 + tick / 10
        quiet = silent[0] <= time_s < silent[1]
        tape.operation(
            time_s,
            "put",
            "info" if quiet else "ok",
            node="abc"[tick % 3],
            took_s=0.01,
            key="k",
            value="v",
        )
    return tape


@pytest.mark.parametrize(("silent", "broken"), [((4.0, 5.5), 0), ((4.0, 6.5), 1), ((9.5, 12.0), 1)])
def test_progress_while_quorate(silent: tuple[float, float], broken: int) -> None:
    found = judged(progress_while_quorate, driven(silent=silent).history())
    assert len(found) == broken
    for violation in found:
        assert "no acknowledged operation" in violation.text


def test_one_acknowledgement_makes_the_difference() -> None:
    tape = driven(silent=(4.0, 7.0))
    history = tape.history()
    assert len(judged(progress_while_quorate, history)) == 1
    at = next(event for event in history if event.type == "info" and event.time_s > 5.4)
    tape.events[at.index] = type(at)(at.index, at.time_s, at.process, "ok", at.f, at.value)
    assert judged(progress_while_quorate, tape.history()) == []


def test_a_read_that_one_node_answers_is_no_progress() -> None:
    tape = driven(silent=(4.0, 7.0))
    at = next(event for event in tape.events if event.type == "info" and event.time_s > 5.4)
    for index in (at.index - 1, at.index):
        event = tape.events[index]
        kind = "ok" if index == at.index else event.type
        value = event.value | {"consistency": "serializable"}
        tape.events[index] = type(event)(index, event.time_s, event.process, kind, event.f, value)
    assert len(judged(progress_while_quorate, tape.history())) == 1


@pytest.mark.parametrize(("stopped", "broken"), [(["b"], 1), (["b", "c"], 0)])
def test_progress_is_owed_only_while_quorate(stopped: list[str], broken: int) -> None:
    tape = driven(silent=(4.0, 8.0))
    for node in stopped:
        tape.state(3.9, node, "stopped")
    tape.events.sort(key=lambda event: event.time_s)
    history = History(
        type(one)(at, one.time_s, one.process, one.type, one.f, one.value)
        for at, one in enumerate(tape.events)
    )
    assert len(judged(progress_while_quorate, history)) == broken


def test_a_quorum_that_never_stands_for_the_bound_owes_nothing() -> None:
    """Somebody else is cut off every second: quorate all the time, by nobody in particular."""
    for churn in (False, True):
        tape = Tape()
        for second in range(1, 9):
            for node in "abc":
                others = [other for other in "abc" if other != node]
                if churn:
                    tape.part(float(second), [node], others, cut=node == "abc"[second % 3])
                tape.operation(second + 0.1, "put", "info", node=node, key="k", value="v")
        tape.part(9.0, ["a"], ["b", "c"], cut=False)
        tape.part(9.0, ["b"], ["c"], cut=False)
        tape.operation(9.1, "put", key="k", value="v")
        assert len(judged(progress_while_quorate, tape.history())) == (not churn)


def test_who_nobody_asks_owes_nothing() -> None:
    tape = Tape()
    tape.operation(1.0, "put", key="k", value="v")
    tape.operation(1.5, "put", "fail", key="k", value="v")
    tape.operation(20.0, "put", key="k", value="v")
    assert judged(progress_while_quorate, tape.history()) == []


def test_asking_outside_the_quorum_alone_is_not_asking() -> None:
    for node, broken in (("a", 0), ("b", 1)):
        tape = Tape()
        tape.operation(0.5, "put", key="k", value="v")
        tape.part(1.0, ["a"], ["b", "c"], cut=True)
        for tick in range(80):
            tape.operation(1 + tick / 10, "put", "info", node=node, key="k", value="v")
        assert len(judged(progress_while_quorate, tape.history())) == broken


def test_across_a_bridge_each_end_has_to_be_asked() -> None:
    for asked, broken in (("a", 0), ("abc", 1)):
        tape = Tape()
        tape.operation(0.5, "put", key="k", value="v")
        tape.part(1.0, ["a"], ["b"], cut=True)
        for tick in range(80):
            node = asked[tick % len(asked)]
            tape.operation(1 + tick / 10, "put", "info", node=node, key="k", value="v")
        assert len(judged(progress_while_quorate, tape.history())) == broken


def test_no_operation_is_no_evidence() -> None:
    tape = Tape()
    tape.observe(5.0, "a")
    with pytest.raises(Inconclusive, match="nobody asked"):
        judged(progress_while_quorate, tape.history())


def test_no_quorum_is_no_evidence() -> None:
    tape = Tape(started=False)
    tape.cluster(0.0)
    tape.operation(5.0, "put", key="k", value="v")
    with pytest.raises(Inconclusive, match="no quorum"):
        judged(progress_while_quorate, tape.history())


# -- progress_while_quorate: autonomous --------------------------------------------------------


def autonomous(*, until_s: float, gap: bool = False, blind: bool = False) -> Tape:
    """A chain whose height grows each second until `until_s`; observed ten times a second."""
    tape = Tape(driven=False)
    for tick in range(100):
        time_s = tick / 10
        if blind and time_s > until_s:
            break
        tape.observe(time_s, "abc"[tick % 3], int(min(time_s, until_s)))
    if gap:
        for node in "abc":
            tape.gap(9.95, node, 5.0)
    tape.add(10.0, "chaoskit", "note", text="end")
    return tape


@pytest.mark.parametrize(("until_s", "broken"), [(9.0, 0), (8.9, 0), (5.0, 1)])
def test_progress_of_a_system_that_moves_by_itself(until_s: float, broken: int) -> None:
    found = judged(progress_while_quorate, autonomous(until_s=until_s).history())
    assert len(found) == broken


@pytest.mark.parametrize(("gap", "blind"), [(True, False), (False, True)])
def test_what_was_not_sampled_is_unknown(gap: bool, blind: bool) -> None:  # noqa: FBT001
    with pytest.raises(Inconclusive, match="no sample"):
        judged(progress_while_quorate, autonomous(until_s=5.0, gap=gap, blind=blind).history())


def test_a_chain_below_its_quorum_may_stand_still() -> None:
    tape = autonomous(until_s=5.0)
    for node in "bc":
        tape.state(5.5, node, "paused")
    tape.events.sort(key=lambda event: event.time_s)
    history = History(
        type(one)(at, one.time_s, one.process, one.type, one.f, one.value)
        for at, one in enumerate(tape.events)
    )
    assert judged(progress_while_quorate, history) == []


# -- all of them -------------------------------------------------------------------------------


def test_the_list_of_promises() -> None:
    names = [one.name for one in promises()]
    assert names == [
        "no_fork",
        "no_rollback",
        "no_unexpected_exit",
        "nothing_acknowledged_below_quorum",
        "progress_while_quorate",
    ]
    assert [one.name for one in promises() if one.kind is Kind.LIVENESS] == [names[-1]]
    assert [one.name for one in promises(shows_digest=False)] == names[1:]
    assert [one.name for one in promises(shows_progress=False, shows_digest=False)] == names[2:]
    assert [one.name for one in promises(shows_liveness=False)] == names[:-1]


def test_a_system_that_nobody_can_load_owes_no_progress_that_could_be_seen() -> None:
    def owed(**what: Any) -> set[str]:
        return {one.name for one in promises_of(replace(toys(), **what))}

    assert {"no_fork", "no_rollback", "progress_while_quorate"} <= owed()
    assert "progress_while_quorate" not in owed(traffic=None)
    assert "progress_while_quorate" in owed(traffic=None, driven=False)
    assert "progress_while_quorate" not in owed(driven=False, shows_progress=False)
    loaded = toys().traffic
    assert loaded is not None
    local = replace(loaded, local=True)
    assert owed(traffic=local) == owed() - {"nothing_acknowledged_below_quorum"}
    assert owed(shows_digest=False) == owed() - {"no_fork"}
    assert owed(shows_progress=False) == owed() - {"no_fork", "no_rollback"}
