"""
What a person reads in a terminal about one test: a verdict in at most six lines.

Owns: wording and alignment of failures and of a demo's acts. Refuses: colour (the CLI adds it on a
terminal) and anything that is not in the history or the verdict.
"""

from __future__ import annotations

from chaoskit.errors import ChaosError
from chaoskit.experiment import Experiment
from chaoskit.history import Event, History
from chaoskit.verdict import Reason, Verdict, leading

_FAULTS_SHOWN = 2


def failure_lines(experiment: Experiment, test: str) -> list[str]:
    """A test that did not pass, in at most six lines: what, when, on what, where to look."""
    judged = experiment.judged
    reasons = (*(judged.reasons if judged else ()), *experiment.own_reasons)
    first = leading(reasons) or Reason(Verdict.UNKNOWN, "check", "nothing was judged")
    more = len([one for one in reasons if one.verdict is first.verdict]) - 1
    also = f"   (and {more} more)" if more > 0 else ""
    nodes = experiment.cluster.nodes
    runs = ", ".join(f"{name} {node.configuration.release.label}" for name, node in nodes.items())
    folder = experiment.cluster.recorder.path.parent
    return [
        f"{first.verdict}  {first.by}  {test}",
        f"  {' '.join(first.text.split())}{also}",
        f"  faults then  {_faults_text(experiment.cluster.history().since(experiment.first))}",
        f"  nodes        {runs}",
        f"  look         {folder}/report.html",
        f"  again        {experiment.again}",
    ]


def setup_lines(error: ChaosError, test: str, again: str) -> list[str]:
    """A test that had no cluster: what the harness failed at."""
    return [
        f"{Verdict.INFRA}  cluster  {test}",
        f"  {type(error).__name__}: {' '.join(str(error).split())}",
        f"  again        {again}",
    ]


def _faults_text(history: History) -> str:
    """The last faults and changes: name, targets, from when to when, felt or witnessed or not."""
    invoked = [event for event in history.of("fault", "change") if event.type == "invoke"]
    if not invoked:
        return "none"
    return "; ".join(_fault_text(history, event) for event in invoked[-_FAULTS_SHOWN:])


def _fault_text(history: History, fault: Event) -> str:
    def of(f: str) -> list[Event]:
        return [event for event in history.of(f) if event.value["id"] == fault.value["id"]]

    targets = " ".join(fault.value["targets"])
    if fault.f == "change":
        seen = {event.type for event in of("witnessed")} == {"ok"}
        met = "witnessed" if seen else "not witnessed"
        return f"{fault.value['change']} {targets} ({fault.time_s:.3f} s, {met})"
    heals = of("heal")
    end = f"{heals[-1].time_s:.3f}" if heals else "the end"
    met = "felt" if any(event.type == "ok" for event in of("felt")) else "not felt"
    return f"{fault.value['fault']} {targets} ({fault.time_s:.3f} to {end} s, {met})"
