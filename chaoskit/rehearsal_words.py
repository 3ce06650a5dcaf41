"""
What a rehearsal tells people: a line a step, the decision, what was not tried, the runbook.

Owns: the wording, as pure functions of the plan and of what was seen. Refuses: deciding anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit.rehearsal_plan import RehearsalPlan, RehearsalStep, StepKind, named
from chaoskit.rehearsal_taken import Taken, WayBack
from chaoskit.system import System
from chaoskit.verdict import Reason, Verdict, decide, leading

DECISIONS = {Verdict.PASS: "GO", Verdict.FAIL: "NO-GO"}


@dataclass(frozen=True, slots=True)
class Controlled:
    """A control as it came out: how it differed, the step that failed if one did, all reasons."""

    words: str
    verdict: Verdict
    failed: Taken | None
    reasons: tuple[Reason, ...]

    def lines(self) -> list[str]:
        """What it tells of the vintage that it did without."""
        word = decision(self.verdict)
        if self.verdict is Verdict.PASS:
            return [f"control    {word} with {self.words}: the failure is due to that alone"]
        too, first = (" too" if self.verdict is Verdict.FAIL else ""), leading(self.reasons)
        lines = [f"control    {word}{too} with {self.words}: {self._where()}"]
        told = first_of_each(self.reasons) or ([first] if first is not None else [])
        return lines + [f"           {one.by}: {one.text}" for one in told]

    def _where(self) -> str:
        if self.failed is None:
            return "the whole rehearsal"
        step, who = self.failed.step, named(self.failed.member, self.failed.role)
        if step.source == step.target:
            return f"step {step.number}, all members at {step.source}"
        return f"step {step.number}, {who} {step.source} -> {step.target}"


def first_of_each(reasons: Sequence[Reason]) -> list[Reason]:
    """The first reason of each promise that was broken, in order."""
    found: dict[str, Reason] = {}
    for one in reasons:
        if one.verdict is Verdict.FAIL:
            found.setdefault(one.by, one)
    return list(found.values())


def broken(reasons: Sequence[Reason]) -> tuple[str, ...]:
    """The promises that were broken, by name, each once."""
    return tuple(one.by for one in first_of_each(reasons))


def decision(verdict: Verdict) -> str:
    """GO, NO-GO, or the word for why neither can be said."""
    return DECISIONS.get(verdict, verdict.value)


def step_line(taken: Taken) -> str:
    """One step that was carried out, in one line."""
    step = taken.step
    words = [f"{step.number:2}"]
    if step.kind in {StepKind.UPGRADE, StepKind.ROLLBACK} and taken.move is not None:
        words.append(f"{named(taken.member, taken.role)}  {taken.move}")
        if taken.contribution is not None:
            words.append(f"contributes after {taken.contribution.after_s:.2f} s")
    elif step.kind is StepKind.START:
        words.append(f"all members at {step.source}")
    else:
        words.append(f"killed, then cut off: {taken.member}")
    words.append("ok" if taken.passed else taken.verdict.verdict.value)
    words += [reversible(taken.ways_back)] if taken.ways_back else []
    return "   ".join(words)


def reversible(ways: Sequence[WayBack]) -> str:
    """For how long a step could be undone, as far as it was tried."""
    held = [way for way in ways if way.back.held]
    closed = [way for way in ways if not way.back.held]
    if not closed:
        return f"reversible ({', '.join(f'{way.after_s:.1f} s' for way in held)} after it)"
    if not held:
        return f"NO WAY BACK {closed[0].after_s:.1f} s after it: {closed[0].back}"
    return (
        f"reversible {held[-1].after_s:.1f} s after it, "
        f"NO WAY BACK {closed[0].after_s:.1f} s after it: {closed[0].back}"
    )


def closed_ways(taken: Sequence[Taken]) -> list[Taken]:
    """The upgrade steps of which a way back was found closed."""
    return [one for one in taken if any(not way.back.held for way in one.ways_back)]


def findings(taken: Sequence[Taken], moved: dict[int, str]) -> list[str]:
    """
    What an operator must know though no promise broke: ways back that close.

    `moved` holds, by step, what the members said of themselves that changed meanwhile.
    """
    found = []
    for one in closed_ways(taken):
        text = f"step {one.step.number}, {one.member} {one.step.source} -> {one.step.target}: "
        text += reversible(one.ways_back)
        if one.step.number in moved:
            text += f"; meanwhile {moved[one.step.number]}"
        found.append(text)
    return found


def not_tried(plan: RehearsalPlan, taken: Sequence[Taken], system: System) -> list[str]:
    """What this rehearsal says nothing about."""
    done = {one.step.number for one in taken}
    left = [step.number for step in plan.steps if step.number not in done]
    left = [
        number
        for number in left
        if next(one for one in plan.steps if one.number == number).kind is not StepKind.SETTLE
    ]
    found = []
    if left:
        found.append(f"steps {', '.join(map(str, left))} of the plan: an earlier one ended it")
    if not plan.request.rollback:
        found.append("all members back in one go (--rollback end, or after:K)")
    labels = [release.label for release in system.releases]
    first, last = labels.index(plan.route[0]), labels.index(plan.route[-1])
    between = [label for label in labels[first + 1 : last] if label not in plan.route]
    if between:
        found.append(f"releases between that the way leaves out: {', '.join(between)}")
    found += [
        f"a way back later than {plan.settle_s:g} s after a step",
        "the same steps without going back and forth between them",
        "faults while members are of two releases, but for one member at a time standing still",
        (
            "your data, your settings, and more load than "
            f"{plan.request.load_per_s:g} operations a second"
        ),
        "members that join or leave, backups and their restore",
    ]
    return found


def failure_lines(
    failed: Taken, back: Taken | None, folder: str, *, whole: Sequence[Reason]
) -> list[str]:
    """
    Why it is no GO: step, member, versions before and after, evidence, and the way back.

    `whole` are the reasons against the rehearsal, of which the word comes: the step's, and what
    came of putting the member back.
    """
    step = failed.step
    which = f"step {step.number}"
    if failed.move is not None:
        who = named(failed.member, failed.role)
        which += (
            f": {who} at {failed.move.target}" if failed.move.held else f": {who} {failed.move}"
        )
    first = leading(whole)
    lines = [f"{decision(decide(whole))}  {which}"]
    if first is not None:
        lines.append(f"       {first.by}: {first.text}")
    also = first_of_each(failed.verdict.reasons)
    lines += [f"       {one.by}: {one.text}" for one in also if first is None or one.by != first.by]
    lines += [f"       {one}" for one in failed.exits]
    for way in failed.ways_back:
        if not way.forward.held:
            lines.append(f"       forward again {way.planned}: {way.forward}")
    if back is not None and back.move is not None:
        held = "holds" if back.back else "DOES NOT HOLD"
        lines.append(f"       way back {held}: {back.member} {back.move}")
        lines += [f"       {one}" for one in back.exits]
    lines.append(f"       evidence  {folder}/report.html")
    lines += [f"       its log   {folder}/nodes/{name}/log" for name in failed.members]
    return lines


def runbook(
    plan: RehearsalPlan,
    taken: Sequence[Taken],
    system: System,
    *,
    verdict: Verdict,
    found: Sequence[str],
    untried: Sequence[str],
    put_back: Taken | None = None,
) -> str:
    """
    The operator's steps in Markdown, with what each took here; `put_back` is what became of who
    was put back after a step that failed. What is indented in `found` belongs to what is before it.
    """
    way = " -> ".join(plan.route)
    lines = [
        f"# {system.name} {way}, member by member",
        "",
        (
            f"Rehearsed with {len(plan.order)} members under {plan.request.load_per_s:g} "
            f"operations a second, seed {plan.seed}: **{decision(verdict)}**."
        ),
        "",
    ]
    if verdict is not Verdict.PASS:
        lines += ["Do not run this: the rehearsal did not come out GO. What it found:", ""]
    lines += [f"{'  ' * text.startswith(' ')}* {' '.join(text.split())}" for text in found]
    lines += [""] if found else []
    lines += ["## Before", "", *_before(plan, taken), "", "## Steps", ""]
    number = 0
    for one in taken:
        if one.step.kind is StepKind.UPGRADE:
            number += 1
            lines += _operator_step(number, one, plan, system, put_back)
    back = [one for one in taken if one.step.kind is StepKind.ROLLBACK]
    if back:
        lines += ["## All the way back", "", *(_back_line(one) for one in back), ""]
    lines += ["## Not tried here", "", *(f"* {text}" for text in untried), ""]
    return "\n".join(lines)


def _before(plan: RehearsalPlan, taken: Sequence[Taken]) -> list[str]:
    lines = [
        "1. All members answer, and all are at " + plan.route[0] + ".",
        (
            f"2. {plan.spares} of {len(plan.order)} members can be missing: beside "
            f"{plan.request.max_unavailable} that "
            f"{'restart' if plan.request.max_unavailable > 1 else 'restarts'}, "
            f"{plan.spares - plan.request.max_unavailable or 'none'}. "
            f"Do not begin with a member down."
        ),
    ]
    closed = closed_ways(taken)
    if closed:
        lines.append(
            f"3. Take a snapshot before step {_operator_number(closed[0], taken)}: after it the "
            "way back closes."
        )
    return lines


def _operator_number(one: Taken, taken: Sequence[Taken]) -> int:
    upgrades = [other for other in taken if other.step.kind is StepKind.UPGRADE]
    return 1 + upgrades.index(one)


def _operator_step(
    number: int, one: Taken, plan: RehearsalPlan, system: System, put_back: Taken | None
) -> list[str]:
    step = one.step
    role = f", which was the {one.role} here" if one.role else ""
    at_once = ""
    if len(one.members) > 1:
        role = f", which were {one.role} here" if one.role.strip() else ""
        at_once = ", all at once,"
    lines = [
        f"### {number}. {one.member}{role}: {step.source} -> {step.target}",
        "",
        (
            f"1. Stop {one.member}{at_once} with SIGTERM; give it {system.stop_timeout_s:g} s. "
            f"Keep its data."
        ),
        _put(step, plan),
        (
            f"3. Wait until it says itself that it is {system.release(step.target).version} and "
            f"that it is ready. {_took(one)}"
        ),
        (
            "4. Prove that it takes part before the next one: with the members that can be spared "
            f"stopped, {'a write must be acknowledged' if plan.driven else 'it must move on'}."
        ),
        (
            f"5. Way back: stop it, put {step.source} back, start it. "
            f"Here: {_way_back(one, put_back)}."
        ),
    ]
    if plan.request.pause_between_s:
        lines.append(f"6. Wait {plan.request.pause_between_s:g} s.")
    return [*lines, ""]


def _way_back(one: Taken, put_back: Taken | None) -> str:
    """What became of a step's way back, tried in it or, where it failed, after it."""
    if one.ways_back:
        return reversible(one.ways_back)
    if put_back is None or put_back.step.number != one.step.number:
        return "not tried"
    return f"{'held' if put_back.back else 'DID NOT HOLD'}, {put_back.move}"


def _put(step: RehearsalStep, plan: RehearsalPlan) -> str:
    put = f"2. Put {step.target} in the place of {step.source}"
    changes = plan.changes_to(step.target)
    if not changes:
        return f"{put}; same arguments, same data. Start it."
    told = [f"{put}, on the same data, and start it:", *(f"   * {one}" for one in changes)]
    return "\n".join(told)


def _took(one: Taken) -> str:
    if one.move is None or not one.move.held:
        return f"Here it did not come: {one.move}."
    proof = one.contribution
    after = f", and it took part {proof.after_s:.2f} s later" if proof else ""
    return f"Here that was so after {one.move.took_s:.1f} s{after}."


def _back_line(one: Taken) -> str:
    return f"* {one.member}: {one.move} ({'held' if one.passed else 'DID NOT HOLD'})"
