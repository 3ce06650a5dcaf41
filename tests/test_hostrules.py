"""The host's packet rules: their words, and the kernel's own tables in a network of the test's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chaoskit import hostrules
from chaoskit.errors import ChaosError
from tests.fakes import REPOSITORY

BRIDGE = "cktest0"
DROP = f"-A FORWARD -i {BRIDGE} -o {BRIDGE} -j DROP"


def test_rules_name_their_bridge_both_ways_and_their_owner() -> None:
    found = hostrules.rules(BRIDGE, ["10.0.0.5", "10.0.1.0/24"], comment="run x")
    assert len(found) == 4
    for rule in found:
        assert rule[:5] == ("FORWARD", "-i", BRIDGE, "-o", BRIDGE)
        assert rule[-2:] == ("-j", "ACCEPT")
        assert "run x" in rule
    assert {rule[5:7] for rule in found} == {
        (flag, address) for flag in ("-s", "-d") for address in ("10.0.0.5", "10.0.1.0/24")
    }
    assert hostrules.undo(found[0])[-len(found[0]) :] == found[0]


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `iptables-save` will say."""
    text = tmp_path / "saved"
    program = tmp_path / "iptables-save"
    program.write_text(f"#!/bin/sh\ncat {text} || exit 4\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return text


def test_only_the_drop_of_this_bridge_to_itself_is_counted(saved: Path) -> None:
    others = [
        f"[5:1] {DROP.replace(BRIDGE, BRIDGE + '1')}",
        f"[6:1] -A FORWARD -i {BRIDGE} -o other -j DROP",
        f"[7:1] -A FORWARD -i {BRIDGE} -o {BRIDGE} -j ACCEPT",
        f"[8:1] {DROP} --more",
    ]
    saved.write_text("\n".join([*others, f"[12:840] {DROP}", "COMMIT", ""]))
    assert hostrules.went_round(BRIDGE) == 12
    saved.write_text("\n".join([*others, "COMMIT", ""]))
    with pytest.raises(ChaosError, match="the proxy can be passed"):
        hostrules.went_round(BRIDGE)


def test_a_tool_that_fails_or_is_missing_is_named(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ChaosError, match="iptables-save -c -t filter failed with 4: cat: "):
        hostrules.went_round(BRIDGE)
    (tmp_path / "iptables-save").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(ChaosError, match="not on this host: run `make setup`"):
            hostrules.went_round(BRIDGE)


@pytest.mark.usefixtures("saved")
def test_a_tool_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "iptables-save").write_text("#!/bin/sh\nexec sleep 600\n")
    monkeypatch.setattr(hostrules, "_CALL_TIMEOUT_S", 0.2)
    with pytest.raises(ChaosError, match=r"iptables-save .* did not end in 0\.2 s"):
        hostrules.went_round(BRIDGE)


KERNEL = f"""
import json, subprocess
from chaoskit import hostrules

def chain():
    listed = subprocess.run(["iptables", "-S", "FORWARD"], capture_output=True, text=True)
    return listed.stdout.splitlines()[1:]

drop = {DROP!r}.split()
subprocess.run(["iptables", *drop, "-c", "7", "420"], check=True)
mine, stranger = (
    hostrules.rules({BRIDGE!r}, ["10.0.0.5"], comment=owner)[0] for owner in ("mine", "stranger")
)
found = {{"counted": hostrules.went_round({BRIDGE!r})}}
other = hostrules.rules({BRIDGE!r}, ["10.0.0.6"], comment="mine")[0]
hostrules.add([stranger])
hostrules.add([mine, other])
found["before"] = chain()
found["removed"] = [one == mine for one in hostrules.remove([mine])]
found["again"] = [one == other for one in hostrules.remove([mine, other])]
hostrules.add([mine, other])
found["both"] = len(hostrules.remove([mine, other]))
try:
    hostrules.add([mine, ("NO-SUCH-CHAIN", "-j", "ACCEPT")])
except Exception as error:
    found["refused"] = type(error).__name__
found["after"] = chain()
found["undone"] = subprocess.run(hostrules.undo(stranger)).returncode
found["end"] = chain()
print(json.dumps(found))
"""


@pytest.mark.engine
def test_the_kernel_takes_them_and_gives_up_only_ours() -> None:
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-W", "error", "-c", KERNEL],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["counted"] == 7
    before = found["before"]
    assert ["mine" in one for one in before] == [True, True, False, False]
    assert ["stranger" in before[2], "DROP" in before[3]] == [True, True]
    assert found["removed"] == [True]
    assert found["again"] == [True], "the one that was there; the other was not any more"
    assert found["both"] == 2
    assert found["refused"] == "ChaosError"
    assert found["after"] == before[2:], "all of a batch or none"
    assert found["undone"] == 0
    assert found["end"] == before[3:]
