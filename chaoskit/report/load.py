"""
The load of a test: what clients asked, what they were answered, and how long it took.

Owns: counts by outcome, and rate and latency over time; the pairing is chaoskit.operations'.
Refuses: calling an unknown outcome a failure or a success.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaoskit.history import Event, History
from chaoskit.operations import Attempt, attempts
from chaoskit.report.axis import round_step
from chaoskit.report.document import text_of
from chaoskit.report.spans import Detail

_CLIENT = re.compile(r"client \d+")
_WINDOWS: dict[Detail, int] = {"full": 110, "small": 40}
_MOST = 400
_IN_A_WINDOW = 4  # fewer operations in a window say little of its rate and latency


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: `outcome` is ok, fail, info or "" when nothing came back in the test."""

    process: str
    f: str
    node: str
    start_s: float
    end_s: float | None
    outcome: str

    @property
    def took_s(self) -> float | None:
        """From asking to the answer; None when there was none."""
        return None if self.end_s is None else max(self.end_s - self.start_s, 0.0)


@dataclass(frozen=True, slots=True)
class Tally:
    """Operations of one kind by outcome, and the latency of the acknowledged ones in seconds."""

    f: str
    acknowledged: int
    failed: int
    unknown: int
    p50_s: float | None
    p99_s: float | None
    slowest_s: float | None

    @property
    def asked(self) -> int:
        """All of them."""
        return self.acknowledged + self.failed + self.unknown


@dataclass(frozen=True, slots=True)
class Window:
    """Operations begun in one window of time, by outcome, and the latency of the acknowledged."""

    start_s: float
    acknowledged: int
    failed: int
    unknown: int
    p50_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class Load:
    """
    The load of a test: tallies (all operations first) and windows of `window_s` seconds.

    `not_sent` operations were due while every client was waiting; they are in no tally.
    """

    tallies: tuple[Tally, ...]
    windows: tuple[Window, ...]
    window_s: float
    not_sent: int


def operations(events: History) -> list[Operation]:
    """Every operation of a numbered client, in order; what the harness itself reads is no load."""
    asked = History(event for event in events if _is_load(event))
    return [_operation(attempt) for attempt in attempts(asked)]


def _is_load(event: Event) -> bool:
    return bool(_CLIENT.fullmatch(event.process)) and isinstance(event.value.get("op"), int)


def _operation(attempt: Attempt) -> Operation:
    answered = attempt.completion
    return Operation(
        process=attempt.invoke.process,
        f=attempt.f,
        node=text_of(attempt.value, "node"),
        start_s=attempt.invoke.time_s,
        end_s=answered.time_s if answered else None,
        outcome=answered.type if answered else "",
    )


def not_sent(events: History) -> int:
    """How many operations were due while every client still waited, so that none was sent."""
    return sum(event.process == "queue" and event.type == "fail" for event in events)


def load(events: History, start_s: float, end_s: float, detail: Detail) -> Load:
    """Counts and latencies of a test, in at most 110 (small: 40) windows of a round length."""
    found = operations(events)
    kinds = sorted({one.f for one in found})
    tallies = [_tally("all", found)] if len(kinds) > 1 else []
    tallies += [_tally(f, [one for one in found if one.f == f]) for f in kinds]
    lasted_s = end_s - start_s
    most = min(_WINDOWS[detail], max(len(found) // _IN_A_WINDOW, 1))
    window_s = max(round_step(lasted_s, most), 0.1)
    return Load(
        tuple(tallies), _windows(found, start_s, end_s, window_s), window_s, not_sent(events)
    )


def _tally(f: str, found: Sequence[Operation]) -> Tally:
    latencies = _latencies(found)
    acknowledged = sum(one.outcome == "ok" for one in found)
    failed = sum(one.outcome == "fail" for one in found)
    return Tally(
        f=f,
        acknowledged=acknowledged,
        failed=failed,
        unknown=len(found) - acknowledged - failed,
        p50_s=quantile(latencies, 0.5),
        p99_s=quantile(latencies, 0.99),
        slowest_s=latencies[-1] if latencies else None,
    )


def _latencies(found: Iterable[Operation]) -> list[float]:
    return sorted(one.took_s for one in found if one.outcome == "ok" and one.took_s is not None)


def quantile(ordered: Sequence[float], part: float) -> float | None:
    """The nearest-rank quantile of sorted values: the least that `part` of them do not exceed."""
    if not ordered:
        return None
    rank = -int(-part * len(ordered) // 1)
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def _windows(
    found: Sequence[Operation], start_s: float, end_s: float, window_s: float
) -> tuple[Window, ...]:
    if not found:
        return ()
    first = start_s // window_s * window_s
    edges = [first]
    while edges[-1] + window_s < end_s and len(edges) < _MOST:
        edges.append(first + len(edges) * window_s)
    held: list[list[Operation]] = [[] for _ in edges]
    for one in found:
        held[max(bisect_right(edges, one.start_s) - 1, 0)].append(one)
    return tuple(_window(edge, inside) for edge, inside in zip(edges, held, strict=True))


def _window(start_s: float, found: Sequence[Operation]) -> Window:
    tally = _tally("", found)
    return Window(
        start_s, tally.acknowledged, tally.failed, tally.unknown, tally.p50_s, tally.p99_s
    )
