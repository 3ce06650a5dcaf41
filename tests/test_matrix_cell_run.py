"""One cell of a matrix: what becomes of one that cannot be run, and where progress is owed."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit import matrix_cell_run
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, NotApplicable, WaitTimedOut
from chaoskit.history import History
from chaoskit.matrix_cell_run import _owed, one_fault, run_cell
from chaoskit.matrix_record import NOT_APPLICABLE, CellResult
from chaoskit.verdict import Verdict
from tests.tape import Tape
from tests.test_matrix_record import CELL
from tests.test_rehearsal_plan import system


class Recorder:
    """A recorder that keeps what a scope marks."""

    def __init__(self) -> None:
        self.tape = Tape(started=False)

    def record(self, process: str, f: str, value: dict[str, Any]) -> Any:
        return self.tape.events[self.tape.add(0.0, process, f, **value)]


class FakeCluster:
    """A cluster without load of which only the name and the history are real."""

    name = "c1"

    def __init__(self, history: History) -> None:
        self.recorder = Recorder()
        self._history = history

    def history(self) -> History:
        return self._history

    def loaded(self, _: float) -> Any:
        from contextlib import nullcontext

        return nullcontext()


def ran(lease: Any, body: Any) -> CellResult:
    session = SimpleNamespace(
        folder=SimpleNamespace(path=Path("runs/one")), choices=SimpleNamespace(seed="51c2")
    )
    leases = SimpleNamespace(lease=lease)
    return run_cell(cast("Any", session), cast("Any", leases), system(), CELL, body, again="again")


class Injected:
    """A fault that is felt at once, only after a restart, or never."""

    def __init__(self, done: list[str], *, by_itself: bool) -> None:
        self.done, self.by_itself = done, by_itself

    def felt(self) -> bool:
        return self.by_itself or "Restart b" in self.done

    def await_felt(self, *, timeout_s: float) -> None:
        self.done.append(f"felt within {timeout_s:g}")
        if not self.felt():
            raise WaitTimedOut("felt", timeout_s)


@pytest.mark.parametrize(
    ("restarted", "by_itself", "done"),
    [
        ("", True, ["felt within 15"]),
        ("b", True, ["felt within 3", "felt within 15"]),
        ("b", False, ["felt within 3", "Restart b", "felt within 15"]),
    ],
)
def test_a_fault_that_is_met_at_an_end_is_helped_to_one(
    restarted: str,
    by_itself: bool,  # noqa: FBT001
    done: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    cluster = SimpleNamespace(
        nodes={"a": None, "b": None},
        latest=dict,
        history=lambda: Tape().history(),
        name="c1",
        system=system(),
        await_progress=lambda **_: None,
        hold=lambda _: None,
        await_steady_state=lambda **_: None,
    )
    monkeypatch.setattr(
        matrix_cell_run, "inject", lambda *_, **__: nullcontext(Injected(seen, by_itself=by_itself))
    )
    monkeypatch.setattr(
        matrix_cell_run, "apply", lambda one, **_: seen.append(f"{type(one).__name__} {one.node}")
    )
    fields = {"one": "a", "other": "b"}
    one_fault("SlowClose", fields, may_exit=False, restarted=restarted)(cast("Any", cluster))
    assert seen == done


def test_a_cluster_that_cannot_be_had_is_infra() -> None:
    def lease(*_: object) -> Cluster:
        raise ChaosError("no subnet is left")

    found = ran(lease, lambda _: None)
    assert (found.verdict, found.by, found.text) == (Verdict.INFRA, "cluster", "no subnet is left")


def test_a_fault_that_cannot_be_put_on_it_is_no_verdict() -> None:
    def body(_: Cluster) -> None:
        raise NotApplicable("nobody leads")

    found = ran(lambda *_: FakeCluster(History(())), body)
    assert (found.verdict, found.text) == (NOT_APPLICABLE, "nobody leads")


def test_progress_is_owed_while_a_quorum_stands_in_this_cluster() -> None:
    tape = Tape()
    tape.observe(1.0, "a")
    whole = FakeCluster(tape.history())
    assert _owed(cast("Any", whole))
    whole.name = "c2"
    assert not _owed(cast("Any", whole))
    tape.state(2.0, "a", "paused")
    tape.state(2.0, "b", "paused")
    tape.observe(3.0, "c")
    assert not _owed(cast("Any", FakeCluster(tape.history())))
