"""What a rehearsal tells people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaoskit.rehearsal_plan import RehearsalStep, StepKind, make_plan
from chaoskit.rehearsal_route import RehearsalRequest
from chaoskit.rehearsal_taken import Exit, Move, Taken
from chaoskit.rehearsal_words import (
    Controlled,
    broken,
    decision,
    failure_lines,
    findings,
    not_tried,
    reversible,
    runbook,
    step_line,
)
from chaoskit.verdict import Kind, Reason, Verdict
from tests.test_rehearsal_plan import system
from tests.test_rehearsal_step import broken as broken_step
from tests.test_rehearsal_step import verdict, way

PLAN = make_plan(system(), RehearsalRequest("1.3.9", "1.4.7"), seed="51c2")
HELD = (way("at once", 0.4, held=True), way("after 12 s", 12.0, held=True))
CLOSED = (HELD[0], way("after 12 s", 12.0, held=False))


def upgraded(number: int, member: str, **more: object) -> Taken:
    step = RehearsalStep(number, StepKind.UPGRADE, "1.3.9", "1.4.7", turn=number - 1)
    taken = Taken(step, member, "follower", verdict(), Move("1.3.9", "1.4.7", 1.0), None, HELD)
    return replace(taken, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "said"), [(Verdict.PASS, "GO"), (Verdict.FAIL, "NO-GO"), (Verdict.INFRA, "INFRA")]
)
def test_the_decision_is_go_no_go_or_why_neither(word: Verdict, said: str) -> None:
    assert decision(word) == said


def test_how_long_a_step_can_be_undone_is_said_as_far_as_it_was_tried() -> None:
    assert reversible(HELD) == "reversible (0.4 s, 12.0 s after it)"
    assert reversible(CLOSED).startswith("reversible 0.4 s after it, NO WAY BACK 12.0 s after it")
    assert "exit 1" in reversible(CLOSED)
    assert reversible(CLOSED[1:]).startswith("NO WAY BACK")


def test_a_line_a_step() -> None:
    line = step_line(upgraded(2, "s1"))
    assert line.startswith(" 2")
    for part in ("s1 (follower)", "1.3.9 -> 1.4.7 in 1.0 s", "ok", "reversible"):
        assert part in line
    assert "FAIL" in step_line(upgraded(2, "s1", verdict=broken_step()))


def test_a_way_back_that_closes_is_a_finding_with_what_changed_meanwhile() -> None:
    taken = [upgraded(2, "s1"), upgraded(3, "s2", ways_back=CLOSED)]
    (found,) = findings(taken, {3: "level 1 -> 2 on all members"})
    assert "step 3, s2" in found
    assert found.endswith("meanwhile level 1 -> 2 on all members")
    assert findings(taken[:1], {}) == []


def test_what_was_not_tried_is_listed() -> None:
    found = not_tried(PLAN, [upgraded(2, "s1", verdict=broken_step())], system())
    assert any(text.startswith("steps 1, 3, 4, 5 of the plan") for text in found)
    assert any("1.4.2" in text for text in found)
    whole = [upgraded(step.number, "s1") for step in PLAN.steps]
    assert not any(text.startswith("steps") for text in not_tried(PLAN, whole, system()))


def test_a_failure_names_step_member_versions_exits_and_the_way_back() -> None:
    bad = Move("1.3.9", "1.4.7", None, 2, "panic: no")
    gone = Exit("s2", 4.0, 2, "panic: what is that")
    failed = upgraded(2, "s1", verdict=broken_step(), move=bad, exits=(gone,), ways_back=())
    back = Taken(failed.step, "s1", "", verdict(), Move("1.4.7", "1.3.9", 0.5))
    whole = failed.verdict.reasons
    text = "\n".join(failure_lines(failed, back, "runs/x", whole=whole))
    for part in (
        "NO-GO  step 2: s1 (follower) 1.3.9 -> 1.4.7: exit 2",
        "panic: no",
        "s2 exited by itself at 4.0 s, code 2",
        "no_unexpected_exit",
        "way back holds: s1 1.4.7 -> 1.3.9 in 0.5 s",
        "runs/x/nodes/s1/log",
    ):
        assert part in text
    lost = replace(back, exits=(gone,))
    assert "way back DOES NOT HOLD" in "\n".join(failure_lines(failed, lost, "runs/x", whole=whole))


def fails(by: str) -> Reason:
    return Reason(Verdict.FAIL, by, "it did not", (1,), Kind.LIVENESS)


def test_every_promise_that_a_step_broke_is_named_once() -> None:
    unknown = Reason(Verdict.UNKNOWN, "never_tried", "no evidence")
    reasons = (fails("links_heal"), fails("links_heal"), unknown, fails("keys_load"))
    failed = upgraded(2, "s1", verdict=verdict(*reasons))
    text = "\n".join(failure_lines(failed, None, "runs/x", whole=reasons))
    assert text.count("links_heal: it did not") == 1
    assert text.count("keys_load: it did not") == 1
    assert "never_tried" not in text
    assert broken(reasons) == ("links_heal", "keys_load")


def test_a_control_tells_what_the_vintage_had_to_do_with_it() -> None:
    (line,) = Controlled("keys as 1 leaves them", Verdict.PASS, None, ()).lines()
    assert line == "control    GO with keys as 1 leaves them: the failure is due to that alone"
    failed = upgraded(2, "s1", verdict=verdict(fails("links_heal")))
    again = Controlled("keys as 1 leaves them", Verdict.FAIL, failed, (fails("links_heal"),))
    first, second = again.lines()
    assert "NO-GO too" in first
    assert first.endswith("step 2, s1 (follower) 1.3.9 -> 1.4.7")
    assert second.strip() == "links_heal: it did not"
    begun = replace(failed, step=RehearsalStep(1, StepKind.START, "1.3.9", "1.3.9"), member="")
    first, _ = replace(again, failed=begun).lines()
    assert first.endswith("step 1, all members at 1.3.9")
    slow = Reason(Verdict.INFRA, "links_heal", "the machine stalled")
    first, second = Controlled("keys as 1 leaves them", Verdict.INFRA, failed, (slow,)).lines()
    assert "INFRA with keys" in first
    assert second.strip() == "links_heal: the machine stalled"


def test_the_word_is_the_rehearsal_s_and_not_the_step_s_alone() -> None:
    slow = Reason(Verdict.INFRA, "links_heal", "the machine stalled")
    gone = Reason(Verdict.FAIL, "no_unexpected_exit", "s1 exited", (1,), Kind.SAFETY)
    failed = upgraded(2, "s1", verdict=verdict(slow))
    first, second, *_ = failure_lines(failed, None, "runs/x", whole=(slow, gone))
    assert first.startswith("NO-GO  step 2")
    assert second.strip() == "no_unexpected_exit: s1 exited"


def test_a_member_without_a_role_has_none_in_its_line() -> None:
    assert "s1  1.3.9 -> 1.4.7" in step_line(upgraded(2, "s1", role=""))
    assert "()" not in "\n".join(failure_lines(upgraded(2, "s1", role=""), None, "x", whole=()))


def test_the_runbook_names_what_an_operator_changes() -> None:
    plan = replace(PLAN, changes=(("leave out --old",),), driven=False)
    text = runbook(plan, [upgraded(2, "s1")], system(), verdict=Verdict.PASS, found=[], untried=[])
    assert "on the same data, and start it:\n   * leave out --old\n" in text
    assert "same arguments" not in text
    assert "it must move on" in text


def test_the_runbook_has_a_step_a_member_and_warns_before_the_way_back_closes() -> None:
    taken = [upgraded(2, "s1"), upgraded(3, "s2", ways_back=CLOSED)]
    text = runbook(PLAN, taken, system(), verdict=Verdict.PASS, found=["f"], untried=["u"])
    assert "### 1. s1" in text
    assert "### 2. s2" in text
    assert "snapshot before step 2" in text
    assert "Do not run this" not in text
    assert "* u" in text
    bad = runbook(PLAN, taken, system(), verdict=Verdict.FAIL, found=[], untried=[])
    assert "Do not run this" in bad


def test_the_runbook_says_what_became_of_who_was_put_back_after_a_step_that_failed() -> None:
    gone = upgraded(2, "s1", move=Move("1.3.9", "1.4.7", None, 1, '"no"'), ways_back=())

    def told(put_back: Taken | None) -> str:
        found = ["control    NO-GO too", "           a_promise: broken"]
        return runbook(
            PLAN,
            [gone],
            system(),
            verdict=Verdict.FAIL,
            found=found,
            untried=[],
            put_back=put_back,
        )

    held = replace(gone, move=Move("1.4.7", "1.3.9", 1.7))
    lost = replace(gone, move=Move("1.4.7", "1.3.9", None, 2, '"panic"'))
    assert "* control NO-GO too\n  * a_promise: broken\n" in told(None)
    assert "start it. Here: not tried.\n" in told(None)
    assert "Here: held, 1.4.7 -> 1.3.9 in 1.7 s.\n" in told(held)
    assert 'Here: DID NOT HOLD, 1.4.7 -> 1.3.9: exit 2, "panic".\n' in told(lost)
    elsewhere = replace(held, step=upgraded(3, "s2").step)
    assert "start it. Here: not tried.\n" in told(elsewhere)
