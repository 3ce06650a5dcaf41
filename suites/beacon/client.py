"""
A client of a beacon, over its HTTP interface.

Owns: the newest round, a round by its number, the chain's description, a round that is not due
yet, and a snapshot of one member's newest rounds. Refuses: verifying; that is the judges' part.
The operations' values are described in suites.beacon.readings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from chaoskit import clock
from chaoskit.http import HttpClient, NoAnswer
from chaoskit.system import Endpoint, Operation, Rejected
from suites.beacon.asking import Asking
from suites.beacon.watching import rounds_due

SNAPSHOT_ROUNDS = 120
_TRIES = 4
_LOCAL = {"consistency": "local"}  # one member answers out of its own store
# the member that is asked for the very next round keeps the client waiting until it is there
_NEAREST_AHEAD, _FARTHEST_AHEAD = 3, 1000


class Unanswered(Rejected):
    """The member did not answer."""


class BeaconClient:
    """A client of one member; `secure`: of a group that uses TLS."""

    def __init__(self, endpoint: Endpoint, timeout_s: float, *, secure: bool = False) -> None:
        self._http = HttpClient(timeout_s)
        self._asking = Asking(self._http, endpoint, secure)

    def invoke(self, operation: Operation) -> Mapping[str, Any]:
        """Carry out `get`, `ahead`, `info` or `snapshot`; raises Rejected."""
        match operation.f:
            case "get":
                return self._round(str(operation.value["round"]))
            case "ahead":
                return self._ahead(int(operation.value["by"]))
            case "info":
                return self._answer("/info")
            case "snapshot":
                return self._snapshot()
            case other:
                raise AssertionError(f"no operation {other}")

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def _round(self, number: str) -> dict[str, Any]:
        answer = self._answer(f"/public/{number}")
        if not answer.get("round"):
            raise Rejected("no round yet")
        return {
            name: answer[name]
            for name in ("round", "signature", "previous_signature", "randomness")
            if name in answer
        }

    def _ahead(self, by: int) -> dict[str, Any]:
        chain = self._answer("/info")
        due = rounds_due(chain["genesis_time"], chain["period"], clock.utc_now().timestamp())
        return self._round(str(due + by))

    def _snapshot(self) -> dict[str, Any]:
        """
        The newest rounds. What is not answered is asked again: a real drand lets those wait who
        ask for the round after the last one that its HTTP side has noticed, although it has it, and
        sends them an empty body when the next one that it notices is another.
        """
        newest = int(self._answer("/public/latest").get("round", 0))
        first = max(1, newest - SNAPSHOT_ROUNDS + 1)
        found: dict[int, str | None] = {}
        for _try in range(_TRIES):
            for number in range(first, newest + 1):
                if number not in found:
                    self._look_up(number, found)
        return {
            "first": first,
            "signatures": [found.get(number) for number in range(first, newest + 1)],
            "unanswered": [number for number in range(first, newest + 1) if number not in found],
        }

    def _look_up(self, number: int, found: dict[int, str | None]) -> None:
        """Note the round's signature, or None when the member says that it has none."""
        try:
            answer = self._answer(f"/public/{number}")
        except Unanswered:
            return
        except Rejected:
            answer = {}
        found[number] = str(answer["signature"]) if answer.get("round") == number else None

    def _answer(self, path: str) -> dict[str, Any]:
        """A document; nothing here changes anything, so what is not answered did not happen."""
        try:
            status, text = self._asking.text(path)
        except NoAnswer as error:
            raise Unanswered(error.cause) from error
        if status != 200:  # its body is empty
            raise Rejected(f"status {status}")
        try:
            answer = json.loads(text)
        except ValueError:  # 200 without a body, from a real drand to those it let wait
            raise Unanswered("garbled") from None
        return dict(answer)


def operations(random: Random) -> Iterator[Operation]:
    """
    An endless stream: mostly the newest round, now and then the chain's description, round 1, and
    rounds that are not due yet.
    """
    yield Operation("info", _LOCAL)
    while True:
        draw = random.random()
        if draw < 0.8:
            yield Operation("get", {"round": "latest"} | _LOCAL)
        elif draw < 0.85:
            yield Operation("get", {"round": "1"} | _LOCAL)
        elif draw < 0.95:
            by = random.randint(_NEAREST_AHEAD, _FARTHEST_AHEAD)
            yield Operation("ahead", {"by": by} | _LOCAL)
        else:
            yield Operation("info", _LOCAL)
