"""
An upgrade rehearsal: the plan first, then every step on a real cluster, then go or no-go.

Owns: carrying a plan out step by step, ending it at the first step that does not pass (the member
is then put back, as an operator would), the judgement over the whole rehearsal, and the files it
leaves (report.html, runbook.md, rehearsal.json). Refuses: knowing what any release does.

GO means that every step passed and every promise held over all of it. A way back that is closed is
a finding; with `rollback` it is asked for, so its closing is NO-GO. A NO-GO on keys or a
configuration that an older release left is followed by controls (`rehearsal_axes`), each on a
cluster of its own: they change no decision, and show what is to be had without that vintage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaoskit import rehearsal_record
from chaoskit.errors import ChaosError, InvariantViolated, UsageError
from chaoskit.history import History
from chaoskit.images import Mislabelled
from chaoskit.rehearsal_axes import controls
from chaoskit.rehearsal_plan import (
    RehearsalPlan,
    RehearsalStep,
    StepKind,
    in_minutes,
    make_plan,
    next_members,
)
from chaoskit.rehearsal_route import RehearsalRequest
from chaoskit.rehearsal_step import Stage
from chaoskit.rehearsal_taken import Taken
from chaoskit.rehearsal_words import (
    Controlled,
    broken,
    closed_ways,
    decision,
    failure_lines,
    findings,
    first_of_each,
    not_tried,
    runbook,
    step_line,
)
from chaoskit.rehearsed import Rehearsed
from chaoskit.rundir import TestVerdict
from chaoskit.session import Choices, Session, open_session
from chaoskit.setting import Setting
from chaoskit.sparing import roles_of
from chaoskit.system import System
from chaoskit.verdict import Kind, Reason, Verdict, decide, exit_code, leading

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RehearsalOutcome:
    """
    How a rehearsal came out.

    Attributes
    ----------
    decision: GO, NO-GO, INVALID, UNKNOWN or INFRA; "PLAN" when only the plan was asked for.
    exit_code: 0 GO, 1 NO-GO, 3 to 5 as everywhere.
    folder: the run folder, None for a dry run.
    taken: the steps that were carried out.
    broken: the promises that were broken, by name, in the rehearsal and in its controls.

    """

    decision: str
    exit_code: int
    folder: Path | None = None
    taken: tuple[Taken, ...] = ()
    findings: tuple[str, ...] = ()
    not_tried: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


@dataclass(slots=True)
class _Course:
    """What has been done so far, and what ended it."""

    taken: list[Taken] = field(default_factory=list)
    failed: Taken | None = None
    put_back: Taken | None = None
    whole: TestVerdict | None = None
    moved: dict[int, str] = field(default_factory=dict)

    def reasons(self) -> tuple[Reason, ...]:
        whole = self.whole.reasons if self.whole is not None else ()
        return (*(reason for one in self.taken for reason in one.verdict.reasons), *whole)

    def verdict(self) -> Verdict:
        return decide(self.reasons()) if self.taken else Verdict.UNKNOWN

    def is_no_go(self) -> bool:
        return self.verdict() is Verdict.FAIL


def rehearse(
    rehearsed: Rehearsed, request: RehearsalRequest, choices: Choices, say: Say
) -> RehearsalOutcome:
    """
    Print the plan, carry it out, answer how it came out; `say` gets every line for people.

    Raises UsageError for a request that cannot be meant, two releases of one image among it, and
    ChaosError when the cluster cannot be had.
    """
    system = rehearsed.system
    plan = _planned(rehearsed, request, choices.seed)
    for line in plan.lines():
        say(line)
    if request.dry_run:
        return RehearsalOutcome("PLAN", 0)
    with open_session(choices, system=system.name, say=say) as session:
        session.folder.write_plan(plan.document())
        folder = session.folder.path
        lie = _examine_images(session, system, plan)
        if lie:
            return _refused_by_label(session, lie, say)
        say(f"run   {folder.name}")
        course = _leg(session, rehearsed, plan, say)
        took_s = session.recorder.now_s()
        untried = not_tried(plan, course.taken, system)
        found = findings(course.taken, course.moved)
        told = _controlled(session, rehearsed, plan, say) if course.is_no_go() else []
        _write(course, plan, system, folder, took_s, found=found, untried=untried, controls=told)
    noted = [
        *(line for one in told for line in one.lines()),
        *(f"finding    {text}" for text in found),
        *(f"not tried  {text}" for text in untried),
    ]
    _conclude(course, plan, noted, folder, took_s, say)
    verdict = course.verdict()
    return RehearsalOutcome(
        decision(verdict),
        exit_code(verdict),
        folder,
        tuple(course.taken),
        tuple(found),
        tuple(untried),
        broken(course.reasons() + tuple(reason for one in told for reason in one.reasons)),
    )


def _planned(rehearsed: Rehearsed, request: RehearsalRequest, seed: str) -> RehearsalPlan:
    changed, led = rehearsed.changed, rehearsed.led
    return make_plan(rehearsed.system, request, seed=seed, changed=changed, led=led)


def _leg(
    session: Session, rehearsed: Rehearsed, plan: RehearsalPlan, say: Say, *, leg: str = ""
) -> _Course:
    """Carry a plan out on a cluster of its own."""
    request = plan.request
    setting = Setting(
        plan.route[0], plan.settings, load_per_s=request.load_per_s, vintage=request.vintage
    )
    with session.cluster(rehearsed.system, setting) as cluster:
        return _carry_out(Stage(session, cluster, plan, rehearsed, leg), say)


def _controlled(
    session: Session, rehearsed: Rehearsed, plan: RehearsalPlan, say: Say
) -> list[Controlled]:
    """The controls of a rehearsal that came out NO-GO, each as it came out."""
    told = []
    for one in controls(plan.request, source=plan.route[0]):
        say(f"once more, with {one.words}")
        made = _planned(rehearsed, one.request, plan.seed)
        course = _leg(session, rehearsed, made, say, leg=f"with {one.words}, ")
        told.append(Controlled(one.words, course.verdict(), course.failed, course.reasons()))
    return told


def _examine_images(session: Session, system: System, plan: RehearsalPlan) -> str:
    """
    Have the image of every release on the way; answers what one of them lies about, if one does.

    Raises UsageError when two releases of the way are one image.
    """
    digests: dict[str, str] = {}
    for label in plan.route:
        try:
            reference = session.images.reference(system, system.release(label))
        except Mislabelled as lie:
            return str(lie)
        digest = session.images.digest(reference)
        if digest in digests:
            raise UsageError(
                f"{digests[digest]} and {label} are the same image ({digest[:19]}): there is "
                "nothing to rehearse"
            )
        digests[digest] = label
    return ""


def _refused_by_label(session: Session, lie: str, say: Say) -> RehearsalOutcome:
    reason = Reason(Verdict.FAIL, "image", lie, kind=Kind.SAFETY)
    session.add(
        TestVerdict(
            test="the images of the releases",
            verdict=Verdict.FAIL,
            scope=(0, session.recorder.count() - 1),
            reasons=(reason,),
            promises=(),
            owed_share=None,
            duration_s=0.0,
            again=session.choices.command,
        )
    )
    say(f"NO-GO  {lie}")
    return RehearsalOutcome(decision(Verdict.FAIL), exit_code(Verdict.FAIL), session.folder.path)


# -- the steps -------------------------------------------------------------------------------------


def _carry_out(stage: Stage, say: Say) -> _Course:
    course = _Course()
    whole = stage.experiment("the whole rehearsal")
    whole.begin()
    failure: BaseException | None = None
    try:
        _steps(stage, course, say)
        whole.check()
    except (ChaosError, InvariantViolated) as error:
        failure = error
    course.whole = whole.end(failure)
    stage.session.add(course.whole)
    return course


def _steps(stage: Stage, course: _Course, say: Say) -> None:
    moved: list[Taken] = []
    for step in stage.plan.steps:
        if step.kind is StepKind.SETTLE:
            stage.cluster.hold(stage.plan.settle_s)
            continue
        taken = _take(stage, step, moved)
        course.taken.append(taken)
        if step.kind is StepKind.UPGRADE:
            moved.append(taken)
            told = _meanwhile(stage.cluster.history(), taken)
            course.moved |= {step.number: told} if told else {}
        say(step_line(taken))
        if not taken.passed:
            course.failed = taken
            lost = taken.move is not None and not _serves(taken)
            if step.kind is StepKind.UPGRADE and lost and not stage.cluster.poisoned:
                course.put_back = stage.put_back(step, taken.members)
            return


def _take(stage: Stage, step: RehearsalStep, moved: Sequence[Taken]) -> Taken:
    match step.kind:
        case StepKind.START:
            return stage.start(step)
        case StepKind.UPGRADE:
            done = [name for one in moved if one.step.target == step.target for name in one.members]
            members = next_members(stage.plan.order, done, roles_of(stage.cluster), step.size)
            pause_s = stage.plan.request.pause_between_s if moved else 0.0
            return stage.upgrade(step, members, pause_s=pause_s)
        case StepKind.ROLLBACK:
            undone = next(one for one in moved if one.step.number == step.undoes)
            return stage.roll_back(step, undone.members)
        case StepKind.FAULTS:
            return stage.bear_faults(step)
        case StepKind.SETTLE:
            raise ValueError("settling is no step to be judged")


def _serves(taken: Taken) -> bool:
    """Whether the member was left serving at the release its step was for."""
    if taken.move is None or not taken.move.held:
        return False
    return all(way.forward.held for way in taken.ways_back)


def _meanwhile(history: History, taken: Taken) -> str:
    """
    What all members said of themselves, alike before and alike after, that changed while nobody
    changed anything between the last forward move and the try that found the way back closed.
    """
    if not taken.ways_back or taken.ways_back[-1].back.held:
        return ""
    members = set(taken.members)
    changes = [
        one for one in history.of("change") if members.intersection(one.value.get("targets", ()))
    ]
    tries = [one for one in changes if one.type == "invoke"][-2:]
    if not tries:
        return ""
    until_s = tries[0].time_s
    ended = [one for one in history.of("cluster") if one.value["event"] == "steady"]
    since_s = max((one.time_s for one in ended if one.time_s < until_s), default=0.0)
    said: dict[str, dict[str, tuple[float, str]]] = {}
    told = []
    for event in history.of("observe"):
        if event.type != "ok" or not since_s <= event.time_s <= until_s:
            continue
        for key, value in event.value["detail"].items():
            if not isinstance(value, str):
                continue
            nodes = said.setdefault(key, {})
            before = nodes.get(event.process)
            nodes[event.process] = (event.time_s, value)
            if before is not None and before[1] != value and _alike(nodes):
                after_s = event.time_s - since_s
                told.append(f"{key} {before[1]} -> {value} on all members after {after_s:.1f} s")
    return ", ".join(told)


def _alike(nodes: dict[str, tuple[float, str]]) -> bool:
    return len({value for _, value in nodes.values()}) == 1


def _write(
    course: _Course,
    plan: RehearsalPlan,
    system: System,
    folder: Path,
    took_s: float,
    *,
    found: Sequence[str],
    untried: Sequence[str],
    controls: Sequence[Controlled],
) -> None:
    """The runbook for people, the record for programs."""
    verdict = course.verdict()
    broke = [f"{one.by}: {one.text}" for one in first_of_each(course.reasons())]
    why = [*broke, *(line for one in controls for line in one.lines()), *found]
    told = runbook(
        plan,
        course.taken,
        system,
        verdict=verdict,
        found=why,
        untried=untried,
        put_back=course.put_back,
    )
    (folder / "runbook.md").write_text(told)
    record = rehearsal_record.document(
        plan,
        course.taken,
        course.put_back,
        run=folder.name,
        decision=decision(verdict),
        took_s=took_s,
        findings=found,
        not_tried=untried,
        controls=controls,
    )
    (folder / rehearsal_record.NAME).write_text(json.dumps(record, indent=1) + "\n")


def _conclude(
    course: _Course,
    plan: RehearsalPlan,
    noted: Sequence[str],
    folder: Path,
    took_s: float,
    say: Say,
) -> None:
    """The decision, what it rests on, and what is noted beside it."""
    verdict = course.verdict()
    if course.failed is not None:
        whole = course.reasons()
        for line in failure_lines(course.failed, course.put_back, str(folder), whole=whole):
            say(line)
        closed = closed_ways(course.taken)
        if plan.request.rollback and course.failed.step.kind is StepKind.ROLLBACK and closed:
            say(f"       the way back had closed by step {closed[0].step.number} already")
    elif verdict is not Verdict.PASS and course.whole is not None:
        first = leading(course.whole.reasons)
        say(f"{decision(verdict)}  the whole rehearsal: {first.by if first else ''}")
        say(f"       {first.text if first else ''}")
    else:
        members = len(plan.order)
        way = " -> ".join(plan.route)
        say(f"GO  {way}: {members} members, {len(course.taken)} steps, every promise held")
    for line in noted:
        say(line)
    say(f"took     {in_minutes(took_s)} (planned {in_minutes(plan.estimate_s)})")
    say(f"runbook  {folder / 'runbook.md'}")
    say(f"report   {folder / 'report.html'}")
