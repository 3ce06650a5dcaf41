"""The profiles: what each release makes of old keys and signatures, and when it raises an alarm."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.beacon_network import drand
from tests.beacon_nodes import QUIET, Lines

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes import bls
from nodes.beacon import layout
from nodes.beacon.alarm import Alarm, AlarmRule
from nodes.beacon.dealer import VINTAGES, deal, leave
from nodes.beacon.errors import BeaconError, FileRefused, SchemeMismatch
from nodes.beacon.eventlog import Log
from nodes.beacon.identity import MissingScheme, SelfSignature, read_key_pair
from nodes.beacon.loading import load
from nodes.beacon.profiles import PROFILES, Profile
from nodes.beacon.releases import SURFACES, VINTAGE_OF
from nodes.beacon.startup_keys import prepare

CHAINED, UNCHAINED = "pedersen-bls-chained", "pedersen-bls-unchained"
OTHER_CURVE = "bls-unchained-g1-rfc9380"


def left(folder: Path, release: str, scheme: str = CHAINED, beacon_id: str = "default") -> Path:
    """A member's folder as a ceremony of that release leaves it."""
    dealt = deal(
        bls.SCHEMES[scheme],
        ["127.0.0.1:4444"],
        threshold=1,
        period_s=1,
        catchup_period_s=0.0,
        genesis_s=1795249200,
        beacon_id=beacon_id,
        vintage=VINTAGES[VINTAGE_OF[release]],
    )
    leave(layout.Network(folder, beacon_id), dealt.group, *dealt.members[0])
    return folder


def started(folder: Path, release: str) -> None:
    """What a start of that release does with the folder's keys before it runs."""
    profile = PROFILES[release]
    prepare(folder, None, profile)
    for files in layout.networks_in(folder):
        load(files, profile.missing_scheme)


def key_files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.rglob("drand_id.*"))}


def secret(folder: Path) -> str:
    return key_files(folder)["drand_id.private"].splitlines()[0]


# ---- the table ---------------------------------------------------------------------------------


def test_every_release_is_told_apart_and_leaves_files() -> None:
    assert set(PROFILES) <= set(VINTAGE_OF)
    assert {name: one.surface.release for name, one in PROFILES.items()} == {
        name: name for name in PROFILES
    }
    for name, surface in SURFACES.items():
        assert PROFILES[name].surface is surface
    for name in PROFILES:
        assert drand(name, "--version").text.startswith("drand ")


def test_every_field_has_two_values() -> None:
    for field in dataclasses.fields(Profile):
        assert len({repr(getattr(one, field.name)) for one in PROFILES.values()}) > 1, field.name


# ---- keys without their scheme's name ----------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "chained", "unchained"),
    [
        ("v1.5.9", None, None),
        ("v2.0.0-testnet", FileRefused, FileRefused),
        ("v2.0.2-testnet", None, SchemeMismatch),
        ("v2.0.3-testnet", None, None),
        ("v2.0.6-testnet", None, None),
        ("v2.1.4", None, None),
    ],
)
def test_who_starts_on_keys_of_v1_4(
    release: str,
    chained: type[BeaconError] | None,
    unchained: type[BeaconError] | None,
    tmp_path: Path,
) -> None:
    for scheme, refusal in ((CHAINED, chained), (UNCHAINED, unchained), (OTHER_CURVE, FileRefused)):
        folder = left(tmp_path / scheme, "v1.4.9", scheme)
        before = secret(folder)
        if refusal is None:
            started(folder, release)
        else:
            with pytest.raises(refusal):
                started(folder, release)
        assert secret(folder) == before


def test_a_start_that_fails_has_named_the_wrong_scheme_and_the_next_release_mends_it(
    tmp_path: Path,
) -> None:
    folder = left(tmp_path, "v1.4.9", UNCHAINED)
    with pytest.raises(SchemeMismatch):
        started(folder, "v2.0.2-testnet")
    assert all(f'SchemeName = "{CHAINED}"' in text for text in key_files(folder).values())
    with pytest.raises(FileRefused, match="INVALID SELF SIGNATURE"):
        started(folder, "v1.5.11")
    started(folder, "v2.0.3-testnet")
    assert all(f'SchemeName = "{UNCHAINED}"' in text for text in key_files(folder).values())


def test_one_networks_refused_keys_end_the_start_of_all(tmp_path: Path) -> None:
    left(tmp_path, "v1.4.9")
    left(tmp_path, "v1.4.9", UNCHAINED, beacon_id="un")
    with pytest.raises(SchemeMismatch):
        prepare(tmp_path, None, PROFILES["v2.0.2-testnet"])
    prepare(tmp_path, "default", PROFILES["v2.0.2-testnet"])
    prepare(tmp_path, None, PROFILES["v2.0.3-testnet"])


# ---- signatures of identities ------------------------------------------------------------------


@pytest.mark.parametrize("release", [name for name in PROFILES if name.startswith("v2")])
def test_the_first_start_of_a_v2_signs_anew_and_closes_the_way_back(
    release: str, tmp_path: Path
) -> None:
    folder = left(tmp_path, "v1.5.11")
    before = secret(folder)
    started(folder, "v1.5.11")
    started(folder, release)
    after = key_files(folder)
    assert secret(folder) == before
    assert ("TLS = false" in after["drand_id.public"]) is (release == "v2.0.0-testnet")
    with pytest.raises(FileRefused, match="INVALID SELF SIGNATURE"):
        started(folder, "v1.5.11")
    assert key_files(folder) == after
    started(folder, release)
    assert key_files(folder) == after

    assert drand("v1.5.11", "util", "self-sign", "--folder", str(folder)).code == 0
    started(folder, "v1.5.11")
    assert "TLS = false" in key_files(folder)["drand_id.public"]
    files = layout.Network(folder, "default")
    pair, scheme = read_key_pair(
        layout.read(files.private_key),
        layout.read(files.public_key),
        group_scheme=None,
        missing=MissingScheme.REFUSED,
    )
    assert pair.identity.signed_as(scheme) is SelfSignature.KEY


# ---- keys that are generated again -------------------------------------------------------------


def again(release: str, folder: Path, scheme: str) -> int:
    insecure = ("--tls-disable",) if release.startswith("v1") else ()
    where = ("--folder", str(folder), "--control", "1", "--scheme", scheme)
    return drand(release, "generate-keypair", *insecure, *where, "127.0.0.1:4444").code


@pytest.mark.parametrize("release", PROFILES)
def test_who_overwrites_a_pair_that_works(release: str, tmp_path: Path) -> None:
    overwrites = release in ("v1.4.9", "v1.5.7", "v1.5.8")
    folder = left(tmp_path, "v1.5.7")
    before = key_files(folder)
    for scheme in (CHAINED, UNCHAINED):
        assert again(release, folder, scheme) == (0 if overwrites else 1)
        assert key_files(folder) == before
    assert again(release, folder, OTHER_CURVE) == (0 if overwrites else 1)
    assert (key_files(folder) != before) is overwrites


def test_a_release_that_cannot_load_old_keys_overwrites_them(tmp_path: Path) -> None:
    folder = left(tmp_path, "v1.4.9")
    before = secret(folder)
    assert again("v2.0.2-testnet", folder, CHAINED) == 1
    assert secret(folder) == before
    assert again("v2.0.0-testnet", folder, CHAINED) == 0
    assert secret(folder) != before


# ---- the alarm ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "threshold", "release", "levels"),
    [
        (5, 4, "v2.0.5-testnet", ["", "", "WARN", "WARN", "ERROR"]),
        (5, 4, "v2.0.6-testnet", ["WARN", "ERROR", "ERROR", "ERROR", "ERROR"]),
        (6, 4, "v2.0.5-testnet", ["", "", "WARN", "WARN", "ERROR"]),
        (6, 4, "v2.0.6-testnet", ["", "WARN", "ERROR", "ERROR", "ERROR"]),
        (8, 7, "v1.5.11", ["", "", "", "WARN", "WARN"]),
    ],
)
def test_when_the_alarm_is_raised(
    size: int, threshold: int, release: str, levels: list[str]
) -> None:
    rule = PROFILES[release].alarm
    assert rule
    for failing, level in enumerate(levels):
        lines = Lines([])
        log = Log("", "beacon/tests.py", verbose=False, write=lines.lines.append)
        alarm = Alarm(rule.limit(size, threshold), 60.0, log)
        alarm.look(0.0)
        for number in range(failing):
            alarm.failed(f"n{number}:1")
            alarm.failed(f"n{number}:1")
        alarm.look(59.9)
        assert not lines.lines
        alarm.look(60.0)
        said = [(one["level"], one["failures"]) for one in lines.records()]
        assert said == ([(level, failing)] if level else [])
        alarm.look(120.0)
        assert [one["failures"] for one in lines.records()][len(said) :] == (
            [0] if levels[0] else []
        )


def test_a_clock_set_back_does_not_silence_the_alarm() -> None:
    lines = Lines([])
    alarm = Alarm(1, 60.0, Log("", "beacon/tests.py", verbose=False, write=lines.lines.append))
    alarm.look(10_000.0)
    alarm.look(7_000.0)  # what was over then is said; an hour is not waited for
    alarm.failed("n1:1")
    alarm.look(7_059.9)
    before = len(lines.lines)
    alarm.look(7_060.0)
    assert [one["failures"] for one in lines.records()][before:] == [1]


def test_v1_4_has_no_alarm() -> None:
    assert PROFILES["v1.4.9"].alarm is None
    assert {one.alarm for one in PROFILES.values()} == {None, *AlarmRule}
    Alarm(1, 60.0, QUIET).look(0.0)
