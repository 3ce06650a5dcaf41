"""What an operator may type beside a member: the words are drand's, and leave what they should."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit.system import Placement
from suites.beacon import dealing
from suites.beacon.operating import GENERATE, STOP, commands
from suites.beacon.system import SYSTEM
from tests.fakes import REPOSITORY

NAMES = ("n1", "n2", "n3")


def placement(name: str, data: str, *, release: str) -> Placement:
    return Placement(
        name=name,
        peers=NAMES,
        release=release,
        settings=SYSTEM.settings,
        hosts={one: one for one in NAMES},
        bind="0.0.0.0",
        ports={port.name: port.number for port in SYSTEM.ports},
        data=data,
        config="/config",
    )


def dealt(folder: Path, release: str) -> Placement:
    """A member's folder as the release's ceremony leaves it."""
    places = [placement(name, str(folder), release=release) for name in NAMES]
    files = dealing.deal(places, threshold=2, networks=("default",), genesis_in_s=60.0)
    for one in files["n1"]:
        path = folder / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.content)
    return places[0]


def digests(folder: Path) -> dict[str, str]:
    found = {one.name: folder / one.path for one in SYSTEM.artifacts}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in found.items()
        if path.is_file()
    }


@pytest.mark.parametrize(("release", "code"), [("v1.5.8", 0), ("v1.5.9", 1), ("v2.1.4", 1)])
def test_generating_keys_rewrites_what_it_says_where_the_release_lets_it(
    tmp_path: Path, release: str, code: int
) -> None:
    command = {one.name: one for one in commands(dealt(tmp_path, release))}[GENERATE]
    before = digests(tmp_path)
    assert len(before) == 4
    done = subprocess.run(
        [sys.executable, "-m", "nodes.beacon", "--as-release", release, *command.argv[1:]],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stdout
    now = digests(tmp_path)
    changed = {name for name in before if before[name] != now[name]}
    assert changed == (set() if code else set(command.rewrites))


def test_the_words_follow_the_placement() -> None:
    plain = placement("n1", "/data", release="v1.5.8")
    assert [one.name for one in commands(plain)] == [GENERATE, STOP]
    assert commands(plain)[0].argv == (
        *("drand", "generate-keypair", "--tls-disable", "--folder", "/data/drand"),
        *("--scheme", "bls-unchained-g1-rfc9380", "n1:4444"),
    )
    secure = replace(plain, settings={**plain.settings, "tls": "on"})
    assert "--tls-disable" not in commands(secure)[0].argv
    loopback = replace(plain, bind="127.5.0.1", hosts={"n1": "127.5.0.9"})
    assert [one.name for one in commands(loopback)] == [GENERATE], "its control port is any"
    assert commands(loopback)[0].argv[-1] == "127.5.0.9:4444"


@pytest.mark.parametrize(("release", "says"), [("v1.5.8", True), ("v2.1.4", False)])
def test_a_flag_is_on_file_where_the_release_writes_one(
    tmp_path: Path,
    release: str,
    says: bool,  # noqa: FBT001 - a column of the table
) -> None:
    dealt(tmp_path, release)
    flagged = [one for one in SYSTEM.artifacts if one.flag]
    assert [one.name for one in flagged] == ["public key", "group"]
    for one in flagged:
        assert (f"{one.flag} = false" in (tmp_path / one.path).read_text()) is says
