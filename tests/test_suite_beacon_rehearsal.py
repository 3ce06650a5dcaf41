"""What a rehearsal puts on the stage of a beacon."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.rehearsal_axes import CONFIGURATION, KEYS, settings_for
from chaoskit.rehearsal_route import RehearsalRequest
from chaoskit.system import Observation
from suites.beacon import dealing, system
from suites.beacon.rehearsal import REHEARSAL
from suites.beacon.system import SYSTEM, command
from tests.test_suite_beacon_watching import placements

FRONTED = {"front": "RIGHT"}


def test_every_release_can_be_of_a_group_behind_nginx() -> None:
    labels = {one.label for one in REHEARSAL.system.releases}
    assert {"v1.4.9", "v1.5.8", "v2.0.0-testnet", "v2.0.4-testnet", "v2.1.4"} <= labels
    plain = {one.label for one in SYSTEM.releases}
    assert labels - plain == {"v2.0.4-testnet"}, "which speaks TLS alone"


def test_a_v1_behind_nginx_does_without_tls_and_says_that_it_uses_it() -> None:
    made = placements("v1.5.8", **FRONTED)
    assert "--tls-disable" in command(made[0])
    assert "--certs-dir" not in command(made[0])
    dealt = dealing.deal(made, threshold=3, networks=("default",), genesis_in_s=6)
    group = next(one for one in dealt["n1"] if one.path.endswith("drand_group.toml"))
    assert group.content.count(b"TLS = true") == len(SYSTEM.nodes)


@pytest.mark.parametrize("release", ["v1.5.8", "v2.1.4"])
def test_keys_are_of_the_release_that_is_said_to_have_left_them(release: str) -> None:
    def names_scheme(**settings: str) -> bool:
        made = placements(release, **settings)
        dealt = dealing.deal(made, threshold=3, networks=("default",), genesis_in_s=6)
        (key,) = (one for one in dealt["n1"] if one.path.endswith("drand_id.private"))
        return b"SchemeName" in key.content

    assert names_scheme()
    assert not names_scheme(**{KEYS.setting: "v1.4.9"})


def test_a_command_line_stays_that_of_the_release_that_it_was_written_for() -> None:
    (new, *_) = placements("v2.0.4", **FRONTED, tls="on")
    (old, *_) = placements("v2.0.4", **FRONTED, tls="on", **{CONFIGURATION.setting: "v1.5.8"})
    assert "--tls-cert" not in command(new)
    assert "--tls-cert" in command(old)


def test_the_axes_of_a_rehearsal_are_settings_of_the_beacon() -> None:
    assert KEYS.setting == dealing.KEYS
    assert CONFIGURATION.setting == system.CONFIGURATION
    asked = RehearsalRequest("v1.5.8", "v2.0.4", left_by=((KEYS.setting, "v1.4"),))
    assert settings_for(REHEARSAL.system, asked) == ((KEYS.setting, "v1.4.9"),)


def test_a_member_owes_what_the_outage_was_about_at_every_release() -> None:
    names = {tuple(one.name for one in REHEARSAL.owed(new)) for new in REHEARSAL.system.releases}
    assert names == {
        (
            "a_member_with_valid_old_keys_starts_and_contributes",
            "links_come_back_once_they_are_whole",
        )
    }


def test_an_operator_changes_something_from_v1_to_v2_alone() -> None:
    told = "\n".join(REHEARSAL.changed("v1.5.8", "v2.0.4"))
    for name in (
        "nginx",
        "--tls-cert",
        "--certs-dir",
        "SSL_CERT_FILE",
        "drand_id.public",
        "util self-sign",
    ):
        assert name in told
    assert REHEARSAL.changed("v1.5.7", "v1.5.8") == ()
    assert REHEARSAL.changed("v2.0.2", "v2.0.4") == ()


def test_a_member_says_whom_it_does_not_reach() -> None:
    assert REHEARSAL.unreached is not None
    seen = Observation(ready=True, detail={"failing": ["n2"]})
    assert REHEARSAL.unreached(seen) == {"n2"}


def test_the_matrix_aims_at_one_member_where_all_are_alike() -> None:
    from chaoskit.catalogue import load_roles

    project = Path(__file__).resolve().parents[1]
    assert load_roles("beacon", project=project) == ("n1",)
    assert load_roles("etcd", project=project) is None
