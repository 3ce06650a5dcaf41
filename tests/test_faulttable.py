"""The table of faults: complete, true to each class, and plain about what is not to be had."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaoskit import catalogue, faulttable, storage
from chaoskit.cluster import Cluster
from chaoskit.errors import NotApplicable
from chaoskit.faulttable import Need, Offer, Row, lacking_in_processes, rows, table
from chaoskit.matrix_cells import fields_for
from chaoskit.session import Choices, open_session
from chaoskit.setting import Setting
from suites.toys.system import toys
from tests.fakes import REPOSITORY

# without an engine, the docker SDK leaves the socket of its failed connect to the collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
NO_ENGINE = "no container engine answers"


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Row]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine")
    monkeypatch.setattr(storage, "why_unavailable", lambda: "no /dev/fuse on this host")
    return {row.name: row for row in rows(REPOSITORY)}


def test_every_fault_and_change_of_the_tree_stands_there(found: dict[str, Row]) -> None:
    there = {
        node.name: "fault" if "inject" in methods else "change"
        for path in (REPOSITORY / "faults").glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
        for methods in [{one.name for one in node.body if isinstance(one, ast.FunctionDef)}]
        if methods & {"inject", "apply"}
    }
    assert {name: row.kind for name, row in found.items()} == there


def test_needs_and_proof_are_the_classes_own(found: dict[str, Row]) -> None:
    groups: dict[str, Any] = {
        **catalogue.offered(catalogue.FAULTS),
        **catalogue.offered(catalogue.CHANGES),
    }
    for name, offered in groups.items():
        row = found[name]
        assert row.needs == tuple(offered.NEEDS)
        assert row.needs
        assert row.proof == offered.PROOF
        assert len(row.proof) > 10


def test_without_an_engine_docker_offers_nothing_and_processes_what_they_can(
    found: dict[str, Row],
) -> None:
    for name, row in found.items():
        assert NO_ENGINE in row.offers["docker"].why_not, name
    offered = {name for name, row in found.items() if not row.offers["process"].why_not}
    assert {"Isolate", "Split", "Bridge", "OneWay", "Kill", "Pause", "Reconfigure"} <= offered
    assert {name for name, row in found.items() if row.available} == offered
    refused = {"SlowLink", "NarrowLink", "SlowClose", "SlowStorage", "FullDisk", "Upgrade"}
    assert not refused & offered


def test_without_a_proxy_processes_offer_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHAOSKIT_CACHE", str(tmp_path))
    for row in rows(REPOSITORY):
        assert "no toxiproxy-server" in row.offers["process"].why_not


def test_the_first_need_that_is_lacking_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faulttable, "_no_engine", lambda: "")
    monkeypatch.setattr(storage, "why_unavailable", lambda: "no /dev/fuse on this host")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for row in rows(REPOSITORY):
        words = {
            Need.COUNTERS: "needs root",
            Need.FELT: "needs root",
            Need.STORAGE: "no /dev/fuse",
        }
        lacking = [words[need] for need in row.needs if need in words]
        why_not = row.offers["docker"].why_not
        assert (lacking[0] if lacking else "") in why_not, row.name
        assert bool(why_not) is bool(lacking), row.name


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    choices = Choices("7f3a", REPOSITORY, tmp_path / "runs", "pytest", backend="process")
    with (
        open_session(choices, system="toys", say=lambda _: None) as session,
        session.cluster(toys(), Setting(release="1")) as cluster,
    ):
        yield cluster


@pytest.mark.timeout(60)
def test_what_the_table_says_of_processes_is_so(processes: Cluster) -> None:
    """A fault is not applicable there when, and only when, the table says so."""
    kinds = catalogue.offered(catalogue.FAULTS)
    nodes = {"leader": "n1", "follower": "n2", ("follower",): ("n2",), ("leader",): ("n1",)}
    refused = {}
    linked = [row for row in rows(REPOSITORY) if Need.LINKS in row.needs]
    for row in linked:
        aimed = fields_for(kinds[row.name], "leader")
        fault = kinds[row.name](**{name: nodes[value] for name, value in aimed.items()})
        refused[row.name] = False
        try:
            with fault.inject(processes):
                pass
        except NotApplicable:
            refused[row.name] = True
    assert refused == {row.name: bool(row.offers["process"].why_not) for row in linked}
    assert len(set(refused.values())) == 2


def test_a_system_fits_when_it_has_what_the_fault_needs_of_it(found: dict[str, Row]) -> None:
    assert set(found["Kill"].offers["docker"].systems) == set(catalogue.system_names(REPOSITORY))
    assert "toys" in found["Kill"].offers["process"].systems
    assert "etcd" not in found["Kill"].offers["process"].systems, "it does not tell of failures"
    secure = {row.name for row in found.values() if Need.SECURE in row.needs}
    assert secure
    for name in secure:
        assert "toys" not in found[name].offers["docker"].systems, (
            "toys speak plaintext to each other"
        )
        assert "etcd" in found[name].offers["docker"].systems


def test_people_and_programs_are_told_the_same() -> None:
    offers = {"docker": Offer("no engine", ("a", "b")), "process": Offer("", ("a",))}
    row = Row("X", "fault", (Need.LINKS, Need.COUNTERS), offers, "a dial of ours")
    nowhere = Row("Longer", "change", (), {"docker": Offer("no engine", ())}, "its version")
    unused = Row("Y", "fault", (), {"docker": Offer("", ())}, "a look")
    assert table((row, nowhere, unused)).splitlines() == [
        "X       fault   ok",
        "        needs    a linked port, packet counters",
        "        docker   not here: no engine",
        "        process  ok: a",
        "        proof    a dial of ours",
        "Longer  change  not here",
        "        needs    nothing",
        "        docker   not here: no engine",
        "        proof    its version",
        "Y       fault   ok",
        "        needs    nothing",
        "        docker   ok, in groups that tests set up; no system by itself",
        "        proof    a look",
    ]
    assert row.document() == {
        "name": "X",
        "kind": "fault",
        "needs": ["a linked port", "packet counters"],
        "available": True,
        "backends": {
            "docker": {"available": False, "why_not": "no engine", "systems": ["a", "b"]},
            "process": {"available": True, "why_not": "", "systems": ["a"]},
        },
        "proof": "a dial of ours",
    }
    assert nowhere.document()["available"] is False


def test_what_processes_lack_is_told_of_the_first_need_that_they_lack() -> None:
    assert lacking_in_processes([Need.FELT, Need.LINKS]) == ""
    assert lacking_in_processes([Need.LINKS, Need.COUNTERS]).startswith("nothing counts packets")
