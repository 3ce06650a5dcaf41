"""
One test on a cluster: its scope in the history, its promises, its verdict.

Owns: marking where a test begins and ends, taking the last readings before it is judged, and
putting what the judge says together with how the test's body ended. Refuses: a verdict from an
exception alone: an await that ran out is recorded and judged like anything else observed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from chaoskit import clock
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, InvariantViolated, NotApplicable, WaitTimedOut
from chaoskit.fault import NotEffective
from chaoskit.history import Recorder
from chaoskit.invariant import Invariant
from chaoskit.judge import Judgement
from chaoskit.replay import Replay, WentAstray
from chaoskit.rundir import PromiseOutcome, TestVerdict
from chaoskit.scope import judge_scope, scopes
from chaoskit.standing import promises_of
from chaoskit.verdict import Reason, Verdict, decide, leading
from chaoskit.workload import record_snapshot

_LEVEL_TIMEOUT_S = 2.0


@dataclass(slots=True)
class Experiment:
    """
    A test named `test` on `cluster`; `again` is the command that repeats it.

    Between `begin` and `end` the body may call `check` once, as its last act. `first` is the index
    of the event that marks its beginning; `replay` holds its body to the steps of a saved run.
    """

    cluster: Cluster
    test: str
    again: str
    extra: tuple[Invariant, ...] = ()
    own_reasons: list[Reason] = field(default_factory=list)
    judged: Judgement | None = None
    first: int = 0
    replay: Replay | None = None
    _started_s: float = 0.0
    _begun_s: float = 0.0
    _verdict: TestVerdict | None = None

    def begin(self) -> None:
        """Mark the beginning."""
        self._begun_s = clock.monotonic()
        self._mark("start")

    def _mark(self, event: str) -> None:
        value: dict[str, object] = {
            "test": self.test,
            "event": event,
            "cluster": self.cluster.name,
        }
        if event == "end":
            value["promises"] = [one.name for one in self.invariants()]
        marked = self.cluster.recorder.record("chaoskit", "scope", value)
        if event == "start":
            self.first, self._started_s = marked.index, marked.time_s

    def await_turn(self, action: str, fields: Mapping[str, Any]) -> float | None:
        """
        In a replay: wait until the next step, which must be this one, begins in the plan.

        Answers when it ends there, in seconds of this run; None for a change, and in no replay.
        Raises WentAstray.
        """
        if self.replay is None:
            return None
        step = self.replay.next(action, fields)
        at_s = self._started_s + step.at_s
        if (early_s := at_s - self.cluster.recorder.now_s()) > 0:
            self.cluster.hold(early_s)
        return None if step.duration_s is None else at_s + step.duration_s

    def invariants(self) -> tuple[Invariant, ...]:
        """The standing promises, the system's own, and those of this test, each once."""
        named = [
            *promises_of(self.cluster.system),
            *self.cluster.system.invariants,
            *self.extra,
        ]
        return tuple({one.name: one for one in named}.values())

    def check(self, *extra: Invariant) -> None:
        """
        End the test and judge it by the standing promises, the system's, and `extra`.

        Raises InvariantViolated unless the verdict is PASS; `judged` holds all of it.
        """
        self.extra += extra
        self.cluster.raise_failure()
        self._last_readings()
        self.cluster.raise_failure()  # once more: the load has ended since
        self._mark("end")
        verdict = self._judge()
        if verdict is not Verdict.PASS:
            raise InvariantViolated(f"{verdict}: {self.test}")

    def end(self, error: BaseException | None) -> TestVerdict:
        """
        The test's verdict, whether it came to its check or not; `error` is what ended it.

        Asked again it answers what it answered first.
        """
        if self._verdict is None:
            self._verdict = self._ended(error)
        return self._verdict

    def _ended(self, error: BaseException | None) -> TestVerdict:
        if self.judged is None:
            if error is not None:
                self.own_reasons.append(self._reason(error))
            with suppress(ChaosError):
                self._last_readings()
            self._mark("end")
            if error is None:
                text = "the test ended without check(): nothing was judged"
                self.own_reasons.append(Reason(Verdict.UNKNOWN, "check", text))
            self._judge()
        elif error is not None and not isinstance(error, InvariantViolated):
            self.own_reasons.append(self._reason(error))
        assert self.judged is not None
        reasons = (*self.judged.reasons, *self.own_reasons)
        return TestVerdict(
            test=self.test,
            verdict=decide(reasons),
            scope=(self.first, self.cluster.recorder.count() - 1),
            reasons=reasons,
            promises=tuple(
                PromiseOutcome(one.name, one.kind, one.outcome, one.measured)
                for one in self.judged.promises
            ),
            owed_share=self.judged.owed_share,
            duration_s=round(clock.monotonic() - self._begun_s, 3),
            again=self.again,
        )

    def _judge(self) -> Verdict:
        own = [one for one in scopes(self.cluster.history()) if one.test == self.test]
        self.judged = judge_scope(own[-1], self.invariants())
        if self.replay is not None and self.replay.left:
            steps, left = len(self.replay.steps), self.replay.left
            text = f"{len(left)} of {steps} steps of its plan were not taken, the first: {left[0]}"
            self.own_reasons.append(Reason(Verdict.INVALID, "replay", text))
        return decide((*self.judged.reasons, *self.own_reasons))

    def _last_readings(self) -> None:
        """Let the load end, let the nodes come level, read everything each of them holds."""
        self.cluster.end_load()
        with suppress(WaitTimedOut):  # a node that stays behind is for the promises to find
            clock.wait_until(
                self.cluster.is_level, what="level nodes", timeout_s=_LEVEL_TIMEOUT_S, poll_s=0.05
            )
        self._snapshots()
        self.cluster.record_bypass()

    def _snapshots(self) -> None:
        """Read everything each node holds, where the system can tell."""
        traffic = self.cluster.system.traffic
        if traffic is None or traffic.snapshot is None:
            return
        for node in self.cluster.nodes:
            record_snapshot(self.cluster.recorder, traffic, self.cluster.endpoint(node))

    def _reason(self, error: BaseException) -> Reason:
        text = f"{type(error).__name__}: {error}"
        match error:
            case WentAstray():
                return Reason(Verdict.INVALID, "replay", str(error))
            case NotEffective():
                return Reason(Verdict.INVALID, "inject", text)
            case NotApplicable():
                return Reason(Verdict.UNKNOWN, "inject", f"not applicable here: {error}")
            case WaitTimedOut():
                return Reason(Verdict.UNKNOWN, "await", f"the test gave up: {error}")
            case _:
                return Reason(Verdict.INFRA, "harness", text)


def without_cluster(test: str, recorder: Recorder, again: str, error: ChaosError) -> TestVerdict:
    """The verdict of a test whose cluster could not be had."""
    here = recorder.record("chaoskit", "note", {"text": f"{test} had no cluster: {error}"}).index
    reason = Reason(Verdict.INFRA, "cluster", f"{type(error).__name__}: {error}")
    return TestVerdict(test, Verdict.INFRA, (here, here), (reason,), (), None, 0.0, again)


def summary(verdict: TestVerdict) -> str:
    """The one sentence of a verdict: the reason that counts, or how many promises were kept."""
    first = leading(verdict.reasons)
    if first is None:
        return f"{len(verdict.promises)} promises"
    return f"{first.by}: {first.text}"


Report = Callable[[TestVerdict], None]


def worst(verdicts: Sequence[TestVerdict]) -> Verdict:
    """The verdict of several tests together; UNKNOWN when there is none."""
    if not verdicts:
        return Verdict.UNKNOWN
    return decide(reason for one in verdicts for reason in one.reasons)
