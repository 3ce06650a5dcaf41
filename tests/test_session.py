"""A run: what stands in its folder however it ends, and that nothing of it is left elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from chaoskit import history, journal, session
from chaoskit.calibration import Calibration
from chaoskit.certificates import Authority
from chaoskit.errors import ChaosError, NotApplicable, UsageError
from chaoskit.ownership import Kind, rule_comment
from chaoskit.rundir import read_verdicts
from chaoskit.session import SCRATCH_ROOT, Session, draw_seed, typed_command
from chaoskit.setting import Setting
from chaoskit.verdict import Verdict
from suites.toys.system import toys
from tests.fakes import opened

# without an engine, the docker SDK leaves the socket of its failed connect to the collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
SETTING = Setting(release="1")


def left(folder: Path) -> list[str]:
    """The journals that are left in the state folder of a test."""
    return [path.name for path in (folder / "state").rglob("*.jsonl")]


def test_a_run_leaves_its_folder_and_nothing_else(tmp_path: Path) -> None:
    with opened(tmp_path, backend="process") as one:
        path = one.folder.path
        assert left(tmp_path) == [f"{path.name}.jsonl"], "its journal is open"
    assert left(tmp_path) == []
    assert {each.name for each in path.iterdir()} >= {
        "history.jsonl",
        "verdicts.json",
        "plan.json",
        "report.html",
        "nodes",
    }
    assert (tmp_path / "runs" / "latest").resolve() == path
    (run,) = history.read(path / "history.jsonl").of("run")
    assert run.value["run"] == path.name
    assert run.value["seed"] == "7f3a"
    assert run.value["argv"] == "the tests"
    assert run.value["host"]["calibration"]["sync_s"] > 0
    verdicts = read_verdicts(path)
    assert verdicts.finished
    assert verdicts.host == run.value["host"]
    assert verdicts.verdict is Verdict.UNKNOWN, "nothing was judged"
    plan = json.loads((path / "plan.json").read_text())
    assert (plan["seed"], plan["tests"]) == ("7f3a", {})


def test_a_run_that_breaks_has_its_report_and_is_not_finished(tmp_path: Path) -> None:
    def broken() -> None:
        with opened(tmp_path, backend="process"):
            raise OSError("the body")

    with pytest.raises(OSError, match="the body"):
        broken()
    path = (tmp_path / "runs" / "latest").resolve()
    assert (path / "report.html").stat().st_size > 1000
    assert (path / "plan.json").exists()
    assert not read_verdicts(path).finished
    assert left(tmp_path) == []


def test_a_cluster_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, backend="process") as one:
        cluster = one.cluster(toys(), Setting(release="9"))
        with pytest.raises(UsageError, match="9"):
            cluster.__enter__()
        assert not list(SCRATCH_ROOT.glob(f"*{one.folder.name}*"))
    assert left(tmp_path) == []


def test_what_cannot_be_removed_is_said_at_the_end(tmp_path: Path) -> None:
    said: list[str] = []
    with opened(tmp_path, backend="process", say=said.append) as one:
        run = one.folder.name
        # iptables refuses the option: it says neither that the rule is not there nor that it went
        undo = ("iptables", "-D", "FORWARD", "--no-such-option", rule_comment(run))
        one._journal.will_create(Kind.HOST_RULE, "a rule that stays", undo=undo)
    assert said[-1] == f"left     {run}: not all is removed: `chaoskit sweep` says what and why"
    assert left(tmp_path) == [f"{run}.jsonl"]


def test_a_given_image_that_was_not_used_is_said_at_the_end(tmp_path: Path) -> None:
    said: list[str] = []
    with opened(tmp_path, backend="process", say=said.append, images=("toys@2=mine:1",)):
        pass
    assert (
        said[-1] == "unused   --chaos-image toys@2=mine:1: no node of this run was started from it"
    )


def test_a_key_in_the_run_folder_is_an_error(tmp_path: Path) -> None:
    def leaking() -> None:
        with opened(tmp_path, backend="process") as one:
            key = Authority().issue(["n1"], []).key_pem
            one.redactor.register(key)
            (one.folder.nodes / "n1").mkdir(parents=True)
            (one.folder.nodes / "n1" / "copied").write_bytes(b"x" + key)

    with pytest.raises(ChaosError, match=r"a key of this run stands in nodes/n1/copied"):
        leaking()


@pytest.mark.parametrize(
    "choices",
    [{"images": ("toys=x",)}, {"seed": "xyz"}, {"backend": "vm"}],
    ids=lambda one: next(iter(one)),
)
def test_choices_that_cannot_be_meant_are_refused(
    tmp_path: Path, choices: dict[str, object]
) -> None:
    def run() -> None:
        with opened(tmp_path, **{"backend": "process"} | choices) as one:  # type: ignore[arg-type]
            one._backend(toys(), "c1", tmp_path)

    with pytest.raises(UsageError):
        run()
    assert left(tmp_path) == []


def test_the_process_backend_has_no_faulty_storage(tmp_path: Path) -> None:
    with (
        opened(tmp_path, backend="process") as one,
        pytest.raises(NotApplicable, match="no faulty storage"),
    ):
        one.cluster(toys(), Setting(release="1", storage=True))


def test_a_slow_machine_gets_longer_deadlines_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "calibrate", lambda _: Calibration(0.3, 0.001, 0.0001))
    with opened(tmp_path, backend="process") as one:
        cluster = one.cluster(toys(), SETTING)
        assert cluster.system.start_timeout_s == pytest.approx(3 * toys().start_timeout_s)
        assert cluster.system.progress_bound_s == toys().progress_bound_s
        cluster.backend.close()
        cluster._workshop.clear()
        path = one.folder.path
    assert read_verdicts(path).host["calibration"]["slowness"] == 3.0


def randoms(one: Session) -> list[float]:
    """Two clusters' draws, without starting them."""
    found = []
    for _ in range(2):
        cluster = one.cluster(toys(), SETTING)
        found.append(cluster.random.random())
        cluster.backend.close()
        cluster._workshop.clear()
    return found


def test_one_seed_gives_every_cluster_the_same_draws_and_each_its_own(tmp_path: Path) -> None:
    drawn = []
    for run, seed in (("1", "0a0a"), ("2", "0a0a"), ("3", "0a0b")):
        with opened(tmp_path / run, backend="process", seed=seed) as one:
            drawn.append(randoms(one))
    assert drawn[0] == drawn[1]
    assert len({*drawn[0], *drawn[2]}) == 4


def test_a_plan_that_stands_there_is_not_overwritten(tmp_path: Path) -> None:
    with opened(tmp_path, backend="process") as one:
        one.folder.write_plan({"seed": "7f3a", "mine": True})
    path = (tmp_path / "runs" / "latest").resolve()
    assert json.loads((path / "plan.json").read_text())["mine"] is True


def test_a_run_that_is_kept_is_not_cleared_up(tmp_path: Path) -> None:
    with opened(tmp_path, backend="process") as one:
        one.keep(0.2)
        record = journal.read(one._journal.path)
        assert record is not None
        assert record.kept_until is not None


def test_a_seed_is_four_hex_digits_and_a_command_can_be_typed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds = {draw_seed() for _ in range(50)}
    assert all(len(one) == 4 and int(one, 16) >= 0 for one in seeds)
    assert len(seeds) > 10
    monkeypatch.setattr(session, "Random", lambda: Random(1))
    assert draw_seed() == draw_seed()
    monkeypatch.setattr(sys, "argv", ["/opt/bin/chaoskit", "run", "a b", "$x"])
    for module, command in {
        None: "chaoskit",
        "chaoskit.cli": "python -m chaoskit.cli",
        "pytest.__main__": "python -m pytest",
    }.items():
        begun = SimpleNamespace(__spec__=module and SimpleNamespace(name=module))
        monkeypatch.setitem(sys.modules, "__main__", begun)
        assert typed_command() == f"{command} run 'a b' '$x'"
