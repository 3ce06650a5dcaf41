"""The demo: what it says of each act, and that it says no more than was seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaoskit import history
from chaoskit.catalogue import make
from chaoskit.demo import ACTS, Demo, demo, load
from chaoskit.errors import UsageError
from chaoskit.rundir import read_verdicts
from chaoskit.session import Choices
from chaoskit.verdict import Verdict
from suites.beacon.demo import DEMO as BEACON
from suites.etcd.system import SYSTEM as ETCD
from suites.toys.system import toys
from tests.fakes import REPOSITORY

ETCD_RELEASE = "3.5.16"
BEACON_RELEASE = "v1.5.8"


def test_every_act_is_a_fault_that_there_is() -> None:
    assert [act.title for act in ACTS] == ["partition", "tls", "storage"]
    assert [act.title for act in BEACON.acts] == ["partition", "tls", "storage", "keys"]
    for act in (*ACTS, *BEACON.acts):
        assert type(make(act.fault, act.fields)).__name__ == act.fault
        assert len(act.words) > 5


def test_what_is_shown_is_found_by_name_or_is_the_one_that_a_suite_wrote() -> None:
    assert load(None, project=REPOSITORY) is BEACON
    assert load("beacon", project=REPOSITORY) is BEACON
    assert load("etcd", project=REPOSITORY) == Demo(ETCD, ACTS)
    with pytest.raises(UsageError, match=r"no system 'nats' .*beacon, etcd"):
        load("nats", project=REPOSITORY)


def test_without_a_name_and_without_a_demo_the_systems_are_named(tmp_path: Path) -> None:
    (tmp_path / "suites" / "mine").mkdir(parents=True)
    (tmp_path / "suites" / "mine" / "system.py").touch()
    with pytest.raises(UsageError, match="name a system, one of mine"):
        load(None, project=tmp_path)


def test_the_members_that_meet_the_acts_and_their_files_are_there() -> None:
    named = {one.name for one in BEACON.system.artifacts}
    for act in BEACON.acts:
        assert act.fields["node"] in BEACON.system.nodes
        assert named.issuperset(act.fields.get("artifacts", ()))


def play(
    folder: Path, monkeypatch: pytest.MonkeyPatch, shown: Demo, *, release: str
) -> tuple[Verdict, list[str], Path]:
    """Play it; answers its verdict, its lines and its run folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    choices = Choices(seed="7f3a", project=REPOSITORY, runs=folder / "runs", command="the demo")
    said: list[str] = []
    verdict = demo(shown, choices, release=release, say=said.append)
    return verdict, said, (folder / "runs" / "latest").resolve()


@pytest.mark.engine
def test_an_unknown_release_is_named_with_those_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"9.*: 1, 2"):
        play(tmp_path, monkeypatch, Demo(toys()), release="9")


@pytest.mark.engine
@pytest.mark.timeout(180)
def test_toys_are_broken_twice_and_the_act_that_does_not_apply_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict, said, run = play(tmp_path, monkeypatch, Demo(toys()), release="1")
    text = "\n".join(said)
    begins = next(i for i, line in enumerate(said) if line.startswith("chaoskit · toys 1 · seed"))
    assert "3 members, 2 needed, 6 links, ready in" in said[begins + 1]
    assert "2 tls        not applicable: " in text
    verdicts = read_verdicts(run)
    assert [one.test for one in verdicts.tests] == ["demo act 1: partition", "demo act 3: storage"]
    assert verdict is verdicts.verdict
    assert verdict is Verdict.PASS, text
    assert said[-1] == f"report  {run / 'report.html'}"
    assert (run / "report.html").exists()
    happened = history.read(run / "history.jsonl")
    struck = {
        one.value["fault"]: one.value["targets"][0]
        for one in happened.of("fault")
        if one.type == "invoke"
    }
    assert list(struck) == ["Isolate", "TlsMismatch", "SlowStorage"]
    for fault, title in (("Isolate", "1 partition"), ("SlowStorage", "3 storage")):
        (line,) = [one for one in said if one.startswith(title)]
        assert f"  {struck[fault]}: " in line, "the node that it was done to"
        assert "felt" in line
    tests = json.loads((run / "plan.json").read_text())["tests"]
    assert {one.test for one in verdicts.tests} <= set(tests)


@pytest.mark.engine
@pytest.mark.nightly
@pytest.mark.timeout(180)
def test_etcd_is_broken_three_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict, said, run = play(tmp_path, monkeypatch, Demo(ETCD), release=ETCD_RELEASE)
    assert verdict is Verdict.PASS, "\n".join(said)
    assert len(read_verdicts(run).tests) == 3
    acknowledged = [one for one in said if one.startswith("operations acknowledged ")]
    assert int(acknowledged[0].split()[2].rstrip(",")) >= 3 * 60


@pytest.mark.engine
@pytest.mark.nightly
@pytest.mark.timeout(240)
def test_a_beacon_is_broken_three_times_and_meets_stale_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict, said, run = play(tmp_path, monkeypatch, BEACON, release=BEACON_RELEASE)
    assert verdict is Verdict.PASS, "\n".join(said)
    assert len(read_verdicts(run).tests) == 4
    happened = history.read(run / "history.jsonl")
    (change,) = [one for one in happened.of("change") if one.type == "invoke"]
    assert change.value["change"] == "StaleKeys"
    assert {one.type for one in happened.of("witnessed")} == {"ok"}
    last = next(i for i, line in enumerate(said) if line.startswith("4 keys       n4: starts on"))
    assert "witnessed after" in said[last]
    assert "rounds " in said[last + 1]
    assert "level " in said[last + 1]
