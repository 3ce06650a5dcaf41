"""Systems and faults are found by name; what is not there is refused with what is."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit import catalogue
from chaoskit.errors import UsageError
from faults.partition import Isolate, Split
from faults.slow_storage import SlowStorage
from faults.upgrade import Upgrade

REPOSITORY = Path(__file__).resolve().parent.parent


def test_the_project_is_where_suites_are(tmp_path: Path) -> None:
    (tmp_path / "suites/x").mkdir(parents=True)
    (tmp_path / "a/b").mkdir(parents=True)
    assert catalogue.project_root(tmp_path / "suites/x") == tmp_path
    assert catalogue.project_root(tmp_path / "a/b") == tmp_path
    alone = tmp_path / "suites/x"
    assert catalogue.project_root(tmp_path.parent) == tmp_path.parent
    assert catalogue.system_names(alone) == ()


def test_a_system_is_loaded_by_its_name() -> None:
    assert {"etcd", "toys"} <= set(catalogue.system_names(REPOSITORY))
    assert catalogue.load_system("etcd", project=REPOSITORY).name == "etcd"


def test_an_unknown_system_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no system 'mysql'.*known: .*etcd.*toys"):
        catalogue.load_system("mysql", project=REPOSITORY)


def test_what_a_suite_shows_of_its_system_is_found() -> None:
    assert catalogue.demo_names(REPOSITORY) == ("beacon",)
    assert catalogue.load_demo("beacon", project=REPOSITORY) is not None
    assert catalogue.load_demo("etcd", project=REPOSITORY) is None
    with pytest.raises(UsageError, match="no system 'mysql'"):
        catalogue.load_demo("mysql", project=REPOSITORY)


def test_what_is_offered_is_what_faults_has() -> None:
    faults, changes = catalogue.offered(catalogue.FAULTS), catalogue.offered(catalogue.CHANGES)
    assert faults["Isolate"] is Isolate
    assert changes["Upgrade"] is Upgrade
    assert faults.keys() & changes.keys() == set()
    assert list(faults) == sorted(faults)


def test_a_fault_is_made_of_json_values() -> None:
    assert catalogue.make("Split", {"side": ["a", "b"]}) == Split(("a", "b"))
    assert catalogue.make("SlowStorage", {"node": "a", "delay_s": 0.2}) == SlowStorage("a", 0.2)


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("Isolation", {}, "no fault or change 'Isolation'; known: .*Isolate"),
        ("Isolate", {"nod": "a"}, "Isolate has no field nod; it has node, style"),
        ("Isolate", {}, "Isolate cannot have"),
        ("SlowStorage", {"node": "a", "delay_s": -1.0}, "SlowStorage cannot have"),
        ("SlowLink", {"one": "a", "other": "b", "delay_s": 0}, "SlowLink cannot have"),
        ("NarrowLink", {"one": "a", "other": "b", "rate_kb_per_s": 0}, "NarrowLink cannot have"),
        ("SlowClose", {"one": "a", "other": "b", "delay_s": 0.0}, "SlowClose cannot have"),
        ("WrongCertificate", {"node": "a", "flaw": "ugly"}, "none of foreign_authority, expired"),
        ("Isolate", {"node": "a", "style": "gone"}, "none of refused, dropped"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, fields: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        catalogue.make(name, fields)
