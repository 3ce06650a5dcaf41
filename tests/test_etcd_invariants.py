"""etcd's promises, each on a history that keeps it and on one that differs by one event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Invariant, Violation
from chaoskit.verdict import Kind
from suites.etcd.durability import acknowledged_writes_survive
from suites.etcd.invariants import (
    PROMISES,
    one_value_per_revision,
    reads_are_linearizable,
    revision_never_goes_back,
)
from tests.tape import Tape

Pairs = dict[str, list[Any]]
FINAL: Pairs = {"k1": ["v3", 4, 2], "k2": ["v2", 3, 1]}


def judged(invariant: Invariant, history: History) -> Sequence[Violation]:
    return list(invariant.judge(history))


def put(tape: Tape, time_s: float, key: str, value: str, revision: int, node: str = "a") -> int:
    return tape.operation(
        time_s, "put", node=node, key=key, value=value, result={"revision": revision}
    )


def snapshot(tape: Tape, time_s: float, node: str, revision: int, pairs: Pairs) -> int:
    return tape.operation(
        time_s, "snapshot", node=node, client=9, result={"revision": revision, "pairs": pairs}
    )


def loaded(*, changed: Pairs | None = None, revision: int = 4, nodes: str = "abc") -> Tape:
    """Three writes, then a snapshot of each node; c's has `changed` pairs, and its revision."""
    tape = Tape()
    put(tape, 1.0, "k1", "v1", 2)
    put(tape, 2.0, "k2", "v2", 3, node="b")
    tape.operation(
        3.0,
        "txn",
        node="c",
        key="k1",
        expected="v1",
        value="v3",
        result={"succeeded": True, "revision": 4},
    )
    tape.operation(
        3.5,
        "txn",
        node="c",
        key="k1",
        expected="v1",
        value="v4",
        result={"succeeded": False, "revision": 4},
    )
    tape.operation(4.0, "put", "info", node="c", key="k3", value="v5")
    tape.operation(4.5, "put", "fail", node="c", key="k3", value="v6")
    for node in nodes:
        odd = node == "c" and changed is not None
        pairs = changed if odd and changed is not None else FINAL
        snapshot(tape, 9.0, node, revision if node == "c" else 4, pairs)
    return tape


# -- acknowledged_writes_survive ---------------------------------------------------------------


def test_acknowledged_writes_survive() -> None:
    assert judged(acknowledged_writes_survive, loaded().history()) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"k1": ["v3", 4, 2]}, "absent on c"),
        ({"k1": ["v1", 2, 1], "k2": ["v2", 3, 1]}, "at v1 of revision 2 on c"),
        ({"k1": ["v9", 4, 2], "k2": ["v2", 3, 1]}, "at v9 of the same revision on c"),
    ],
)
def test_a_write_that_one_snapshot_lacks_is_lost(changed: Pairs, says: str) -> None:
    tape = loaded(changed=changed)
    (violation,) = judged(acknowledged_writes_survive, tape.history())
    assert says in violation.text
    assert "from 9.010 s" in violation.text
    assert len(violation.events) == 3


def test_a_newer_value_is_no_loss() -> None:
    newer = {"k1": ["v7", 6, 3], "k2": ["v2", 3, 1]}
    assert judged(acknowledged_writes_survive, loaded(changed=newer, revision=6).history()) == []


def test_a_member_that_lags_has_lost_nothing() -> None:
    tape = loaded(changed={"k1": ["v1", 2, 1]}, revision=2)
    assert judged(acknowledged_writes_survive, tape.history()) == []


@pytest.mark.parametrize("restarted", [False, True])
def test_a_write_that_all_have_gone_back_behind_is_lost(restarted: bool) -> None:  # noqa: FBT001
    tape = loaded()
    tape.cluster(11.0, event="steady")
    if restarted:  # and perhaps not done with replaying its log
        tape.state(11.5, "a", "running")
    for node in "abc":
        snapshot(tape, 12.0, node, 3, {"k1": ["v1", 2, 1], "k2": ["v2", 3, 1]})
    if restarted:
        with pytest.raises(Inconclusive):
            judged(acknowledged_writes_survive, tape.history())
        return
    (violation,) = judged(acknowledged_writes_survive, tape.history())
    assert "txn k1=v3 acknowledged by c" in violation.text
    assert "no member is beyond revision 3 any more" in violation.text


@pytest.mark.parametrize(("revision", "broken"), [(6, 0), (5, 1)])
def test_a_write_whose_revision_a_later_one_takes_is_lost(revision: int, broken: int) -> None:
    tape = loaded()
    first = put(tape, 10.0, "k9", "v9", 5)
    second = put(tape, 10.5, "k8", "v8", revision, node="b")
    if not broken:
        with pytest.raises(Inconclusive):
            judged(acknowledged_writes_survive, tape.history())
        return
    (violation,) = judged(acknowledged_writes_survive, tape.history())
    assert "put k8=v8 asked after that was given revision 5 by b" in violation.text
    assert violation.events == (first - 1, first, second - 1, second)


def test_snapshots_before_the_write_say_nothing_of_it() -> None:
    tape = loaded()
    put(tape, 10.0, "k9", "v9", 5)
    with pytest.raises(Inconclusive, match="no snapshot taken later shows"):
        judged(acknowledged_writes_survive, tape.history())


def test_a_snapshot_that_began_before_the_answer_says_nothing_of_it() -> None:
    tape = Tape()
    began = tape.invoke(1.0, 9, "snapshot", node="a")
    put(tape, 1.1, "k1", "v1", 2)
    tape.answer(1.2, began, revision=2, pairs={})
    with pytest.raises(Inconclusive):
        judged(acknowledged_writes_survive, tape.history())


def test_no_write_is_no_evidence() -> None:
    tape = Tape()
    snapshot(tape, 1.0, "a", 1, {})
    with pytest.raises(Inconclusive):
        judged(acknowledged_writes_survive, tape.history())


@pytest.mark.parametrize("promise", PROMISES[:3], ids=lambda promise: promise.name)
def test_two_clusters_are_not_compared(promise: Invariant) -> None:
    tape = loaded()
    tape.cluster(20.0, name="c2")
    with pytest.raises(Inconclusive, match="2 clusters"):
        judged(promise, tape.history())


# -- one_value_per_revision --------------------------------------------------------------------


def test_one_value_per_revision() -> None:
    assert judged(one_value_per_revision, loaded().history()) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"k1": ["v3", 4, 2], "k2": ["other", 3, 1]},
        {"k1": ["v3", 4, 9], "k2": ["v2", 3, 1]},
        {"k1": ["v3", 4, 2]},
        {"k1": ["v3", 4, 2], "k2": ["v2", 3, 1], "k8": ["v8", 3, 1]},
    ],
)
def test_snapshots_that_differ_are_found(changed: Pairs) -> None:
    assert judged(one_value_per_revision, loaded(changed=changed).history())


@pytest.mark.parametrize(
    ("changed", "revision"),
    [
        ({"k1": ["v1", 2, 1]}, 2),
        ({"k1": ["v3", 4, 2], "k2": ["v7", 5, 2]}, 5),
        ({"k1": ["v3", 4, 2], "k2": ["v2", 3, 1], "k8": ["v8", 5, 1]}, 5),
    ],
)
def test_a_snapshot_ahead_or_behind_is_no_difference(changed: Pairs, revision: int) -> None:
    history = loaded(changed=changed, revision=revision).history()
    assert judged(one_value_per_revision, history) == []


def test_a_revision_given_to_two_writes() -> None:
    tape = loaded()
    assert judged(one_value_per_revision, tape.history()) == []
    put(tape, 5.0, "k8", "v8", 3, node="c")
    found = judged(one_value_per_revision, tape.history())
    assert "revision 3 was given to put k2=v2 by b and to put k8=v8 by c" in found[0].text


@pytest.mark.parametrize(("value", "broken"), [("v2", 0), ("other", 1)])
def test_a_read_shows_another_value_at_a_writes_revision(value: str, broken: int) -> None:
    tape = loaded()
    tape.operation(
        5.0,
        "get",
        key="k2",
        consistency="serializable",
        result={"value": value, "revision": 4, "mod_revision": 3},
    )
    assert len(judged(one_value_per_revision, tape.history())) == broken


def test_every_member_has_to_be_read() -> None:
    with pytest.raises(Inconclusive, match="no snapshot of c"):
        judged(one_value_per_revision, loaded(nodes="ab").history())


# -- revision_never_goes_back ------------------------------------------------------------------


def get(
    tape: Tape, time_s: float, revision: int, consistency: str = "linearizable", node: str = "a"
) -> int:
    return tape.operation(
        time_s,
        "get",
        node=node,
        key="k1",
        consistency=consistency,
        result={"value": None, "revision": revision, "mod_revision": 0},
    )


@pytest.mark.parametrize(
    ("revision", "consistency", "node", "broken"),
    [
        (5, "linearizable", "b", 0),
        (4, "linearizable", "b", 1),
        (4, "serializable", "b", 0),
        (4, "serializable", "a", 1),
        (5, "serializable", "a", 0),
    ],
)
def test_revision_never_goes_back(revision: int, consistency: str, node: str, broken: int) -> None:
    tape = Tape()
    put(tape, 1.0, "k1", "v1", 5)
    get(tape, 2.0, 5)
    get(tape, 3.0, revision, consistency, node)
    found = judged(revision_never_goes_back, tape.history())
    assert len(found) == broken
    for violation in found:
        assert violation.events == (5, 8, 9)


@pytest.mark.parametrize(("revision", "broken"), [(6, 0), (5, 1)])
def test_a_write_is_at_a_revision_of_its_own(revision: int, broken: int) -> None:
    tape = Tape()
    put(tape, 1.0, "k1", "v1", 5)
    put(tape, 2.0, "k1", "v2", revision)
    assert len(judged(revision_never_goes_back, tape.history())) == broken


def test_what_overlaps_may_be_answered_in_any_order() -> None:
    tape = Tape()
    early = tape.invoke(1.0, 1, "put", node="a", key="k1", value="v1")
    put(tape, 1.1, "k1", "v2", 6)
    tape.answer(1.2, early, revision=5)
    put(tape, 2.0, "k1", "v3", 7)
    assert judged(revision_never_goes_back, tape.history()) == []


@pytest.mark.parametrize(("incarnation", "broken"), [(1, 1), (2, 0)])
def test_new_data_may_begin_anew(incarnation: int, broken: int) -> None:
    tape = Tape()
    get(tape, 1.0, 5, "serializable")
    get(tape, 1.5, 5, "serializable")
    tape.state(2.0, "a", "running", incarnation=incarnation)
    get(tape, 3.0, 1, "serializable")
    assert len(judged(revision_never_goes_back, tape.history())) == broken


def test_one_answer_is_no_evidence() -> None:
    tape = Tape()
    get(tape, 1.0, 5)
    with pytest.raises(Inconclusive):
        judged(revision_never_goes_back, tape.history())


# -- reads_are_linearizable --------------------------------------------------------------------


@pytest.mark.parametrize(("value", "broken"), [("v2", 0), ("v1", 1)])
def test_reads_are_linearizable(value: str, broken: int) -> None:
    tape = Tape()
    put(tape, 1.0, "k1", "v1", 2)
    put(tape, 2.0, "k1", "v2", 3)
    tape.operation(
        3.0,
        "get",
        key="k1",
        consistency="linearizable",
        result={"value": value, "revision": 3, "mod_revision": 3},
    )
    promise = reads_are_linearizable()
    assert (promise.name, promise.kind) == ("reads_are_linearizable", Kind.SAFETY)
    assert len(judged(promise, tape.history())) == broken


def test_the_promises_of_etcd() -> None:
    assert [one.name for one in PROMISES] == [
        "acknowledged_writes_survive",
        "one_value_per_revision",
        "revision_never_goes_back",
        "reads_are_linearizable",
    ]
