"""
The demo: a real cluster, broken three times in front of you, and judged each time.

Owns: the acts and their two lines each. Refuses: knowing the system; it takes what the system's
description offers (a secure port, storage) and leaves out an act that is not applicable, saying so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaoskit import catalogue
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, InvariantViolated, NotApplicable
from chaoskit.experiment import Experiment, summary, worst
from chaoskit.fault import inject
from chaoskit.liveness import recovered_within
from chaoskit.session import Choices, Session, open_session
from chaoskit.setting import Setting
from chaoskit.system import System
from chaoskit.telling import Course, courses
from chaoskit.verdict import Verdict
from chaoskit.workload import Tally

_LOAD_PER_S = 20.0
_PROGRESS, _PROGRESS_TIMEOUT_S = 60, 30.0
_FELT_TIMEOUT_S = 15.0
_RECOVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class Act:
    """One fault of a demo: what it is called, the fault, its fields, and in a few words what."""

    title: str
    fault: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""


ACTS = (
    Act("partition", "Isolate", {"node": "leader"}, "the leader is cut off"),
    Act("tls", "TlsMismatch", {"node": "follower"}, "a follower serves plaintext to its peers"),
    Act("storage", "SlowStorage", {"node": "leader", "delay_s": 0.2}, "fsync +200 ms"),
)


def demo(system: System, choices: Choices, *, release: str, say: Callable[[str], None]) -> Verdict:
    """
    Run the acts on one cluster, saying each as it comes out; answers the verdict of all.

    Raises UsageError for an unknown release, ChaosError when the cluster cannot be had.
    """
    with open_session(choices, system=system.name, say=say) as session:
        setting = Setting(release=release, storage=True, load_per_s=_LOAD_PER_S)
        say(
            f"chaoskit · {system.name} {release} · seed {choices.seed} · "
            f"run {session.folder.path.name}"
        )
        begun_s = session.recorder.now_s()
        with session.cluster(system, setting) as cluster:
            took_s = session.recorder.now_s() - begun_s
            links = len(cluster.mesh.links)
            say(
                f"  cluster    {len(cluster.nodes)} members, {links} links, ready in {took_s:.1f} s"
            )
            say(f"  load       {_LOAD_PER_S:g} operations/s over all members")
            done = Tally()
            for number, act in enumerate(ACTS, start=1):
                tally = _play(session, cluster, number, act, say)
                done = Tally(
                    done.acknowledged + tally.acknowledged,
                    done.failed + tally.failed,
                    done.unknown + tally.unknown,
                )
        tests = session.folder.verdicts.tests
        owed = [one.owed_share for one in tests if one.owed_share is not None]
        share = f" · liveness owed {100 * sum(owed) / len(owed):.0f} % of the time" if owed else ""
        say(
            f"operations acknowledged {done.acknowledged}, failed {done.failed}, "
            f"unknown {done.unknown}{share}"
        )
        path = session.folder.path
    say(f"report  {path / 'report.html'}")
    return worst(tests)


def _play(
    session: Session, cluster: Cluster, number: int, act: Act, say: Callable[[str], None]
) -> Tally:
    experiment = Experiment(cluster, f"demo act {number}: {act.title}", session.choices.command)
    experiment.begin()
    failure: BaseException | None = None
    tally = Tally()
    with cluster.loaded(_LOAD_PER_S):
        try:
            # some systems choose their leader when there is work: then a look at everybody
            cluster.await_progress(by=1, timeout_s=_PROGRESS_TIMEOUT_S)
            cluster.await_steady_state(timeout_s=_RECOVERY_S)
            with inject(catalogue.make(act.fault, act.fields), into=cluster) as fault:
                fault.await_felt(timeout_s=_FELT_TIMEOUT_S)
                cluster.await_progress(by=_PROGRESS, timeout_s=_PROGRESS_TIMEOUT_S)
            cluster.await_steady_state(timeout_s=_RECOVERY_S)
            tally = cluster.tally()
            experiment.check(recovered_within(_RECOVERY_S))
        except NotApplicable as error:
            say(f"{number} {act.title:<9}  not applicable: {error}")
            return tally
        except (ChaosError, InvariantViolated) as error:
            failure = error
    verdict = experiment.end(failure)
    session.add(verdict)
    for line in _lines(number, act, courses(cluster.history())[-1]):
        say(line)
    say(f"             {verdict.verdict}  {summary(verdict)}")
    return tally


def _lines(number: int, act: Act, course: Course) -> list[str]:
    target = " ".join(course.fault.value["targets"])
    first = f"{number} {act.title:<9}  {target}: {act.words}"
    told = [course.effective(), course.felt()]
    after = [course.new_leader(), course.healed(), course.level_again()]
    return [
        f"{first:<52}  {' · '.join(filter(None, told))}",
        f"             {' · '.join(filter(None, after))}",
    ]
