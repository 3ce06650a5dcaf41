"""The search agrees with brute force on small histories, and gives up where it must."""

from __future__ import annotations

import random
import time
from collections.abc import Hashable, Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.linearizability import (
    Anything,
    Call,
    CallKind,
    misfit,
    not_linearizable,
    registers,
)
from chaoskit.operations import attempts
from tests.tape import Tape

NOBODY = 10**9


def explains(order: Sequence[Call], initial: Hashable) -> bool:
    """Whether the calls, one after the other, give their answers; the definition, spelled out."""
    states: set[Hashable] = {None, *"xyz", "other"} if isinstance(initial, Anything) else {initial}
    for call in order:
        if call.kind is CallKind.GET:
            states &= {call.value}
        elif call.succeeded is True:
            states &= {call.expected}
        elif call.succeeded is False:
            states -= {call.expected}
        if not states:
            return False
        if call.kind is CallKind.PUT or call.succeeded:
            states = {call.value}
        elif call.kind is CallKind.SWAP and call.succeeded is None:
            states = {call.value if state == call.expected else state for state in states}
    return True


def brute_force(calls: Sequence[Call], initial: Hashable) -> bool:
    certain = [call for call in calls if call.returned is not None]
    uncertain = [call for call in calls if call.returned is None]
    for choice in range(2 ** len(uncertain)):
        took_effect = [call for at, call in enumerate(uncertain) if choice >> at & 1]
        for order in permutations(certain + took_effect):
            in_time = all(
                not (later.returned or NOBODY) < earlier.invoked
                for at, earlier in enumerate(order)
                for later in order[at + 1 :]
            )
            if in_time and explains(order, initial):
                return True
    return False


@st.composite
def small_histories(draw: st.DrawFn) -> list[Call]:
    size = draw(st.integers(1, 6))
    marks = draw(st.permutations(range(2 * size)))
    calls = []
    for number in range(size):
        first, last = sorted(marks[2 * number : 2 * number + 2])
        kind = draw(st.sampled_from(CallKind))
        unknown = kind is not CallKind.GET and draw(st.booleans())
        calls.append(
            Call(
                kind,
                first,
                None if unknown else last,
                draw(st.sampled_from("xyz")),
                draw(st.sampled_from(["x", "y", None])) if kind is CallKind.SWAP else None,
                draw(st.booleans()) if kind is CallKind.SWAP and not unknown else None,
            )
        )
    return calls


@settings(max_examples=700)
@given(small_histories(), st.sampled_from([None, "x", Anything()]))
def test_it_agrees_with_brute_force(calls: list[Call], initial: Hashable) -> None:
    found = misfit(calls, initial=initial, step_limit=100_000)
    assert (found is None) == brute_force(calls, initial)
    assert found is None or found.returned is not None


def put(value: str, invoked: int, returned: int | None) -> Call:
    return Call(CallKind.PUT, invoked, returned, value)


def get(value: str | None, invoked: int, returned: int) -> Call:
    return Call(CallKind.GET, invoked, returned, value)


def test_a_stale_read_is_the_misfit() -> None:
    stale = get("x", 4, 5)
    assert misfit([put("x", 0, 1), put("y", 2, 3), stale], step_limit=100) is stale
    assert misfit([put("x", 0, 1), put("y", 2, 5), get("x", 3, 4)], step_limit=100) is None


def test_an_unknown_write_may_come_late_or_never_but_not_twice() -> None:
    calls = [put("x", 0, 1), put("y", 2, None), get("x", 3, 4), get("y", 5, 6)]
    assert misfit(calls, step_limit=100) is None
    assert misfit(calls[:-1], step_limit=100) is None
    again = get("x", 7, 8)
    assert misfit([*calls, again], step_limit=100) is again


def test_a_write_of_what_is_there_already_may_be_needed_later() -> None:
    calls = [put("x", 0, 1), put("x", 2, 20), put("y", 3, 4), get("y", 5, 6), get("x", 7, 8)]
    assert brute_force(calls, None)
    assert misfit(calls, initial=None, step_limit=100) is None


def test_it_gives_up() -> None:
    calls = [put(str(number), number, None) for number in range(40)]
    calls += [get(str(number), 100, 200 + number) for number in range(40)]
    calls.append(get("never written", 100, 300))
    with pytest.raises(Inconclusive, match="gave up after 2000 steps"):
        misfit(calls, step_limit=2000)


def test_many_unknown_writes_beside_a_failed_swap() -> None:
    """Each may explain the swap, so none can be left out; they must not multiply."""
    calls = [put(str(number), number, None) for number in range(40)]
    for number in range(50, 250, 4):
        calls.append(put("x", number, number + 1))
        calls.append(get("x", number + 2, number + 3))
    swap = Call(CallKind.SWAP, 300, 301, "y", "x", succeeded=False)
    assert misfit([*calls, swap], step_limit=1_000_000) is None
    late = [get("x", 302, 303), get("0", 304, 305), get("x", 306, 307)]
    assert misfit([*calls, swap, *late], step_limit=1_000_000) is late[0]


def test_the_violation_names_the_read_and_the_write_before_it() -> None:
    tape = Tape()
    tape.operation(1.0, "put", key="k", value="old")
    written = tape.operation(2.0, "put", key="k", value="new")
    tape.operation(2.5, "put", key="other", value="o")
    read = tape.operation(3.0, "get", key="k", consistency="linearizable", result={"value": "old"})
    (violation,) = not_linearizable(tape.history(), step_limit=1000)
    assert violation.events == (written - 1, written, read - 1, read)
    assert "get k answered 'old'" in violation.text


@pytest.mark.parametrize(("read", "broken"), [("new", 0), ("old", 1)])
def test_one_read_makes_the_difference(read: str, broken: int) -> None:
    tape = Tape()
    tape.operation(1.0, "put", key="k", value="old")
    tape.operation(2.0, "put", key="k", value="new")
    tape.operation(3.0, "put", "fail", key="k", value="failed")
    tape.operation(3.0, "put", "info", key="k", value="unknown")
    tape.operation(3.0, "get", "info", key="k", consistency="linearizable")
    tape.operation(3.0, "get", key="k", consistency="serializable", result={"value": "old"})
    tape.operation(4.0, "get", key="k", consistency="linearizable", result={"value": read})
    assert len(not_linearizable(tape.history(), step_limit=1000)) == broken


@pytest.mark.parametrize(
    ("expected", "succeeded", "broken"),
    [("x", True, 0), ("y", True, 1), ("y", False, 0), ("x", False, 1)],
)
def test_compare_and_swap(expected: str, succeeded: bool, broken: int) -> None:  # noqa: FBT001
    tape = Tape()
    tape.operation(1.0, "put", key="k", value="x")
    tape.operation(
        2.0, "txn", key="k", expected=expected, value="z", result={"succeeded": succeeded}
    )
    assert len(not_linearizable(tape.history(), step_limit=1000)) == broken


def test_a_key_that_is_wrong_counts_before_one_given_up_on() -> None:
    tape = Tape()
    unanswered = [
        tape.invoke(1.0, number, "put", node="a", key="hard", value=str(number))
        for number in range(20)
    ]
    for number in range(len(unanswered)):
        tape.operation(
            2.0, "get", key="hard", consistency="linearizable", result={"value": str(number)}
        )
    with pytest.raises(Inconclusive, match="hard: gave up"):
        not_linearizable(tape.history(), step_limit=15)
    tape.operation(3.0, "put", key="k", value="x")
    tape.operation(4.0, "get", key="k", consistency="linearizable", result={"value": "y"})
    assert len(not_linearizable(tape.history(), step_limit=15)) == 1


def test_nothing_read_is_no_evidence() -> None:
    tape = Tape()
    tape.operation(1.0, "put", key="k", value="x")
    tape.operation(2.0, "get", key="k", consistency="serializable", result={"value": "x"})
    assert list(registers(tape.history())) == ["k"]
    with pytest.raises(Inconclusive):
        not_linearizable(tape.history(), step_limit=1000)


def simulated(operations: int, clients: int, seed: int) -> list[Call]:
    """A register that is linearizable: every operation takes effect at a moment within itself."""
    draw = random.Random(seed)
    free_s = [0.0] * clients
    spans = []
    for number in range(operations):
        client = min(range(clients), key=free_s.__getitem__)
        start_s = free_s[client] + draw.random() * 0.01
        end_s = start_s + draw.expovariate(50)
        free_s[client] = end_s
        kind = draw.choice((CallKind.PUT, CallKind.GET, CallKind.GET))
        known = kind is CallKind.GET or draw.random() > 0.05
        spans.append((draw.uniform(start_s, end_s), start_s, end_s, kind, known, f"v{number}"))
    marks = sorted({mark for span in spans for mark in span[1:3]})
    at = {mark: number for number, mark in enumerate(marks)}
    value: str | None = None
    calls = []
    for _, start_s, end_s, kind, known, new in sorted(spans):
        value = new if kind is CallKind.PUT else value
        calls.append(Call(kind, at[start_s], at[end_s] if known else None, value))
    return calls


@pytest.mark.parametrize(("operations", "clients"), [(200, 5), (2000, 5), (1000, 20)])
def test_long_histories_are_judged(operations: int, clients: int) -> None:
    calls = simulated(operations, clients, seed=1)
    began = time.perf_counter()
    assert misfit(calls, initial=None, step_limit=1_000_000) is None
    good_s = time.perf_counter() - began
    reads = [number for number, call in enumerate(calls) if call.kind is CallKind.GET]
    at = reads[len(reads) // 2]
    wrong = calls[at]
    calls[at] = Call(wrong.kind, wrong.invoked, wrong.returned, "nobody wrote this")
    began = time.perf_counter()
    assert misfit(calls, initial=None, step_limit=1_000_000) is not None
    bad_s = time.perf_counter() - began
    print(f"{operations} operations, {clients} clients: {good_s:.3f} s, wrong {bad_s:.3f} s")  # noqa: T201


# -- chaoskit.operations: what the search, and other judges, read -------------------------------


def test_an_invocation_is_paired_by_process_and_number() -> None:
    tape = Tape(started=False)
    one = tape.invoke(1.0, 1, "put", node="a", key="k", value="1")
    two = tape.invoke(1.1, 2, "put", node="b", key="k", value="2")
    three = tape.invoke(1.2, 1, "put", node="a", key="k", value="3")
    tape.answer(1.3, three, "fail")
    tape.answer(1.4, one, "ok", revision=7)
    tape.add(1.5, "a", "observe", "ok", op=2)
    found = attempts(tape.history())
    assert [attempt.events for attempt in found] == [(0, 4), (1,), (2, 3)]
    assert [(a.acknowledged, a.failed) for a in found] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    assert (found[0].node, found[0].value["value"], found[0].result["revision"]) == ("a", "1", 7)
    assert found[1].completion is None
    assert found[1].result == found[2].result == {}
    assert two == 1


def test_a_completion_without_its_invocation_is_left_out() -> None:
    tape = Tape(started=False)
    asked = tape.invoke(1.0, 1, "put", node="a", key="k", value="1")
    tape.answer(1.1, asked)
    tape.answer(1.2, asked)
    assert attempts(tape.history(without=[asked])) == ()
    assert attempts(tape.history())[0].events == (0, 1)
    assert attempts(History(())) == ()


@pytest.mark.parametrize(
    ("f", "consistency", "needs_quorum", "shows_progress"),
    [
        ("put", None, True, True),
        ("txn", None, True, True),
        ("get", None, False, True),
        ("publish", None, False, True),
        ("snapshot", None, False, False),
        ("get", "linearizable", True, True),
        ("publish", "linearizable", True, True),
        ("get", "serializable", False, False),
        ("put", "eventual", False, False),
    ],
)
def test_who_needs_a_quorum(
    f: str,
    consistency: str | None,
    needs_quorum: bool,  # noqa: FBT001
    shows_progress: bool,  # noqa: FBT001
) -> None:
    tape = Tape(started=False)
    if consistency is None:
        tape.operation(1.0, f, key="k")
    else:
        tape.operation(1.0, f, key="k", consistency=consistency)
    (attempt,) = attempts(tape.history())
    assert (attempt.needs_quorum, attempt.shows_progress) == (needs_quorum, shows_progress)
