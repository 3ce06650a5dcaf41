"""Links that are cut while a member restarts: in which order, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit import rehearsal_links
from chaoskit.errors import WaitTimedOut
from chaoskit.rehearsal_links import mend_links
from chaoskit.system import Observation


class Stage:
    """A cluster of three that writes down what is done to it."""

    def __init__(self, *failing: str) -> None:
        self.done: list[str] = []
        self.nodes = dict.fromkeys(("a", "b", "c"))
        self.system = SimpleNamespace(start_timeout_s=30.0)
        self.observers = SimpleNamespace(all_asked_since=lambda _: True)
        self.seen = Observation(ready=True, detail={"failing": failing})

    def latest(self) -> dict[str, Observation]:
        return {"a": self.seen}

    def hold(self, duration_s: float) -> None:
        self.done.append(f"hold {duration_s:g}")

    def await_that(self, predicate: Any, *, what: str, timeout_s: float) -> None:
        self.done.append(f"await {what}")
        if not predicate():
            raise WaitTimedOut(what, timeout_s)

    def await_steady_state(self, *, timeout_s: float) -> None:
        self.done.append(f"steady {timeout_s:g}")


def mended(stage: Stage, unreached: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    @contextmanager
    def inject(fault: Any, *, into: Any) -> Iterator[Any]:
        into.done.append(f"cut {fault.node}")
        yield SimpleNamespace(await_felt=lambda **_: into.done.append("felt"))
        into.done.append("mend")

    def apply(change: Any, *, to: Any) -> None:
        to.done.append(f"{type(change).__name__} {change.node} {change.how}")

    monkeypatch.setattr(rehearsal_links, "inject", inject)
    monkeypatch.setattr(rehearsal_links, "apply", apply)
    mend_links(cast("Any", stage), "a", unreached)
    return stage.done


CUT = ["cut a", "felt", "Restart a stop"]
MENDED = ["mend", "steady 30"]


def test_a_member_restarts_while_it_is_cut_off_and_is_given_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert mended(Stage(), None, monkeypatch) == [*CUT, "hold 4", *MENDED]


@pytest.mark.parametrize("failing", [("b", "c"), ("b",), ()])
def test_one_that_says_whom_it_dials_in_vain_is_waited_for(
    failing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[bool] = []

    def unreached(seen: Observation) -> Any:
        waits.append(set(seen.detail["failing"]) == {"b", "c"})
        return seen.detail["failing"]

    done = mended(Stage(*failing), unreached, monkeypatch)
    assert done == [*CUT, "await a to say that it reaches nobody", *MENDED]
    assert waits == [len(failing) == 2]
