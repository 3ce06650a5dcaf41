"""Whose contributions reach whom, from samples alone."""

from __future__ import annotations

from typing import Any

from chaoskit.heard import STALE_S, Heard, heard
from chaoskit.history import Event

NODES = ("a", "b", "c")


def _ok(time_s: float, node: str, *failing: str) -> Event:
    return Event(0, time_s, node, "ok", "observe", {"detail": {"failing": list(failing)}})


def _fail(time_s: float, node: str, cause: str) -> Event:
    return Event(0, time_s, node, "fail", "observe", {"cause": cause})


def _followed(*samples: Event) -> list[Heard]:
    return list(heard(samples, NODES, "detail.failing"))


def _held(one: Heard) -> dict[str, str]:
    return {node: "".join(sorted(held)) for node, held in one.holders.items()}


def test_a_member_holds_its_own_and_what_was_taken() -> None:
    *_, last = _followed(_ok(1, "a"), _ok(1.1, "b", "c"), _ok(1.2, "c", "a", "b"))
    assert _held(last) == {"a": "ab", "b": "ab", "c": "ac"}
    assert last.most == 2
    assert last.event.time_s == 1.2


def test_nothing_is_said_before_everybody_was_asked() -> None:
    assert _followed(_ok(1, "a"), _ok(1.1, "b", "a")) == []
    (whole,) = _followed(_ok(1, "a"), _ok(1.1, "b", "a"), _fail(1.2, "c", "refused"))
    assert _held(whole) == {"a": "a", "b": "ab"}
    (late,) = _followed(_ok(1, "a"), _ok(1.1, "b"), _ok(1.1 + STALE_S, "a"))
    assert _held(late) == {"a": "ab", "b": "ab"}


def test_a_refused_connection_counts_at_once_and_a_late_answer_later() -> None:
    samples = [_fail(1, "c", "refused"), _ok(1, "a"), _ok(1, "b")]
    assert _held(_followed(*samples, _fail(1.1, "b", "refused"))[-1]) == {"a": "a"}
    late = [_fail(1 + STALE_S, "b", "timed_out"), _fail(1.01 + STALE_S, "b", "timed_out")]
    *_, held, gone = _followed(*samples, *late)
    assert _held(held) == {"a": "ab", "b": "ab"}
    assert _held(gone) == {"a": "a"}


def test_a_sample_without_the_list_is_no_answer() -> None:
    odd: list[Any] = [{}, {"detail": None}, {"detail": {"failing": "b"}}]
    for value in odd:
        gone = [_fail(1, "b", "refused"), _fail(1, "c", "refused")]
        (one,) = _followed(*gone, Event(0, 1, "a", "ok", "observe", value))
        assert _held(one) == {}
        assert one.most == 0
    assert _followed(_ok(1, "stranger")) == []
