"""
One cell of a matrix on a real cluster: inject, felt, progress where it is owed, heal, recovered.

Owns: that experiment, the canary's, and what is written down of either. Refuses: knowing which
faults a release bears; a cell passes or fails by the promises that every test is judged by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from chaoskit import catalogue, clock
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, InvariantViolated, NotApplicable, WaitTimedOut
from chaoskit.experiment import Experiment, summary
from chaoskit.fault import Injection, apply, inject
from chaoskit.lease import Leases
from chaoskit.liveness import caught_up, heals, recovered_within
from chaoskit.matrix_cells import Cell
from chaoskit.matrix_record import NOT_APPLICABLE, CellResult
from chaoskit.quorate import timelines
from chaoskit.rundir import TestVerdict
from chaoskit.scope import scopes
from chaoskit.session import Session
from chaoskit.setting import Setting
from chaoskit.system import Observation, System
from chaoskit.verdict import Verdict, leading

LOAD_PER_S = 20.0
RECOVERY_S = 20.0
_FELT_TIMEOUT_S = 15.0
_PROGRESS, _PROGRESS_TIMEOUT_S = 20, 20.0
_PROGRESS_ALONE = 8  # of a system that moves by itself, as slowly as it does
_BY_ITSELF_S = 3.0
_BELOW_QUORUM_S = 3.0
_CANARY_PROGRESS = 10
_SILENT = Observation(ready=False)
_ROLES_TIMEOUT_S = 5.0


def run_cell(
    session: Session,
    leases: Leases,
    system: System,
    cell: Cell,
    body: Callable[[Cluster], None],
    *,
    again: str,
) -> CellResult:
    """
    Carry out one cell under load; `body` is what is done to its cluster. Answers how it came out.

    A cluster that cannot be had is INFRA; a fault that cannot be put on this cluster is
    "NOT APPLICABLE".
    """
    begun_s = clock.monotonic()
    setting = Setting(
        release=cell.release, storage=cell.storage, clocks=cell.clocks, load_per_s=LOAD_PER_S
    )

    def result(verdict: str, by: str, text: str, kind: str, back_s: float | None) -> CellResult:
        return CellResult(
            cell=cell,
            verdict=verdict,
            by=by,
            text=text,
            kind=kind,
            duration_s=round(clock.monotonic() - begun_s, 3),
            recovery_s=back_s,
            bound_s=RECOVERY_S,
            run=str(session.folder.path),
            seed=session.choices.seed,
            again=again,
            ended_utc=clock.utc_now().isoformat(timespec="seconds"),
        )

    try:
        cluster = leases.lease(system, setting)
    except ChaosError as error:
        return result(Verdict.INFRA, "cluster", str(error), "", None)
    experiment = Experiment(cluster, cell.name, again)
    try:
        verdict = _experiment(experiment, body)
    except NotApplicable as reason:
        return result(NOT_APPLICABLE, "", str(reason), "", None)
    session.add(verdict)
    leases.returned(cluster, verdict.verdict)
    first = leading(verdict.reasons)
    return result(
        verdict.verdict.value,
        first.by if first else "",
        first.text if first else summary(verdict),
        first.kind.value if first and first.kind else "",
        _recovery_s(cluster, verdict),
    )


def one_fault(
    name: str, fields: Mapping[str, Any], *, may_exit: bool, restarted: str = ""
) -> Callable[[Cluster], None]:
    """
    Make the body of a cell: one fault, felt; progress where it is owed; healed, steady again.

    `restarted` is who is restarted when nobody meets the fault by itself: it is met where a
    connection ends, and members may keep theirs.
    """

    def body(cluster: Cluster) -> None:
        _await_roles(cluster, fields)
        fault = catalogue.make(name, fields)
        with inject(fault, into=cluster, may_exit=may_exit) as injected:
            if restarted and not _felt_by_itself(injected):
                apply(catalogue.make("Restart", {"node": restarted, "how": "stop"}), to=cluster)
            injected.await_felt(timeout_s=_FELT_TIMEOUT_S)
            if _owed(cluster):
                by = _PROGRESS if cluster.system.driven else _PROGRESS_ALONE
                cluster.await_progress(by=by, timeout_s=_PROGRESS_TIMEOUT_S)
            else:
                cluster.hold(_BELOW_QUORUM_S)
        cluster.await_steady_state(timeout_s=RECOVERY_S)

    return body


def _felt_by_itself(injected: Injection) -> bool:
    with suppress(WaitTimedOut):
        injected.await_felt(timeout_s=_BY_ITSELF_S)
    return injected.felt()


def forgetting(node: str) -> Callable[[Cluster], None]:
    """
    Make the body of the canary: `node` is killed while nobody can tell it what it has forgotten.

    What it shows when it comes back, still cut off, is what its own data hold.
    """

    def body(cluster: Cluster) -> None:
        cluster.await_progress(by=_CANARY_PROGRESS, timeout_s=_PROGRESS_TIMEOUT_S)
        cluster.await_that(
            lambda: (cluster.latest()[node] or _SILENT).progress,
            what=f"progress of {node}",
            timeout_s=_PROGRESS_TIMEOUT_S,
        )
        with inject(catalogue.make("Isolate", {"node": node}), into=cluster):
            with inject(catalogue.make("Kill", {"node": node}), into=cluster):
                pass
            cluster.await_that(
                lambda: cluster.latest()[node], what=f"{node} to answer", timeout_s=RECOVERY_S
            )
        cluster.await_steady_state(timeout_s=RECOVERY_S)

    return body


def _experiment(experiment: Experiment, body: Callable[[Cluster], None]) -> TestVerdict:
    """Raises NotApplicable when the fault cannot be put on this cluster."""
    failure: BaseException | None = None
    experiment.begin()
    with experiment.cluster.loaded(LOAD_PER_S):
        try:
            body(experiment.cluster)
            experiment.check(recovered_within(RECOVERY_S))
        except NotApplicable:
            raise
        except (ChaosError, InvariantViolated) as error:
            failure = error
        return experiment.end(failure)


def _await_roles(cluster: Cluster, fields: Mapping[str, Any]) -> None:
    """Wait until somebody is in each role aimed at; if nobody is, `inject` says so."""
    aimed = {one for value in fields.values() for one in _names(value)} - set(cluster.nodes)
    with suppress(WaitTimedOut):
        clock.wait_until(
            lambda: aimed <= {one.role for one in cluster.latest().values() if one is not None},
            what="roles",
            timeout_s=_ROLES_TIMEOUT_S,
        )


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _owed(cluster: Cluster) -> bool:
    """Whether a quorum stands now, by what was measured."""
    found = [one for one in timelines(cluster.history()) if one.cluster == cluster.name]
    return bool(found) and bool(found[-1].intervals) and found[-1].intervals[-1].quorate


def _recovery_s(cluster: Cluster, verdict: TestVerdict) -> float | None:
    """From the last heal until the last node was back; None when one never was."""
    own = [one for one in scopes(cluster.history()) if one.test == verdict.test]
    history = own[-1].history
    ends = heals(history)
    if not ends:
        return None
    took = [took_s for took_s in caught_up(history, ends[-1]).values() if took_s is not None]
    if len(took) < len(cluster.nodes):
        return None
    return round(max(took), 3)
