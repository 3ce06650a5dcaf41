"""What the README and docs/ say of this repository is so, where a machine can check it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from chaoskit.cli import app
from chaoskit.rowfile import PLACE, read_rows
from chaoskit.trackrecord import BEGINS, ENDS
from chaoskit.verdict import EXIT_CODES

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text()
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)")
_WORD = re.compile(r"`(?P<text>[^`\n]+)`")


def identity(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_links_lead_to_files(page: Path) -> None:
    for found in _LINK.finditer(page.read_text()):
        target = found["target"]
        assert not target.startswith("http"), f"{target}: what is needed is here"
        assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_commands_make_targets_and_files_exist(page: Path) -> None:
    commands = set(getattr(get_command(app), "commands", {}))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()
    fenced = "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    shell = re.findall(r"^(?:make|chaoskit) .*$", fenced, re.MULTILINE)
    for said in [*(one["text"] for one in _WORD.finditer(text)), *shell]:
        match said.split():
            case ["chaoskit", command, *_] if command.isalpha():
                assert command in commands, said
            case ["make", target, *_] if target.isalpha():
                assert target in targets, said
            case [path, *_] if re.fullmatch(
                r"(docker|tests|suites|faults|docs|chaoskit|\.ci)/[\w/.-]+", path
            ):
                own = {"suites/nats/system.py", "suites/__init__.py"}  # the reader's
                stands_for_any = re.search(r"\b[A-Z]{2,}\b", path)
                assert stands_for_any or path in own or (ROOT / path).exists(), said


def test_every_command_is_in_the_readme() -> None:
    for command in getattr(get_command(app), "commands", {}):
        assert re.search(rf"`(chaoskit )?{command}\b", README), command


def test_the_exit_codes_are_those_of_the_code() -> None:
    for page in (README, (ROOT / "docs/verdicts.md").read_text()):
        said = dict(
            re.findall(r"^\| (PASS|FAIL|INVALID|UNKNOWN|INFRA) \|.* (\d) \|$", page, re.MULTILINE)
        )
        assert said == {verdict.value: str(code) for verdict, code in EXIT_CODES.items()}


def test_every_package_that_set_up_installs_is_named() -> None:
    script = (ROOT / "docker/packages.sh").read_text()
    wanted = set(re.findall(r"^ *needs \S+ (\S+) ", script, re.MULTILINE))
    wanted |= set(re.findall(r"missing\+=\(([a-z0-9-]+)\)", script))
    assert {"docker.io", "fuse3", "docker-cli", "python3-venv"} <= wanted
    (row,) = [line for line in README.splitlines() if line.startswith("| packages of Debian")]
    missing = {name for name in wanted if not re.search(rf"[ ,]{re.escape(name)}[ ,|(]", row)}
    assert missing <= {"python3"}, "nothing runs without that one"


def test_the_track_record_has_every_row() -> None:
    section = README.partition(BEGINS)[2].partition(ENDS)[0]
    told = re.findall(r"^\| ([A-Z][\w-]+) \| (.*?) \|", section, re.MULTILINE)
    rows = read_rows(ROOT / PLACE)
    assert told == [(row.name, row.promise) for row in rows], (
        "python -m chaoskit.trackrecord README.md"
    )


def test_the_changes_begin_with_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    heads = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[0] == project["version"]
