"""A chain that fell behind: in the present within its bound, too late, or never."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from chaoskit.errors import Inconclusive
from chaoskit.invariant import Violation
from chaoskit.verdict import Kind
from suites.incidents.present import return_of, the_chain_reaches_the_present
from tests.beacon_tape import GENESIS_S, NODES, BeaconTape, signature
from tests.test_incident_carrying import heard

PERIOD_S = 3
PROMISE = the_chain_reaches_the_present(catchup_period_s=1)
HEALED_S, WHOLE_S = 36.0, 40.0


def due_s(number: int) -> float:
    return PERIOD_S * (number - 1.0)


def shown(tape: BeaconTape, time_s: float, number: int, late_s: float = 0.1) -> int:
    at = tape.sample(time_s, "n1", number, shown=signature(number))
    detail: dict[str, Any] = tape.events[at].value["detail"]
    detail["late_s"] = late_s
    return at


def halted(*, anew: Sequence[str] = NODES, late_s: float = 0.1) -> BeaconTape:
    """
    Rounds 1 to 5 in time; all links are cut from 14 to 36 s; those `anew` restart until 40 s.

    Round 13 is due at 36 s, and round 14 at 39 s: nine are behind at 40 s.
    """
    tape = BeaconTape()
    tape.info(0.1, period=PERIOD_S, genesis_time=GENESIS_S)
    for number in range(1, 6):
        shown(tape, due_s(number) + 0.3, number, late_s)
    tape.fault(14.0, 1, NODES)
    tape.evidence(HEALED_S, 1, "heal")
    for name in anew:
        tape.state(38.0, name, "running")
    tape.add(39.0, "chaoskit", "change", "invoke", id=2, change="Restart", targets=[*anew])
    tape.add(WHOLE_S, "chaoskit", "change", "ok", id=2)
    return tape


def caught_up(tape: BeaconTape, *, each_s: float, until_s: float, from_s: float = WHOLE_S) -> None:
    """Rounds from 6 on come one every `each_s` seconds."""
    number, time_s = 5, from_s
    while time_s + each_s <= until_s:
        number, time_s = number + 1, time_s + each_s
        if due_s(number) > time_s:
            break
        shown(tape, time_s, number)
    shown(tape, until_s, number)


def judged(tape: BeaconTape) -> Sequence[Violation]:
    return list(PROMISE.judge(tape.history()))


def test_the_bound_is_that_of_the_row() -> None:
    way = return_of(halted().history(), catchup_period_s=1)
    assert (way.from_s, way.behind, way.each_s) == (WHOLE_S, 9, 1.0)
    assert way.limit_s == pytest.approx(WHOLE_S + 1.5 * 9 / (1 - 1 / 3) + 15)
    slow = return_of(halted(late_s=1.5).history(), catchup_period_s=1)
    assert slow.limit_s == pytest.approx(WHOLE_S + 1.5 * 9 * 1.5 / (1 - 1.5 / 3) + 15)


def test_who_was_not_restarted_has_its_back_off_besides() -> None:
    way = return_of(halted(anew=NODES[:3]).history(), catchup_period_s=1)
    assert way.from_s == pytest.approx(HEALED_S + 0.7 * 22)
    assert way.behind == 13, "rounds go on to come due meanwhile"


def test_a_chain_that_closes_the_gap() -> None:
    assert PROMISE.kind is Kind.LIVENESS
    tape = halted()
    caught_up(tape, each_s=1.0, until_s=80.0)
    assert judged(tape) == []


def test_a_chain_that_never_closes_it() -> None:
    tape = halted()
    caught_up(tape, each_s=3.0, until_s=80.0)
    (found,) = judged(tape)
    assert found.text.startswith("the chain was 9 rounds behind at 40.000 s, when all was whole, ")
    assert "one came every 3." in found.text
    assert found.span_s == pytest.approx((WHOLE_S, 75.25))


@pytest.mark.parametrize(
    ("sources", "met", "opened_s", "excusable"),
    [
        (("n1", "n2", "n3"), "http/1", 45.0, False),
        (("n1", "n2"), "http/1", 45.0, True),  # three of five are a threshold
        (("n1", "n2", "n3"), "nothing", 45.0, True),  # nor is silence a refusal
        (("n1", "n2", "n3"), "http/1", 20.0, True),  # while links were cut
    ],
)
def test_a_stall_does_not_refuse_dials(
    sources: Sequence[str], met: str, opened_s: float, *, excusable: bool
) -> None:
    tape = halted()
    for number, source in enumerate(sources):
        heard(
            tape,
            opened_s + 0.1,
            f"{source}>n4",
            "failed",
            number=number,
            mode="plaintext",
            met=met,
            opened_s=opened_s,
        )
    caught_up(tape, each_s=3.0, until_s=80.0)
    (found,) = judged(tape)
    assert found.excusable is excusable


def test_a_chain_that_closes_it_too_late() -> None:
    tape = halted()
    caught_up(tape, each_s=1.0, until_s=110.0, from_s=72.0)
    (found,) = judged(tape)
    assert "none came" not in found.text
    none = halted()
    shown(none, 80.0, 5)
    (found,) = judged(none)
    assert "none came" in found.text


def test_what_is_not_over_is_not_known() -> None:
    tape = halted()
    caught_up(tape, each_s=3.0, until_s=75.0)
    with pytest.raises(Inconclusive, match="and has until 75"):
        judged(tape)


def test_a_chain_that_had_not_fallen_behind_proves_nothing() -> None:
    tape = halted()
    tape.events = [event for event in tape.events if event.f != "heal"]
    with pytest.raises(Inconclusive, match="nothing was healed"):
        judged(tape)
    tape = BeaconTape()
    tape.info(0.1, period=PERIOD_S)
    shown(tape, 3.3, 2)
    tape.fault(4.0, 1, NODES)
    tape.evidence(5.0, 1, "heal")
    shown(tape, 6.3, 3)
    with pytest.raises(Inconclusive, match="had not fallen behind"):
        judged(tape)
    tape = halted()
    for event in tape.events:
        event.value.get("detail", {}).pop("late_s", None)
    with pytest.raises(Inconclusive, match="how long a round takes"):
        judged(tape)
