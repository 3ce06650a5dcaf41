"""The pytest plugin, in pytest sessions of its own; clusters are stand-ins, all else is real."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

import chaoskit
from chaoskit.cluster import Cluster
from chaoskit.errors import EngineFailed
from chaoskit.history import Recorder
from chaoskit.rundir import read_verdicts
from chaoskit.session import Session
from chaoskit.setting import Setting
from chaoskit.system import System
from chaoskit.verdict import Verdict
from tests.stand_in import StandIn, still, traffic

pytest_plugins = ("pytester",)
STILL = still(traffic=traffic(lambda _: {}))
HEAVY = (
    "docker",
    "grpc",
    "requests",
    "typer",
    "rich",
    "jinja2",
    "cryptography",
    "mfusepy",
    "trustme",
)
SUITE = """
import pytest
from chaoskit.errors import ChaosError, WaitTimedOut
from chaoskit.fault import inject
from tests.stand_in import Jam
from tests.test_pytest_plugin import STILL

@pytest.fixture
def still(chaos_cluster):
    return chaos_cluster(STILL)

"""
PASSES = """
def test_passes(still):
    with inject(Jam("a", ()), into=still):
        still.world.met += 1
    still.check()
"""
FAILS = """
def test_fails(still):
    still.sees("a", 9)
    still.sees("a", 1)
    still.check()
"""
UNFELT = """
def test_unfelt(still):
    with inject(Jam("a", ()), into=still):
        pass
    still.check()
"""
NOT_EFFECTIVE = """
def test_not_effective(still):
    still.world.does_nothing = True
    with inject(Jam("a", ()), into=still):
        pass
    still.check()
"""
UNKNOWN = """
def test_unknown(still):
    pass
"""
BROKEN = """
def test_broken(still):
    raise ChaosError("the engine is gone\\nand so is all hope")
"""
GAVE_UP = """
def test_gave_up(still):
    raise WaitTimedOut("the leader", 5.0)
"""


@pytest.fixture
def clusters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[StandIn]:
    """Sessions make stand-ins, under which every promise has evidence, and sweep elsewhere."""
    made: list[StandIn] = []

    def cluster(one: Session, system: System, setting: Setting) -> Cluster:
        if setting.release == "none":
            raise EngineFailed("no engine\nat all")
        stand_in = StandIn(tmp_path, system, name=f"c{len(made) + 1}", recorder=one.recorder)
        stand_in.starts()
        made.append(stand_in)
        return stand_in.as_cluster

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(Session, "cluster", cluster)
    begin = Recorder.record

    def record(one: Any, process: str, f: str, value: Any, **more: Any) -> Any:
        event = begin(one, process, f, value, **more)
        if f == "scope" and value["event"] == "start":
            made[-1].works()
        return event

    monkeypatch.setattr(Recorder, "record", record)
    return made


def run(pytester: pytest.Pytester, *tests: str, args: tuple[str, ...] = ()) -> pytest.RunResult:
    pytester.makepyfile(test_suite=SUITE + "".join(tests))
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *args)


def latest(pytester: pytest.Pytester) -> Path:
    return pytester.path / "runs/latest"


def test_loading_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, chaoskit.pytest_plugin\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
        "print(sorted(name for name in sys.modules if name.startswith('chaoskit')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, ours = done.stdout.splitlines()
    assert heavy == "[]"
    assert ours == "['chaoskit', 'chaoskit.errors', 'chaoskit.leftout', 'chaoskit.pytest_plugin']"
    assert chaoskit.__doc__


def test_a_session_without_chaos_opens_no_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    done = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["chaoskit: seed [0-9a-f]*, * cores, * GiB, kernel *"])
    done.stdout.no_fnmatch_line("*= chaos =*")
    assert not (pytester.path / "runs").exists()


def test_it_can_be_left_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    done = pytester.runpytest_subprocess("-p", "no:chaoskit", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1)
    done.stdout.no_fnmatch_line("*chaoskit: seed*")
    done = pytester.runpytest_subprocess("-p", "no:chaoskit", "--chaos-seed=7f3a")
    done.stderr.fnmatch_lines(["*unrecognized arguments: --chaos-seed=7f3a*"])


def test_its_options_marker_and_fixtures_are_there(pytester: pytest.Pytester) -> None:
    said = pytester.runpytest_inprocess("--help").stdout.str()
    for name in ("seed", "image", "release", "plan", "backend", "keep", "runs", "subnets"):
        assert f"--chaos-{name}" in said
    assert "@pytest.mark.chaos(" in pytester.runpytest_inprocess("--markers").stdout.str()
    fixtures = pytester.runpytest_inprocess("--fixtures").stdout.str()
    assert {"chaos_cluster", "chaos_session", "chaos_plan"} <= set(fixtures.split())


@pytest.mark.usefixtures("clusters")
def test_a_pass_is_green_and_counted(pytester: pytest.Pytester) -> None:
    done = run(pytester, PASSES, args=("--chaos-seed", "7f3a"))
    done.assert_outcomes(passed=1)
    assert done.ret == 0
    done.stdout.fnmatch_lines(
        [
            "chaoskit: seed 7f3a, *",
            "*= chaos =*",
            "PASS 1   clusters built 1 (of these rebuilt 0), reused 0",
            "report  */runs/*-7f3a/report.html",
        ]
    )
    verdicts = read_verdicts(latest(pytester))
    assert (verdicts.verdict, verdicts.finished, verdicts.seed) == (Verdict.PASS, True, "7f3a")
    assert verdicts.system == "still"
    (test,) = verdicts.tests
    assert test.test == "test_suite.py::test_passes"
    assert test.again == "pytest test_suite.py::test_passes --chaos-seed 7f3a"
    assert (latest(pytester) / "report.html").read_text().startswith("<!")


RED = [
    (FAILS, "FAIL", "no_rollback"),
    (UNFELT, "INVALID", "faults_were_felt"),
    (NOT_EFFECTIVE, "INVALID", "inject"),
    (UNKNOWN, "UNKNOWN", "check"),
    (BROKEN, "INFRA", "harness"),
    (GAVE_UP, "UNKNOWN", "await"),
]


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize(("test", "verdict", "by"), RED, ids=[f"{v}-{by}" for _, v, by in RED])
def test_whatever_is_no_pass_is_red_in_six_lines(
    pytester: pytest.Pytester, test: str, verdict: str, by: str
) -> None:
    done = run(pytester, test, args=("--chaos-seed", "7f3a"))
    assert done.ret == 1
    name = test.split("(", maxsplit=1)[0].rpartition(" ")[2]
    lines = done.stdout.lines
    at = next(i for i, line in enumerate(lines) if line.startswith((f"_ {name}", "__")))
    shown = lines[at + 1 : next(i for i, line in enumerate(lines) if i > at and line[:2] == "==")]
    assert len(shown) <= 6, shown
    assert shown[0].startswith(f"{verdict}  ")
    assert shown[0].endswith(f"  test_suite.py::{name}")
    assert shown[-1] == f"  again        pytest test_suite.py::{name} --chaos-seed 7f3a"
    (saved,) = read_verdicts(latest(pytester)).tests
    assert saved.verdict.value == verdict
    assert by in {reason.by for reason in saved.reasons}


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize("phase", ["errors", "failed"])
def test_a_test_whose_cluster_cannot_be_had_is_in_the_verdicts(
    pytester: pytest.Pytester, phase: str
) -> None:
    inside = "\ndef test_passes(chaos_cluster):\n    chaos_cluster(STILL)\n"
    test = PASSES if phase == "errors" else inside
    done = run(pytester, test, args=("--chaos-release", "none", "--chaos-seed", "7f3a"))
    done.assert_outcomes(**{phase: 1})
    done.stdout.fnmatch_lines(
        [
            "INFRA  cluster  test_suite.py::test_passes",
            "  EngineFailed: no engine at all",
            "  again  *pytest test_suite.py::test_passes --chaos-seed 7f3a --chaos-release none",
        ],
        consecutive=True,
    )
    verdicts = read_verdicts(latest(pytester))
    assert verdicts.verdict is Verdict.INFRA


@pytest.mark.usefixtures("clusters")
def test_an_error_in_the_tests_own_code_keeps_its_traceback(pytester: pytest.Pytester) -> None:
    done = run(pytester, "\ndef test_it(still):\n    assert 1 == 2\n")
    done.stdout.fnmatch_lines(["*assert 1 == 2*"])
    assert read_verdicts(latest(pytester)).verdict is Verdict.INFRA


def test_clusters_are_shared_and_counted(
    pytester: pytest.Pytester, clusters: list[StandIn]
) -> None:
    again = PASSES.replace("test_passes", "test_again")
    other = PASSES.replace("test_passes", "test_other")
    marked = other.replace("def ", "@pytest.mark.chaos(release='1', load_per_s=0)\ndef ")
    done = run(pytester, PASSES, FAILS, again, again.replace("again", "third"), marked)
    done.assert_outcomes(passed=4, failed=1)
    done.stdout.fnmatch_lines(["PASS 4   FAIL 1   clusters built 3 (of these rebuilt 1), reused 2"])
    assert len(clusters) == 3


@pytest.mark.usefixtures("clusters")
def test_junit_has_the_verdict(pytester: pytest.Pytester) -> None:
    run(
        pytester, PASSES, FAILS, UNKNOWN, args=("--junitxml=junit.xml", "-o", "junit_family=xunit1")
    )
    cases = ET.parse(pytester.path / "junit.xml").getroot().iter("testcase")  # noqa: S314
    found = {}
    for case in cases:
        for one in case.iter("property"):
            found[case.get("name")] = (one.get("name"), one.get("value"))
    assert found == {
        "test_passes": ("verdict", "PASS"),
        "test_fails": ("verdict", "FAIL"),
        "test_unknown": ("verdict", "UNKNOWN"),
    }


def test_a_failed_cluster_is_kept_when_asked(
    pytester: pytest.Pytester, clusters: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[float] = []
    monkeypatch.setattr(Session, "keep", lambda _, duration_s: kept.append(duration_s))
    run(pytester, FAILS)
    assert (kept, "stands" in clusters[0].world.log) == ([], False)
    run(pytester, FAILS, args=("--chaos-keep=failed",))
    assert (kept, "stands" in clusters[1].world.log) == ([3600.0], True)
    run(pytester, PASSES, args=("--chaos-keep=failed",))
    assert (len(kept), "stands" in clusters[2].world.log) == (1, False)


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize(
    "args", [("--chaos-seed", "XYZ"), ("--chaos-image", "nonsense"), ("--chaos-subnets", "here")]
)
def test_choices_that_cannot_be_meant_end_in_no_green(
    pytester: pytest.Pytester, args: tuple[str, ...]
) -> None:
    done = run(pytester, PASSES, args=args)
    if args[0] != "--chaos-subnets":  # those are for a backend, which a stand-in has none of
        assert done.ret != 0
        assert args[1] in done.stdout.str() + done.stderr.str()


@pytest.mark.parametrize(
    ("method", "judged"),
    [("thread", [Verdict.PASS]), ("signal", [Verdict.PASS, Verdict.INFRA])],
)
def test_a_time_out_leaves_verdicts(
    pytester: pytest.Pytester,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    judged: list[Verdict],
) -> None:
    """By thread pytest-timeout ends the process at once: what was judged by then is there."""
    pytester.makeconftest(
        "import sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent.parent)!r})\n"
        "from chaoskit.session import Session\n"
        "from tests.stand_in import StandIn\n"
        "def cluster(session, system, setting):\n"
        f"    made = StandIn(Path({str(tmp_path)!r}), system, recorder=session.recorder)\n"
        "    made.starts()\n"
        "    return made\n"
        "Session.cluster = cluster\n"
    )
    passes = PASSES.replace("    with", "    still.works()\n    with")
    hangs = f"\n@pytest.mark.timeout(3, method={method!r})\ndef test_hangs(still):\n"
    hangs += "    import threading\n    threading.Event().wait()\n"
    pytester.makepyfile(test_suite=SUITE + passes + hangs)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    done = pytester.runpytest_subprocess(
        "-p", "no:hypothesispytest", "-p", "no:cacheprovider", timeout=120
    )
    assert done.ret != 0
    assert "Timeout" in done.stdout.str() + done.stderr.str()
    verdicts = read_verdicts(latest(pytester))
    assert [test.verdict for test in verdicts.tests] == judged
    assert verdicts.verdict is not Verdict.PASS
    assert verdicts.finished is (method == "signal")


CARRIES_OUT = """
@pytest.mark.chaos(load_per_s=5.0)
def test_carries_out(chaos_plan, still):
    with inject(Jam("a", ()), into=still):
        still.world.met += 1
    assert [step.action for step in chaos_plan.steps] == ["Whatever"]
    assert chaos_plan.inputs == {"to": "2"}
    still.check()
"""
LED = PASSES.replace("test_passes", "test_led").replace('Jam("a", ())', 'Jam("leader", ("c",))')
JAM = {"at_s": 0.1, "action": "Jam", "fields": {"node": "leader", "others": ["c"]}}


def plan_file(pytester: pytest.Pytester, **values: Any) -> str:
    (pytester.path / "given.json").write_text(json.dumps({"schema": 1} | values))
    return "--chaos-plan=given.json"


def saved_plan(pytester: pytest.Pytester) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((latest(pytester) / "plan.json").read_text())
    return found


@pytest.mark.usefixtures("clusters")
def test_a_saved_run_is_done_again(pytester: pytest.Pytester) -> None:
    chosen = ("--chaos-seed", "7f3a", "--chaos-backend", "process")
    run(pytester, LED, PASSES, args=chosen).assert_outcomes(passed=2)
    first = saved_plan(pytester)
    assert first["backend"] == "process"
    plan = first["tests"]["test_suite.py::test_led"]
    known = {key: plan[key] for key in ("system", "release", "seed", "load_per_s")}
    assert known == {"system": "still", "release": "2", "seed": "7f3a", "load_per_s": 20.0}
    (step,) = plan["steps"]
    assert (step["action"], step["fields"]) == ("Jam", {"node": "leader", "others": ["c"]})
    again = run(pytester, LED, UNFELT, args=("--chaos-plan", "runs/latest/plan.json"))
    again.assert_outcomes(passed=1, deselected=1)
    again.stdout.fnmatch_lines(
        [
            "chaoskit: seed 7f3a, *",
            "1 tests left out: no plan in runs/latest/plan.json",
            "1 plans of runs/latest/plan.json not carried out: * test_suite.py::test_passes",
            "PASS 1 *",
        ]
    )
    (verdict,) = read_verdicts(latest(pytester)).tests
    assert verdict.again.endswith("--chaos-plan runs/latest/plan.json --chaos-backend process")
    assert saved_plan(pytester)["backend"] == "process"
    assert list(saved_plan(pytester)["tests"]) == ["test_suite.py::test_led"]


def test_a_replayed_step_begins_and_ends_when_it_did(
    pytester: pytest.Pytester, clusters: list[StandIn]
) -> None:
    steps = [JAM | {"at_s": 40.0, "duration_s": 60.0}]
    option = plan_file(pytester, tests={"test_suite.py::test_led": {"steps": steps}})
    run(pytester, LED, args=(option,)).assert_outcomes(passed=1)
    begins, ends = clusters[0].held
    assert 30 < begins <= 40  # time goes on while the stand-in holds nothing
    assert 90 < ends <= 100


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([], "its plan has 0 steps, all taken"),
        ([JAM | {"action": "Turn"}], "step 1 of its plan is: *Turn*"),
        ([JAM | {"duration_s": 0.1}, JAM], "1 of 2 steps of its plan were not taken*Jam*"),
    ],
)
def test_a_replay_that_does_something_else_is_invalid(
    pytester: pytest.Pytester, steps: list[Any], says: str
) -> None:
    option = plan_file(pytester, tests={"test_suite.py::test_led": {"steps": steps}})
    done = run(pytester, LED, args=(option,))
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["INVALID  replay *", f"*{says}"])


@pytest.mark.usefixtures("clusters")
def test_a_test_that_asks_for_the_plan_gets_its_own_and_it_is_saved_as_given(
    pytester: pytest.Pytester,
) -> None:
    given = {"steps": [{"at_s": 1.0, "action": "Whatever"}], "inputs": {"to": "2"}, "release": "1"}
    name = "test_suite.py::test_carries_out"
    option = plan_file(pytester, seed="7f3a", tests={name: given})
    for args in ((option,), ("--chaos-plan", "runs/latest/plan.json")):
        run(pytester, CARRIES_OUT, args=args).assert_outcomes(passed=1)
        kept = saved_plan(pytester)["tests"][name]
        assert [step["action"] for step in kept["steps"]] == ["Whatever"]
        known = {key: kept[key] for key in ("inputs", "release", "seed", "load_per_s")}
        assert known == {"inputs": {"to": "2"}, "release": "1", "seed": "7f3a", "load_per_s": 5.0}
    option = plan_file(pytester, **given)
    run(pytester, CARRIES_OUT, PASSES, args=(option,)).assert_outcomes(passed=1, deselected=1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"schema": 7}', "no plan of schema 1"),
        ("{", "is no JSON"),
        (None, "no plan at"),
        ('{"schema": 1, "rehearsal": {}}', "the plan of a rehearsal"),
    ],
)
def test_a_plan_that_cannot_be_read_is_wrong_usage(
    pytester: pytest.Pytester, content: str | None, says: str
) -> None:
    if content is not None:
        (pytester.path / "given.json").write_text(content)
    pytester.makepyfile("def test_it(): pass")
    done = pytester.runpytest_inprocess("--chaos-plan=given.json", "-p", "no:cacheprovider")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(
        [f"ERROR: --chaos-plan: *given.json*{says}*"] if content else ["*no plan at*"]
    )
    assert "Traceback" not in done.stderr.str()


def test_draws_depend_on_the_seed_and_the_test_alone(
    pytester: pytest.Pytester, clusters: list[StandIn]
) -> None:
    def drawn(*tests: str, seed: str) -> float:
        run(pytester, *tests, args=("--chaos-seed", seed, "-k", "passes or fails"))
        return float(clusters[-1].as_cluster.random.random())

    alone = drawn(PASSES, seed="7f3a")
    assert drawn(FAILS, PASSES, seed="7f3a") == alone
    assert drawn(PASSES, seed="7f3b") != alone
