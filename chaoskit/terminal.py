"""
What a person reads in a terminal about one test: a verdict in at most six lines.

Owns: wording and alignment of failures and of a demo's acts. Refuses: colour (the CLI adds it on a
terminal) and anything that is not in the history or the verdict.
"""

from __future__ import annotations

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
    also = f"   (and {more} more)" if more else ""
    nodes = experiment.cluster.nodes
    runs = ", ".join(f"{name} {node.configuration.release.label}" for name, node in nodes.items())
    folder = experiment.cluster.recorder.path.parent
    return [
        f"{first.verdict}  {first.by}  {test}",
        f"  {first.text}{also}",
        f"  faults then  {_faults_text(experiment.cluster.history())}",
        f"  nodes        {runs}",
        f"  look         {folder}/report.html",
        f"  again        {experiment.again}",
    ]


def _faults_text(history: History) -> str:
    """The last faults of a history: name, targets, from when to when, felt or not."""
    invoked = [event for event in history.of("fault") if event.type == "invoke"]
    if not invoked:
        return "none"
    return "; ".join(_fault_text(history, event) for event in invoked[-_FAULTS_SHOWN:])


def _fault_text(history: History, fault: Event) -> str:
    number = fault.value["id"]
    felt = [event for event in history.of("felt") if event.value["id"] == number]
    heals = [event for event in history.of("heal") if event.value["id"] == number]
    end = f"{heals[-1].time_s:.3f}" if heals else "the end"
    met = "felt" if any(event.type == "ok" for event in felt) else "not felt"
    targets = " ".join(fault.value["targets"])
    return f"{fault.value['fault']} {targets} ({fault.time_s:.3f} to {end} s, {met})"
