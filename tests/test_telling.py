"""What happened to a cluster, in phrases: each from its events, and none without them."""

from __future__ import annotations

import pytest

from chaoskit.telling import Course, courses, duration
from tests.tape import Tape


def tape() -> Tape:
    """A leader a is cut off at 2 s and back at 6 s; b leads from 3.6 s; all level at 6.5 s."""
    made = Tape()
    for node, role in (("a", "leader"), ("b", "follower"), ("c", "follower")):
        made.observe(1.0, node, role=role, term=1)
    made.fault(2.0, 7, ["a"], name="Isolate")
    made.evidence(2.011, 7, "effective", probe="p", onset_s=0.011, detail="", again=False)
    made.evidence(2.020, 7, "effective", probe="q", onset_s=0.02, detail="", again=False)
    made.observe(3.6, "b", role="leader", term=2)
    made.evidence(5.9, 7, "felt", meter="packets refused", before=3, after=217)
    made.evidence(5.9, 7, "felt", "fail", meter="resets", before=3, after=3)
    made.evidence(5.95, 7, "effective", probe="p", onset_s=3.9, detail="", again=True)
    made.evidence(6.0, 7, "heal", "invoke")
    made.evidence(6.0, 7, "heal")
    made.observe(6.1, "b", role="leader", term=2)
    made.observe(6.2, "c", term=2)
    made.observe(6.3, "a", term=1)
    made.observe(6.5, "a", term=2)
    return made


def course(made: Tape) -> Course:
    (one,) = courses(made.history())
    return one


@pytest.mark.parametrize(
    ("value_s", "words"), [(0.0114, "11 ms"), (0.9994, "999 ms"), (1.0, "1.0 s"), (1.64, "1.6 s")]
)
def test_durations(value_s: float, words: str) -> None:
    assert duration(value_s) == words


def test_the_course_of_a_fault() -> None:
    told = course(tape())
    assert told.number == 7
    assert told.effective() == "effective after 20 ms"
    assert told.felt() == "felt: 214 packets refused"
    assert told.new_leader() == "new leader b after 1.6 s"
    assert told.healed() == "healed 4.0 s later"
    assert told.level_again() == "level 500 ms after that"


def without(*kinds: str) -> Course:
    made = tape()
    made.events = [event for event in made.events if event.f not in kinds]
    return course(made)


def test_what_has_no_evidence_is_not_said() -> None:
    assert without("effective").effective() == ""
    assert without("felt").felt() == "not felt"
    assert without("heal").healed() == "never healed"
    assert without("heal").level_again() == ""
    assert without("observe").new_leader() == ""
    assert without("observe").level_again() == "not level since"


def test_a_leader_that_stays() -> None:
    first = Tape()
    first.observe(1.0, "a", role="leader", term=1)
    first.fault(2.0, 1, ["b"])
    first.observe(3.0, "a", role="leader", term=1)
    assert course(first).new_leader() == "leader a stays"


def test_nodes_are_not_level_while_one_does_not_answer() -> None:
    made = tape()
    made.no_answer(6.6, "c")
    made.events = [event for event in made.events if event.time_s != 6.5]
    assert course(made).level_again() == "not level since"


def test_what_went_on_while_it_was_in_force_is_counted_by_its_step() -> None:
    made = Tape()
    for time_s, progress in ((1.0, 11), (1.5, 12), (3.0, 13), (5.0, 15), (7.0, 17)):
        made.observe(time_s, "a", progress=progress)
    made.observe(5.5, "b", progress=12)  # who is behind does not count
    made.fault(2.0, 7, ["b"])
    made.evidence(6.0, 7, "heal", "invoke")
    made.evidence(6.0, 7, "heal")
    assert course(made).went_on("round") == "rounds 13 to 15 meanwhile"
    assert course(made).new_leader() == ""


def test_nothing_went_on() -> None:
    made = Tape()
    made.observe(1.0, "a", progress=12)
    made.fault(2.0, 7, ["b"])
    assert course(made).went_on("round") == ""
    made.observe(3.0, "a", progress=12)
    assert course(made).went_on("round") == "no round after 12"


def test_the_course_of_a_change() -> None:
    made = Tape()
    made.observe(1.0, "a", progress=4)
    made.add(
        2.0, "chaoskit", "change", "invoke", id=8, change="StaleKeys", fields={}, targets=["a"]
    )
    made.add(3.0, "chaoskit", "change", "ok", id=8)
    assert course(made).effective() == "not witnessed"
    made.evidence(3.2, 8, "witnessed", probe="p", after_s=0.9, detail="")
    made.evidence(3.2, 8, "witnessed", probe="q", after_s=1.2, detail="")
    for node in ("b", "c", "a"):
        made.observe(3.5, node, progress=5)
    made.observe(4.5, "a", progress=6)
    told = course(made)
    assert told.effective() == "witnessed after 1.2 s"
    assert (told.felt(), told.healed()) == ("", "")
    assert told.level_again() == "level 500 ms after it"
    assert told.went_on("round") == "rounds 5 to 6 since"


def test_every_fault_and_every_change_has_its_course() -> None:
    made = tape()
    made.add(8.0, "chaoskit", "change", "invoke", id=8, change="Upgrade", fields={}, targets=["c"])
    made.fault(9.0, 9, ["b"], name="Kill")
    assert [one.number for one in courses(made.history())] == [7, 8, 9]
    assert courses(made.history())[2].felt() == "not felt"
