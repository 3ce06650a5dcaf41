"""
The folder that a run leaves, and reading it again.

Owns: its name, its files, the link `latest`, and the form of verdicts.json and plan.json. Refuses:
a half-written file (each is written beside its place and moved there in one step), a verdict better
than what is known (a run that was cut short says so, and is UNKNOWN at best), and secrets
(everything written here goes through the run's redactor).

    runs/2026-11-21T09-12-03-7f3a/   history.jsonl verdicts.json plan.json report.html nodes/NAME/
    runs/latest -> 2026-11-21T09-12-03-7f3a

verdicts.json is written when the run begins and again after each test, so that a run stopped by a
time-out still has one.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaoskit.errors import UsageError
from chaoskit.invariant import Measured
from chaoskit.judge import Outcome
from chaoskit.redaction import Redactor
from chaoskit.saved import read_document
from chaoskit.verdict import Kind, Reason, Verdict, decide

SCHEMA = 1
LATEST = "latest"
_SEED = re.compile(r"[0-9a-f]{4,16}")
_NAME_TRIES = 100


@dataclass(frozen=True, slots=True)
class PromiseOutcome:
    """What became of one promise in one test, and what it was measured at."""

    name: str
    kind: Kind
    outcome: Outcome
    measured: tuple[Measured, ...] = ()


@dataclass(frozen=True, slots=True)
class TestVerdict:
    """
    One judged test.

    Attributes
    ----------
    scope: the indices of its first and its last event in the history.
    owed_share: in 0..1, the share of the fault and recovery windows in which liveness was owed;
        None when there were none.
    again: the one command that repeats it.

    """

    __test__ = False  # not for pytest to collect

    test: str
    verdict: Verdict
    scope: tuple[int, int]
    reasons: tuple[Reason, ...]
    promises: tuple[PromiseOutcome, ...]
    owed_share: float | None
    duration_s: float
    again: str

    def __post_init__(self) -> None:
        if self.verdict is not decide(self.reasons):
            raise ValueError(f"{self.test}: {self.verdict} is not what its reasons amount to")
        if not 0 <= self.scope[0] <= self.scope[1]:
            raise ValueError(f"{self.test}: its scope is {self.scope}")
        if self.owed_share is not None and not 0 <= self.owed_share <= 1:
            raise ValueError(f"{self.test}: liveness was owed {self.owed_share} of the time")


@dataclass(frozen=True, slots=True)
class RunVerdicts:
    """
    What verdicts.json says.

    `host` is what doctor and the calibration found, JSON values. Until `finished`, the run was cut
    short or still runs.
    """

    run: str
    seed: str
    system: str
    started_utc: str
    command: str
    host: Mapping[str, Any] = field(default_factory=dict)
    tests: tuple[TestVerdict, ...] = ()
    finished: bool = False

    @property
    def verdict(self) -> Verdict:
        """Of all tests together; UNKNOWN at best when none was judged or the run was cut short."""
        reasons = [reason for test in self.tests for reason in test.reasons]
        if not self.tests or not self.finished:
            reasons.append(Reason(Verdict.UNKNOWN, "run", "cut short"))
        return decide(reasons)


class RunFolder:
    """A run's folder while the run writes to it; safe to call from any thread."""

    def __init__(self, path: Path, verdicts: RunVerdicts, redactor: Redactor) -> None:
        """Made by `create_run`."""
        self.path = path
        self.verdicts = verdicts
        self._redactor = redactor
        self._lock = threading.Lock()
        self._write("verdicts.json", _verdicts_document(verdicts))

    @property
    def name(self) -> str:
        """The run's name: UTC and seed."""
        return self.path.name

    @property
    def history(self) -> Path:
        """Where the history goes."""
        return self.path / "history.jsonl"

    @property
    def nodes(self) -> Path:
        """Where each node has a folder for its log."""
        return self.path / "nodes"

    def add(self, test: TestVerdict) -> None:
        """Record a judged test; verdicts.json has it when this returns."""
        with self._lock:
            self._update(replace(self.verdicts, tests=(*self.verdicts.tests, test)))

    def describe(self, *, system: str, host: Mapping[str, Any]) -> None:
        """Record what is known only after the run began: its system and its host."""
        with self._lock:
            self._update(replace(self.verdicts, system=system, host=dict(host)))

    def finish(self) -> None:
        """All tests that were to be run have been judged."""
        with self._lock:
            self._update(replace(self.verdicts, finished=True))

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Write plan.json: `plan` and the schema version."""
        with self._lock:
            self._write("plan.json", {"schema": SCHEMA, **plan})

    def write_inspection(self, node: str, document: Mapping[str, Any]) -> None:
        """Write what the engine says of a node to nodes/NAME/inspect.json."""
        with self._lock:
            (self.nodes / node).mkdir(parents=True, exist_ok=True)
            self._write(f"nodes/{node}/inspect.json", {"schema": SCHEMA, "inspect": document})

    def _update(self, verdicts: RunVerdicts) -> None:
        self._write("verdicts.json", _verdicts_document(verdicts))
        self.verdicts = verdicts

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        cleaned = self._redactor.clean_document(document)
        target = self.path / name
        draft = target.with_name(f".{target.name}.draft")
        draft.write_text(json.dumps(cleaned, indent=1) + "\n")
        draft.replace(target)


def create_run(
    root: Path, *, seed: str, system: str, command: str, started: datetime, redactor: Redactor
) -> RunFolder:
    """
    Make a run's folder in `root` (`runs`, say) and let `latest` point to it.

    `seed` is 4 to 16 lower-case hex digits; `command` is what was typed. Raises UsageError when the
    folder cannot be made.
    """
    if not _SEED.fullmatch(seed):
        raise UsageError(f"seed {seed!r}: write 4 to 16 digits out of 0123456789abcdef")
    stamp = f"{started.astimezone(UTC):%Y-%m-%dT%H-%M-%S}-{seed}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        path = _make_folder(root, stamp)
        (path / "nodes").mkdir()
        _point_latest(root, path.name)
    except OSError as error:
        raise UsageError(f"no run folder can be made in {root}: {error}") from error
    verdicts = RunVerdicts(
        run=path.name,
        seed=seed,
        system=system,
        started_utc=started.astimezone(UTC).isoformat(timespec="milliseconds"),
        command=command,
    )
    return RunFolder(path, verdicts, redactor)


def _make_folder(root: Path, stamp: str) -> Path:
    """A folder of this name; with a number behind it for the second run of the same second."""
    for number in range(1, _NAME_TRIES + 1):
        path = root / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"{stamp} and {_NAME_TRIES - 1} more of that second are there already")


def _point_latest(root: Path, name: str) -> None:
    draft = root / f".{LATEST}.{os.getpid()}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(name)
    try:
        draft.replace(root / LATEST)
    except OSError:
        draft.unlink()
        raise


def open_run(name: str, *, root: Path) -> Path:
    """
    The folder of a saved run: a path, the name of a run in `root`, or `latest`.

    Raises UsageError, saying what to try, when there is none.
    """
    for path in (root / name, Path(name)):
        if (path / "history.jsonl").is_file() or (path / "verdicts.json").is_file():
            return path.resolve()
    if name == LATEST:
        raise UsageError(f"no run yet: {root / LATEST} does not point to one; try `make demo`")
    known = sorted(path.name for path in root.glob("*-*-*T*") if path.is_dir())[-3:]
    among = f"the last in {root}: {', '.join(known)}" if known else f"{root} holds none"
    raise UsageError(f"no run {name}: neither history.jsonl nor verdicts.json there ({among})")


def read_verdicts(folder: Path) -> RunVerdicts:
    """
    Read a saved run's verdicts.json.

    Raises UsageError, naming the file and what is wrong, when it is missing, corrupt or of another
    schema.
    """
    path = folder / "verdicts.json"
    document = read_document(path, what="record of verdicts", schema=SCHEMA)
    try:
        return RunVerdicts(
            **{key: document[key] for key in ("run", "seed", "system", "started_utc", "command")},
            host=document["host"],
            tests=tuple(_test_of(test) for test in document["tests"]),
            finished=document["finished"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} holds no verdicts of schema {SCHEMA}: {error!r}") from error


def _verdicts_document(verdicts: RunVerdicts) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "run": verdicts.run,
        "seed": verdicts.seed,
        "system": verdicts.system,
        "started_utc": verdicts.started_utc,
        "command": verdicts.command,
        "verdict": verdicts.verdict,
        "finished": verdicts.finished,
        "host": verdicts.host,
        "tests": [_test_document(test) for test in verdicts.tests],
    }


def _test_document(test: TestVerdict) -> dict[str, Any]:
    return {
        "test": test.test,
        "verdict": test.verdict,
        "scope": list(test.scope),
        "reasons": [
            {
                "verdict": reason.verdict,
                "by": reason.by,
                "text": reason.text,
                "events": list(reason.events),
                "kind": reason.kind,
            }
            for reason in test.reasons
        ],
        "promises": [
            {
                "name": one.name,
                "kind": one.kind,
                "outcome": one.outcome,
                "measured": [asdict(measured) for measured in one.measured],
            }
            for one in test.promises
        ],
        "owed_share": test.owed_share,
        "duration_s": round(test.duration_s, 3),
        "again": test.again,
    }


def _measured_of(document: Mapping[str, Any]) -> Measured:
    events = tuple(document["events"])
    return Measured(document["text"], document["value_s"], document["limit_s"], events)


def _test_of(document: Mapping[str, Any]) -> TestVerdict:
    first, last = document["scope"]
    return TestVerdict(
        test=document["test"],
        verdict=Verdict(document["verdict"]),
        scope=(first, last),
        reasons=tuple(
            Reason(
                Verdict(one["verdict"]),
                one["by"],
                one["text"],
                tuple(one["events"]),
                Kind(one["kind"]) if one["kind"] else None,
            )
            for one in document["reasons"]
        ),
        promises=tuple(
            PromiseOutcome(
                one["name"],
                Kind(one["kind"]),
                Outcome(one["outcome"]),
                tuple(_measured_of(measured) for measured in one.get("measured", ())),
            )
            for one in document["promises"]
        ),
        owed_share=document["owed_share"],
        duration_s=document["duration_s"],
        again=document["again"],
    )
