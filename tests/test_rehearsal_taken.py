"""What a step came to: its words for people, and when it has passed."""

from __future__ import annotations

from dataclasses import replace

from chaoskit.rehearsal_taken import Exit, Move, Taken
from tests.test_rehearsal_step import STEP, broken, verdict

GOOD, BAD = Move("1", "2", 1.25), Move("1", "2", None, 2, '"panic: no"')


def test_a_move_says_how_it_went() -> None:
    assert str(GOOD) == "1 -> 2 in 1.2 s"
    assert str(BAD) == '1 -> 2: exit 2, "panic: no"'
    assert str(Move("1", "2", None)) == "1 -> 2: does not serve"
    assert GOOD.held
    assert not BAD.held


def test_a_member_is_back_when_it_serves_and_nobody_ended() -> None:
    taken = Taken(STEP, "a", "", verdict(), GOOD)
    assert taken.passed
    assert taken.back
    assert not replace(taken, move=BAD).back
    gone = Exit("b", 1.0, 2, '"panic"')
    assert not replace(taken, exits=(gone,)).back
    assert str(gone) == 'b exited by itself at 1.0 s, code 2, "panic"'
    assert not replace(taken, verdict=broken()).passed
