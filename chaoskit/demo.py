"""
The demo: a real cluster, broken a few times in front of you, and judged each time.

Owns: the acts and their two lines each. Refuses: knowing the system; it takes what the system's
description offers (a secure port, storage) and leaves out an act that is not applicable, saying so.
A suite may say in its `demo.py` what else is shown of its system (DEMO, a Demo).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaoskit import catalogue
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, InvariantViolated, NotApplicable, UsageError
from chaoskit.experiment import Experiment, summary, worst
from chaoskit.fault import apply, inject
from chaoskit.liveness import recovered_within
from chaoskit.session import Choices, Session, open_session
from chaoskit.setting import Setting
from chaoskit.system import System
from chaoskit.telling import Course, courses
from chaoskit.verdict import Verdict
from chaoskit.workload import Tally

_LOAD_PER_S = 20.0
_PROGRESS_TIMEOUT_S = 30.0
_FELT_TIMEOUT_S = 15.0
_RECOVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class Act:
    """One fault or change of a demo: what it is called, its class, its fields, and what it is."""

    title: str
    fault: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""


ACTS = (
    Act("partition", "Isolate", {"node": "leader"}, "the leader is cut off"),
    Act("tls", "TlsMismatch", {"node": "follower"}, "a follower serves plaintext to its peers"),
    Act("storage", "SlowStorage", {"node": "leader", "delay_s": 0.2}, "fsync +200 ms"),
)


@dataclass(frozen=True, slots=True)
class Demo:
    """
    What is shown of a system: the acts, in order, and how much progress is awaited in each.

    `step` is what the system's progress is counted in, as people call one of it; `release` the one
    that is shown unless another is asked for, the newest where it is empty.
    """

    system: System
    acts: tuple[Act, ...] = ACTS
    progress: int = 60
    step: str = "step"
    release: str = ""


def load(name: str | None, *, project: Path) -> Demo:
    """
    What is shown of the system `name`; without a name of the first whose suite has a `demo.py`.

    Raises UsageError for an unknown name, and where nothing is shown without one.
    """
    known = catalogue.demo_names(project)
    if name is None and not known:
        raise UsageError(
            f"no suites/*/demo.py below {project}: name a system, one of "
            f"{', '.join(catalogue.system_names(project))}"
        )
    chosen = known[0] if name is None else name
    found = catalogue.load_demo(chosen, project=project)
    if found is None:
        return Demo(catalogue.load_system(chosen, project=project))
    if not isinstance(found, Demo):
        raise UsageError(f"suites/{chosen}/demo.py: DEMO is no chaoskit.demo.Demo")
    return found


def demo(shown: Demo, choices: Choices, *, release: str, say: Callable[[str], None]) -> Verdict:
    """
    Run the acts on one cluster, saying each as it comes out; answers the verdict of all.

    Raises UsageError for an unknown release, ChaosError when the cluster cannot be had.
    """
    system = shown.system
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
                f"  cluster    {len(cluster.nodes)} members, {system.quorum} needed, "
                f"{links} links, ready in {took_s:.1f} s"
            )
            say(f"  load       {_LOAD_PER_S:g} operations/s over all members")
            done = Tally()
            for number, act in enumerate(shown.acts, start=1):
                tally = _play(session, cluster, number, act, shown, say)
                done = Tally(
                    done.acknowledged + tally.acknowledged,
                    done.failed + tally.failed,
                    done.unknown + tally.unknown,
                )
        tests = session.folder.verdicts.tests
        owed = [one.owed_share for one in tests if one.owed_share is not None]
        share = f" · liveness owed {100 * sum(owed) / len(owed):.0f} % of the time" if owed else ""
        say(
            f"operations acknowledged {done.acknowledged}, refused {done.failed}, "
            f"unknown {done.unknown}{share}"
        )
        path = session.folder.path
    say(f"report  {path / 'report.html'}")
    return worst(tests)


def _play(
    session: Session,
    cluster: Cluster,
    number: int,
    act: Act,
    shown: Demo,
    say: Callable[[str], None],
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
            _break(cluster, act, shown.progress)
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
    for line in _lines(number, act, courses(cluster.history())[-1], shown.step):
        say(line)
    say(f"             {verdict.verdict}  {summary(verdict)}")
    return tally


def _break(cluster: Cluster, act: Act, progress: int) -> None:
    """Inject the fault and heal it, or carry out the change; progress is awaited with it."""
    made = catalogue.make(act.fault, act.fields)
    if hasattr(made, "apply"):
        apply(made, to=cluster)
        cluster.await_progress(by=progress, timeout_s=_PROGRESS_TIMEOUT_S)
        return
    with inject(made, into=cluster) as fault:
        fault.await_felt(timeout_s=_FELT_TIMEOUT_S)
        cluster.await_progress(by=progress, timeout_s=_PROGRESS_TIMEOUT_S)


def _lines(number: int, act: Act, course: Course, step: str) -> list[str]:
    target = " ".join(course.fault.value["targets"])
    first = f"{number} {act.title:<9}  {target}: {act.words}"
    told = [course.effective(), course.felt()]
    after = [course.new_leader() or course.went_on(step), course.healed(), course.level_again()]
    return [
        f"{first:<52}  {' · '.join(filter(None, told))}",
        f"             {' · '.join(filter(None, after))}",
    ]
