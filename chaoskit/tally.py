"""
Counting up: how often which test came out how, per state of the code, over runs.

Owns: the file `soak.json` of a project and what a state of the code is. Refuses: to forget: a
count is only ever added to. A figure "19 of 20" means nothing unless all 20 ran the same code, so
counts stand under a digest of the code, beside the commit that was checked out.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import statistics
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaoskit import clock
from chaoskit.saved import read_document

SCHEMA = 1
FILE = "soak.json"
_CODE = ("chaoskit", "faults", "suites", "nodes", "docker")
_KINDS = (".py", ".toml", ".sh", ".go", ".lock", "Dockerfile", ".j2", ".css", ".js")
_GIT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class State:
    """
    The code that ran: `digest` over its files (16 hex digits), and the commit checked out.

    A plus behind the commit says that the files were not those of that commit.
    """

    digest: str
    commit: str


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One run of one thing: `key` names it ("E1 breaks, short"), `verdict` is what it came out as.

    `by` names who found it, `as_expected` whether it had to come out so; `broken` lists every
    promise that was found broken, whether it counted or not. `at_once` is the load on the machine
    by ourselves: how many such runs, each with its cluster, were up at the same time.
    """

    key: str
    verdict: str
    by: str
    as_expected: bool
    duration_s: float
    broken: tuple[str, ...] = ()
    at_once: int = 1


def state_of(project: Path) -> State:
    """The state of the code of a project: the digest needs no git, the commit is empty without."""
    digest = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((project / folder).rglob("*")):
            if path.is_file() and path.name.endswith(_KINDS):
                digest.update(str(path.relative_to(project)).encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return State(digest.hexdigest()[:16], _commit(project))


def _commit(project: Path) -> str:
    head = _git(project, "rev-parse", "--short=12", "HEAD")
    there = [folder for folder in _CODE if (project / folder).is_dir()]
    changed = _git(project, "status", "--porcelain", "--", *there)
    return f"{head}+" if head and changed else head


def _git(project: Path, *argv: str) -> str:
    """What git says; nothing where there is no git or no repository."""
    try:
        asked = subprocess.run(
            ["git", "-C", str(project), *argv],
            text=True,
            capture_output=True,
            check=False,
            timeout=_GIT_TIMEOUT_S,
        )
    except FileNotFoundError:
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def add(path: Path, state: State, entries: tuple[Entry, ...]) -> None:
    """
    Count these runs in the file, which is made when there is none; two at once do not lose any.

    Raises UsageError when the file is no such count.
    """
    with _alone(path):
        document = read(path)
        known = document["states"].setdefault(
            state.digest, {"commit": state.commit, "first_utc": _now(), "counts": {}}
        )
        known["last_utc"] = _now()
        for entry in entries:
            _count(known["counts"].setdefault(entry.key, {}), entry)
        draft = path.with_name(f".{path.name}.draft")
        draft.write_text(json.dumps(document, indent=1) + "\n")
        draft.replace(path)


def read(path: Path) -> dict[str, Any]:
    """The counts of a file, JSON values; none for a file that is not there yet."""
    if not path.exists():
        return {"schema": SCHEMA, "states": {}}
    return read_document(path, what="count of runs", schema=SCHEMA)


def counted(document: Mapping[str, Any], state: State, key: str) -> tuple[int, int]:
    """How many of how many runs of `key` came out as expected in this state of the code."""
    count = document["states"].get(state.digest, {}).get("counts", {}).get(key, {})
    return count.get("as_expected", 0), count.get("runs", 0)


def usual_s(document: Mapping[str, Any], key: str) -> float | None:
    """Seconds that `key` took, the median in the state that counted it last; None if none did."""
    states = sorted(document["states"].values(), key=lambda state: state["last_utc"])
    counts = [state["counts"][key] for state in states if key in state["counts"]]
    return statistics.median(counts[-1]["durations_s"]) if counts else None


def _count(count: dict[str, Any], entry: Entry) -> None:
    count["runs"] = count.get("runs", 0) + 1
    count["as_expected"] = count.get("as_expected", 0) + entry.as_expected
    found = f"{entry.verdict} by {entry.by}" if entry.by else entry.verdict
    verdicts = count.setdefault("verdicts", {})
    verdicts[found] = verdicts.get(found, 0) + 1
    at_once = count.setdefault("at_once", {})
    at_once[str(entry.at_once)] = at_once.get(str(entry.at_once), 0) + 1
    for name in entry.broken:
        broken = count.setdefault("broken", {})
        broken[name] = broken.get(name, 0) + 1
    count.setdefault("durations_s", []).append(round(entry.duration_s, 1))


def _now() -> str:
    return clock.utc_now().isoformat(timespec="seconds")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else counts in this file's folder for the length of the block."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
