"""No promise is found broken on a correct model, whatever is done to it; each defect is."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.history import SCHEMA, Event, Header, read
from chaoskit.judge import Judgement, Outcome, judge
from chaoskit.liveness import recovered_within
from chaoskit.standing import promises
from chaoskit.verdict import Verdict
from suites.etcd.invariants import PROMISES
from suites.etcd.leadership import leader_and_term_stay_while_a_majority_is_undisturbed
from tests.model import DEFECTS, Model

EVERYTHING = (
    *promises(),
    *PROMISES,
    recovered_within(3.0),
    leader_and_term_stay_while_a_majority_is_undisturbed,
)
FINDS = {
    "loses": {"acknowledged_writes_survive", "one_value_per_revision"},
    "acknowledges": {"nothing_acknowledged_below_quorum"},
    "forks": {"no_fork"},
    "rolls back": {"no_rollback"},
    "stalls": {"progress_while_quorate"},
    "reads stale": {"reads_are_linearizable"},
    "exits": {"no_unexpected_exit"},
}


def broken(found: Judgement) -> set[str]:
    return {one.name for one in found.promises if one.outcome is Outcome.BROKEN}


@settings(max_examples=15)
@given(st.integers(0, 10**9))
def test_a_correct_model_is_never_found_broken(seed: int) -> None:
    found = judge(Model(Random(seed)).run(), EVERYTHING)
    assert broken(found) == set()
    assert found.verdict in (Verdict.PASS, Verdict.UNKNOWN)
    assert found.counts.acknowledged > 100


def test_a_saved_run_without_any_one_piece_of_evidence_is_invalid(tmp_path: Path) -> None:
    saved = tmp_path / "history.jsonl"
    header = Header(schema=SCHEMA, started_utc="2026-01-01T00:00:00+00:00")
    lines: list[Header | Event] = [header, *Model(Random(7)).run()]
    saved.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    history = read(saved)
    assert judge(history, EVERYTHING).verdict is Verdict.PASS
    owed = [event for event in history if event.f in ("effective", "felt", "absent", "heal")]
    assert len(owed) == 3 * 6
    for event in owed:
        found = judge(history.without(event.index), EVERYTHING)
        assert found.verdict is Verdict.INVALID
        by = {reason.by for reason in found.reasons}
        assert by >= {"faults_were_felt", "record"}


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_found_by_its_promise(defect: str) -> None:
    """Over twelve seeds; one in which the defect found no occasion does not count."""
    occasions = 0
    for seed in range(12):
        model = Model(Random(seed), defect=defect)
        found = judge(model.run(faults=2 if defect == "stalls" else 3), EVERYTHING)
        if not model.done:
            continue
        occasions += 1
        assert FINDS[defect] <= broken(found), f"seed {seed}"
        assert found.verdict is Verdict.FAIL
    assert occasions >= 3
