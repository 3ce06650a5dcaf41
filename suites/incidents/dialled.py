"""
The connections between members that a tap heard (chaoskit.tap), read out of a history.

Owns: putting what was told of each connection together. Refuses: a promise, and guessing: what
nobody heard is no connection, and where nobody listened nothing can be said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chaoskit.errors import Inconclusive
from chaoskit.history import History


@dataclass(frozen=True, slots=True)
class Connection:
    """
    One that a member opened to another, as it was heard on the wire.

    `opened_s`: None where it was there before anybody listened. `stood`: whether it came to stand;
    one that did not is over at `told_s`, having met `met`. `spoke_s`: when answers came over it.
    """

    source: str
    target: str
    mode: str
    met: str
    opened_s: float | None
    stood: bool
    told_s: float
    spoke_s: tuple[float, ...]
    event: int

    @property
    def link(self) -> str:
        """The link that it was opened on."""
        return f"{self.source}>{self.target}"

    @property
    def refused(self) -> bool:
        """
        Whether it was answered in another mode than it was asked for: no machine is so slow that it
        does that, as it may be for a handshake that came to no end.
        """
        return not self.stood and self.met not in ("nothing", self.mode)

    def opened_within(self, from_s: float, to_s: float) -> bool:
        """Whether it was opened then, from the one moment to before the other."""
        return self.opened_s is not None and from_s <= self.opened_s < to_s

    def spoke_within(self, from_s: float, to_s: float) -> bool:
        """Whether an answer came over it then."""
        return any(from_s <= one < to_s for one in self.spoke_s)


def connections_of(history: History) -> list[Connection]:
    """
    Every connection that stood or failed to, in that order.

    Raises Inconclusive when nobody listened.
    """
    found: dict[int, Connection] = {}
    done: list[Connection] = []
    for event in history.of("connection"):
        value = event.value
        number = value["number"]
        if event.type == "info":
            if value["event"] == "carries" and number in found:
                one = found[number]
                found[number] = replace(one, spoke_s=(*one.spoke_s, event.time_s))
            continue
        stood = event.type == "ok"
        if number in found:
            done.append(found.pop(number))  # of an earlier tap
        found[number] = Connection(
            source=value["source"],
            target=value["target"],
            mode=str(value["mode"]),
            met=value["met"],
            opened_s=value["opened_s"],
            stood=stood,
            told_s=event.time_s,
            spoke_s=(event.time_s,) if stood else (),
            event=event.index,
        )
    heard = sorted([*done, *found.values()], key=lambda one: one.event)
    if not heard:
        raise Inconclusive("no connection between members was heard: nobody listened on the links")
    return heard
