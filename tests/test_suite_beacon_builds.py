"""Builds of a release with the tag conn_insecure: one more release, told by its environment."""

from __future__ import annotations

from dataclasses import replace

from suites.beacon.builds import INSECURE, with_insecure_build
from suites.beacon.system import beacon
from tests.test_suite_beacon_watching import placements


def test_such_a_build_is_a_release_of_its_own_that_reports_the_same_version() -> None:
    group = beacon(4, threshold=3, terminated=True)
    made = with_insecure_build(group, "v2.0.4")
    released, build = made.release("v2.0.4"), made.release("v2.0.4" + INSECURE)
    assert made.releases == (*group.releases, build)
    assert build.version == released.version
    assert build.image == released.image + INSECURE
    assert build.recipe == (*released.recipe[:-1], build.label)


def test_a_released_build_is_told_not_to_be_one_and_that_build_is_not() -> None:
    made = with_insecure_build(beacon(4, threshold=3, terminated=True), "v2.0.4")
    (first, *_) = placements("v2.0.4")
    placed = replace(first, settings=dict(made.settings))
    assert made.environment(placed)["DRAND_CONN_INSECURE"] == "false"
    there = made.environment(replace(placed, release="v2.0.4" + INSECURE))
    assert "DRAND_CONN_INSECURE" not in there
    assert there["SSL_CERT_FILE"] == "/config/trusted/authority.pem"
