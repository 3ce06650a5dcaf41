"""
The head of a rehearsal's report: the decision, what it rests on, and its steps.

Owns: reading rehearsal.json (and, of a rehearsal that left none, the plan) into what the page
shows first. Refuses: deciding; the decision is the one that was written down, else the word for
the run's verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaoskit.report.document import (
    list_of,
    number_of,
    object_of,
    objects_of,
    text_of,
    texts_of,
    whole_of,
)
from chaoskit.report.wording import NONE, duration, plural

_DECISIONS = {"PASS": "GO", "FAIL": "NO-GO", "NOT JUDGED": "UNKNOWN"}
_CHIPS = {"GO": "PASS", "NO-GO": "FAIL"}
_WORDS = {"start": "start all", "upgrade": "upgrade", "rollback": "roll back", "faults": "faults"}
_SETTLE, _FAULTS = "settle", "faults"
_BORNE = ("kill", "cut off")  # what a rehearsal's faults are, in the order of their targets
_PUT_BACK = "way back after failed step"


@dataclass(frozen=True, slots=True)
class Way:
    """One try of a way back: in words, and whether it was open."""

    text: str
    held: bool


@dataclass(frozen=True, slots=True)
class StepRow:
    """
    One step of the plan; `test` is the number of its part on the page, 0 when there is none.

    `verdict` is "" for a step that was not carried out.
    """

    number: int
    what: str
    who: str
    before: str
    after: str
    served: str
    contributes: str
    ways: tuple[Way, ...]
    exits: tuple[str, ...]
    verdict: str
    test: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """A place that shows it: a part of this page, or a file beside it."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the page of a rehearsal begins with; `chip` is the verdict whose colour it has."""

    decision: str
    chip: str
    sentence: str
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    steps: tuple[StepRow, ...]
    findings: tuple[str, ...]
    untried: tuple[str, ...]
    runbook: bool


def rehearsal(
    record: Mapping[str, Any] | None,
    plan: Mapping[str, Any] | None,
    verdict: str,
    tests: Sequence[str],
    *,
    reason: str,
) -> Rehearsal | None:
    """
    The rehearsal of a run; None when the run was none.

    `record` is rehearsal.json, `tests` are the names of the page's parts in order, `reason` is the
    finding that decided the run, for a rehearsal that left no record.
    """
    planned = object_of(plan or {}, "rehearsal")
    told = record or planned
    if not told:
        return None
    decision = text_of(told, "decision") or _DECISIONS.get(verdict, verdict)
    taken = objects_of(told, "taken")
    failed = next((one for one in taken if text_of(one, "verdict") != "PASS"), None)
    back = object_of(told, "put_back")
    return Rehearsal(
        decision=decision,
        chip=_CHIPS.get(decision, decision),
        sentence=_sentence(told, taken, failed, decision),
        reasons=(
            *_reasons(taken, failed, back, reason if decision != "GO" else ""),
            *(_control(one) for one in objects_of(told, "controls")),
        ),
        evidence=tuple(_evidence(failed, tests)),
        steps=tuple(_row(step, taken, tests) for step in _shown(told)),
        findings=tuple(texts_of(told, "findings")),
        untried=tuple(texts_of(told, "not_tried")),
        runbook=record is not None,
    )


def _sentence(
    told: Mapping[str, Any],
    taken: Sequence[Mapping[str, Any]],
    failed: Mapping[str, Any] | None,
    decision: str,
) -> str:
    way = f"{text_of(told, 'system')} {' → '.join(texts_of(told, 'route'))}"
    if failed is not None:
        return f"{way}: {_headline(failed)}."
    if decision == "GO":
        members = plural(len(list_of(told, "order")), "member")
        return f"{way}: {members}, {plural(len(taken), 'step')}, every promise held."
    return f"{way}: {'no step failed by itself' if taken else 'no step was carried out'}."


def _headline(step: Mapping[str, Any]) -> str:
    """Step, member, versions before and after, and how it came out."""
    number, kind = whole_of(step, "number"), text_of(step, "kind")
    before, after = _versions(step)
    words = f"step {number}, {_WORDS.get(kind, kind)}"
    if who := _who(step):
        words += f" {who}"
    words += f" {before} → {after}" if before != after else f" at {after}"
    return f"{words}, {_outcome(step)}"


def _outcome(step: Mapping[str, Any]) -> str:
    move = object_of(step, "move")
    if not move or move.get("held") is True:
        return {"FAIL": "broke a promise"}.get(text_of(step, "verdict"), text_of(step, "verdict"))
    code = whole_of(move, "exit_code")
    return "does not serve" if code is None else f"exit {code}"


def _who(step: Mapping[str, Any]) -> str:
    member, role = text_of(step, "member"), text_of(step, "role")
    if text_of(step, "kind") == _FAULTS:
        return ", ".join(f"{what} {who}" for what, who in zip(_BORNE, member.split(), strict=False))
    return f"{member} ({role})" if role else member


def _versions(step: Mapping[str, Any]) -> tuple[str, str]:
    """Before and after; a rollback's move goes the other way than the step that it undoes."""
    told = object_of(step, "move") or step
    before, after = text_of(told, "source", "?"), text_of(told, "target", "?")
    if told is step and text_of(step, "kind") == "rollback":
        return after, before
    return before, after


def _reasons(
    taken: Sequence[Mapping[str, Any]],
    failed: Mapping[str, Any] | None,
    back: Mapping[str, Any],
    reason: str,
) -> list[str]:
    if failed is None:
        return [reason] if reason else []
    found = [text_of(failed, "reason")]
    also = [one for one in texts_of(failed, "broken") if not found[0].startswith(f"{one}:")]
    found += [f"broken too: {', '.join(also)}"] if also else []
    exits = [_gone(one) for one in objects_of(failed, "exits")]
    words = text_of(object_of(failed, "move"), "words")
    found += exits or ([f"its last words: {words}"] if words else [])
    if back:
        held = "holds" if back.get("back") is True else "does not hold"
        before, after = _versions(back)
        found.append(f"putting {text_of(back, 'member')} back {before} → {after} {held}")
        found += [_gone(one) for one in objects_of(back, "exits")]
    forward = [one for one in taken if text_of(one, "kind") != "rollback"]
    if text_of(failed, "kind") == "rollback" and all(
        text_of(one, "verdict") == "PASS" for one in forward
    ):
        found.append("going forward, every step passed")
    return [one for one in found if one]


def _control(one: Mapping[str, Any]) -> str:
    """How the rehearsal came out with one vintage left away, as it was told on the terminal."""
    return "; ".join(" ".join(line.split()) for line in texts_of(one, "told"))


def _gone(one: Mapping[str, Any]) -> str:
    code, words = whole_of(one, "exit_code"), text_of(one, "words")
    ended = f"{text_of(one, 'member')} exited by itself at {duration(number_of(one, 'at_s'))}"
    return ", ".join(filter(None, (f"{ended}, code {code}", words)))


def _part(number: int | None, tests: Sequence[str]) -> int:
    """The part of the page that shows a step, counted from 1; 0 when there is none."""
    begins = f"step {number}: "
    return next((at for at, name in enumerate(tests, 1) if name.startswith(begins)), 0)


def _evidence(failed: Mapping[str, Any] | None, tests: Sequence[str]) -> list[Evidence]:
    if failed is None:
        return []
    found = []
    if part := _part(whole_of(failed, "number"), tests):
        found.append(Evidence(f"{tests[part - 1]}: promises, timeline, logs", f"#t{part}"))
    found += [
        Evidence(name, f"#t{at}") for at, name in enumerate(tests, 1) if name.startswith(_PUT_BACK)
    ]
    gone = [text_of(one, "member") for one in objects_of(failed, "exits")]
    members = gone or text_of(failed, "member").split()
    found += [Evidence(f"nodes/{one}/log", f"nodes/{one}/log") for one in dict.fromkeys(members)]
    return found


def _shown(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for one in objects_of(told, "steps") if text_of(one, "kind") != _SETTLE]


def _row(
    planned: Mapping[str, Any], taken: Sequence[Mapping[str, Any]], tests: Sequence[str]
) -> StepRow:
    number = whole_of(planned, "number") or 0
    done = next((one for one in taken if whole_of(one, "number") == number), None)
    step: Mapping[str, Any] = planned if done is None else done
    kind = text_of(step, "kind")
    move = object_of(step, "move")
    before, after = _versions(step)
    turn = whole_of(planned, "turn")
    return StepRow(
        number=number,
        what=_WORDS.get(kind, kind),
        who=_who(step) if done is not None else _planned(turn, whole_of(planned, "size") or 1),
        before=before if before != after else "",
        after=after,
        served=_served(move),
        contributes=duration(number_of(step, "contributes_after_s")),
        ways=tuple(_way(one) for one in objects_of(step, "ways_back")),
        exits=tuple(_gone(one) for one in objects_of(step, "exits")),
        verdict=text_of(step, "verdict") if done is not None else "",
        test=_part(number, tests) if done is not None else 0,
    )


def _planned(turn: int | None, size: int) -> str:
    """Whose turn a step would have been, of whom only the place in the order is known."""
    if not turn:
        return ""
    return f"member {turn}" if size == 1 else f"members {turn} to {turn + size - 1}"


def _served(move: Mapping[str, Any]) -> str:
    if not move:
        return NONE
    if move.get("held") is True:
        return f"after {duration(number_of(move, 'took_s'))}"
    code = whole_of(move, "exit_code")
    return "does not serve" if code is None else f"exit {code}"


def _way(one: Mapping[str, Any]) -> Way:
    after, held = duration(number_of(one, "after_s")), one.get("held") is True
    if held:
        return Way(f"open {after} after it", held)
    said = ", ".join(filter(None, (_served(one), text_of(one, "words"))))
    return Way(f"closed {after} after it: {said}", held)
