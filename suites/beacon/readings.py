"""
What a history says of one beacon's group: its chain, and every round that anybody showed.

Owns: reading them out of the events. Refuses: judgement, and several clusters in one history: each
has a chain of its own, so it is judged scope by scope (chaoskit.scope).

The operations, beside the event's own `op` and `node`; all are one member's word:

* `info`; ok: public_key, groupHash (both hex), period, genesis_time (seconds), schemeID, and more.
* `get` round ("latest" or a number); ok: round, signature, randomness and, in a chained scheme,
  previous_signature (all hex).
* `ahead` by: the round that is due `by` rounds after the newest that is due; answered as `get`.
* `snapshot`: the member's newest rounds at a test's end; ok: first, signatures (of first and those
  after it; null where there is none), unanswered (numbers of which the member said nothing).

Observations show a round (`progress`) with its signature (`digest`): suites.beacon.watching.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from chaoskit.errors import Inconclusive
from chaoskit.history import Event, History
from chaoskit.operations import Attempt, attempts
from nodes import bls


@dataclass(frozen=True, slots=True)
class Chain:
    """What a member says of the chain; `event` is the index of the answer."""

    public_key: str
    scheme: str
    seed: str
    period_s: int
    genesis_s: int
    event: int

    def due_s(self, number: int) -> float:
        """When a round is due, Unix time."""
        return self.genesis_s + (number - 1) * self.period_s

    def newest_due(self, now_s: float) -> int:
        """The newest round that is due at `now_s`, Unix time; 0 before the first."""
        return max(0, int((now_s - self.genesis_s) // self.period_s) + 1)

    def known_scheme(self) -> bls.Scheme:
        """Its scheme. Raises Inconclusive for one that cannot be verified here."""
        try:
            return bls.SCHEMES[self.scheme]
        except KeyError:
            raise Inconclusive(f"signatures of {self.scheme} cannot be verified here") from None


@dataclass(frozen=True, slots=True)
class Shown:
    """
    A round as one member showed it at `time_s` of the run; signatures in hex.

    `previous` and `randomness` are empty where the member did not say them.
    """

    node: str
    number: int
    signature: str
    time_s: float
    events: tuple[int, ...]
    previous: str = ""
    randomness: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A member's newest rounds, by number; None where it has none; `unanswered`: nothing said."""

    node: str
    rounds: dict[int, str | None]
    unanswered: tuple[int, ...]
    answer: Event


def nodes_of(history: History) -> tuple[str, ...]:
    """The nodes of the one cluster. Raises Inconclusive when there are more or fewer."""
    started = [event for event in history.of("cluster") if event.value["event"] == "started"]
    if len(started) != 1:
        raise Inconclusive(f"the history holds {len(started)} clusters; each has its own chain")
    return tuple(started[0].value["nodes"])


def samples_of(history: History, node: str, from_s: float, to_s: float) -> list[Event]:
    """What a member answered its observer in this time, asked since its beginning."""
    return [
        event
        for event in history.of("observe")
        if event.process == node
        and event.type == "ok"
        and from_s <= event.time_s - event.value.get("took_s", 0.0)
        and event.time_s <= to_s
    ]


def failing(sample: Event) -> frozenset[str]:
    """Who did not take a member's last partial signature, by what it answered."""
    return frozenset(sample.value["detail"]["failing"])


def denied(history: History, node: str, from_s: float, to_s: float) -> bool:
    """
    Whether a member answered partial signatures of others with a refusal in this time, by its own
    count: no machine is so slow that it refuses.
    """
    told = [one.value["detail"].get("denied", 0) for one in samples_of(history, node, from_s, to_s)]
    return bool(told) and told[-1] > told[0]


def begun_s(history: History) -> float:
    """The Unix time at which the run began. Raises Inconclusive when the history has none."""
    if not history.started_utc:
        raise Inconclusive("the history does not say when it began")
    return datetime.fromisoformat(history.started_utc).timestamp()


def answered(history: History, *kinds: str) -> Iterator[tuple[Attempt, Event]]:
    """The operations of these kinds that were answered, each with its answer."""
    for attempt in attempts(history):
        if attempt.f in kinds and attempt.acknowledged and attempt.completion is not None:
            yield attempt, attempt.completion


def chains_of(history: History) -> list[Chain]:
    """What members said of the chain, in order. Raises Inconclusive when none was asked."""
    found = [
        Chain(
            public_key=str(answer.value["public_key"]),
            scheme=str(answer.value["schemeID"]),
            seed=str(answer.value["groupHash"]),
            period_s=int(answer.value["period"]),
            genesis_s=int(answer.value["genesis_time"]),
            event=answer.index,
        )
        for _, answer in answered(history, "info")
    ]
    if not found:
        raise Inconclusive("no member said which chain it is")
    return found


def snapshots_of(history: History) -> list[Snapshot]:
    """All snapshots that were answered, in order."""
    return [
        Snapshot(
            node=attempt.value["node"],
            rounds=dict(enumerate(answer.value["signatures"], start=answer.value["first"])),
            unanswered=tuple(answer.value["unanswered"]),
            answer=answer,
        )
        for attempt, answer in answered(history, "snapshot")
    ]


def rounds_of(history: History) -> list[Shown]:
    """Every round that a client or an observer was shown, in order of the answers."""
    found = [
        Shown(
            node=attempt.value["node"],
            number=int(answer.value["round"]),
            signature=str(answer.value["signature"]),
            time_s=answer.time_s,
            events=attempt.events,
            previous=str(answer.value.get("previous_signature", "")),
            randomness=str(answer.value.get("randomness", "")),
        )
        for attempt, answer in answered(history, "get", "ahead")
    ]
    found += [
        Shown(event.process, event.value["progress"], event.value["digest"], event.time_s, (at,))
        for event in history.of("observe")
        if event.type == "ok" and event.value.get("progress")
        for at in [event.index]
    ]
    return sorted(found, key=lambda one: one.events[-1])


def everything(history: History) -> list[Shown]:
    """`rounds_of`, and the rounds in snapshots."""
    kept = [
        Shown(
            one.node,
            number,
            signature,
            one.answer.time_s,
            (one.answer.index,),
            previous=one.rounds.get(number - 1) or "",
        )
        for one in snapshots_of(history)
        for number, signature in one.rounds.items()
        if signature is not None
    ]
    return sorted(rounds_of(history) + kept, key=lambda one: one.events[-1])
