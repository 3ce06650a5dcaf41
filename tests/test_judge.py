"""What each finding counts as, and how a run is cut into its tests."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.history import History
from chaoskit.invariant import Invariant, Violation
from chaoskit.judge import Outcome, judge
from chaoskit.verdict import Kind, Verdict
from tests.tape import Tape


def promise(kind: Kind, *events: int) -> Invariant:
    """Broken by each event given."""
    return Invariant(
        "it_holds", kind, lambda _: [Violation(f"broken at {index}", (index,)) for index in events]
    )


def raising(error: Exception) -> Invariant:
    def fail(_: History) -> Sequence[Violation]:
        raise error

    return Invariant("it_holds", Kind.SAFETY, fail)


KEPT = promise(Kind.SAFETY)


def observed() -> Tape:
    tape = Tape()
    for second in range(1, 10):
        tape.observe(float(second), "a")
    return tape


def test_kept() -> None:
    found = judge(observed().history(), [KEPT, KEPT])
    assert found.verdict is Verdict.PASS
    assert found.reasons == ()
    assert [one.outcome for one in found.promises] == [Outcome.KEPT] * 2


@pytest.mark.parametrize("kind", list(Kind))
def test_broken_is_fail_with_every_violation(kind: Kind) -> None:
    found = judge(observed().history(), [KEPT, promise(kind, 4, 6)])
    assert found.verdict is Verdict.FAIL
    (reason,) = found.reasons
    assert (reason.by, reason.kind, reason.events) == ("it_holds", kind, (4, 6))
    assert reason.text == "broken at 4 (and 1 more)"
    assert found.promises[1].outcome is Outcome.BROKEN
    assert [one.events for one in found.promises[1].violations] == [(4,), (6,)]


def test_no_evidence_is_unknown() -> None:
    found = judge(observed().history(), [KEPT, raising(Inconclusive("nothing was read"))])
    assert found.verdict is Verdict.UNKNOWN
    assert found.reasons[0].text == "nothing was read"
    assert found.promises[1].outcome is Outcome.UNKNOWN
    assert found.promises[1].missing == "nothing was read"


@pytest.mark.parametrize("error", [KeyError("revision"), ZeroDivisionError(), RuntimeError("x")])
def test_an_invariant_that_breaks_is_the_harness_failing(error: Exception) -> None:
    found = judge(observed().history(), [raising(error)])
    assert found.verdict is Verdict.INFRA
    assert found.reasons[0].by == "it_holds"
    assert type(error).__name__ in found.reasons[0].text


def test_nothing_observed_is_never_pass() -> None:
    assert judge(Tape().history(), [KEPT]).verdict is Verdict.UNKNOWN
    assert judge(History(()), [KEPT]).verdict is Verdict.UNKNOWN
    assert judge(observed().history(), []).verdict is Verdict.UNKNOWN


def test_what_was_observed_before_the_test_is_nothing_observed() -> None:
    tape = observed()
    tape.scope(10.0, "start")
    tape.scope(11.0, "end")
    found = judge(tape.history(), [KEPT])
    assert found.verdict is Verdict.UNKNOWN
    assert found.counts.samples == 0


def test_missing_evidence_is_invalid() -> None:
    tape = observed()
    tape.fault(10.0, 1, ["a"])
    found = judge(tape.history(), [KEPT, promise(Kind.LIVENESS, 4)])
    assert found.verdict is Verdict.INVALID
    assert judge(tape.history(), [promise(Kind.SAFETY, 4)]).verdict is Verdict.FAIL


@pytest.mark.parametrize(("packets", "verdict"), [(0, Verdict.PASS), (1, Verdict.INFRA)])
def test_a_packet_round_the_proxy_is_infra(packets: int, verdict: Verdict) -> None:
    tape = observed()
    tape.add(10.0, "chaoskit", "bypass", packets=packets)
    assert judge(tape.history(), [KEPT]).verdict is verdict


def stalled(*, over: Sequence[bool]) -> Tape:
    """The machine is measured every 3 s: at 3, 6, 9 s; node a is observed every second."""
    tape = Tape()
    for second in range(1, 10):
        tape.observe(float(second), "a")
        if second % 3 == 0:
            tape.add(
                float(second),
                "chaoskit",
                "machine",
                steal=0.5,
                pressure=0.0,
                proxy_lag_s=0.0,
                over=over[second // 3 - 1],
            )
    return tape


def at(tape: Tape, time_s: float) -> int:
    return next(event.index for event in tape.events if event.time_s == time_s)


@pytest.mark.parametrize(
    ("kind", "over", "verdict"),
    [
        (Kind.LIVENESS, (False, True, False), Verdict.INFRA),
        (Kind.LIVENESS, (False, False, False), Verdict.FAIL),
        (Kind.LIVENESS, (True, False, True), Verdict.FAIL),
        (Kind.SAFETY, (False, True, False), Verdict.FAIL),
    ],
)
def test_a_stalled_machine_excuses_a_missed_deadline_in_its_own_time(
    kind: Kind, over: Sequence[bool], verdict: Verdict
) -> None:
    tape = stalled(over=over)
    found = judge(tape.history(), [promise(kind, at(tape, 4.0))])
    assert found.verdict is verdict
    if verdict is Verdict.INFRA:
        assert "steal 0.5" in found.reasons[0].text
        assert found.promises[0].excused == 1


def test_of_two_missed_deadlines_only_the_stalled_one_is_excused() -> None:
    tape = stalled(over=(False, True, False))
    found = judge(tape.history(), [promise(Kind.LIVENESS, at(tape, 4.0), at(tape, 8.0))])
    assert [one.verdict for one in found.reasons] == [Verdict.INFRA, Verdict.FAIL]
    assert found.reasons[1].events == (at(tape, 8.0),)
    assert found.promises[0].excused == 1


def refusal(tape: Tape) -> Invariant:
    """A promise that is broken by an answer, which no stall gives."""
    answered = Violation("refused", (at(tape, 4.0),), excusable=False)
    return Invariant("it_is_answered", Kind.LIVENESS, lambda _: [answered])


def test_what_a_stall_may_explain_decides_nothing_beside_what_it_does_not_explain() -> None:
    tape = stalled(over=(False, True, False))
    late = promise(Kind.LIVENESS, at(tape, 4.0))
    found = judge(tape.history(), [late, refusal(tape)])
    assert found.verdict is Verdict.FAIL
    assert [one.by for one in found.reasons] == ["it_is_answered"]
    assert [one.excused for one in found.promises] == [1, 0], "it is not forgotten"
    assert judge(tape.history(), [late]).verdict is Verdict.INFRA


def test_the_harness_s_own_failures_and_missing_evidence_outrank_what_is_certain() -> None:
    tape = stalled(over=(False, True, False))
    assert judge(tape.history(), [refusal(tape)]).verdict is Verdict.FAIL

    def breaks(_: History) -> Sequence[Violation]:
        raise ValueError("a mistake of ours")

    broken = Invariant("it_breaks", Kind.LIVENESS, breaks)
    assert judge(tape.history(), [refusal(tape), broken]).verdict is Verdict.INFRA
    tape.add(9.5, "chaoskit", "bypass", packets=1)
    assert judge(tape.history(), [refusal(tape)]).verdict is Verdict.INFRA


def test_a_stall_within_a_long_violation_excuses_it() -> None:
    tape = stalled(over=(False, True, False))
    long = Invariant(
        "it_holds",
        Kind.LIVENESS,
        lambda _: [Violation("for long", (at(tape, 2.0), at(tape, 8.0)))],
    )
    assert judge(tape.history(), [long]).verdict is Verdict.INFRA


@pytest.mark.parametrize(
    ("span_s", "verdict"),
    [
        ((6.5, 8.0), Verdict.FAIL),  # the stall was over before the deadline ran
        ((5.0, 8.0), Verdict.INFRA),
        ((1.0, 2.5), Verdict.FAIL),
    ],
)
def test_only_a_stall_while_the_deadline_ran_excuses_it(
    span_s: tuple[float, float], verdict: Verdict
) -> None:
    tape = stalled(over=(False, True, False))
    late = Violation("late", (at(tape, 2.0), at(tape, 8.0)), span_s=span_s)
    long = Invariant("it_holds", Kind.LIVENESS, lambda _: [late])
    assert judge(tape.history(), [long]).verdict is verdict


def test_a_stall_excuses_no_exit_and_no_refusal() -> None:
    tape = stalled(over=(False, True, False))
    ended = Violation("it ended", (at(tape, 4.0),), excusable=False)
    found = judge(tape.history(), [Invariant("it_holds", Kind.LIVENESS, lambda _: [ended])])
    assert found.verdict is Verdict.FAIL
    assert found.promises[0].excused == 0


def test_counts_and_share() -> None:
    tape = observed()
    tape.operation(10.0, "put", key="k", value="v")
    tape.operation(11.0, "put", "fail", key="k", value="v")
    tape.operation(12.0, "put", "info", key="k", value="v")
    tape.invoke(13.0, 1, "put", node="a", key="k", value="v")
    tape.operation(13.5, "snapshot", node="a", result={"revision": 1, "pairs": {}})
    tape.fault(14.0, 1, ["a"])
    tape.state(15.0, "a", "stopped")
    tape.state(15.0, "b", "stopped")
    tape.evidence(18.0, 1, "heal")
    found = judge(tape.history(), [KEPT])
    counts = found.counts
    assert (counts.acknowledged, counts.failed, counts.unknown) == (1, 1, 2)
    assert (counts.samples, counts.faults, counts.changes) == (9, 1, 0)
    assert found.owed_share == pytest.approx(0.25)
    assert judge(observed().history(), [KEPT]).owed_share is None
