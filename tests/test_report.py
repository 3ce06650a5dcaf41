"""The report: what it shows, that it escapes, that it always renders, and where things lie."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chaoskit import report
from chaoskit.history import Event, History
from chaoskit.report.axis import Scale, decade_ticks, round_ticks
from chaoskit.report.drawing import LEFT, RIGHT, draw_timeline
from chaoskit.report.experiment import NOT_JUDGED, Experiment, experiments
from chaoskit.report.faultlanes import courses
from chaoskit.report.load import load, quantile
from chaoskit.report.margin import standing_of
from chaoskit.report.page import _counted, page
from chaoskit.report.shapes import Box, Label, Line
from chaoskit.report.source import load as read_folder
from chaoskit.report.spans import Lane, Span, clipped, joined, thinned
from chaoskit.report.timeline import Timeline, timeline
from chaoskit.report.wording import count, duration, share
from tests.report_fixture import SCENARIOS, write_run

VOID = {"meta", "br", "link", "input"}


class _Document(HTMLParser):
    """Checks that tags are closed in order; collects what a reader would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and "script" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words).replace("\u202f", " "))

    def count(self, tag: str, **wanted: str) -> int:
        return sum(
            name == tag and all((attrs.get(key) or "") == value for key, value in wanted.items())
            for name, attrs in self.tags
        )


def _rendered(folder: Path, *scenarios: str, finished: bool = True) -> _Document:
    write_run(folder, scenarios, finished=finished)
    return _Document(report.render(folder))


def _experiment(folder: Path, scenario: str) -> tuple[Experiment, Timeline]:
    write_run(folder, [scenario])
    source = read_folder(folder)
    (found,) = experiments(source)
    standing = standing_of(source.history)
    assert standing is not None
    return found, timeline(found, courses(found), standing, "full")


def _lane(shown: Timeline, label: str) -> Lane:
    (lane,) = (lane for lane in shown.lanes if lane.label == label)
    return lane


# -- what it shows ---------------------------------------------------------------------------------


def test_the_seven_parts_are_there(tmp_path: Path) -> None:
    text = _rendered(tmp_path / "r1", "lost_write").text
    assert "FAIL test_a_minority_leader_loses_nothing[3.4.23] on etcd 3.4.23 broke" in text
    assert "repeat chaoskit demo etcd --seed 7f3a" in text
    for part in ("Promises", "Timeline", "Evidence", "Load", "Nodes", "Plan, seed and host"):
        assert part in text
    assert "✗ broken acknowledged writes survive" in text
    assert "client 7 put ok" in text  # the violation's first events, inline
    assert "0 → 214 packets refused, e2 → e1" in text
    assert "sha256:81c0a9d5be1f" in text
    assert "round trip 0.3 ms" in text
    assert "In 92 % of the time of faults and recovery" in text


def test_what_was_done_again_and_again_is_told_once() -> None:
    labels = ["Upgrade n1", "Pause n2", "Upgrade n1", "Upgrade n1"]
    assert _counted(labels) == ("Upgrade n1 × 3", "Pause n2")  # noqa: RUF001 - for people
    assert _counted([]) == ()


def test_the_logs_around_a_violation_are_merged_and_cut_to_five_seconds(tmp_path: Path) -> None:
    write_run(tmp_path, ["lost_write"])
    (test,) = page(read_folder(tmp_path)).tests
    assert test.excerpt is not None
    lines = (*test.excerpt.before, *test.excerpt.after)
    assert {line.node for line in lines} == {"e2"}
    assert all(abs(line.time_s - test.excerpt.at_s) <= 5.0 for line in lines)
    assert all(line.time_s <= test.excerpt.at_s for line in test.excerpt.before)
    logged = (tmp_path / "nodes" / "e2" / "log").read_text().splitlines()
    times = [float(line.split(" ", 1)[0]) for line in logged]
    (at_s, end_s) = (test.excerpt.at_s, read_folder(tmp_path).history.end_s)
    assert len(lines) == sum(at_s - 5 <= one <= min(at_s + 5, end_s) for one in times) > 3


def test_an_unfelt_fault_and_missing_evidence_say_so(tmp_path: Path) -> None:
    text = _rendered(tmp_path, "unfelt").text
    assert "INVALID" in text
    assert "NOT felt: stood still at 3" in text
    assert "no write was acknowledged in this window" in text
    assert "what was missing was not recorded" in text  # an unknown promise without a reason
    assert "There was no load." in text


@pytest.mark.parametrize("level", ["panic", "info"])
def test_an_exit_by_itself_shows_its_last_words(tmp_path: Path, level: str) -> None:
    write_run(tmp_path, ["upgrade"])
    log = tmp_path / "nodes" / "e3" / "log"
    log.write_text(log.read_text().replace('"panic"', f'"{level}"'))
    text = _Document(report.render(tmp_path)).text
    assert "code 1 BY ITSELF at" in text
    assert "cluster cannot be downgraded" in text
    assert "3.4.23 → 3.5.16" in text
    assert "spare-member test: one put with the other follower paused" in text


def test_remarks_and_unsent_operations_are_shown(tmp_path: Path) -> None:
    text = _rendered(tmp_path, "crowded").text
    assert "the old leader answered once more" in text
    assert "the machine was over its limit: steal=0.31 pressure=0.8 proxy_lag_s=0.12" in text
    assert text.count("over its limit:") == 1
    assert "the machine is over its limits" in text  # in the log
    assert "1 further operation not sent" in text


def test_a_run_without_tests_is_shown_whole(tmp_path: Path) -> None:
    write_run(tmp_path, ["tls"])
    history = tmp_path / "history.jsonl"
    lines = history.read_text().splitlines(keepends=True)
    history.write_text("".join(line for line in lines if '"scope"' not in line))
    (tmp_path / "verdicts.json").unlink()
    text = _Document(report.render(tmp_path)).text
    assert "NOT JUDGED the whole run on etcd 3.5.16 was not judged" in text
    assert "0 → 17" in text


def test_a_run_of_many_tests_has_an_index_and_opens_what_failed(tmp_path: Path) -> None:
    document = _rendered(tmp_path, *(["partition"] * 57), "lost_write", "unfelt", "tls")
    assert "60 tests on etcd 3.4.23, 3.5.16: 1 FAIL, 1 INVALID, 58 PASS." in document.text
    sections = [attrs for tag, attrs in document.tags if attrs.get("class") == "test"]
    assert len(sections) == 60
    assert [attrs["id"] for attrs in sections if "open" in attrs] == ["t58", "t59"]
    links = [attrs["href"] for tag, attrs in document.tags if tag == "a"]
    assert links == [f"#t{number}" for number in range(1, 61)]


def test_a_usual_run_stays_small_and_loads_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition", "tls", "storage"])
    html = report.render(tmp_path)
    assert len(html.encode()) < 300_000
    assert not re.search(r"https?:|src\s*=|<link|@import|url\((?!#)", html)


def test_every_mark_says_what_it_is_without_colour_or_script(tmp_path: Path) -> None:
    document = _rendered(tmp_path, "partition")
    assert document.count("svg", role="img") == 2
    assert all(attrs.get("aria-label") for tag, attrs in document.tags if tag == "g")
    assert document.count("title") > 50
    assert "e2 → e1: cut, cut" in document.text
    assert "e2 says it leads in term 2" in document.text


# -- what it survives ------------------------------------------------------------------------------


def test_hostile_text_is_escaped_everywhere(tmp_path: Path) -> None:
    hostile = "<script>alert('x')</script>\"'&<img src=x onerror=alert(1)>"
    write_run(tmp_path, ["lost_write"])
    for name in ("history.jsonl", "verdicts.json", "plan.json"):
        text = (tmp_path / name).read_text()
        for word in ("refused", "Partition", "acknowledged_writes_survive", "3.4.23", "7f3a", "e2"):
            text = text.replace(word, f"{word}{json.dumps(hostile)[1:-1]}")
        (tmp_path / name).write_text(text)
    log = tmp_path / "nodes" / "e2" / "log"
    log.write_text(log.read_text().replace("unhealthy", hostile))
    html = report.render(tmp_path)
    document = _Document(html)
    assert document.count("script") == 1
    assert document.count("img") == 0
    assert document.text.count("<img src=x onerror=alert(1)>") > 20


def test_an_unfinished_run_is_shown_as_far_as_it_went(tmp_path: Path) -> None:
    text = _rendered(tmp_path, "partition", "tls", finished=False).text
    assert NOT_JUDGED in text
    assert "no verdicts.json" in text
    assert "This test has no end in the history" in text
    assert "0 → 17" in text


def test_a_run_cut_short_shows_judged_tests_and_the_open_one(tmp_path: Path) -> None:
    verdicts = write_run(tmp_path, ["partition", "tls"])
    verdicts["finished"], verdicts["verdict"] = False, "UNKNOWN"
    verdicts["tests"] = verdicts["tests"][:1]
    (tmp_path / "verdicts.json").write_text(json.dumps(verdicts))
    shown = page(read_folder(tmp_path))
    assert [one.verdict for one in shown.tests] == ["PASS", NOT_JUDGED]
    assert shown.verdict == "UNKNOWN"
    assert any("cut short" in note for note in shown.notes)


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("verdicts.json", "{", "verdicts.json cannot be read"),
        ("verdicts.json", "[1]", "verdicts.json holds no JSON object"),
        ("verdicts.json", '{"schema": 9}', "verdicts.json has schema 9"),
        ("plan.json", "nonsense", "plan.json cannot be read"),
        ("history.jsonl", "", "found an empty file"),
        ("history.jsonl", '{"schema":1}\nnonsense\n', "line 1 is no history header"),
    ],
)
def test_a_corrupt_file_gives_a_note(tmp_path: Path, name: str, content: str, note: str) -> None:
    write_run(tmp_path, ["partition"])
    (tmp_path / name).write_text(content)
    assert note in _Document(report.render(tmp_path)).text


def test_a_corrupt_line_costs_that_line_alone(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition"])
    lines = (tmp_path / "history.jsonl").read_text().splitlines(keepends=True)
    lines[100] = '{"index": 99, "time_s": "never"\n'
    (tmp_path / "history.jsonl").write_text("".join(lines) + '{"index": 9')
    text = _Document(report.render(tmp_path)).text
    assert "line 101 is no event" in text
    assert f"2 lines left out, {len(lines) - 2} events read" in text
    assert "0 → 214" in text


def test_events_at_impossible_times_are_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition"])
    history = tmp_path / "history.jsonl"
    lines = history.read_text().splitlines()
    for number, time_s in ((50, 1e300), (60, -4.0)):
        lines[number] = json.dumps({**json.loads(lines[number]), "time_s": time_s})
    history.write_text("".join(f"{line}\n" for line in lines))
    text = _Document(report.render(tmp_path)).text
    assert "2 events at impossible times left out" in text
    assert "0 → 214" in text


def test_an_empty_folder_has_a_report(tmp_path: Path) -> None:
    text = _Document(report.render(tmp_path)).text
    assert "NOT JUDGED Nothing was recorded on the system." in text
    assert "no history at" in text


def test_events_of_any_shape_render(tmp_path: Path) -> None:
    write_run(tmp_path, ["tls", "upgrade"])
    header, *events = [
        json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()
    ]
    verdicts = json.loads((tmp_path / "verdicts.json").read_text())
    random = Random(11)
    odd: list[Any] = [None, -1, 1e300, True, "", "\ud800", [], [None, {}], {"a": {"b": [1]}}, {}]

    def spoil(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: spoil(one) for key, one in value.items() if random.random() > 0.05}
        return random.choice(odd) if random.random() < 0.25 else value

    for _ in range(12):
        spoilt = [{**event, "value": spoil(event["value"])} for event in events]
        lines = [header, *spoilt]
        (tmp_path / "history.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
        tests = [spoil(test) for test in verdicts["tests"]]
        tests[0]["reasons"] = [spoil({"verdict": "FAIL", "by": "x", "text": "y", "events": [5]})]
        (tmp_path / "verdicts.json").write_text(
            json.dumps({**spoil({**verdicts, "tests": []}), "tests": tests})
        )
        _Document(report.write(tmp_path).read_text())


# -- where things lie ------------------------------------------------------------------------------


def test_a_fault_lies_from_effective_to_healed(tmp_path: Path) -> None:
    found, shown = _experiment(tmp_path, "partition")
    (injected,) = found.events.of("fault")
    healed = found.events.of("heal")[-1]
    lead, band = _lane(shown, "Partition e2").spans
    assert (lead.start_s, lead.end_s) == (injected.time_s, injected.time_s + 0.011)
    assert (band.kind, band.start_s, band.end_s) == ("fault", lead.end_s, healed.time_s)
    assert band.label.endswith("felt: 214 packets refused, e2 → e1")
    kinds = [mark.kind for mark in _lane(shown, "Partition e2").marks]
    assert kinds == ["onset"] * 4 + ["felt"] * 2 + ["healed"]


def test_a_fault_without_proof_is_not_drawn_as_one(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition"])
    history = (tmp_path / "history.jsonl").read_text()
    blind = [line for line in history.splitlines(keepends=True) if '"effective"' not in line]
    (tmp_path / "history.jsonl").write_text("".join(blind))
    source = read_folder(tmp_path)
    (found,) = experiments(source)
    (lane,) = (one for one in timeline(found, courses(found), (), "full").lanes if one.note)
    assert [span.kind for span in lane.spans] == ["unproven"]
    assert "no probe looked" in report.render(tmp_path)


def test_node_lanes_show_states_releases_and_leadership(tmp_path: Path) -> None:
    _, shown = _experiment(tmp_path, "upgrade")
    lane = _lane(shown, "e2")
    assert [(span.kind, span.label) for span in lane.spans] == [
        ("running", "3.4.23"),
        ("exited", "exit 143"),
        ("starting", ""),
        ("running", "3.5.16"),
    ]
    assert [span.kind for span in lane.under] == ["leader", "silent"]
    assert [mark.kind for mark in _lane(shown, "e3").marks] == ["exit"]
    assert lane.marks == ()


def test_links_lie_from_cut_to_open_and_many_links_share_a_lane(tmp_path: Path) -> None:
    found, shown = _experiment(tmp_path, "partition")
    cuts = [event.time_s for event in found.events.of("link")]
    links = [lane for lane in shown.lanes if lane.kind == "link"]
    assert [lane.label for lane in links] == ["e1 → e2", "e2 → e1", "e2 → e3", "e3 → e2"]
    assert {(span.start_s, span.end_s) for lane in links for span in lane.spans} == {
        (min(cuts), max(cuts))
    }
    events = list(found.events)
    for number in range(20):
        value = {"source": f"a{number}", "target": "e1", "cut": True, "shape": "refused"}
        events.append(Event(len(events), min(cuts), "chaoskit", "info", "link", value))
    many = History(sorted(events, key=lambda event: event.time_s))
    crowded = Experiment(
        **{name: getattr(found, name) for name in Experiment.__slots__ if name != "events"},
        events=many,
    )
    (lane,) = (
        one for one in timeline(crowded, (), (), "full").lanes if one.kind in {"link", "links"}
    )
    assert [span.label for span in lane.spans] == ["24", "20"]


def test_margin_and_owed_windows_come_from_the_facts(tmp_path: Path) -> None:
    found, shown = _experiment(tmp_path, "partition")
    margin = _lane(shown, "margin to quorum")
    assert [span.label for span in margin.spans] == ["margin 1", "margin 0", "margin 1"]
    assert shown.not_owed == ()
    down = History(
        Event(
            event.index, event.time_s, event.process, event.type, event.f,
            {**event.value, "state": "exited"} if event.process != "e1" else event.value,
        )
        if event.f == "state"
        else event
        for event in read_folder(tmp_path).history
    )  # fmt: skip
    standing = standing_of(down)
    assert standing is not None
    dark = timeline(found, courses(found), standing, "full")
    assert {span.label for span in _lane(dark, "margin to quorum").spans} == {"no quorum"}
    assert sum(one.end_s - one.start_s for one in dark.not_owed) == pytest.approx(found.duration_s)


def test_a_violation_crosses_all_lanes_at_its_last_event(tmp_path: Path) -> None:
    found, shown = _experiment(tmp_path, "lost_write")
    (finding,) = found.findings
    (violation,) = shown.violations
    (cause,) = shown.causes
    assert [cause.at_s, violation.at_s] == [event.time_s for event in finding.events]
    drawn = draw_timeline(shown, started_utc="09:12:03 UTC")
    (line,) = (
        one
        for group in drawn.groups
        for one in group.shapes
        if isinstance(one, Line) and one.kind == "violation"
    )
    boxes = [one for group in drawn.groups for one in group.shapes if isinstance(one, Box)]
    share_of_time = (violation.at_s - shown.start_s) / (shown.end_s - shown.start_s)
    assert line.x1 == line.x2 == pytest.approx(LEFT + share_of_time * (RIGHT - LEFT), abs=0.1)
    assert line.y1 < min(one.y for one in boxes)
    assert line.y2 > max(one.y + one.height for one in boxes)


def test_labels_of_violations_do_not_lie_on_each_other(tmp_path: Path) -> None:
    _, shown = _experiment(tmp_path, "crowded")
    assert len(shown.violations) == 5
    labels = [mark.label for mark in shown.violations]
    assert [label.split(" ")[0] for label in labels] == [
        "no_fork",
        "no_rollback",
        "",
        "progress_while_quorate",
        "no_unexpected_exit",
    ]
    drawn = [
        one
        for group in draw_timeline(shown, started_utc="").groups
        for one in group.shapes
        if isinstance(one, Label) and one.kind == "violated"
    ]
    assert len({one.y for one in drawn}) == len(drawn) == 3  # a fourth row is not begun


def test_handshakes_that_fail_have_a_lane(tmp_path: Path) -> None:
    found, shown = _experiment(tmp_path, "tls")
    bad, good = (
        [event.time_s for event in found.events.of("handshake") if event.type == kind]
        for kind in ("fail", "ok")
    )
    (span,) = _lane(shown, "e2 → e3").spans
    assert (span.kind, span.start_s, span.end_s) == ("handshake", bad[1], good[1])


def test_progress_breaks_where_a_node_was_silent(tmp_path: Path) -> None:
    found, shown = _experiment(tmp_path, "tls")
    (e3,) = (one for one in shown.progress if one.label == "e3")
    assert len(e3.pieces) == 3
    silent = [event for event in found.events.of("observe") if event.type == "fail"]
    for before, after in zip(e3.pieces, e3.pieces[1:], strict=False):
        assert any(before[-1][0] < event.time_s < after[0][0] for event in silent)


def test_a_long_line_is_thinned_honestly(tmp_path: Path) -> None:
    points = tuple((number / 10, float(number % 7)) for number in range(50_000))
    spike = list(points)
    spike[20_123], spike[20_321] = (2012.3, 99.0), (2032.1, -99.0)
    thin = thinned(tuple(spike), 100)
    assert len(thin) <= 400
    assert {(2012.3, 99.0), (2032.1, -99.0)} <= set(thin)
    assert set(thin) <= set(spike)
    assert (thin[0], thin[-1]) == (spike[0], spike[-1])
    assert thinned(points[:400], 100) == points[:400]
    write_run(tmp_path, ["partition"])
    history = tmp_path / "history.jsonl"
    lines = history.read_text().splitlines()
    _, end = json.loads(lines[-2]), json.loads(lines[-1])
    first = end["index"]
    for number in range(3000):
        value = {"ready": True, "version": "3.5.16", "role": "follower", "progress": number * 7 % 9}
        event = {"index": first + number, "time_s": 19.3 + number / 1000, "process": "e1"}
        lines.insert(-1, json.dumps({**event, "type": "ok", "f": "observe", "value": value}))
    end.update(index=first + 3000, time_s=22.4)
    history.write_text("".join(f"{line}\n" for line in [*lines[:-1], json.dumps(end)]))
    verdicts = json.loads((tmp_path / "verdicts.json").read_text())
    verdicts["tests"][0]["scope"][1] = first + 3000
    (tmp_path / "verdicts.json").write_text(json.dumps(verdicts))
    assert re.search(r"Progress lines: [\d ]+ of 3 \d+ points drawn", _Document(
        report.render(tmp_path)
    ).text)  # fmt: skip


def test_spans_are_clipped_and_joined() -> None:
    spans = (Span(0, 2, "a", "t"), Span(2, 4, "a", "t"), Span(4, 6, "b", "t"), Span(8, 9, "b", "t"))
    assert joined(spans) == (Span(0, 4, "a", "t"), Span(4, 6, "b", "t"), Span(8, 9, "b", "t"))
    assert clipped(spans, 1, 5) == (
        Span(1, 2, "a", "t"),
        Span(2, 4, "a", "t"),
        Span(4, 5, "b", "t"),
    )


def test_ticks_are_round_and_scales_hold_their_ends() -> None:
    assert round_ticks(57.4, 75.1, 12) == (58, 60, 62, 64, 66, 68, 70, 72, 74)
    assert round_ticks(0, 0.5, 5) == (0, 0.1, 0.2, 0.3, 0.4, 0.5)
    assert round_ticks(3, 3, 5) == (3,)
    assert decade_ticks(0.001, 1) == (0.001, 0.01, 0.1, 1)
    scale = Scale(10, 20, 100, 200)
    assert [scale.at(one) for one in (0, 10, 15, 20, 30)] == [100, 100, 150, 200, 200]
    assert Scale(0.001, 1, 0, 300, logarithmic=True).at(0.1) == 200


# -- the load --------------------------------------------------------------------------------------


def _operation(index: int, at_s: float, took_s: float | None, kind: Any) -> list[Event]:
    value = {"op": index, "node": "e1"}
    asked = Event(2 * index, at_s, "client 1", "invoke", "put", value)
    if took_s is None:
        return [asked]
    return [asked, Event(2 * index + 1, at_s + took_s, "client 1", kind, "put", value)]


def test_load_counts_outcomes_and_latency_of_the_acknowledged_alone() -> None:
    events = [
        event
        for number in range(100)
        for event in _operation(number, number / 10, (number + 1) / 1000, "ok")
    ]
    events += _operation(100, 10.0, 5.0, "fail")
    events += _operation(101, 10.1, 9.0, "info")
    events += _operation(102, 10.2, None, "")
    events.append(Event(999, 10.3, "queue", "fail", "put", {"op": 103}))
    found = load(History(events), 0.0, 20.0, "full")
    (tally,) = found.tallies
    assert (tally.acknowledged, tally.failed, tally.unknown, tally.asked) == (100, 1, 2, 103)
    assert (tally.p50_s, tally.p99_s, tally.slowest_s) == pytest.approx((0.050, 0.099, 0.100))
    assert found.not_sent == 1
    assert sum(one.acknowledged + one.failed + one.unknown for one in found.windows) == 103
    assert [one.p50_s for one in found.windows if not one.acknowledged].count(None) > 0


def test_a_quantile_is_the_nearest_rank() -> None:
    assert quantile([], 0.5) is None
    assert [quantile([1, 2, 3, 4], part) for part in (0.0, 0.5, 0.51, 0.99, 1.0)] == [1, 2, 3, 4, 4]


def test_numbers_have_units() -> None:
    shown = [duration(one).replace("\u202f", " ") for one in (0, 0.0004, 0.011, 1.64, 8.0, 42, 725)]
    assert shown == ["0 s", "0.4 ms", "11 ms", "1.64 s", "8.00 s", "42.0 s", "12 min 5 s"]
    assert duration(None) == "\u2013"
    assert count(1204).replace("\u202f", " ") == "1 204"
    assert [share(one)[:-2] for one in (0.0, 0.0001, 0.92, 0.9999, 1.0)] == [
        "0",
        "0.1",
        "92",
        "99.9",
        "100",
    ]


# -- files -----------------------------------------------------------------------------------------


def test_write_leaves_a_report_and_a_trace(tmp_path: Path) -> None:
    write_run(tmp_path, list(SCENARIOS))
    path = report.write(tmp_path)
    assert path == tmp_path / "report.html"
    assert path.read_text() == report.render(tmp_path)
    trace = json.loads((tmp_path / "trace.json").read_text())
    named = {event["args"]["name"] for event in trace["traceEvents"] if event["ph"] == "M"}
    assert {"e1", "Partition", "client 1", "faults and changes"} <= named
    faults = [e for e in trace["traceEvents"] if e["ph"] == "X" and e["pid"] == 2]
    history = read_folder(tmp_path).history
    assert len(faults) == sum(e.type == "invoke" for e in history.of("fault", "change")) == 9
    (first, *_) = faults
    assert first["ts"] == round(history.of("fault")[0].time_s * 1e6)
    assert first["ts"] + first["dur"] == pytest.approx(history.of("heal")[1].time_s * 1e6, abs=2)
    assert sorted(one.name for one in tmp_path.iterdir() if one.name.startswith(".")) == []


def test_a_node_that_nobody_looked_at_leaves_a_page(tmp_path: Path) -> None:
    write_run(tmp_path, [next(iter(SCENARIOS))])
    lines = (tmp_path / "history.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if '"f":"observe"' not in line.replace(" ", "")]
    assert len(kept) < len(lines)
    (tmp_path / "history.jsonl").write_text("".join(kept))
    assert report.write(tmp_path).exists()


def test_a_cluster_that_never_started_leaves_a_page(tmp_path: Path) -> None:
    write_run(tmp_path, [next(iter(SCENARIOS))])
    lines = (tmp_path / "history.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if '"f":"state"' not in line.replace(" ", "")]
    assert len(kept) < len(lines)
    (tmp_path / "history.jsonl").write_text("".join(kept))
    assert report.write(tmp_path).exists()
