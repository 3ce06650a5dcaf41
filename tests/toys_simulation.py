"""
Toys in a simulated network: seeded, in virtual time, thousands of events a second.

Owns: delay, loss, cuts, pauses, kills and restarts around real cores, clients, and what was seen.
Every node's records are kept as its journal would keep them: all at once, or buffered.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from nodes.toys.behaviours import Variant
from nodes.toys.core import OPERATION_S, Core
from nodes.toys.log import restored
from nodes.toys.messages import (
    QUESTIONS,
    Answer,
    Asked,
    Event,
    Failed,
    Forward,
    Keep,
    Message,
    Operation,
    Outcome,
    Received,
    Send,
    Tick,
    decode,
    encode,
)
from nodes.toys.transport import ANSWER_S, FORWARD_S


@dataclass
class Attempt:
    """One operation of a client: when it was asked and answered, in events; and in seconds."""

    operation: Operation
    node: str
    asked_s: float
    invoked: int
    returned: float = math.inf
    outcome: Outcome = Outcome.UNKNOWN
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Place:
    """Where a core lives: its journal, and the events that wait while it is paused."""

    name: str
    variant: Variant
    core: Core | None = None
    records: list[tuple[Any, ...]] = field(default_factory=list)
    buffer: list[tuple[Any, ...]] = field(default_factory=list)
    incarnation: int = 0
    paused: bool = False
    backlog: list[Event] = field(default_factory=list)
    best: int = 0


class World:
    """A cluster in virtual time; `violations` are promises seen broken, as sentences."""

    def __init__(self, names: Sequence[str], seed: int, variants: Mapping[str, Variant]) -> None:
        self.random = Random(seed)
        self.now_s = 0.0
        self.events = 0
        self.sent = 0
        self.loss = 0.0
        self.cuts: set[tuple[str, str]] = set()
        self.violations: list[str] = []
        self.attempts: list[Attempt] = []
        self.digests: dict[int, str] = {0: "0" * 16}
        self._sequence = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._owed: dict[tuple[str, int, str, int], None] = {}
        self._clients: dict[tuple[str, int, int], tuple[Attempt, Callable[[], None]]] = {}
        self.places = {name: Place(name, variants.get(name, Variant.HONEST)) for name in names}
        for name in names:
            self.restart(name)

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something after a time."""
        self._sequence += 1
        heapq.heappush(self._queue, (self.now_s + delay_s, self._sequence, action))

    def run(self, until_s: float) -> None:
        """Let time pass; at most a million events."""
        for _ in range(1_000_000):
            if not self._queue or self._queue[0][0] > until_s:
                self.now_s = until_s
                return
            self.now_s, _, action = heapq.heappop(self._queue)
            action()
        raise AssertionError("the simulation does not end")

    # Faults.

    def restart(self, name: str) -> None:
        """Start a node on what its journal holds."""
        place = self.places[name]
        place.incarnation += 1
        place.core = Core(
            name,
            tuple(self.places),
            behaviour=place.variant.behaviour,
            random=Random(self.random.random()),
            durable=restored(json.loads(json.dumps(place.records))),
            first_number=place.incarnation * 1_000_000,
        )
        self._judge(place)

    def kill(self, name: str) -> None:
        """End a node; what its journal had only in memory is lost."""
        place = self.places[name]
        place.core, place.buffer, place.backlog, place.paused = None, [], [], False

    def resume(self, name: str) -> None:
        """Let a paused node go on."""
        place = self.places[name]
        place.paused = False
        backlog, place.backlog = place.backlog, []
        for event in backlog:
            self.deliver(name, place.incarnation, event)

    def isolate(self, name: str) -> None:
        """Cut a node off from all others."""
        for other in self.places:
            self.cuts |= {(name, other), (other, name)}

    def heal(self) -> None:
        """Undo everything."""
        self.loss = 0.0
        self.cuts.clear()
        for name, place in self.places.items():
            if place.core is None:
                self.restart(name)
            if place.paused:
                self.resume(name)

    # Events and effects.

    def deliver(self, name: str, incarnation: int, event: Event) -> None:
        """Hand an event to a node's core, and carry out what comes of it."""
        place = self.places[name]
        if place.core is None or place.incarnation != incarnation:
            return
        if place.paused:
            place.backlog.append(event)
            return
        self.events += 1
        effects = place.core.handle(event, self.now_s)
        place.buffer += [effect.record for effect in effects if isinstance(effect, Keep)]
        if len(place.buffer) >= place.variant.behaviour.buffered_records:
            place.records += place.buffer
            place.buffer = []
        self._judge(place)
        for effect in effects:
            match effect:
                case Send(target, message):
                    self._send(place, target, message)
                case Answer(number, outcome, result):
                    attempt, go_on = self._clients.pop((name, incarnation, number))
                    attempt.returned, attempt.outcome = self.events, outcome
                    attempt.result = result
                    go_on()
        wake_s = place.core.wake_s
        if wake_s is not None:
            delay_s = max(0.0, wake_s - self.now_s)
            core = place.core
            self.later(delay_s, lambda: self._tick(name, incarnation, core, wake_s))

    def _tick(self, name: str, incarnation: int, core: Core, wake_s: float) -> None:
        if core.wake_s == wake_s:
            self.deliver(name, incarnation, Tick())

    def _send(self, place: Place, target: str, message: Message) -> None:
        self.sent += 1
        source, incarnation = place.name, place.incarnation
        message = decode(encode(message))
        there = self.places[target].incarnation
        arrives = (source, target) not in self.cuts and self.random.random() >= self.loss
        delay_s = self.random.expovariate(1 / 0.002)
        if isinstance(message, QUESTIONS):
            owed = (source, incarnation, target, message.number)
            self._owed[owed] = None
            refused = self.places[target].core is None
            limit_s = ANSWER_S
            if isinstance(message, Forward):
                limit_s = self.random.choice((FORWARD_S, FORWARD_S + OPERATION_S))
            self.later(delay_s if refused else limit_s, lambda: self._fail(owed, sent=not refused))
            if arrives and not refused:
                self.later(delay_s, lambda: self.deliver(target, there, Received(source, message)))
        elif arrives:
            self.later(delay_s, lambda: self._reply(target, there, source, message))

    def _reply(self, name: str, incarnation: int, source: str, message: Message) -> None:
        owed = (name, incarnation, source, message.number)
        if owed in self._owed:
            del self._owed[owed]
            self.deliver(name, incarnation, Received(source, message))

    def _fail(self, owed: tuple[str, int, str, int], *, sent: bool) -> None:
        name, incarnation, target, number = owed
        if owed in self._owed:
            del self._owed[owed]
            self.deliver(name, incarnation, Failed(target, number, sent))

    # Clients and judges.

    def ask(self, name: str, operation: Operation, go_on: Callable[[], None]) -> None:
        """A client asks a node; `go_on` is called when it is answered or gives up."""
        place = self.places[name]
        if place.core is None:
            self.later(0.05, go_on)
            return
        attempt = Attempt(operation, name, self.now_s, self.events)
        self.attempts.append(attempt)
        key = (name, place.incarnation, place.core.number())
        self._clients[key] = (attempt, go_on)
        self.later(2.0, lambda: self._give_up(key))
        self.deliver(name, place.incarnation, Asked(key[2], operation))

    def _give_up(self, key: tuple[str, int, int]) -> None:
        if key in self._clients:
            _, go_on = self._clients[key]
            self._clients[key] = (self._clients[key][0], lambda: None)
            go_on()

    def client(self, until_s: float, keys: int, pause_s: float = 0.03) -> None:
        """A client that asks random nodes, one operation after the other."""
        newest: dict[str, str] = {}

        def one() -> None:
            if self.now_s >= until_s:
                return
            key = f"k{self.random.randrange(keys)}"
            value = f"v{len(self.attempts)}"
            f = self.random.choice(("put", "get", "cas"))
            expect = newest.get(key) if f == "cas" else None
            if f != "get":
                newest[key] = value
            operation = Operation(f, key, None if f == "get" else value, expect)
            name = self.random.choice(list(self.places))
            self.ask(name, operation, lambda: self.later(pause_s, one))

        self.later(self.random.uniform(0, pause_s), one)

    def _judge(self, place: Place) -> None:
        assert place.core is not None
        seen = place.core.status()
        height = seen["progress"]
        if height < place.best:
            self.violations.append(f"{place.name} went back from {place.best} to {height}")
        place.best = height
        for one, digest in (*seen["recent"].items(), (height, seen["digest"])):
            if self.digests.setdefault(int(one), digest) != digest:
                self.violations.append(f"{place.name} has another entry {one}")


def linearizable(attempts: Sequence[Attempt], limit: int = 200_000) -> bool:
    """
    Whether the operations of one key have an order that explains every answer.

    Depth first with a memo (Wing, Gong 1993; Lowe 2017); raises AssertionError over `limit` steps.
    """
    asked = [one for one in attempts if one.outcome is not Outcome.REFUSED]
    owed = sum(1 << i for i, one in enumerate(asked) if one.outcome is Outcome.DONE)
    returned = [one.returned if one.outcome is Outcome.DONE else math.inf for one in asked]
    seen: set[tuple[int, str | None]] = set()
    stack: list[tuple[int, str | None]] = [(0, None)]
    for _ in range(limit):
        if not stack:
            return False
        done, value = stack.pop()
        if done & owed == owed:
            return True
        if (done, value) in seen:
            continue
        seen.add((done, value))
        first = min((returned[i] for i in range(len(asked)) if not done >> i & 1), default=math.inf)
        for i in reversed(range(len(asked))):
            one = asked[i]
            if done >> i & 1 or (one.invoked >= first and returned[i] != first):
                continue
            after = _step(one, value)
            if after is not None:
                stack.append((done | 1 << i, after[0]))
    raise AssertionError(f"no decision on {len(asked)} operations in {limit} steps")


def _step(one: Attempt, value: str | None) -> tuple[str | None] | None:
    operation, known = one.operation, one.outcome is Outcome.DONE
    match operation.f:
        case "put":
            return (operation.value,)
        case "get":
            return (value,) if not known or one.result["value"] == value else None
    swaps = value == operation.expect
    if known and one.result["swapped"] != swaps:
        return None
    return (operation.value if swaps else value,)
