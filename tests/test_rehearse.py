"""A rehearsal: the plan alone, images that are refused, and whole ones on real clusters."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit.errors import UsageError
from chaoskit.history import read
from chaoskit.images import Mislabelled
from chaoskit.quorate import timelines
from chaoskit.rehearsal_plan import StepKind, make_plan
from chaoskit.rehearsal_route import RehearsalRequest
from chaoskit.rehearse import RehearsalOutcome, _examine_images, _meanwhile, rehearse
from chaoskit.rehearsed import Rehearsed, load
from chaoskit.rundir import read_verdicts
from chaoskit.session import Choices
from chaoskit.system import Release
from chaoskit.verdict import Verdict
from suites.toys.system import toys
from tests.tape import Tape
from tests.test_rehearsal_plan import system
from tests.test_rehearsal_words import CLOSED, upgraded

PROJECT = Path(__file__).resolve().parents[1]
ROUTE = RehearsalRequest("1.3.9", "1.4.7")


def choices(folder: Path, *images: str) -> Choices:
    return Choices(
        seed="51c2", project=PROJECT, runs=folder / "runs", command="rehearse", images=images
    )


def test_a_dry_run_prints_the_plan_and_touches_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    request = RehearsalRequest("1.3.9", "1.4.7", dry_run=True)
    outcome = rehearse(Rehearsed(system()), request, choices(tmp_path), lines.append)
    assert (outcome.decision, outcome.exit_code, outcome.folder) == ("PLAN", 0, None)
    assert lines == make_plan(system(), request, seed="51c2").lines()
    assert not (tmp_path / "runs").exists()


class Images:
    """Every release's image by its digest; one of them may lie."""

    def __init__(self, digests: dict[str, str], lies: str = "") -> None:
        self.digests, self.lies = digests, lies

    def reference(self, _: Any, release: Release) -> str:
        if release.label == self.lies:
            raise Mislabelled(f"{release.label} is labelled as another")
        return release.label

    def digest(self, reference: str) -> str:
        return self.digests[reference]


def examined(images: Images) -> str:
    session = cast("Any", SimpleNamespace(images=images))
    return _examine_images(session, system(), make_plan(system(), ROUTE, seed="51c2"))


def test_two_releases_of_one_image_are_refused_and_a_lying_label_is_told() -> None:
    assert examined(Images({"1.3.9": "sha256:1", "1.4.7": "sha256:2"})) == ""
    with pytest.raises(UsageError, match="same image"):
        examined(Images({"1.3.9": "sha256:1", "1.4.7": "sha256:1"}))
    assert "labelled" in examined(Images({"1.3.9": "sha256:1"}, lies="1.4.7"))


def said(tape: Tape, time_s: float, node: str, level: str) -> None:
    at = tape.observe(time_s, node)
    tape.events[at].value["detail"]["level"] = level


def test_what_all_members_say_anew_while_nobody_changes_anything_is_told() -> None:
    tape = Tape()
    tape.cluster(1.0, event="steady")
    for time_s, level in ((1.5, "1"), (3.0, "2")):
        for node in ("a", "b", "c"):
            said(tape, time_s, node, level)
    change = {"id": 1, "targets": ["a"], "change": "Upgrade"}
    tape.add(4.0, "chaoskit", "change", "invoke", **change)
    tape.add(4.1, "chaoskit", "change", "ok", id=1)
    tape.add(5.0, "chaoskit", "change", "invoke", **change | {"id": 2})
    taken = upgraded(3, "a", ways_back=CLOSED)
    assert _meanwhile(tape.history(), taken) == "level 1 -> 2 on all members after 2.0 s"
    assert _meanwhile(tape.history(), upgraded(3, "a")) == ""


def rehearsed(
    name: str, source: str, target: str, folder: Path, **more: Any
) -> tuple[RehearsalOutcome, list[str]]:
    lines: list[str] = []
    request = RehearsalRequest(source, target, **more)
    outcome = rehearse(load(name, project=PROJECT), request, choices(folder), lines.append)
    return outcome, lines


@pytest.mark.engine
@pytest.mark.timeout(240)
def test_the_toys_go_forward_and_all_the_way_back(tmp_path: Path) -> None:
    outcome, lines = rehearsed("toys", "1", "2", tmp_path, rollback="end")
    assert outcome.decision == "GO", "\n".join(lines)
    assert outcome.exit_code == 0
    assert outcome.folder is not None
    ways = [way for one in outcome.taken for way in one.ways_back]
    assert len(ways) == 6
    assert all(way.back.held for way in ways)
    assert (outcome.folder / "report.html").stat().st_size > 0
    assert "**GO**" in (outcome.folder / "runbook.md").read_text()
    tests = read_verdicts(outcome.folder).tests
    assert {one.verdict for one in tests} == {Verdict.PASS}
    assert tests[-1].test == "the whole rehearsal"
    assert outcome.taken[3].role in {"leader", "follower"}


@pytest.mark.engine
@pytest.mark.nightly
@pytest.mark.timeout(240)
def test_two_of_five_go_at_once_and_all_the_way_back(tmp_path: Path) -> None:
    lines: list[str] = []
    request = RehearsalRequest("1", "2", max_unavailable=2, rollback="end")
    outcome = rehearse(Rehearsed(toys(5)), request, choices(tmp_path), lines.append)
    assert outcome.decision == "GO", "\n".join(lines)
    assert outcome.folder is not None
    history = read(outcome.folder / "history.jsonl")
    ups = [one for one in outcome.taken if one.step.kind is StepKind.UPGRADE]
    assert [len(one.members) for one in ups] == [2, 2, 1]
    assert sorted(name for one in ups for name in one.members) == [f"n{n}" for n in range(1, 6)]
    assert "leader" not in ups[0].role
    assert all(way.back.held for one in ups for way in one.ways_back)
    pairs = [one.value for one in history.of("change") if len(one.value.get("targets", ())) == 2]
    assert len(pairs) == 2 * (1 + 4 + 1), "forward, two ways back and forward again, rollback"
    down = [set(t.nodes) - i.healthy for t in timelines(history) for i in t.intervals]
    assert set(ups[0].members) in down, "both were down together"
    assert (
        "Stop " + " ".join(ups[0].members) + ", all at once,"
        in (outcome.folder / "runbook.md").read_text()
    )


@pytest.mark.engine
@pytest.mark.timeout(240)
def test_a_step_that_a_release_cannot_take_is_no_go_and_named(tmp_path: Path) -> None:
    outcome, lines = rehearsed("etcd", "3.5.35", "3.7.3", tmp_path, skip=True)
    assert (outcome.decision, outcome.exit_code) == ("NO-GO", 1), "\n".join(lines)
    (why,) = [line for line in lines if line.startswith("NO-GO")]
    assert "step 2" in why
    assert "3.5.35 -> 3.7.3: exit 2" in why
    assert any("way back holds" in line for line in lines)
    assert any(line.startswith("not tried  steps 3") for line in lines)


@pytest.mark.engine
@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_a_way_back_that_closes_is_a_finding_on_the_way_forward(tmp_path: Path) -> None:
    outcome, lines = rehearsed("etcd", "3.4.23", "3.5.16", tmp_path)
    assert outcome.decision == "GO", "\n".join(lines)
    (found,) = outcome.findings
    assert "step 4" in found
    assert "NO WAY BACK" in found


@pytest.mark.engine
@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_a_way_back_that_closes_is_no_go_where_it_was_asked_for(tmp_path: Path) -> None:
    outcome, lines = rehearsed("etcd", "3.4.23", "3.5.16", tmp_path, rollback="end")
    assert outcome.decision == "NO-GO", "\n".join(lines)
    assert any("closed by step 4" in line for line in lines)


@pytest.mark.engine
@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_beacon_on_old_keys_is_no_go_and_without_them_links_are_why(tmp_path: Path) -> None:
    outcome, lines = rehearsed(
        "beacon",
        "v1.5.8",
        "v2.0.4-testnet",
        tmp_path,
        via=("v2.0.2-testnet",),
        left_by=(("keys_as_left_by", "v1.4.9"),),
        settings=(("scheme", "pedersen-bls-unchained"),),
    )
    assert outcome.decision == "NO-GO", "\n".join(lines)
    assert {
        "a_member_with_valid_old_keys_starts_and_contributes",
        "links_come_back_once_they_are_whole",
    } <= set(outcome.broken)
    # its word is NO-GO, or INFRA where the machine was too busy for what else was late there
    assert any(line.startswith("control ") and "with keys as v1.5.8" in line for line in lines)


@pytest.mark.engine
@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_beacon_goes_from_v2_0_2_to_v2_0_4(tmp_path: Path) -> None:
    outcome, lines = rehearsed("beacon", "v2.0.2", "v2.0.4", tmp_path)
    assert outcome.decision == "GO", "\n".join(lines)
    assert (outcome.broken, outcome.findings) == ((), ())
