"""
What a rehearsal leaves for programs, and the page made from many of them.

Owns: the form of `rehearsal.json` in a run folder, reading it, and the page in Markdown that tells
what rehearsals found. Refuses: a number or a finding that no run gave. Run as
`python -m chaoskit.rehearsal_record PAGE RUN...`, it writes the page from these runs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chaoskit.console import say
from chaoskit.errors import ChaosError
from chaoskit.recheck import REHEARSAL
from chaoskit.rehearsal_plan import RehearsalPlan, StepKind, named
from chaoskit.rehearsal_taken import Exit, Move, Taken
from chaoskit.rehearsal_words import Controlled, broken
from chaoskit.rehearsal_words import decision as word_of
from chaoskit.saved import read_document
from chaoskit.verdict import leading, usage_exit_code

SCHEMA = 1
NAME = REHEARSAL


def document(
    plan: RehearsalPlan,
    taken: Sequence[Taken],
    put_back: Taken | None,
    *,
    run: str,
    decision: str,
    took_s: float,
    findings: Sequence[str],
    not_tried: Sequence[str],
    controls: Sequence[Controlled] = (),
) -> dict[str, Any]:
    """The JSON form of a rehearsal that was carried out; `run` is the run's name."""
    return {
        "schema": SCHEMA,
        "run": run,
        **plan.document()["rehearsal"],
        "skip": plan.request.skip,
        "decision": decision,
        "took_s": round(took_s, 1),
        "taken": [_taken(one) for one in taken],
        "put_back": None if put_back is None else _taken(put_back),
        "findings": list(findings),
        "not_tried": list(not_tried),
        "controls": [_control(one) for one in controls],
    }


def _control(one: Controlled) -> dict[str, Any]:
    return {
        "with": one.words,
        "decision": word_of(one.verdict),
        "broken": list(broken(one.reasons)),
        "told": one.lines(),
    }


def _taken(one: Taken) -> dict[str, Any]:
    first = leading(one.verdict.reasons)
    return {
        "number": one.step.number,
        "kind": one.step.kind.value,
        "member": one.member,
        "role": one.role,
        "source": one.step.source,
        "target": one.step.target,
        "verdict": one.verdict.verdict.value,
        "reason": f"{first.by}: {first.text}" if first else "",
        "broken": list(broken(one.verdict.reasons)),
        "move": None if one.move is None else _move(one.move),
        "contributes_after_s": None if one.contribution is None else one.contribution.after_s,
        "ways_back": [
            {"planned": way.planned, "after_s": round(way.after_s, 3), **_move(way.back)}
            for way in one.ways_back
        ],
        "exits": [_exit(gone) for gone in one.exits],
        "back": one.back if one.step.kind is StepKind.UPGRADE else None,
    }


def _move(move: Move) -> dict[str, Any]:
    took_s = None if move.took_s is None else round(move.took_s, 3)
    return {
        "source": move.source,
        "target": move.target,
        "held": move.held,
        "took_s": took_s,
        "exit_code": move.exit_code,
        "words": move.words,
    }


def _exit(gone: Exit) -> dict[str, Any]:
    return {
        "member": gone.member,
        "at_s": gone.at_s,
        "exit_code": gone.exit_code,
        "words": gone.words,
    }


def read(folder: Path) -> dict[str, Any]:
    """
    The rehearsal of a run folder.

    Raises UsageError, naming the file, when there is none of this schema.
    """
    return read_document(folder / NAME, what="rehearsal", schema=SCHEMA)


def page(records: Sequence[Mapping[str, Any]]) -> str:
    """The page: one row a way and what was asked of it, then what each last run found."""
    asked: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in records:
        asked.setdefault((_way(one), _asked(one)), []).append(one)
    lines = [
        "# What rehearsals found",
        "",
        "Made from runs by `python -m chaoskit.rehearsal_record PAGE RUN...`; nothing here is",
        "written by hand. A row is one way and what was asked of it; below it, its last run.",
        "",
        "| system | way | asked | came out | steps | took |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (way, wanted), runs in asked.items():
        counted = _counted([str(one["decision"]) for one in runs])
        for label, told in _controls_of(runs).items():
            counted += f"; with {label} {_counted(told)}"
        last = runs[-1]
        steps = f"{len(last['taken'])} of {_steps(last)}"
        took = f"{last['took_s']:.0f} s"
        lines.append(f"| {last['system']} | {way} | {wanted} | {counted} | {steps} | {took} |")
    for (way, wanted), runs in asked.items():
        last = runs[-1]
        lines += ["", f"## {last['system']} {way} ({wanted}): {last['decision']}", ""]
        lines += [*_broken_in(runs), f"Run {last['run']}, seed {last['seed']}.", ""]
        lines += _steps_told(last)
    return "\n".join(lines) + "\n"


def _counted(words: Sequence[str]) -> str:
    return ", ".join(f"{word} {words.count(word)} of {len(words)}" for word in sorted(set(words)))


def _controls_of(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """How the controls of these runs came out, by what they differed in."""
    found: dict[str, list[str]] = {}
    for run in runs:
        for control in run.get("controls", ()):
            found.setdefault(str(control["with"]), []).append(str(control["decision"]))
    return found


def _broken_in(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """In how many of several runs each promise was broken, and in how many of their controls."""
    if len(runs) == 1:
        return []
    found: dict[str, list[set[str]]] = {}
    for run in runs:
        names = {_of_any(name, step) for step in run["taken"] for name in step.get("broken", ())}
        found.setdefault("", []).append(names)
        for control in run.get("controls", ()):
            found.setdefault(f", with {control['with']}", []).append(set(control["broken"]))
    told = []
    for which, each in found.items():
        counts = Counter(name for names in each for name in names)
        words = [f"{name} {number} of {len(each)}" for name, number in counts.items()]
        told += [f"Broken in these runs{which}: {', '.join(sorted(words))}.", ""] if words else []
    return told


def _of_any(name: str, step: Mapping[str, Any]) -> str:
    """The name of a promise, without that of the member whose turn it was."""
    member = f"{step['member']}_"
    return f"MEMBER_{name.removeprefix(member)}" if name.startswith(member) else name


def _way(one: Mapping[str, Any]) -> str:
    return " -> ".join(one["route"])


def _asked(one: Mapping[str, Any]) -> str:
    words = ["skipping what lies between"] if one["skip"] else []
    rollback = {"": "forward", "end": "forward and all the way back"}
    words.append(rollback.get(one["rollback"], f"back {one['rollback']}"))
    words += [f"{name} {value}" for name, value in one.get("settings", {}).items()]
    return ", ".join(words)


def _steps(one: Mapping[str, Any]) -> int:
    return sum(step["kind"] != StepKind.SETTLE for step in one["steps"])


def _steps_told(one: Mapping[str, Any]) -> list[str]:
    lines = []
    for step in one["taken"]:
        who = f"{named(step['member'], step['role'])} " if step["move"] else ""
        told = f"{step['number']}. {who}{_moved(step['move']) if step['move'] else step['kind']}"
        lines.append(f"{told}: {step['verdict']}")
        if step["reason"]:
            lines.append(f"   * {step['reason']}")
        also = [
            name for name in step.get("broken", ()) if not step["reason"].startswith(f"{name}:")
        ]
        lines += [f"   * broken too: {', '.join(also)}"] if also else []
        lines += [f"   * {_gone(gone)}" for gone in step["exits"]]
        lines += [
            f"   * way back {way['after_s']:.1f} s after it: {_moved(way)}"
            for way in step["ways_back"]
        ]
    if one["put_back"] is not None:
        held = "holds" if one["put_back"]["back"] else "does not hold"
        back = one["put_back"]
        lines += ["", f"Putting {back['member']} back {held}: {_moved(back['move'])}.", ""]
        lines += [f"* {_gone(gone)}" for gone in back["exits"]]
    for control in one.get("controls", ()):
        names = f", broken: {', '.join(control['broken'])}" if control["broken"] else ""
        lines += ["", f"With {control['with']}: {control['decision']}{names}."]
    return lines


def _moved(move: Mapping[str, Any]) -> str:
    way = f"{move['source']} -> {move['target']}"
    if move["held"]:
        return f"{way} in {move['took_s']:.1f} s"
    how = "does not serve" if move["exit_code"] is None else f"exit {move['exit_code']}"
    return ", ".join(filter(None, (f"{way}: {how}", move["words"])))


def _gone(gone: Mapping[str, Any]) -> str:
    ended = f"{gone['member']} exited by itself, code {gone['exit_code']}"
    return ", ".join(filter(None, (ended, gone["words"])))


def main(argv: Sequence[str]) -> int:
    """Write the page `argv[0]` from the run folders that follow; answers the exit code."""
    if len(argv) < 2:
        say("usage: python -m chaoskit.rehearsal_record PAGE RUN...", error=True)
        return usage_exit_code()
    try:
        records = [read(Path(name)) for name in argv[1:]]
    except ChaosError as error:
        say(f"error: {error}", error=True)
        return usage_exit_code()
    Path(argv[0]).write_text(page(records))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
