"""The dealer's command line: what it leaves, what it refuses, and that it needs no gRPC."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.beacon_vectors import MEMBERS

# isort: split
# After the vectors, which skip where blspy cannot be installed.
from nodes.beacon import commands_dealer, layout
from nodes.beacon.dealer import VINTAGES
from nodes.beacon.group import read_group
from nodes.beacon.releases import VINTAGE_OF

NODES = {name: f"127.0.0.1:{21010 + number}" for number, name in enumerate(MEMBERS)}
NOW_S = 1_795_249_200.25


def arguments(folder: Path, **changed: str) -> list[str]:
    """A complete command line; `changed` replaces flags, written with underscores."""
    flags = {
        "as_left_by": "v2.1.4",
        "folder": str(folder),
        "threshold": "3",
        "period": "1s",
        "genesis_in": "5s",
    } | changed
    found = [one for name in NODES for one in ("--node", f"{name}={NODES[name]}")]
    for name, value in flags.items():
        found += [f"--{name.replace('_', '-')}", value]
    return found


def refused(folder: Path, capsys: pytest.CaptureFixture[str], **changed: str) -> str:
    """What is said about flags that cannot be meant; nothing may be written."""
    with pytest.raises(SystemExit) as ended:
        commands_dealer.run(arguments(folder, **changed), NOW_S)
    assert ended.value.code == 2
    assert not folder.exists()
    return capsys.readouterr().err


def test_each_member_has_its_own_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands_dealer.run(arguments(tmp_path, catchup_period="500ms"), NOW_S) == 0
    said = json.loads(capsys.readouterr().out)
    for name, address in NODES.items():
        assert said["folders"][name] == str(tmp_path / name)
        network = layout.Network(tmp_path / name, "default")
        group = read_group(*layout.read(network.group))
        assert f'"{address}"' in network.public_key.read_text()
        assert (group.threshold, group.period_s, group.catchup_period_s) == (3, 1, 0.5)
        assert group.genesis_s == said["genesis_time"] == 1_795_249_206  # whole, never sooner
        assert group.chain().hash().hex() == said["chain_hash"]


def test_a_node_becomes_a_member_of_a_second_network(tmp_path: Path) -> None:
    assert commands_dealer.run(arguments(tmp_path), NOW_S) == 0
    scheme = "bls-unchained-g1-rfc9380"
    second = arguments(tmp_path, beacon_id="fast", scheme=scheme)
    assert commands_dealer.run(second, NOW_S) == 0
    found = layout.networks_in(tmp_path / MEMBERS[0])
    assert [network.beacon_id for network in found] == ["default", "fast"]
    groups = [read_group(*layout.read(network.group)) for network in found]
    assert [group.scheme.name for group in groups] == ["pedersen-bls-chained", scheme]


def test_members_that_are_there_stay_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands_dealer.run(arguments(tmp_path), NOW_S) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert commands_dealer.run(arguments(tmp_path), NOW_S) == 1
    assert "already there, nothing written" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert len(before) == 4 * len(NODES)


def test_an_unknown_release_is_told_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(tmp_path / "new", capsys, as_left_by="v1.5.12")
    assert "v1.5.12" in said
    assert all(release in said for release in VINTAGE_OF)


@pytest.mark.parametrize(
    ("flag", "value", "word"),
    [
        ("threshold", "2", "from 3 to 4"),
        ("threshold", "1000000000000", "1024"),
        ("period", "1500ms", "whole number"),
        ("period", "soon", "duration"),
        ("beacon_id", "../up", "beacon id"),
        ("genesis_in", "-1s", "--genesis-in"),
        ("genesis", "0", "--genesis"),
        ("scheme", "bls", "--scheme"),
        ("node", "node1=127.0.0.1:1", "one name"),
        ("node", "../up=127.0.0.1:1", "NAME=HOST:PORT"),
        ("node", "node5=127.0.0.1", "host:port"),
        ("node", f"node5={NODES['node1']}", "Address"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    flag: str, value: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert word in refused(tmp_path / "new", capsys, **{flag: value})


def test_identities_say_that_they_use_tls_where_that_is_asked_for(tmp_path: Path) -> None:
    for folder, more in ((tmp_path / "plain", []), (tmp_path / "secure", ["--tls"])):
        asked = [*arguments(folder, as_left_by="v1.5.8"), *more]
        assert commands_dealer.run(asked, NOW_S) == 0
        for name in NODES:
            network = layout.Network(folder / name, "default")
            said = f"TLS = {'true' if more else 'false'}"
            assert said in network.public_key.read_text()
            assert network.group.read_text().count(said) == len(NODES)


def test_files_that_say_nothing_of_tls_are_not_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands_dealer.run([*arguments(tmp_path / "new"), "--tls"], NOW_S)
    assert "v2.1.4 say nothing of TLS" in capsys.readouterr().err


def test_every_release_leaves_a_vintage_that_is_known() -> None:
    assert set(VINTAGE_OF.values()) == set(VINTAGES)


@settings(max_examples=60)
@given(
    flag=st.sampled_from(["--threshold", "--period", "--genesis", "--node", "--as-left-by", "--x"]),
    value=st.text(max_size=12),
)
def test_no_flag_ends_in_a_traceback(flag: str, value: str) -> None:
    # In a folder that cannot be made, so that what is accepted writes nothing either.
    try:
        code = commands_dealer.run([*arguments(Path("/dev/null/not")), flag, value], NOW_S)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else -1
    assert code in (0, 1, 2)


def test_the_dealer_needs_no_grpc_and_no_http(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules.update(grpc=None, aiohttp=None, prometheus_client=None);"
        "from nodes.beacon.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "dealer", *arguments(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["beacon_id"] == "default"
