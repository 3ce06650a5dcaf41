"""The record of a rehearsal, and the page made from many."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaoskit.errors import UsageError
from chaoskit.rehearsal_record import NAME, document, main, page, read
from chaoskit.rehearsal_taken import Exit, Move, Taken
from tests.test_rehearsal_step import broken, verdict
from tests.test_rehearsal_words import CLOSED, PLAN, upgraded

GONE = Exit("s2", 4.0, 2, '"panic: what is that"')


def record(decision: str, *taken: Taken, put_back: Taken | None = None) -> dict[str, Any]:
    return document(
        PLAN,
        taken,
        put_back,
        run="2026-11-21T11-23-29-51c2",
        decision=decision,
        took_s=66.3,
        findings=["f"],
        not_tried=["n"],
    )


def no_go() -> dict[str, Any]:
    bad = Move("1.3.9", "1.4.7", None, 1, '"no"')
    failed = upgraded(2, "s1", verdict=broken(), move=bad, exits=(GONE,), ways_back=())
    back = Taken(failed.step, "s1", "", verdict(), Move("1.4.7", "1.3.9", 0.5), exits=(GONE,))
    return record("NO-GO", failed, put_back=back)


def write(folder: Path, name: str, said: dict[str, Any]) -> Path:
    run = folder / name
    run.mkdir()
    (run / NAME).write_text(json.dumps(said))
    return run


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    said = record("GO", upgraded(2, "s1"), upgraded(3, "s2", ways_back=CLOSED))
    assert read(write(tmp_path, "one", said)) == said
    assert [way["held"] for way in said["taken"][1]["ways_back"]] == [True, False]
    with pytest.raises(UsageError, match="no rehearsal"):
        read(tmp_path)
    with pytest.raises(UsageError, match="schema"):
        read(write(tmp_path, "two", said | {"schema": 9}))


def test_the_page_counts_runs_of_one_way_and_tells_the_last() -> None:
    text = page([record("GO", upgraded(2, "s1")), no_go(), no_go() | {"took_s": 10.0}])
    assert "| 1 of 5 | 10 s |" in text
    assert "GO 1 of 3, NO-GO 2 of 3" in text
    assert "1.3.9 -> 1.4.7 (forward): NO-GO" in text
    for part in (
        'exit 1, "no"',
        "s2 exited by itself, code 2",
        "Putting s1 back does not hold",
        "no_unexpected_exit",
    ):
        assert part in text
    assert "broken too" not in text, "the one reason is told already"
    other = page([record("GO") | {"skip": True, "rollback": "end", "settings": {"a": "b"}}])
    assert "all the way back, a b |" in other
    assert "skipping what lies between, forward and all the way back" in other


def test_a_record_from_before_there_were_axes_and_controls_is_told_too() -> None:
    said = no_go()
    for name in ("settings", "changes", "controls"):
        del said[name]
    for step in said["taken"]:
        del step["broken"]
    assert "1.3.9 -> 1.4.7 (forward): NO-GO" in page([said])


def test_controls_and_all_that_was_broken_are_told() -> None:
    said = no_go() | {
        "controls": [{"with": "keys as 1 leaves them", "decision": "NO-GO", "broken": ["b"]}]
    }
    said["taken"][0]["broken"] = ["no_unexpected_exit", "keys_load"]
    text = page([said])
    assert "* broken too: keys_load\n" in text
    assert "With keys as 1 leaves them: NO-GO, broken: b." in text
    assert "NO-GO 1 of 1; with keys as 1 leaves them NO-GO 1 of 1 |" in text
    said["taken"][0]["role"] = ""
    assert "2. s1 1.3.9 -> 1.4.7: exit 1" in page([said])


def test_of_several_runs_the_page_says_in_how_many_each_promise_was_broken() -> None:
    with_control = {"with": "keys as 1 leaves them", "decision": "NO-GO", "broken": ["links_heal"]}
    first = no_go() | {"controls": [with_control]}
    first["taken"][0]["broken"] = ["no_unexpected_exit", "s1_runs_1.4.7"]
    second = no_go() | {"controls": [with_control | {"broken": []}]}
    second["taken"][0] |= {"broken": ["s2_runs_1.4.7"], "member": "s2"}
    text = page([first, second])
    told = "MEMBER_runs_1.4.7 2 of 2, no_unexpected_exit 1 of 2"
    assert f"Broken in these runs: {told}.\n" in text, "whoever's turn it was"
    assert "Broken in these runs, with keys as 1 leaves them: links_heal 1 of 2.\n" in text
    assert "Broken in" not in page([first]), "one run is told below"
    assert "Broken in" not in page([record("GO"), record("GO")])


def test_a_way_back_is_told_with_its_time() -> None:
    text = page([record("GO", upgraded(3, "s2", ways_back=CLOSED))])
    assert "way back 0.4 s after it: 2 -> 1 in 1.0 s" in text
    assert "way back 12.0 s after it: 2 -> 1: exit 1" in text


def test_the_page_is_written_from_runs_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write(tmp_path, "one", record("GO", replace(upgraded(2, "s1"), ways_back=())))
    target = tmp_path / "page.md"
    assert main([str(target), str(run)]) == 0
    assert target.read_text() == page([read(run)])
    assert main([str(target)]) == 2
    assert main([str(target), str(tmp_path)]) == 2
    assert "no rehearsal" in capsys.readouterr().err
