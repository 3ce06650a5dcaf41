"""Steps of a rehearsal: what they are called, when one has passed, and one on a real cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit.contribution import margin_kept
from chaoskit.errors import WaitTimedOut
from chaoskit.experiment import Experiment
from chaoskit.fault import NotEffective
from chaoskit.rehearsal_plan import RehearsalStep, StepKind
from chaoskit.rehearsal_route import RehearsalRequest
from chaoskit.rehearsal_step import Stage
from chaoskit.rehearsal_taken import Move, WayBack
from chaoskit.rehearsed import Rehearsed
from chaoskit.rundir import TestVerdict
from chaoskit.verdict import Kind, Reason, Verdict
from tests.tape import Tape
from tests.test_rehearsal_plan import system

STEP = RehearsalStep(2, StepKind.UPGRADE, "1", "2", turn=1)


def verdict(*reasons: Reason, test: str = "step 2") -> TestVerdict:
    decided = reasons[0].verdict if reasons else Verdict.PASS
    return TestVerdict(test, decided, (0, 1), reasons, (), None, 1.0, "again")


def broken(by: str = "no_unexpected_exit") -> TestVerdict:
    return verdict(Reason(Verdict.FAIL, by, "a exited by itself", (1,), Kind.SAFETY))


def way(planned: str, after_s: float, *, held: bool) -> WayBack:
    back = Move("2", "1", 1.0) if held else Move("2", "1", None, 1, "cannot go back")
    return WayBack(planned, after_s, back, Move("1", "2", 1.0))


@pytest.mark.parametrize(("state", "proved"), [("running", ["a"]), ("exited", [])])
def test_one_that_runs_and_does_not_serve_is_put_to_the_test_all_the_same(
    state: str, proved: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def prove(_: Stage, members: tuple[str, ...]) -> None:
        tried.extend(members)
        raise WaitTimedOut("an operation that needs a", 5.0)

    def judged(_: Stage, __: Experiment, body: Any, **___: float) -> TestVerdict:
        body()
        return verdict()

    cluster = SimpleNamespace(
        system=system("1", "2"), latest=dict, node=lambda _: SimpleNamespace(state=state)
    )
    plan = SimpleNamespace(request=RehearsalRequest("1", "2"))
    session = SimpleNamespace(choices=SimpleNamespace(command="again"))
    stage = Stage(
        cast("Any", session), cast("Any", cluster), cast("Any", plan), Rehearsed(system("1", "2"))
    )
    monkeypatch.setattr(Stage, "move", lambda *_: Move("1", "2", None))
    monkeypatch.setattr(Stage, "_actuated", lambda *_: None)
    monkeypatch.setattr(Stage, "_exits", lambda *_: ())
    monkeypatch.setattr(Stage, "_prove", prove)
    monkeypatch.setattr(Stage, "judged", judged)
    taken = stage.upgrade(STEP, ("a",), pause_s=0.0)
    assert tried == proved
    assert taken.contribution is None


@pytest.mark.parametrize(
    ("runs", "state", "refused"),
    [
        ("sha256:old", "running", True),
        ("sha256:new", "running", False),
        ("sha256:old", "exited", False),
    ],
)
def test_an_upgrade_that_left_the_old_image_running_is_not_judged(
    runs: str,
    state: str,
    refused: bool,  # noqa: FBT001
) -> None:
    node = SimpleNamespace(image="store:2", image_id=runs, state=state)
    cluster = cast("Any", SimpleNamespace(node=lambda _: node, image_id=lambda _: "sha256:new"))
    nobody = cast("Any", None)
    stage = Stage(nobody, cluster, nobody, nobody)
    experiment = Experiment(cluster, "step 2", "again", extra=(margin_kept(1),))
    if not refused:
        stage._actuated(("a",), experiment)
        assert experiment.extra
        return
    with pytest.raises(NotEffective, match="sha256:old"):
        stage._actuated(("a",), experiment)
    assert experiment.extra == ()


def test_a_process_is_given_its_own_last_words_and_not_those_of_the_one_before(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").mkdir()
    lines = ["8.0 error: of the one before", "9.2 the key is refused", "9.3 error: the key"]
    (tmp_path / "a" / "log").write_text("\n".join(lines[:2]) + "\n")
    tape = Tape()
    tape.state(1.0, "a", "exited", signalled=False)
    tape.state(2.0, "a", "running")
    tape.state(8.5, "a", "stopped")
    tape.state(9.0, "a", "running")
    tape.state(10.0, "a", "exited", signalled=False)
    session = SimpleNamespace(folder=SimpleNamespace(nodes=tmp_path))
    cluster = SimpleNamespace(history=tape.history)
    stage = Stage(cast("Any", session), cast("Any", cluster), cast("Any", None), cast("Any", None))
    scope = replace(verdict(), scope=(tape.events[-4].index, tape.events[-1].index))
    (gone,) = stage._exits(scope)
    assert (gone.member, gone.at_s) == ("a", 10.0)
    assert gone.words == '"the key is refused"'
    (tmp_path / "a" / "log").write_text("\n".join(lines) + "\n")
    assert [one.words for one in stage._exits(scope)] == ['"error: the key"']
