"""The command line: options to one call, its answer to lines and an exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaoskit import cli
from chaoskit.errors import ChaosError, EngineFailed, UsageError
from chaoskit.playground import Stopped
from chaoskit.verdict import Verdict

REPOSITORY = Path(__file__).resolve().parent.parent
CODES = {
    Verdict.PASS: (0, 0),
    Verdict.FAIL: (1, 1),
    Verdict.INVALID: (3, 125),
    Verdict.UNKNOWN: (4, 125),
    Verdict.INFRA: (5, 125),
}


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


class Cli:
    """The command line in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def __call__(self, *argv: str) -> tuple[int, str, str]:
        """Its exit code, what it wrote, and what it wrote as errors."""
        self.monkeypatch.setattr(sys, "argv", ["/somewhere/chaoskit", *argv])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        written = self.capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, written.out, written.err

    def answers(self, place: str, answer: Any) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Put `answer` in the place of a function, raised if it is an exception; its calls."""
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        def called(*arguments: Any, **more: Any) -> Any:
            calls.append((arguments, more))
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.monkeypatch.setattr(place, called)
        return calls


@pytest.fixture
def chaoskit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(monkeypatch, capsys)


def test_the_commands_are_those_that_are_documented(chaoskit: Cli) -> None:
    names = {command.name or command.callback.__name__ for command in cli.app.registered_commands}  # type: ignore[union-attr]
    assert names == {
        *("doctor", "demo", "up", "down", "faults", "rehearse", "matrix", "rows", "recheck"),
        "sweep",
    }
    for name in names:
        assert chaoskit(name, "--help")[0] == 0


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_verdict_is_the_exit_code(chaoskit: Cli, verdict: Verdict) -> None:
    calls = chaoskit.answers("chaoskit.recheck.recheck", (verdict, [f"{verdict} t"]))
    assert chaoskit("recheck", "latest", "--runs", "r") == (CODES[verdict][0], f"{verdict} t\n", "")
    assert calls[0] == (
        ("latest",),
        {"runs": Path("r"), "load": cli._system, "rehearsed": cli._rehearsed},
    )
    assert chaoskit("recheck", "latest", "--exit-for-bisect")[0] == CODES[verdict][1]
    chaoskit.answers("chaoskit.demo.demo", verdict)
    assert chaoskit("demo", "etcd")[0] == CODES[verdict][0]


@pytest.mark.parametrize(
    ("error", "codes", "says"),
    [
        (UsageError("no such run"), (2, 128), "error: no such run\n"),
        (ChaosError("the heal failed"), (5, 125), "INFRA  the heal failed\n"),
        (EngineFailed("no engine"), (5, 125), "INFRA  no engine\n"),
    ],
)
def test_our_own_errors_are_one_line_and_a_code(
    chaoskit: Cli, error: Exception, codes: tuple[int, int], says: str
) -> None:
    chaoskit.answers("chaoskit.recheck.recheck", error)
    assert chaoskit("recheck", "latest") == (codes[0], "", says)
    assert chaoskit("recheck", "latest", "--exit-for-bisect") == (codes[1], "", says)


def test_what_cannot_be_read_ends_a_bisect_too(chaoskit: Cli) -> None:
    assert chaoskit("recheck", "latest", "--no-such-option")[0] == 2
    assert chaoskit("recheck", "latest", "--exit-for-bisect", "--no-such-option")[0] == 128
    assert chaoskit("no-such-command")[0] == 2


def test_a_rehearsal_has_axes_of_its_own_and_tells_them_in_the_plan(chaoskit: Cli) -> None:
    way = ("rehearse", "beacon", "--from", "v1.5.8", "--to", "v2.0.4", "--dry-run")
    code, said, _ = chaoskit(
        *way, "--keys-as-left-by", "v1.4", "--config-as-left-by", "v1.5.7",
        "--set", "scheme=pedersen-bls-unchained",
    )  # fmt: skip
    assert code == 0
    told = "keys as v1.4 left them · configuration as v1.5.7 left it · scheme pedersen-bls-unch"
    assert told in " ".join(said.split()), "in lines that fit a terminal"
    code, _, why = chaoskit(*way, "--set", "colour=blue")
    assert (code, "colour=blue" in why) == (2, True)
    code, _, why = chaoskit(*way, "--keys-as-left-by", "v9")
    assert (code, "--keys-as-left-by" in why) == (2, True)


@pytest.mark.parametrize("command", ["up", "demo"])
def test_an_unknown_system_or_release_names_those_there_are(chaoskit: Cli, command: str) -> None:
    code, _, error = chaoskit(command, "mysql")
    assert (code, error[:40]) == (2, f"error: no system 'mysql' below {REPOSITORY}"[:40])
    code, _, error = chaoskit(command, "etcd", "--release", "9.9")
    assert (code, error[:44]) == (2, "error: etcd 9.9 is none of its releases: 3.4")


def test_a_drawn_seed_is_in_the_command_that_repeats_the_run(chaoskit: Cli) -> None:
    calls = chaoskit.answers("chaoskit.demo.demo", Verdict.PASS)
    assert chaoskit("demo", "etcd", "--release", "3.5.16", "--chaos-image", "etcd@3.5.16=x")[0] == 0
    (shown, choices), more = calls[0]
    assert (shown.system.name, more["release"]) == ("etcd", "3.5.16")
    assert choices.images == ("etcd@3.5.16=x",)
    assert choices.project == REPOSITORY
    assert 4 <= len(choices.seed) <= 16
    assert choices.command == (
        f"chaoskit demo etcd --release 3.5.16 --chaos-image etcd@3.5.16=x --seed {choices.seed}"
    )
    chaoskit("demo", "etcd", "--seed", "7f3a")
    (shown, choices), more = calls[1]
    assert (choices.seed, choices.command) == ("7f3a", "chaoskit demo etcd --seed 7f3a")
    assert more["release"] == shown.system.releases[-1].label


def test_a_demo_without_a_name_is_the_beacon_s(chaoskit: Cli) -> None:
    calls = chaoskit.answers("chaoskit.demo.demo", Verdict.PASS)
    assert chaoskit("demo", "--seed", "7f3a")[0] == 0
    (shown, choices), more = calls[0]
    assert (shown.system.name, choices.command) == ("beacon", "chaoskit demo --seed 7f3a")
    assert more["release"] == shown.release == "v1.5.8"


def test_up_says_where_its_nodes_answer(chaoskit: Cli) -> None:
    document = {"schema": 1, "endpoints": {"e1": {"client": "http://10.0.0.1:2379"}}}
    started = SimpleNamespace(document=lambda: document, lines=lambda: ["etcd is up", "  down x"])
    calls = chaoskit.answers("chaoskit.playground.start", started)
    assert chaoskit("up", "etcd", "--hours", "0.5") == (0, "etcd is up\n  down x\n", "")
    assert calls[0][1]["keep_s"] == 1800.0
    code, written, _ = chaoskit("up", "etcd", "--json", "--storage")
    assert (code, json.loads(written), calls[1][0][2].storage) == (0, document, True)


def test_down_says_what_it_removed(chaoskit: Cli) -> None:
    calls = chaoskit.answers("chaoskit.playground.stop", Stopped(("removed  a",), 0))
    assert chaoskit("down", "a") == (0, "removed  a\n", "")
    chaoskit("down")
    assert [arguments for arguments, _ in calls] == [("a",), (None,)]


def test_a_down_that_leaves_something_is_no_success(chaoskit: Cli) -> None:
    chaoskit.answers("chaoskit.playground.stop", Stopped(("removed  a", "left     b: busy"), 1))
    assert chaoskit("down", "a") == (5, "removed  a\nleft     b: busy\n", "")


def test_a_sweep_that_leaves_something_is_no_success(chaoskit: Cli) -> None:
    report = SimpleNamespace(lines=list, left={})
    chaoskit.answers("chaoskit.sweep.sweep", report)
    assert chaoskit("sweep") == (0, "nothing was left behind\n", "")
    report.left, report.lines = {"container x": "busy"}, lambda: ["left     container x: busy"]
    assert chaoskit("sweep") == (5, "left     container x: busy\n", "")


def test_doctor_and_faults_are_for_people_and_for_programs(chaoskit: Cli) -> None:
    for command in ("doctor", "faults"):
        code, written, _ = chaoskit(command, "--json")
        assert code == 0
        assert json.loads(written)
        assert chaoskit(command)[0] == 0
    listed = {
        row.get("fault") or row.get("name") for row in json.loads(chaoskit("faults", "--json")[1])
    }
    assert {"Isolate", "Upgrade"} <= listed
