"""
What a node serves over HTTP: the public interface, and its metrics.

Owns: which answer a request gets, what a health has seen, and waiting for the next round. Refuses:
paths that ask for nothing.

Rules, as drand has them:

* The first request for a round or a health begins to watch the chain, and `current` is what has
  been seen since: 0 until a round has come. So the first answer of every health is 503.
* A request for the round after the last one seen waits for it, WAIT_S at most (drand: as long as
  the client). A release of v2 also waits, ASK_S at most, for a round that is just being made. Where
  WAITING_AT_MOST requests wait already, another is told at once that there is no such round.
* A round that exists by the clock and is not stored here is a 500 without a body: this node is
  behind, or its store cannot be read.
* The answer to a method that HTTP knows is the same for all of them; HEAD has no body.
* Beside the metrics there is nothing of what a Go program tells of itself (/debug), and no other
  member's metrics (/peer).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nodes.beacon import metrics, metrics_text
from nodes.beacon.errors import BeaconError
from nodes.beacon.group import DEFAULT_ID, Group
from nodes.beacon.http_answers import NO_METHOD, NO_PATH, NOT_FOUND, Answer, Answers
from nodes.beacon.http_conditions import Conditions, conditioned
from nodes.beacon.http_routes import Question, Route, route_of
from nodes.beacon.messages import Beacon
from nodes.beacon.meters import Meters
from nodes.beacon.releases import Line, Surface
from nodes.beacon.surface_view import NetworkView, NodeView

WAIT_S = 300.0
ASK_S = 5.0
WAITING_AT_MOST = 1024
_HASH = re.compile(r"(?:[0-9a-fA-F]{2})*")
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_NO_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)
_DIGITS_AT_MOST = 4096
_ROUND_AT_MOST = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Request:
    """A request: its method, its path as it came, and what it asks of what never changes."""

    method: str
    path: str
    conditions: Conditions


class Site(Protocol):
    """What a listener serves."""

    async def answer(self, request: Request) -> Answer:
        """The answer to a request."""
        ...


@dataclass(frozen=True, slots=True)
class _Chain:
    """A network with its group, as a request finds it."""

    network: NetworkView
    group: Group


class PublicSite:
    """The public interface."""

    def __init__(
        self, surface: Surface, node: NodeView, meters: Meters, clock: Callable[[], float]
    ) -> None:
        self._surface = surface
        self._answers = Answers(surface)
        self._node = node
        self._meters = meters
        self._clock = clock
        self._watched_from: dict[str, int] = {}
        self._waiting = 0

    async def answer(self, request: Request) -> Answer:
        """The answer to a request, counted."""
        began_s = time.monotonic()
        self._meters.http_in_flight += 1
        try:
            answer = await self._answer(request)
            answer = conditioned(answer, self._surface, request.method, request.conditions)
        except BeaconError:
            # The store cannot be read, and has said so in the log.
            answer = self._answers.missing_round()
        finally:
            self._meters.http_in_flight -= 1
        self._meters.http_answer(request.method, answer.status, time.monotonic() - began_s)
        return answer

    async def _answer(self, request: Request) -> Answer:
        if request.method not in _METHODS or _NO_ESCAPE.search(request.path):
            return NO_PATH if request.method in _METHODS else NO_METHOD
        route = route_of(request.path)
        return NOT_FOUND if route is None else await self._of(route)

    async def _of(self, route: Route) -> Answer:
        if route.question is Question.CHAINS:
            return self._answers.chains([_hash(chain) for chain in self._chains()])
        # A number that is none is refused before a hash that is none.
        round_number = _round_number(route.round) if route.question is Question.ROUND else 0
        if round_number is None:
            return self._answers.no_number()
        chain = self._chain(route.chain)
        if chain is None:
            return self._unknown(route)
        # Round 0 is the last one, as drand's clients ask for it.
        if round_number:
            return await self._round(chain, round_number)
        return self._about(route.question, chain)

    def _about(self, question: Question, chain: _Chain) -> Answer:
        now_s = self._clock()
        schedule = chain.group.schedule
        match question:
            case Question.INFO:
                return self._answers.info(chain.group.chain(), now_s)
            case Question.HEALTH:
                return self._answers.health(self._seen(chain.network), schedule, now_s)
            case _:
                return self._answers.latest(chain.network.last(), schedule, now_s)

    async def _round(self, chain: _Chain, round_number: int) -> Answer:
        now_s = self._clock()
        schedule = chain.group.schedule
        future = self._answers.future_round(round_number, schedule, now_s)
        if future is not None:
            return future
        beacon: Beacon | None
        seen = self._seen(chain.network)
        if seen and round_number == seen + 1:
            beacon = await self._coming(chain.network, round_number, WAIT_S)
            if beacon is None:
                return self._answers.next_round()
        elif schedule.time_of(round_number) > now_s:
            return self._answers.next_round()
        else:
            beacon = await self._stored(chain.network, round_number)
            if beacon is None:
                return self._answers.missing_round()
        return self._answers.stored_round(beacon, schedule, self._clock())

    async def _stored(self, network: NetworkView, round_number: int) -> Beacon | None:
        if self._surface.line is Line.V2 and round_number == network.last().round + 1:
            return await self._coming(network, round_number, ASK_S)
        return await network.get(round_number)

    async def _coming(
        self, network: NetworkView, round_number: int, timeout_s: float
    ) -> Beacon | None:
        if self._waiting >= WAITING_AT_MOST:
            return None
        self._waiting += 1
        try:
            return await network.wait_for(round_number, timeout_s)
        finally:
            self._waiting -= 1

    def _seen(self, network: NetworkView) -> int:
        last = network.last().round
        since = self._watched_from.setdefault(network.beacon_id, last)
        return last if last > since else 0

    def _chains(self) -> list[_Chain]:
        return [
            _Chain(network, group)
            for network in self._node.networks()
            if (group := network.group) is not None and group.coefficients is not None
        ]

    def _chain(self, wanted: str) -> _Chain | None:
        for chain in self._chains():
            if _hash(chain) == wanted.lower() if wanted else chain.network.beacon_id == DEFAULT_ID:
                return chain
        return None

    def _unknown(self, route: Route) -> Answer:
        if not _HASH.fullmatch(route.chain):
            return self._answers.no_hash(route.chain)
        if route.question is Question.INFO:
            return self._answers.no_group()
        return self._answers.no_chain(route.chain, [_hash(chain) for chain in self._chains()])


class MetricsSite:
    """The metrics, at /metrics alone."""

    def __init__(self, surface: Surface, node: NodeView, meters: Meters) -> None:
        self._surface = surface
        self._node = node
        self._meters = meters

    async def answer(self, request: Request) -> Answer:
        """The metrics as they are now."""
        await asyncio.sleep(0)
        if request.path != "/metrics":
            return NOT_FOUND
        text = metrics.text(self._surface, self._node, self._meters)
        kind = metrics_text.CONTENT_TYPE
        if self._surface.line is Line.V2:
            kind += "; escaping=underscores"
        return Answer(200, {"Content-Type": kind}, text.encode())


def _hash(chain: _Chain) -> str:
    return chain.group.chain().hash().hex()


def _round_number(text: str) -> int | None:
    if len(text) > _DIGITS_AT_MOST or not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if number <= _ROUND_AT_MOST else None
