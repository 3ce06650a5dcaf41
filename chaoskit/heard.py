"""
Whose contributions reach whom, as seen from outside: by who answers, and who says who took its own.

Owns: folding samples into what each member should hold at every moment. Refuses: our own facts
about links and processes: what is shown here is what an operator's dashboard could show.

A member that does not take a connection is gone at once. One that is slow to answer is gone when
its last answer is older than 1.5 s: a loaded machine makes every member late now and then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chaoskit.history import Event

STALE_S = 1.5


@dataclass(frozen=True, slots=True)
class Heard:
    """
    From this sample on: for each member that answers, whose contributions it should hold.

    Its own is among them. A member that is not a key did not answer.
    """

    event: Event
    holders: Mapping[str, frozenset[str]]

    @property
    def most(self) -> int:
        """How many the best placed member holds."""
        return max(map(len, self.holders.values()), default=0)


def heard(samples: Sequence[Event], nodes: Sequence[str], refused: str) -> Iterator[Heard]:
    """
    Follow the samples (`observe`) in order; one answer each, once every member has been asked.

    That is waited for 1.5 s at most: whoever was not asked by then did not answer.

    `refused` is the path, in an observation, of the peers that did not take a member's last
    contribution ("detail.failing").
    """
    latest: dict[str, frozenset[str] | None] = dict.fromkeys(nodes)
    answered_s: dict[str, float] = {}
    unasked, from_s = set(nodes), samples[0].time_s if samples else 0.0
    for event in samples:
        node = event.process
        if node not in latest:
            continue
        unasked.discard(node)
        said = _names_at(event.value, refused) if event.type == "ok" else None
        if said is not None:
            latest[node], answered_s[node] = said, event.time_s
        elif not _merely_late(event, answered_s.get(node)):
            latest[node] = None
        if not unasked or event.time_s - from_s > STALE_S:
            yield Heard(event, _holders(latest))


def _merely_late(event: Event, answered_s: float | None) -> bool:
    slow = event.type == "fail" and event.value.get("cause") == "timed_out"
    return slow and answered_s is not None and event.time_s - answered_s <= STALE_S


def _names_at(value: Mapping[str, object], path: str) -> frozenset[str] | None:
    """The names in the list at a path; None when there is no list."""
    found: object = value
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return frozenset(map(str, found)) if isinstance(found, (list, tuple)) else None


def _holders(latest: Mapping[str, frozenset[str] | None]) -> dict[str, frozenset[str]]:
    senders = [(one, refusing) for one, refusing in latest.items() if refusing is not None]
    return {
        node: frozenset(one for one, refusing in senders if one == node or node not in refusing)
        for node, _ in senders
    }
