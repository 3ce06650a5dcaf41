"""
The run in few words: verdict, one sentence, when, where and with what.

Owns: what stands at the head of the report and what is a plain list of facts at its end. Refuses:
judging; where verdicts.json says the verdict of the run, that is the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaoskit.report.document import compact, number_of, text_of, whole_of
from chaoskit.report.experiment import NOT_JUDGED, Experiment, release_of
from chaoskit.report.source import Source
from chaoskit.report.wording import duration, plural, share

_ORDER = ("FAIL", "INFRA", "INVALID", "UNKNOWN", NOT_JUDGED, "PASS")
_MEANING = {
    "PASS": "kept every promise, and every fault was felt",
    "FAIL": "broke a promise",
    "INVALID": "proves nothing: what was to be broken is not shown to have been broken",
    "UNKNOWN": "cannot be told: evidence is missing",
    "INFRA": "says nothing of the system: the harness or the machine failed",
    NOT_JUDGED: "was not judged: the run did not get that far",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and a value, both for people."""

    name: str
    value: str


def header_of(source: Source) -> dict[str, Any]:
    """What is said of the run as a whole: verdicts.json, else the first event of the history."""
    told = next((event.value for event in source.history.of("run")), {})
    argv = told.get("argv")
    typed = " ".join(map(str, argv)) if isinstance(argv, list) else text_of(told, "argv")
    again = {"command": typed} if typed else {}
    return {**again, **told, **(source.verdicts or {})}


def verdict_of(header: dict[str, Any], found: Sequence[Experiment]) -> str:
    """The verdict of the run, as verdicts.json says it, else the one that counts of its tests."""
    said = text_of(header, "verdict")
    if said in _MEANING:
        return said
    return NOT_JUDGED if not found else min((one.verdict for one in found), key=_ORDER.index)


def sentence(header: dict[str, Any], found: Sequence[Experiment]) -> str:
    """The run in one sentence."""
    system = _system(header, found)
    if not found:
        return f"Nothing was recorded on {system}."
    if len(found) == 1:
        return f"{found[0].name.rpartition('::')[2]} on {system} {_said_of(found[0])}."
    said = ", ".join(f"{number} {name}" for name, number in tally(found))
    return f"{plural(len(found), 'test')} on {system}: {said}."


def _said_of(experiment: Experiment) -> str:
    verdict = experiment.verdict
    if verdict == "FAIL":
        broken = [one.by for one in experiment.findings if one.verdict == verdict]
        return f"broke {broken[0]}" if broken else _MEANING[verdict]
    if verdict == "PASS" and not experiment.events.of("fault", "change"):
        return "kept every promise; nothing was done to it"
    return _MEANING[verdict]


def _system(header: dict[str, Any], found: Sequence[Experiment]) -> str:
    releases = sorted({release_of(one, node) for one in found for node in one.nodes} - {""})
    named = [text_of(one.cluster.value, "system") for one in found if one.cluster]
    name = text_of(header, "system") or next(filter(None, named), "the system")
    shown = ", ".join(releases[:6])
    return f"{name} {shown}" if releases else name


def tally(found: Sequence[Experiment]) -> tuple[tuple[str, int], ...]:
    """How many tests came to each verdict, the one that counts most first."""
    counts = ((verdict, sum(one.verdict == verdict for one in found)) for verdict in _ORDER)
    return tuple((verdict, number) for verdict, number in counts if number)


def about(
    header: dict[str, Any],
    found: Sequence[Experiment],
    host: dict[str, Any],
    started: datetime | None,
) -> tuple[Fact, ...]:
    """When, where and with what it was run."""
    nodes = sorted({len(one.nodes) for one in found})
    ended_s = max((one.end_s for one in found), default=0.0)
    facts = [
        Fact("nodes", ", ".join(str(one) for one in nodes)),
        Fact("seed", text_of(header, "seed")),
        Fact("started", f"{started:%Y-%m-%d %H:%M:%S} UTC" if started else ""),
        Fact("took", duration(ended_s)),
        Fact("host", _host(host)),
    ]
    return tuple(fact for fact in facts if fact.value)


def _host(host: dict[str, Any]) -> str:
    """The host in a few words; all that is known of it stands at the end of the page."""
    cores = whole_of(host, "cores")
    kernel, memory = text_of(host, "kernel"), number_of(host, "memory_bytes")
    words = [
        text_of(host, "distribution"),
        f"kernel {kernel}" if kernel else "",
        plural(cores, "core") if cores is not None else "",
        f"{memory / 2**30:.1f}\u202fGiB" if memory else "",
    ]
    return ", ".join(word for word in words if word)


def owed_in_words(found: Sequence[Experiment]) -> str:
    """In what share of the time of faults and recovery progress was owed, "" if unknown."""
    shares = sorted(one.owed_share for one in found if one.owed_share is not None)
    if not shares:
        return ""
    least, most = share(shares[0]), share(shares[-1])
    said = most if least == most else f"{least} to {most}"
    return (
        f"In {said} of the time of faults and recovery the nodes were a quorum, so that progress "
        f"was owed ({plural(len(shares), 'test')})."
    )


def utc(started: datetime | None, time_s: float) -> str:
    """The UTC time of a moment of the run, "" when it is not known."""
    if started is None or not 0 <= time_s < 10_000_000:
        return ""
    at = datetime.fromtimestamp(started.timestamp() + time_s, tz=started.tzinfo)
    return f"{at:%H:%M:%S} UTC"


def facts(document: dict[str, Any]) -> tuple[Fact, ...]:
    """A document as facts; the unit at the end of a name becomes the unit of its value."""
    return tuple(_fact(key, document) for key in document)


def _fact(key: str, document: dict[str, Any]) -> Fact:
    number, words = number_of(document, key), key.replace("_", " ")
    if number is not None and key.endswith("_s"):
        return Fact(words[:-2], duration(number))
    if number is not None and key.endswith("_bytes"):
        return Fact(words[:-6], f"{number / 2**30:.1f}\u202fGiB")
    if number is not None and key.endswith("_share"):
        return Fact(words, share(number))
    return Fact(words, compact(document[key], limit=300))
