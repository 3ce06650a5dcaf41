"""Who stands still for the spare-member test, and what the test needs to see."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from chaoskit.sparing import _asked_and_answered, roles_of, spared
from chaoskit.system import Observation
from tests.tape import Tape


def test_a_quorum_is_left_and_the_leader_is_paused_last() -> None:
    roles = {"a": "leader", "b": "follower", "c": "follower"}
    assert spared(("a", "b", "c"), 2, "b", roles) == ["c"]
    assert spared(("a", "b", "c"), 2, "a", roles) == ["b"]
    assert spared(("a", "b", "c", "d", "e"), 3, "b", roles) == ["c", "d"]
    assert spared(("a", "b", "c"), 3, "b", roles) == []
    assert spared(("a", "b"), 1, "b", roles) == ["a"]


def test_only_answers_that_need_a_quorum_count() -> None:
    tape = Tape()
    tape.operation(1.0, "put", "fail", node="b")
    tape.operation(2.0, "get", node="b", consistency="serializable")
    tape.invoke(3.0, 1, "put", node="b")
    assert not list(_asked_and_answered(tape.history()))
    tape.operation(4.0, "put", node="b")
    assert len(list(_asked_and_answered(tape.history()))) == 1


def test_a_member_that_does_not_answer_has_no_role() -> None:
    seen = {"a": Observation(ready=True, role="leader"), "b": None}
    assert roles_of(cast("Any", SimpleNamespace(latest=lambda: seen))) == {"a": "leader"}
