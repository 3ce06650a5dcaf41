"""The log of everybody: what stands in it, in which order, how much of it, and whose lines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from chaoskit import report
from chaoskit.redaction import Redactor
from chaoskit.report.experiment import Experiment, experiments
from chaoskit.report.harnesslog import LIMIT, harness_lines
from chaoskit.report.mergedlog import LogRow, MergedLog
from chaoskit.report.page import page
from chaoskit.report.source import load
from tests.report_fixture import write_run


def _log(folder: Path) -> MergedLog:
    (test,) = page(load(folder)).tests
    return test.log


def _experiment(folder: Path) -> Experiment:
    (found,) = experiments(load(folder))
    return found


def _words(log: MergedLog, number: int) -> list[str]:
    return [row.text for row in log.rows if row.number == number]


def test_all_lines_stand_in_order_of_time_on_one_clock(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition"])
    log = _log(tmp_path)
    times = [row.time_s for row in log.rows]
    assert times == sorted(times)
    assert {row.who for row in log.rows} >= {"harness", "e2"}
    for row in log.rows:  # 09:12:03.417 is second 0
        hours, minutes, seconds = row.utc.split(":")
        clock_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        assert clock_s - (9 * 3600 + 12 * 60 + 3.417) == pytest.approx(row.time_s, abs=0.0011)


def test_what_the_harness_did_is_told_with_its_numbers(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition"])
    found = _experiment(tmp_path)
    said = harness_lines(found)
    texts = [one.text for one in said]
    assert texts[0] == "the test begins"
    assert texts[-1] == "the test ends"
    assert "fault Partition e2 begins: left=[e2] right=[e1 e3]" in texts
    assert "links cut: e2>e1 e2>e3 e1>e2 e3>e2" in texts
    assert "links open: e2>e1 e2>e3 e1>e2 e3>e2" in texts
    felt = "Partition e2: felt, 0 \u2192 214 packets refused, e2 \u2192 e1"
    assert felt in texts
    assert any("says it is leader in term 3" in text for text in texts)
    at = [texts.index(one) for one in ("fault Partition e2 begins: left=[e2] right=[e1 e3]",
                                       felt, "Partition e2 healed")]  # fmt: skip
    assert at == sorted(at)
    (cut,) = (one for one in said if one.text.startswith("links cut"))
    assert cut.time_s == found.events.of("link")[0].time_s


def test_states_of_nodes_say_who_ended_them(tmp_path: Path) -> None:
    write_run(tmp_path, ["upgrade"])
    texts = [one.text for one in harness_lines(_experiment(tmp_path))]
    assert "e3 is exited, code 143 by us" in texts
    assert "e3 is exited, code 1 BY ITSELF" in texts
    assert "e3 does not answer us: timed_out" in texts
    assert texts.count("change Upgrade e3 begins: release=3.5.16") == 1
    assert texts.count("Upgrade e3 done") == 1


def test_a_broken_promise_stands_where_it_was_seen(tmp_path: Path) -> None:
    write_run(tmp_path, ["lost_write"])
    (finding,) = _experiment(tmp_path).findings
    (row,) = (row for row in _log(tmp_path).rows if row.text.startswith(finding.by))
    assert row.time_s == finding.events[-1].time_s
    assert (row.who, row.weight) == ("harness", "done")


def test_a_structured_line_is_written_for_people(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition"])
    log = tmp_path / "nodes" / "e1" / "log"
    told = {"level": "warn", "ts": "2026", "caller": "x.go:1", "msg": "late", "took": {"ms": 7}}
    log.write_text(
        f"6.0 {json.dumps(told)}\n6.1 2026-11-21T08:29:05.782Z\tERROR\tn1\tgone\n"
        "6.2 an error of mine\n"
        '6.3 {"level":"inf\n6.4 [1]\n'
    )
    rows = {row.time_s: row for row in _log(tmp_path).rows if row.who == "e1"}
    assert (rows[6.0].text, rows[6.0].weight) == ("WARN late took=ms=7", "warn")
    assert rows[6.1].weight == "error"
    assert (rows[6.2].text, rows[6.2].weight) == ("an error of mine", "error")
    assert rows[6.3].text == '{"level":"inf'
    assert rows[6.4].text == "[1]"


def test_of_many_lines_those_nearest_to_what_happened_are_kept(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition"])
    (begins,) = (one for one in harness_lines(_experiment(tmp_path)) if "begins:" in one.text)
    folder = tmp_path / "nodes" / "e3"
    folder.mkdir(exist_ok=True)
    lines = [f"{2 + number / 1000:.6f} line {number}" for number in range(14_000)]
    (folder / "log").write_text("\n".join(lines) + "\n")
    log = _log(tmp_path)
    (voice,) = (one for one in log.voices if one.name == "e3")
    kept = [row for row in log.rows if row.who == "e3"]
    assert voice.shown == len(kept) == 400 // 3
    assert voice.written == 14_000
    assert log.left_out == 14_000 - len(kept)
    weighty = [one.time_s for one in harness_lines(_experiment(tmp_path)) if one.weighty]
    farthest = max(min(abs(row.time_s - at) for at in weighty) for row in kept)
    nearer = [
        time_s
        for time_s in (2 + number / 1000 for number in range(14_000))
        if min(abs(time_s - at) for at in weighty) < farthest - 0.0015
    ]
    assert len(nearer) <= len(kept)
    assert any(abs(row.time_s - begins.time_s) < 0.002 for row in kept)
    assert "more are not shown" in report.render(tmp_path)


def test_a_long_line_is_cut_and_the_harness_is_bounded_too(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition"])
    (tmp_path / "nodes" / "e1" / "log").write_text(f"6.0 {'x' * 9000}\n")
    history = tmp_path / "history.jsonl"
    lines = history.read_text().splitlines()
    first, *events = (json.loads(line) for line in lines)
    note = {"time_s": 9.0, "process": "chaoskit", "type": "info", "f": "note"}
    many = [{**note, "value": {"text": f"n{number}"}} for number in range(2 * LIMIT)]
    events = sorted([*events, *many], key=lambda event: float(event["time_s"]))
    for index, event in enumerate(events):
        event["index"] = index
    history.write_text("".join(f"{json.dumps(one)}\n" for one in (first, *events)))
    verdicts = json.loads((tmp_path / "verdicts.json").read_text())
    verdicts["tests"][0]["scope"] = [0, len(events) - 1]
    (tmp_path / "verdicts.json").write_text(json.dumps(verdicts))
    log = _log(tmp_path)
    assert max(len(row.text) for row in log.rows) <= 260
    assert log.voices[0].shown == LIMIT < log.voices[0].written
    assert len(_words(log, 0)) == LIMIT


def test_every_line_can_be_left_out_by_whose_it_is(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition"])
    log = _log(tmp_path)
    html = report.render(tmp_path)
    for voice in log.voices:
        assert html.count(f'<input type="checkbox" class="f{voice.number}" checked>') == 1
        assert f".merged:has(.f{voice.number}:not(:checked)) .k{voice.number}" in html
        assert len(re.findall(rf'<p class="k{voice.number}[ "]', html)) == voice.shown
    assert [voice.name for voice in log.voices] == ["harness", "e1", "e2", "e3"]


def test_a_secret_that_a_node_wrote_stays_out_of_the_log(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition"])
    secret = "c0ffee" * 8
    redactor = Redactor()
    redactor.register(bytes.fromhex(secret))
    log = tmp_path / "nodes" / "e1" / "log"
    log.write_bytes(redactor.clean(f'6.0 {{"msg":"my key","key":"{secret}"}}\n'.encode()))
    html = report.render(tmp_path)
    assert secret not in html
    assert "my key" in html
    assert redactor.leaks(tmp_path) == ()


def test_hostile_lines_are_text(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition"])
    hostile = {"level": "<b>", "msg": "</p><script>alert(1)</script>", "<i>": "&"}
    (tmp_path / "nodes" / "e1" / "log").write_text(f"6.0 {json.dumps(hostile)}\n")
    html = report.render(tmp_path)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_an_escape_that_hides_a_word_is_left_as_it_is(tmp_path: Path) -> None:
    write_run(tmp_path, ["partition"])
    escaped = '{"msg":"c0\\u0066fee","path":"a\\/b"}'
    (tmp_path / "nodes" / "e1" / "log").write_text(f"6.0 {escaped}\n")
    assert _words(_log(tmp_path), 1) == [escaped]


def test_rows_are_numbered_as_the_nodes_stand_in_the_cluster(tmp_path: Path) -> None:
    write_run(tmp_path, ["upgrade"])
    rows: tuple[LogRow, ...] = _log(tmp_path).rows
    assert {(row.number, row.who) for row in rows} == {(0, "harness"), (1, "e1"), (3, "e3")}
