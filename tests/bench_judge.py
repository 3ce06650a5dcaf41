"""
How many events a second of processor time are judged, without the linearizability check; printed,
never asserted.

Run as `python -m tests.bench_judge [EVENTS]`. The history is that of three etcd members under load
with a partition every 20 s; the promises are the standing ones and etcd's own.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from chaoskit.history import History
from chaoskit.invariant import Invariant
from chaoskit.judge import judge
from chaoskit.liveness import recovered_within
from chaoskit.standing import promises
from suites.etcd.invariants import PROMISES
from tests.tape import NODES, Tape

_KEYS = 200


def run_of(events: int) -> History:
    """Some `events` events: 20 puts and 15 samples a second, a fault every 20 s, snapshots."""
    tape = Tape()
    tape.scope(0.0, "start")
    revision = 1
    pairs: dict[str, list[Any]] = {}
    fault = 0
    tick = 0
    while len(tape.events) < events:
        tick += 1
        time_s = tick / 20
        key, value = f"k{tick % _KEYS}", f"v{tick}"
        revision += 1
        pairs[key] = [value, revision, pairs.get(key, [0, 0, 0])[2] + 1]
        said = {"revision": revision}
        tape.operation(time_s, "put", node=NODES[tick % 3], key=key, value=value, result=said)
        if tick % 4 == 0:
            for node in NODES:
                role = "leader" if node == "a" else "follower"
                tape.observe(time_s, node, revision, digest=f"{key}={value}", role=role)
        if tick % 400 == 200:
            fault += 1
            tape.fault(time_s, fault, ["c"])
            tape.part(time_s, ["a", "b"], ["c"], cut=True)
            tape.evidence(time_s, fault, "effective", probe="p", again=False)
            tape.evidence(time_s + 0.01, fault, "felt", meter="m", before=0, after=9)
            tape.evidence(time_s + 0.01, fault, "effective", probe="p", again=True)
            tape.evidence(time_s + 0.02, fault, "heal", "invoke")
            tape.part(time_s + 0.02, ["a", "b"], ["c"], cut=False)
            tape.evidence(time_s + 0.02, fault, "heal")
            tape.evidence(time_s + 0.03, fault, "absent", probe="p")
    end_s = tape.events[-1].time_s + 5.0
    for node in NODES:
        tape.observe(end_s, node, revision)
        tape.operation(
            end_s, "snapshot", node=node, client=9, result={"revision": revision, "pairs": pairs}
        )
    tape.scope(end_s + 1.0, "end")
    return tape.history()


def report(history: History, invariants: list[Invariant]) -> list[str]:
    """A line for each promise and one for all of them, with the evidence and the counts."""
    lines = []
    for one in invariants:
        began_s = time.process_time()
        one.judge(history)
        lines.append(f"{(time.process_time() - began_s) * 1e3:8.1f} ms  {one.name}")
    began_s = time.process_time()
    found = judge(history, invariants)
    took_s = time.process_time() - began_s
    lines.append(
        f"{took_s * 1e3:8.1f} ms  all of it: {len(history) / took_s:,.0f} events a second of "
        f"{len(history):,}, {found.verdict.value}"
    )
    lines += [f"            {reason.verdict.value} {reason.text}" for reason in found.reasons[:5]]
    return lines


def judged_here() -> list[Invariant]:
    """The promises that count: all but the linearizability check."""
    own = [one for one in PROMISES if one.name != "reads_are_linearizable"]
    return [*promises(), recovered_within(10.0), *own]


def events_a_second(events: int) -> float:
    """How many of some `events` events were judged in a second of processor time."""
    history = run_of(events)
    began_s = time.process_time()
    judge(history, judged_here())
    return len(history) / (time.process_time() - began_s)


def main() -> None:
    """Print the report."""
    history = run_of(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    sys.stdout.write("\n".join(report(history, judged_here())) + "\n")


if __name__ == "__main__":
    main()
