"""docs/adding-a-system.md, executed: from an image to a felt fault in at most 25 lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit.history import History, read
from tests.pages import Page, code_lines, read_page

LINES_AT_MOST = 25
COMMANDS = Path(sys.executable).parent


def in_a_folder(
    folder: Path, script: str, *, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a script as a reader of the page would, with the installed commands on PATH."""
    environment = os.environ | {"PATH": f"{COMMANDS}:{os.environ['PATH']}"}
    return subprocess.run(
        ["/bin/sh", "-ec", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


@pytest.fixture(scope="module")
def page() -> Page:
    return read_page("adding-a-system.md")


@pytest.fixture(scope="module")
def folder(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of the reader's own, with the page's file in it; no cluster stays up."""
    own = tmp_path_factory.mktemp("own")
    for name, text in page.files.items():
        (own / name).write_text(text)
    yield own
    for run in (own / "runs").glob("20*"):
        in_a_folder(own, f"chaoskit down {run.name} || true")


def test_it_is_short(page: Page) -> None:
    (program,) = page.files.values()
    assert code_lines(program) <= LINES_AT_MOST
    assert max(map(len, program.splitlines())) <= 100


def history(folder: Path) -> History:
    return read(folder / "runs/latest/history.jsonl")


@pytest.mark.engine
def test_the_fault_is_effective_felt_and_judged(page: Page, folder: Path) -> None:
    done = in_a_folder(folder, page.scripts[0])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS 1   clusters built 1" in done.stdout
    verdicts = json.loads((folder / "runs/latest/verdicts.json").read_text())
    assert verdicts["verdict"] == "PASS"
    (felt,) = history(folder).of("felt")
    assert felt.type == "ok"
    assert felt.value["after"] > felt.value["before"]
    (count,) = history(folder).of("bypass")
    assert count.value["packets"] == 0, "NATS dialled round the links"


@pytest.mark.engine
def test_it_becomes_a_suite_that_every_command_knows(page: Page, folder: Path) -> None:
    done = in_a_folder(folder, page.scripts[1])
    assert done.returncode == 0, done.stdout + done.stderr
    up = json.loads(done.stdout)
    assert set(up["endpoints"]) == {"n1", "n2", "n3"}
    for ports in up["endpoints"].values():
        with urllib.request.urlopen(f"{ports['monitor']}/varz", timeout=5) as answer:  # noqa: S310
            assert json.load(answer)["version"] == "2.9.10"
    again = in_a_folder(folder, "chaoskit recheck latest")
    assert "holds no test" in again.stdout, again.stdout + again.stderr
    assert in_a_folder(folder, f"chaoskit down {up['run']}").returncode == 0
