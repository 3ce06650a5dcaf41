"""The wheel alone: in an environment without the repository, with a suite of one's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from chaoskit.rundir import read_verdicts
from chaoskit.verdict import Verdict

REPOSITORY = Path(__file__).resolve().parent.parent
PYTEST = ("python", "-m", "pytest", "-W", "error", "-p", "no:cacheprovider")
SUITE = """
from chaoskit.fault import inject
from chaoskit.http import observe_json
from chaoskit.system import Observation, Port, Release, System
from faults.kill import Kill
RUN = "nats-server --name={0} --http_port=8222 --cluster_name=x --cluster=nats://0.0.0.0:6222"
ALL = "--routes=nats://n1:6222,nats://n2:6222,nats://n3:6222"
MINE = System(name="mine", nodes=("n1", "n2", "n3"), quorum=2, shows_digest=False,
    ports=(Port("route", 6222, linked=True), Port("monitor", 8222)), shows_progress=False,
    releases=(Release("2.9.10", image="chaoskit/nats:2.9.10"),),
    command=lambda node: [*RUN.format(node.name).split(), ALL],
    observe=observe_json("monitor", "/varz", lambda seen: Observation(seen["routes"] == 2)))

def test_a_kill(chaos_cluster):
    mine = chaos_cluster(MINE)
    with inject(Kill("n1"), into=mine) as fault:
        fault.await_felt(timeout_s=10)
    mine.await_steady_state(timeout_s=20)
    mine.check()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as a release is, without an index."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        timeout=120,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment's folder of programs: the wheel, and what it depends on, from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "venv/lib" / version / "site-packages"
    ours = ("chaoskit", "_editable", "faults", "__pycache__")
    for path in Path(pytest.__file__).parent.parent.iterdir():
        if not path.name.startswith(ours) and path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    programs = folder / "venv/bin"
    command = [
        str(programs / "python"),
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return programs


def run(installed: Path, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """A program of the new environment in an empty folder, where nothing of ours can be found."""
    kept = ("HOME", "LANG", "DOCKER_HOST", "XDG_CACHE_HOME")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return subprocess.run(
        [installed / argv[0], *argv[1:]],
        cwd=folder,
        env=environment | {"PATH": f"{installed}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def test_it_carries_chaoskit_and_faults_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    (metadata,) = (top for top in tops if top.endswith(".dist-info"))
    assert tops == {"chaoskit", "faults", metadata}
    there = {
        str(path.relative_to(REPOSITORY))
        for part in ("chaoskit", "faults")
        for path in (REPOSITORY / part).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {name for name in names if not name.startswith(metadata)} == there
    assert {"chaoskit/py.typed", "faults/py.typed"} <= set(names)


def test_it_is_found_in_its_own_place_and_offers_its_faults(
    installed: Path, tmp_path: Path
) -> None:
    code = (
        "import chaoskit, faults, json\n"
        "from chaoskit import catalogue\n"
        "print(json.dumps([chaoskit.__file__, faults.__file__, "
        "[*catalogue.offered(catalogue.FAULTS), *catalogue.offered(catalogue.CHANGES)]]))"
    )
    done = run(installed, tmp_path, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    *places, offered = json.loads(done.stdout)
    assert all(place.startswith(str(installed.parent)) for place in places)
    assert {"Isolate", "SlowStorage", "WrongCertificate", "Upgrade"} <= set(offered)


def test_its_command_and_its_plugin_work_in_an_empty_folder(
    installed: Path, tmp_path: Path
) -> None:
    for argv in (("chaoskit", "--help"), ("chaoskit", "faults"), ("chaoskit", "doctor", "--json")):
        done = run(installed, tmp_path, *argv)
        assert done.returncode == 0, done.stdout + done.stderr
    refused = run(installed, tmp_path, "chaoskit", "up", "etcd")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: no system 'etcd' below ")
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    done = run(
        installed, tmp_path, "python", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert shutil.which("chaoskit", path=str(installed)) == str(installed / "chaoskit")


@pytest.mark.engine
def test_a_suite_of_one_s_own_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(SUITE)
    done = run(
        installed,
        tmp_path,
        "python",
        "-m",
        "pytest",
        "-W",
        "error",
        "--chaos-subnets",
        "10.236.0.0/16",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS 1   clusters built 1 (of these rebuilt 0), reused 0" in done.stdout
    verdicts = read_verdicts(tmp_path / "runs/latest")
    assert (verdicts.verdict, verdicts.finished) == (Verdict.PASS, True)
    assert (tmp_path / "runs/latest/report.html").stat().st_size > 10_000
    again = run(installed, tmp_path, "chaoskit", "recheck", "latest")
    assert again.returncode == 2, again.stdout  # without suites/mine/system.py nobody knows it
