"""The head of a rehearsal's report: decision first, step, member, versions, evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaoskit import report
from chaoskit.report.rehearsal import Evidence, Rehearsal, StepRow, Way, rehearsal
from chaoskit.report.source import load
from tests.report_fixture import write_run

STEPS = [
    {"number": 1, "kind": "start", "source": "1", "target": "1", "turn": 0},
    {"number": 2, "kind": "upgrade", "source": "1", "target": "2", "turn": 1},
    {"number": 3, "kind": "faults", "source": "2", "target": "2", "turn": 0},
    {"number": 4, "kind": "settle", "source": "2", "target": "2", "turn": 0},
    {"number": 5, "kind": "rollback", "source": "1", "target": "2", "turn": 1},
]
TESTS = [
    "the whole rehearsal",
    "step 1: 3 members at 1",
    "step 2: upgrade e3 (follower) 1 -> 2",
    "step 5: roll back e3 (follower) 2 -> 1",
]
WORDS = '"cluster cannot be downgraded"'


def step(number: int, **values: Any) -> dict[str, Any]:
    base = next(one for one in STEPS if one["number"] == number)
    told: dict[str, Any] = {
        "member": "",
        "role": "",
        "verdict": "PASS",
        "reason": "",
        "move": None,
        "exits": [],
    }
    return {**base, **told, "contributes_after_s": None, "ways_back": [], "back": None} | values


def move(source: str, target: str, took_s: float | None, **values: Any) -> dict[str, Any]:
    told = {"source": source, "target": target, "held": took_s is not None, "took_s": took_s}
    return told | {"exit_code": None, "words": ""} | values


UPGRADED = step(
    2,
    member="e3",
    role="follower",
    move=move("1", "2", 3.1),
    contributes_after_s=0.05,
    ways_back=[
        {"planned": "at once", "after_s": 0.7, **move("2", "1", 1.6)},
        {"after_s": 12.0, **move("2", "1", None, exit_code=1, words=WORDS)},
    ],
)
BORNE = step(3, member="e3 e1")
ROLLED_BACK = step(5, member="e3", role="follower", move=move("2", "1", 2.0))
CLOSED = step(
    5,
    member="e3",
    role="follower",
    verdict="FAIL",
    reason="no_unexpected_exit: e3 exited",
    move=move("2", "1", None, exit_code=1, words=WORDS),
    exits=[{"member": "e3", "at_s": 107.5, "exit_code": 1, "words": WORDS}],
)


def record(decision: str, *taken: dict[str, Any], **values: Any) -> dict[str, Any]:
    told = {
        "schema": 1,
        "system": "etcd",
        "route": ["1", "2"],
        "order": ["e3", "e1", "e2"],
        "decision": decision,
        "steps": STEPS,
        "taken": [step(1), *taken],
        "put_back": None,
        "findings": ["step 2: the way back closes"],
        "not_tried": ["your data"],
    }
    return told | values


def head(told: dict[str, Any] | None, plan: Any = None, verdict: str = "FAIL") -> Rehearsal:
    found = rehearsal(told, plan, verdict, TESTS, reason="two images are one")
    assert found is not None
    return found


def test_a_no_go_names_step_member_versions_and_evidence() -> None:
    found = head(record("NO-GO", UPGRADED, BORNE, CLOSED))
    assert (found.decision, found.chip) == ("NO-GO", "FAIL")
    assert found.sentence == "etcd 1 → 2: step 5, roll back e3 (follower) 2 → 1, exit 1."
    assert found.reasons == (
        "no_unexpected_exit: e3 exited",
        f"e3 exited by itself at 108\u202fs, code 1, {WORDS}",
        "going forward, every step passed",
    )
    assert found.evidence == (
        Evidence(f"{TESTS[3]}: promises, timeline, logs", "#t4"),
        Evidence("nodes/e3/log", "nodes/e3/log"),
    )
    assert (found.findings, found.untried) == (("step 2: the way back closes",), ("your data",))


def test_all_that_was_broken_and_what_controls_showed_is_told() -> None:
    broken = step(
        2,
        member="e3",
        verdict="FAIL",
        reason="no_unexpected_exit: e3 exited",
        broken=["no_unexpected_exit", "keys_are_loaded"],
        move=move("1", "2", 1.0),
    )
    control = {
        "with": "keys as 1 leaves them",
        "told": ["control    NO-GO too: step 2", "           links_heal: one did not"],
    }
    found = head(record("NO-GO", broken, controls=[control]))
    assert found.reasons == (
        "no_unexpected_exit: e3 exited",
        "broken too: keys_are_loaded",
        "control NO-GO too: step 2; links_heal: one did not",
    )


def test_every_step_has_a_row_with_what_was_seen() -> None:
    first, second, third, last = head(record("NO-GO", UPGRADED)).steps
    assert (first.what, first.who, first.before, first.after) == ("start all", "", "", "1")
    assert second == StepRow(
        number=2,
        what="upgrade",
        who="e3 (follower)",
        before="1",
        after="2",
        served="after 3.10\u202fs",
        contributes="50\u202fms",
        ways=(
            Way("open 700\u202fms after it", held=True),
            Way(f"closed 12.0\u202fs after it: exit 1, {WORDS}", held=False),
        ),
        exits=(),
        verdict="PASS",
        test=3,
    )
    assert (third.number, third.verdict, third.test) == (3, "", 0)
    assert (last.number, last.who, last.before, last.after) == (5, "member 1", "2", "1")
    (borne,) = [one for one in head(record("GO", BORNE)).steps if one.number == 3]
    assert borne.who == "kill e3, cut off e1"


def test_a_member_that_was_put_back_is_told() -> None:
    lost = UPGRADED | {"move": move("1", "2", None, words="it does not answer")}
    back = step(2, member="e3", move=move("2", "1", 2.0), back=True)
    held = head(record("NO-GO", lost | {"verdict": "FAIL"}, put_back=back))
    assert held.sentence.endswith("step 2, upgrade e3 (follower) 1 → 2, does not serve.")
    assert held.reasons == ("its last words: it does not answer", "putting e3 back 2 → 1 holds")
    not_held = head(record("NO-GO", lost | {"verdict": "FAIL"}, put_back=back | {"back": False}))
    assert not_held.reasons[-1] == "putting e3 back 2 → 1 does not hold"


def test_a_go_says_what_it_rests_on() -> None:
    found = head(record("GO", UPGRADED, BORNE, ROLLED_BACK), verdict="PASS")
    assert (found.decision, found.chip) == ("GO", "PASS")
    assert found.sentence == "etcd 1 → 2: 3 members, 4 steps, every promise held."
    assert (found.reasons, found.evidence) == ((), ())


def test_a_step_that_served_and_broke_a_promise() -> None:
    broke = UPGRADED | {"verdict": "FAIL", "reason": "margin_kept: 2 down"}
    assert head(record("NO-GO", broke)).sentence.endswith("1 → 2, broke a promise.")
    unknown = UPGRADED | {"verdict": "UNKNOWN", "reason": "no_fork: not sampled"}
    assert head(record("UNKNOWN", unknown)).sentence.endswith("1 → 2, UNKNOWN.")
    assert head(record("UNKNOWN", unknown)).chip == "UNKNOWN"


@pytest.mark.parametrize(
    ("verdict", "decision"), [("FAIL", "NO-GO"), ("NOT JUDGED", "UNKNOWN"), ("INFRA", "INFRA")]
)
def test_one_that_left_no_record_is_told_from_its_plan(verdict: str, decision: str) -> None:
    plan = {"rehearsal": {"system": "etcd", "route": ["1", "2"], "steps": STEPS}}
    found = head(None, plan, verdict)
    assert (found.decision, found.reasons) == (decision, ("two images are one",))
    assert found.sentence == "etcd 1 → 2: no step was carried out."
    assert {one.verdict for one in found.steps} == {""}
    assert not found.runbook


def test_another_run_is_none() -> None:
    assert rehearsal(None, None, "PASS", [], reason="") is None
    assert rehearsal(None, {"steps": []}, "PASS", [], reason="") is None


@pytest.mark.parametrize("content", ["{}", '{"schema": 1, "taken": 3, "steps": [{}, 4]}', "["])
def test_a_record_of_any_shape_renders(tmp_path: Path, content: str) -> None:
    write_run(tmp_path, ["upgrade"])
    (tmp_path / "rehearsal.json").write_text(content)
    assert "<h1>" in report.render(tmp_path)


def test_the_page_begins_with_the_decision(tmp_path: Path) -> None:
    write_run(tmp_path, ["upgrade"])
    plain = report.render(tmp_path)
    assert "NO-GO" not in plain
    hostile = "<script>alert(1)</script>"
    told = record("NO-GO", UPGRADED, CLOSED | {"reason": hostile})
    (tmp_path / "rehearsal.json").write_text(json.dumps(told))
    html = report.render(tmp_path)
    assert hostile not in html
    title, _, rest = html.partition("</title>")
    assert title.rpartition("<title>")[2].startswith("NO-GO · ")
    for text in ('<span class="chip FAIL">NO-GO</span> etcd 1 → 2: step 5', "not done", WORDS[1:9]):
        assert text in rest
    at = [rest.index(word) for word in ("NO-GO", "&lt;script&gt;", ">Steps<", ">Promises<")]
    assert at == sorted(at)
    assert load(tmp_path).rehearsal == told


def test_a_release_s_name_is_not_broken_at_its_hyphen(tmp_path: Path) -> None:
    write_run(tmp_path, ["upgrade"])
    told = record("GO", UPGRADED) | {"route": ["1", "2-testnet"]}
    (tmp_path / "rehearsal.json").write_text(json.dumps(told))
    assert '<span class="whole">2-testnet:</span>' in report.render(tmp_path)
