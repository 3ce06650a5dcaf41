"""
Links that were cut, and what members make of them when they are whole again.

Owns: `links_come_back_once_they_are_whole`. Refuses: what is on the wire; judged is what members
say: whose links they dial in vain is in `failing` of an observation (`error_sending_partial`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.invariant import Invariant, Violation
from chaoskit.liveness import recovered_within
from chaoskit.verdict import Kind
from suites.beacon.readings import failing, nodes_of, samples_of


@dataclass(frozen=True, slots=True)
class Mended:
    """
    A link that was cut and then whole, while both its members ran, from `since_s` to `until_s`.

    `cut` and `healed` are the events of either; `tried` whether its source said, before the heal,
    that it dialled the target in vain.
    """

    source: str
    target: str
    cut: Event
    healed: Event
    until_s: float
    tried: bool

    @property
    def since_s(self) -> float:
        """When it was whole again."""
        return self.healed.time_s


def mended_links(history: History) -> Iterator[Mended]:
    """Every time a link was mended, in order."""
    cuts: dict[tuple[str, str], Event] = {}
    for event in history.of("link"):
        link = (event.value["source"], event.value["target"])
        if event.value["cut"]:
            cuts.setdefault(link, event)
        elif link in cuts:
            cut = cuts.pop(link)
            told = samples_of(history, link[0], cut.time_s, event.time_s)
            tried = any(link[1] in failing(one) for one in told)
            yield Mended(*link, cut, event, _until_s(history, link, event), tried)


def _until_s(history: History, link: tuple[str, str], healed: Event) -> float:
    """Until it was cut again, or one of its members did not run."""
    for event in history.of("link", "state"):
        if event.index <= healed.index:
            continue
        if event.f == "state":
            ended = event.process in link and event.value["state"] != "running"
        else:
            ended = link == (event.value["source"], event.value["target"]) and event.value["cut"]
        if ended:
            return event.time_s
    return history.end_s


def links_come_back_once_they_are_whole(*, within_s: float) -> Invariant:
    """
    Make the promise: when links have healed, who dials on them anew gets through: all recover.

    Liveness. Source: a heal of the network needs no restart of a member. Broken where a member was
    not back within `within_s` seconds of the last heal (`recovered_within`), and where one said for
    that long after a link was whole that its partials are not taken there, while both ran. A
    machine that stalls does not excuse it where the link the other way came back in that time.
    Inconclusive: no link was mended that had been tried in vain.
    """
    whole = recovered_within(within_s)

    def judge(history: History) -> Sequence[Violation]:
        nodes_of(history)
        violations: list[Violation] = []
        evidence = False
        mended = list(mended_links(history))
        for one in mended:
            late = _late(history, one, within_s, excusable=not _came_back(history, mended, one))
            evidence = evidence or one.tried
            violations += [late] if late is not None else []
        if violations:  # whoever was late for it is late on their account
            return violations
        if not evidence:
            raise Inconclusive("no link was mended that a member had dialled in vain")
        return whole.judge(history)

    return Invariant("links_come_back_once_they_are_whole", Kind.LIVENESS, judge)


def _came_back(history: History, mended: Sequence[Mended], one: Mended) -> bool:
    """Whether the link the other way, dialled in vain too, was reached when this one was not."""
    back = (one.target, one.source)
    tried = any(other.tried and (other.source, other.target) == back for other in mended)
    told = samples_of(history, one.target, one.since_s, one.until_s)
    return tried and any(one.source not in failing(event) for event in told)


def _late(history: History, one: Mended, within_s: float, *, excusable: bool) -> Violation | None:
    limit_s = one.since_s + within_s
    if one.until_s < limit_s:
        return None
    told = samples_of(history, one.source, one.since_s, limit_s)
    if not told or any(one.target not in failing(event) for event in told):
        return None
    return Violation(
        f"{one.source} reached {one.target} in none of {len(told)} samples within {within_s:g} s "
        f"of {one.since_s:.3f} s, when the link between them was whole again (cut since "
        f"{one.cut.time_s:.3f} s)",
        (one.cut.index, one.healed.index, told[-1].index),
        span_s=(one.since_s, limit_s),
        excusable=excusable,
    )
