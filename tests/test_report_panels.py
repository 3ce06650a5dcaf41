"""The panels of a report: the numbers in them, where they lie, and who needs none of it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from chaoskit import report
from chaoskit.history import Event, History
from chaoskit.panel import CatchUp, Contributions, Curve, Level, Panels
from chaoskit.report.catchup import bound_at, catch_up
from chaoskit.report.drawing import LEFT, RIGHT
from chaoskit.report.experiment import Experiment, experiments
from chaoskit.report.faultlanes import courses
from chaoskit.report.panelchart import Panels as Drawn
from chaoskit.report.panelchart import draw_panels, scale_of
from chaoskit.report.panelnumbers import numbers
from chaoskit.report.panels import contributions, plots
from chaoskit.report.shapes import Drawing, Label, Line, mark
from chaoskit.report.shapes import Path as Stroke
from chaoskit.report.source import Source
from chaoskit.report.spans import Mark
from chaoskit.report.timeline import timeline
from suites.beacon.panels import panels as beacon_panels
from suites.beacon.punctuality import catch_up_bound_s
from tests.report_fixture import STARTED_UTC, write_run
from tests.tape import Tape

NODES = ("n1", "n2", "n3", "n4", "n5")
DECLARED = Panels(
    curves=(
        Curve("late", "how late", "detail.late_s", seconds=True, once_per="detail.rounds.default",
              levels=(Level("a period", 1.0),)),
        Curve("term", "elections", "term"),
    ),
    contributions=Contributions("partials", "who took whose", "detail.failing"),
    catch_up=CatchUp("rounds that are due", "rounds", behind="detail.behind", level=2,
                     bound=((0.0, 6.0), (10.0, 16.0), (20.0, 36.0))),
)  # fmt: skip


def _sample(
    tape: Tape, time_s: float, node: str, progress: int, *, behind: int = 0, late_s: float = 0.1,
    failing: tuple[str, ...] = (), term: int = 1,
) -> None:  # fmt: skip
    detail = {"failing": list(failing), "behind": behind, "late_s": late_s}
    tape.add(
        time_s, node, "observe", "ok", ready=True, version="1", role="", term=term,
        progress=progress, digest="", detail=detail | {"rounds": {"default": progress}},
    )  # fmt: skip


def _fault(tape: Tape, time_s: float, number: int, *, healed_s: float | None) -> None:
    tape.add(time_s, "chaoskit", "fault", "invoke", id=number, fault="Isolate", fields={},
             targets=["n1"], may_exit=False)  # fmt: skip
    tape.add(time_s, "chaoskit", "effective", "ok", id=number, probe="p", onset_s=0.0, again=False)
    if healed_s is not None:
        tape.add(healed_s, "chaoskit", "heal", "invoke", id=number)
        tape.add(healed_s, "chaoskit", "heal", "ok", id=number)


def _tape() -> Tape:
    """N1 is cut off from 10 to 20 s, level at 23.5 s; the others make a round a second."""
    tape = Tape(NODES, quorum=3, driven=False)
    _fault(tape, 10.0, 1, healed_s=20.0)
    for half in range(60):
        time_s = half / 2
        for node in NODES:
            alone = node == "n1" and 10 <= time_s < 21
            due = int(time_s)
            progress, behind = due, 0
            if node == "n1" and 10 <= time_s < 24:
                progress = 9 + (max(0, int((time_s - 20.5) / 0.5)) * 2 if time_s >= 20.5 else 0)
                behind = due - progress
            cut_off = 12 <= time_s < 21
            failing = (
                ("n1",) if cut_off and node != "n1" else NODES[1:] if cut_off and alone else ()
            )
            late_s = 12.0 if node == "n1" and 20.5 <= time_s < 24 else 0.05
            _sample(tape, time_s, node, progress, behind=behind, late_s=late_s, failing=failing)
    return tape


def _experiment(tape: Tape, declared: Panels | None = DECLARED) -> Experiment:
    events = sorted(tape.history(), key=lambda event: event.time_s)
    shown = []
    for number, event in enumerate(events):
        value = event.value
        if event.f == "cluster" and declared is not None:
            value = value | {"panels": json.loads(json.dumps(asdict(declared)))}
        shown.append(Event(number, event.time_s, event.process, event.type, event.f, value))
    history = History(shown, started_utc=STARTED_UTC)
    (found,) = experiments(Source(Path(), history, None, None, ()))
    return found


def _drawn(found: Experiment) -> Drawing:
    followed = courses(found)
    parts = Drawn(plots(found, "full"), catch_up(found, followed), contributions(found))
    shown = timeline(found, followed, (), "full")
    drawing = draw_panels(parts, shown, (), started_utc="12:00:00 UTC")
    assert drawing is not None
    return drawing


def _shapes(drawing: Drawing, kind: type, word: str) -> list[Any]:
    return [
        one
        for group in drawing.groups
        for one in group.shapes
        if isinstance(one, kind) and word in one.kind.split()
    ]


# -- rounds, late against due ----------------------------------------------------------------------


def test_a_round_is_one_mark_where_it_was_shown_first() -> None:
    late, term = plots(_experiment(_tape()), "full")
    (n2,) = (one for one in late.series if one.label == "n2")
    (points,) = n2.pieces
    assert points == tuple((float(number), 0.05) for number in range(1, 30))
    (n1,) = (one for one in late.series if one.label == "n1")
    (mine,) = n1.pieces
    slow = [value for at_s, value in mine if 20.5 <= at_s < 24]
    assert set(slow) == {12.0}
    assert not [at_s for at_s, _ in mine if 10 <= at_s < 20.5], "no round was made there"
    assert late.levels == (("a period", 1.0),)
    assert (late.marks, term.marks) == (True, False)
    assert {piece[0][1] for one in term.series for piece in one.pieces} == {1.0}


def test_what_stood_there_at_the_first_look_is_no_round_of_the_test() -> None:
    tape = Tape(NODES, quorum=3)
    _sample(tape, 1.0, "n1", 40, late_s=99.0)
    _sample(tape, 2.0, "n1", 41, late_s=0.2)
    (late, _) = plots(_experiment(tape), "full")
    assert [one.pieces for one in late.series if one.label == "n1"] == [(((2.0, 0.2),),)]


def test_marks_lie_at_their_time_and_later_ones_higher() -> None:
    found = _experiment(_tape())
    (late, _) = plots(found, "full")
    scale = scale_of(late, 10.0, 90.0)
    assert scale.logarithmic
    assert scale.at(12.0) < scale.at(1.0) < scale.at(0.05)
    marks = _shapes(_drawn(found), Stroke, "mark")
    titled = [one for one in marks if one.title.startswith("n2: ") and "at 15.000" in one.title]
    (one,) = titled
    x = float(one.data[1:].split(" ")[0])
    expected = LEFT + (15.0 - found.start_s) / (found.end_s - found.start_s) * (RIGHT - LEFT)
    assert x == pytest.approx(expected, abs=0.2)
    assert "50" in one.title


def test_members_have_marks_of_their_own() -> None:
    drawing = _drawn(_experiment(_tape()))
    kinds = {one.title.split(":")[0]: one.kind for one in _shapes(drawing, Stroke, "mark")}
    assert {kinds[node] for node in NODES} == {f"mark m{number}" for number in range(5)}
    assert len({mark(number, 0.0, 0.0, 3.0) for number in range(6)}) == 6


def test_where_there_are_many_tests_a_member_is_one_path() -> None:
    found = _experiment(_tape())
    shown = timeline(found, (), (), "small")
    parts = Drawn(plots(found, "small"), None, None)
    drawing = draw_panels(parts, shown, (), started_utc="", detail="small")
    assert drawing is not None
    paths = [one for one in _shapes(drawing, Stroke, "mark") if "late of" in one.title]
    assert [one.title for one in paths] == [f"late of {node}" for node in NODES]
    assert paths[1].data.count("M") == 29


# -- who holds whose -------------------------------------------------------------------------------


def test_a_lane_counts_what_each_member_holds() -> None:
    held = contributions(_experiment(_tape()))
    assert held is not None
    lanes = {lane.label: lane for lane in held.lanes}
    assert list(lanes) == [*NODES, "margin as shown"]
    (alone,) = (
        span
        for span in lanes["n1"].spans
        if span.label == "1 of 3" and span.end_s - span.start_s > 1
    )
    assert (alone.kind, alone.start_s, alone.end_s) == ("margin lost", 12.0, 21.0)
    assert "n1 holds those of n1, not of n2 n3 n4 n5" in alone.title
    (four,) = (
        span for span in lanes["n3"].spans if span.label == "4" and span.end_s - span.start_s > 1
    )
    assert (four.kind, four.start_s, four.end_s) == ("margin some", 12.0, 21.0)


def test_the_margin_that_shows_is_that_of_the_best_placed() -> None:
    held = contributions(_experiment(_tape()))
    assert held is not None
    margins = [
        (span.label, span.start_s, span.end_s)
        for span in held.lanes[-1].spans
        if span.end_s - span.start_s > 1
    ]
    assert margins == [("margin 2", 0.0, 12.0), ("margin 1", 12.0, 21.0), ("margin 2", 21.0, 29.5)]


# -- catching up -----------------------------------------------------------------------------------


def test_a_member_is_level_after_its_time_and_at_its_pace() -> None:
    found = _experiment(_tape())
    seen = catch_up(found, courses(found))
    assert seen is not None
    (row,) = seen.rows
    assert (row.member, row.healed_s, row.behind) == ("n1", 20.0, 11.0)
    assert row.level_after_s == 3.5
    assert row.slope == pytest.approx((21 - 9) / 3.0)
    assert row.bound_s == pytest.approx(16.0 + 2.0)
    assert row.standing == "yes"
    (bound,) = seen.bounds
    assert bound.pieces == (((20.0, 11.0), (38.0, 2.0)),)


@pytest.mark.parametrize(
    ("bound", "standing"), [(((0.0, 1.0), (10.0, 2.0)), "no"), ((), "none"), (None, "yes")]
)
def test_a_bound_is_kept_or_not(bound: Any, standing: str) -> None:
    declared = DECLARED
    if bound is not None:
        behind = CatchUp("w", "rounds", behind="detail.behind", level=2, bound=bound)
        declared = Panels(catch_up=behind)
    found = _experiment(_tape(), declared)
    seen = catch_up(found, courses(found))
    assert seen is not None
    assert [row.standing for row in seen.rows] == [standing]


def test_whoever_was_not_level_in_the_end_says_so() -> None:
    tape = Tape(NODES, quorum=3)
    _fault(tape, 1.0, 1, healed_s=5.0)
    for second in range(1, 9):
        _sample(tape, float(second), "n1", 1, behind=second)
    found = _experiment(tape)
    seen = catch_up(found, courses(found))
    assert seen is not None
    (row,) = seen.rows
    assert (row.level_after_s, row.slope, row.seen_s, row.standing) == (None, None, 8.0, "open")


def test_the_last_heal_counts_of_faults_that_overlap() -> None:
    tape = _tape()
    _fault(tape, 12.0, 2, healed_s=20.2)
    _fault(tape, 13.0, 3, healed_s=14.0)
    found = _experiment(tape)
    seen = catch_up(found, courses(found))
    assert seen is not None
    assert [row.healed_s for row in seen.rows] == [20.2]
    never = _tape()
    _fault(never, 12.0, 2, healed_s=None)
    found = _experiment(never)
    assert catch_up(found, courses(found)) is None


def test_without_a_declared_number_it_is_behind_the_farthest() -> None:
    tape = _tape()
    found = _experiment(tape, Panels(catch_up=CatchUp("w", "entries")))
    seen = catch_up(found, courses(found))
    assert seen is not None
    (row,) = seen.rows
    assert (row.member, row.behind) == ("n1", 10.0)  # what n2 had a second before
    assert row.bound_s is None
    bare = _experiment(tape, None)
    again = catch_up(bare, courses(bare))
    assert again is not None
    assert again.rows == seen.rows
    assert again.noun == "progress"


def test_nobody_behind_is_no_table() -> None:
    tape = Tape(NODES, quorum=3)
    _fault(tape, 1.0, 1, healed_s=5.0)
    for second in range(1, 9):
        _sample(tape, float(second), "n1", second, behind=1)
    found = _experiment(tape)
    assert catch_up(found, courses(found)) is None


def test_a_bound_is_straight_between_its_points_and_beyond() -> None:
    points = ((0.0, 6.0), (10.0, 16.0), (20.0, 36.0))
    assert [bound_at(points, one) for one in (0, 5, 10, 15, 30)] == [6, 11, 16, 26, 56]
    assert bound_at((), 5) is None


@pytest.mark.parametrize(("period_s", "catchup_s"), [(1, 0), (3, 1), (30, 15)])
def test_a_beacon_s_bound_is_its_promise_s_own(period_s: int, catchup_s: int) -> None:
    declared = beacon_panels(period_s=period_s, catchup_period_s=catchup_s).catch_up
    assert declared is not None
    for behind in (0, 1, 3, 8, 40, 169, 171, 400, 5000):
        expected = catch_up_bound_s(behind, period_s=period_s, catchup_period_s=catchup_s)
        assert bound_at(declared.bound, behind) == pytest.approx(expected)
    none = beacon_panels(period_s=1, catchup_period_s=1).catch_up
    assert none is not None
    assert none.bound == ()


# -- in numbers ------------------------------------------------------------------------------------


def test_the_pictures_stand_in_numbers_too() -> None:
    found = _experiment(_tape())
    late, term, held = numbers(plots(found, "full"), contributions(found))
    rows = {row[0]: [one.replace("\u202f", " ") for one in row] for row in late.rows}
    assert rows["n2"] == ["n2", "29 of 29", "50 ms", "50 ms", "1.000 s"]
    seen, of = (int(one) for one in rows["n1"][1].split(" of "))
    assert (seen, of) == (21, 29)  # nothing from 10 s on, then two rounds a look: 9 to 21
    assert rows["n1"][3:] == ["12.0 s", "21.000 s"]
    assert term.rows[0] == ("n1", "1", "1", "1", "1")
    told = {row[0]: [one.replace("\u202f", " ") for one in row] for row in held.rows}
    assert told["n1"][1:3] == ["1 of 3", "12.000 s"]
    lost_share = (21 - 12) / 29.5
    assert told["n1"][3] == f"{(1 - lost_share) * 100:.0f} %"
    assert told["margin as shown"][1] == "margin 1"


# -- the page --------------------------------------------------------------------------------------


def test_lines_across_a_chart_lie_at_their_value() -> None:
    found = _experiment(_tape())
    drawing = _drawn(found)
    (level,) = _shapes(drawing, Line, "level")
    assert level.title.startswith("a period: 1.00")
    (bound,) = _shapes(drawing, Stroke, "bound")
    assert "level by 38.000" in bound.title
    (x1, y1), (x2, y2) = (one.split() for one in bound.data[1:].split("L"))
    assert float(x1) == pytest.approx(LEFT + 20 / 29.5 * (RIGHT - LEFT), abs=0.1)
    assert float(x2) == RIGHT
    (behind,) = (one for one in _shapes(drawing, Stroke, "line") if "behind of n2" in one.title)
    level_y = float(behind.data.split()[-1])  # 0 behind; the bound ends at 2, after the test does
    at_end = 11 - 9 * 9.5 / 18
    assert (level_y - float(y2)) / (level_y - float(y1)) == pytest.approx(at_end / 11, abs=0.01)
    assert [one.text for one in _shapes(drawing, Label, "heading")] == [
        "late", "term", "rounds behind", "partials",
    ]  # fmt: skip


def test_a_violation_crosses_every_chart(tmp_path: Path) -> None:
    found = _experiment(_tape())
    shown = timeline(found, courses(found), (), "full")
    broken = replace(shown, violations=(Mark(15.0, "violation", "no fork at 15 s"),))
    parts = Drawn(plots(found, "full"), None, contributions(found))
    drawing = draw_panels(parts, broken, (), started_utc="")
    assert drawing is not None
    (line,) = _shapes(drawing, Line, "violation")
    share = (15.0 - found.start_s) / (found.end_s - found.start_s)
    assert line.x1 == line.x2 == pytest.approx(LEFT + share * (RIGHT - LEFT), abs=0.1)
    assert line.y2 - line.y1 > 0.9 * (drawing.height - 26)
    write_run(tmp_path, ["lost_write"])
    lines = re.findall(r'<line class="violation" x1="([\d.]+)"', report.render(tmp_path))
    assert len(lines) == 2, "the timeline and the load"
    assert len(set(lines)) == 1


def test_a_line_of_how_far_behind_breaks_where_nobody_answered() -> None:
    tape = _tape()
    tape.add(21.2, "n1", "observe", "fail", cause="timed_out")
    found = _experiment(tape)
    seen = catch_up(found, courses(found))
    assert seen is not None
    (n1,) = (one for one in seen.behind if one.label == "n1")
    first, second = n1.pieces
    assert (first[-1][0], second[0][0]) == (21.0, 21.5)


def test_a_system_that_declares_nothing_has_no_panels(tmp_path: Path) -> None:
    write_run(tmp_path, ["storage"])
    assert "What the members showed" not in report.render(tmp_path)


def test_declarations_of_any_shape_render(tmp_path: Path) -> None:
    odd: list[Any] = [None, 3, [], {}, {"curves": [None, {"reads": 4, "levels": [{"value": "x"}]}]}]
    odd += [
        {"curves": [{"reads": "detail..x", "once_per": "term", "title": "<b>"}]},
        {"curves": [{"reads": "progress", "seconds": True, "title": "<b>x</b>", "levels": 7}]},
        {
            "contributions": {"refused": 9},
            "catch_up": {"bound": [[1, 2], [0, 1], "x"], "level": "y"},
        },
        {"contributions": {"refused": "role"}, "catch_up": {"behind": "role", "noun": ["<b>"]}},
    ]
    write_run(tmp_path, ["partition"])
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    for declared in odd:
        shown = []
        for line in lines:
            event = json.loads(line)
            if event.get("f") == "cluster":
                event["value"]["panels"] = declared
            shown.append(json.dumps(event))
        (tmp_path / "history.jsonl").write_text("\n".join(shown) + "\n")
        html = report.render(tmp_path)
        assert "<b>x</b>" not in html
        assert "0 \u2192 214" in html
