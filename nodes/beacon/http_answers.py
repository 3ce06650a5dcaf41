"""
The answers of the public HTTP interface: status, headers and body.

Owns: every answer's form, in both lines of releases. Refuses: what no chain or round is, with the
statuses that drand has for it, and without a body where drand sends none.

Rules: what cannot change may be cached for a week, and says when it was last modified: a round at
its own time, a chain's description at its genesis. A round that is to come says how long that
takes. The lines differ in the order of a round's fields, in Expires, and in how long a health may
be kept. Bodies are compact JSON; a description's ends in a line feed.
"""

from __future__ import annotations

import json
import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from types import MappingProxyType

from nodes import bls
from nodes.beacon.errors import RoundOutOfRange
from nodes.beacon.group import ChainInfo
from nodes.beacon.messages import Beacon
from nodes.beacon.releases import Line, Surface
from nodes.beacon.rounds import Schedule

_WEEK_S = 7 * 24 * 3600
_LONGEST_AGE_S = 2**63 // 10**9
"""No duration is said to be longer: the largest that Go has, in nanoseconds of 64 bits."""
TEXT = MappingProxyType(
    {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `modified_s` is set where it never changes: conditions on it may be made."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    modified_s: int | None = None


NOT_FOUND = Answer(404, TEXT, b"404 page not found\n")
"""For paths that ask for nothing: without the interface's own headers, like the two below."""
NO_METHOD = Answer(405, MappingProxyType({}))
NO_PATH = Answer(400, MappingProxyType({"Content-Type": TEXT["Content-Type"]}), b"400 Bad Request")
"""For a per cent sign in a path that no two hexadecimal digits follow."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a release's interface about one chain at a time; `now_s` is the clock's."""

    surface: Surface
    _always: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        always = {
            "Content-Type": "application/json",
            "Access-Control-Allow-Origin": "*",
            "Server": f"drand/{self.surface.version} (none)",
        }
        object.__setattr__(self, "_always", MappingProxyType(always))

    def chains(self, hashes: Sequence[str]) -> Answer:
        """The hashes of all chains."""
        return self._answer(200, {"Cache-Control": "max-age=300"}, _compact(list(hashes)))

    def info(self, info: ChainInfo, now_s: float) -> Answer:
        """A chain's description."""
        body = _compact(info_fields(info)) + b"\n"
        return self._immutable(body, info.genesis_s, now_s)

    def stored_round(self, beacon: Beacon, schedule: Schedule, now_s: float) -> Answer:
        """A round, asked for by its number."""
        return self._immutable(self._round(beacon), schedule.time_of(beacon.round), now_s)

    def latest(self, beacon: Beacon, schedule: Schedule, now_s: float) -> Answer:
        """The last round, which is out of date when the next one's time has come."""
        round_s = schedule.time_of(beacon.round)
        # Who is late promises nothing beyond half a period.
        next_s = float(round_s + schedule.period_s)
        if next_s <= now_s:
            next_s = now_s + schedule.period_s / 2
        headers = {}
        if next_s - now_s < schedule.period_s:
            headers["Cache-Control"] = f"max-age:{math.ceil(next_s - now_s)}, public"
        headers |= {"Expires": _date(next_s), "Last-Modified": _date(round_s)}
        return self._answer(200, headers, self._round(beacon))

    def health(self, current: int, schedule: Schedule, now_s: float) -> Answer:
        """Whether the last round seen, 0 for none, is the current one or the one before."""
        expected = schedule.current_round(now_s)
        healthy = expected - current in (0, 1)
        age = "no-cache"
        if healthy and self.surface.line is Line.V2:
            left_s = max(0, schedule.time_of(expected + 1) - now_s)
            age = f"public, must-revalidate, max-age={int(left_s)}"
        body = _compact({"current": current, "expected": expected})
        return self._answer(200 if healthy else 503, {"Cache-Control": age}, body)

    def future_round(self, round_number: int, schedule: Schedule, now_s: float) -> Answer | None:
        """The answer for a round beyond the next one, None for any other."""
        try:
            left_s = schedule.time_of(round_number) - now_s
        except RoundOutOfRange:
            left_s = _LONGEST_AGE_S
        if left_s <= schedule.period_s:
            return None
        age_s = min(int(left_s), _LONGEST_AGE_S)
        return self._answer(404, {"Cache-Control": f"public, must-revalidate, max-age={age_s}"})

    def next_round(self) -> Answer:
        """The next round, which nobody waits for."""
        return self._answer(404, {"Cache-Control": "must-revalidate, no-cache, max-age=0"})

    def missing_round(self) -> Answer:
        """A round that others have by now, and this node does not."""
        return self._answer(500, {})

    def no_number(self) -> Answer:
        """What stands for a round is none."""
        return self._answer(400, {})

    def no_hash(self, text: str) -> Answer:
        """What stands for a chain's hash is none."""
        wrong = next((one for one in text if one not in string.hexdigits), None)
        why = "odd length hex string"
        if wrong is not None:
            why = f"invalid byte: U+{ord(wrong):04X} '{wrong}'"
        return self._refused(400, f"unable to decode chain hash {text[:80]}: encoding/hex: {why}")

    def no_group(self) -> Answer:
        """The description of an unknown chain."""
        return self._refused(404, "group not found")

    def no_chain(self, chain: str, known: Sequence[str]) -> Answer:
        """Anything else of an unknown chain; an empty `chain` is the default one."""
        return self._refused(
            404,
            f"there is no BeaconHandler for beaconHash [{(chain or 'default')[:80]}] in our "
            f"beacons [{' '.join(known)}]. Is the chain hash correct?. Please check it",
        )

    def _round(self, beacon: Beacon) -> bytes:
        randomness = {"randomness": bls.randomness(beacon.signature).hex()}
        early = self.surface.line is Line.V1
        fields: dict[str, object] = {"round": beacon.round} if beacon.round else {}
        fields |= randomness if early else {}
        fields["signature"] = beacon.signature.hex()
        if beacon.previous_signature:
            fields["previous_signature"] = beacon.previous_signature.hex()
        fields |= randomness
        return _compact(fields)

    def _immutable(self, body: bytes, modified_s: int, now_s: float) -> Answer:
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": f"public, max-age={_WEEK_S}, immutable",
            "Last-Modified": _date(modified_s),
        }
        if self.surface.line is Line.V1:
            headers["Expires"] = _date(now_s + _WEEK_S)
        return self._answer(200, headers, body, modified_s)

    def _refused(self, status: int, why: str) -> Answer:
        return self._answer(status, TEXT, why.encode() + b"\n")

    def _answer(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes = b"",
        modified_s: int | None = None,
    ) -> Answer:
        return Answer(status, {**self._always, **headers}, body, modified_s)


def info_fields(info: ChainInfo) -> dict[str, object]:
    """A chain's description as JSON has it, in drand's order."""
    return {
        "public_key": info.public_key.hex(),
        "period": info.period_s,
        "genesis_time": info.genesis_s,
        "hash": info.hash().hex(),
        "groupHash": info.group_hash.hex(),
        "schemeID": info.scheme_name,
        "metadata": {"beaconID": info.beacon_id},
    }


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _date(time_s: float) -> str:
    return formatdate(int(time_s), usegmt=True)
