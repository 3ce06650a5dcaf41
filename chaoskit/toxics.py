"""
The words for what Toxiproxy can do to the bytes of a link.

Owns: one frozen dataclass per toxic, its name on the server, and the translation to and from the
server's documents. Refuses: amounts the wire cannot say (a delay below a millisecond would silently
do nothing), and documents that chaoskit cannot have sent. Rules: pure data, no I/O; toxicity is
always 1 and jitter is never sent, because random draws belong to the plan and the server's own
cannot be seeded. What each does to a live connection was measured on Toxiproxy 2.12.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

Stream = Literal["upstream", "downstream"]

LONGEST_S = 86_400.0


def _check_stream(stream: str) -> None:
    if stream not in get_args(Stream):
        raise ValueError(f"a toxic's stream is one of {get_args(Stream)}, not {stream!r}")


def _whole_ms(field: str, value_s: float, *, zero: bool) -> float:
    """Seconds rounded to what the wire can say (whole milliseconds)."""
    if not math.isfinite(value_s) or not 0 <= value_s <= LONGEST_S:
        raise ValueError(f"{field} is between 0 and {LONGEST_S:g} s, not {value_s!r}")
    rounded_ms = round(value_s * 1000)
    if rounded_ms == 0 and not (zero and value_s == 0):
        raise ValueError(f"{field}={value_s!r} is no whole millisecond: it would do nothing")
    return rounded_ms / 1000


class _ServerName:
    """
    A toxic's name on the server: kind, stream and amount.

    So the same toxic twice is a conflict, and two delays of different length are not.
    """

    def __get__(self, toxic: Toxic, _: type | None = None) -> str:
        kind, _attribute, amount = _on_wire(toxic)
        return f"{kind}_{toxic.stream}_{amount}"


@dataclass(frozen=True, slots=True)
class Latency:
    """Delay every chunk by `delay_s` (rounded to ms). New connections pay it once a direction."""

    delay_s: float
    stream: Stream
    cutting: ClassVar[bool] = False
    name = _ServerName()

    def __post_init__(self) -> None:
        _check_stream(self.stream)
        object.__setattr__(self, "delay_s", _whole_ms("delay_s", self.delay_s, zero=False))


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """
    Let through `rate_kb_per_s` kilobytes a second.

    At 0 the stream stalls: stored bytes are delivered after the removal and the connection lives (a
    partition that heals before TCP gives up).
    """

    rate_kb_per_s: int
    stream: Stream
    name = _ServerName()

    def __post_init__(self) -> None:
        _check_stream(self.stream)
        if not 0 <= self.rate_kb_per_s <= 2**40:
            raise ValueError(f"rate_kb_per_s is 0 or more, not {self.rate_kb_per_s!r}")

    @property
    def cutting(self) -> bool:
        """Whether nothing passes."""
        return self.rate_kb_per_s == 0


@dataclass(frozen=True, slots=True)
class Timeout:
    """Drop all bytes and close after `after_s` (rounded to ms); at 0, close when it is removed."""

    after_s: float
    stream: Stream
    cutting: ClassVar[bool] = True
    name = _ServerName()

    def __post_init__(self) -> None:
        _check_stream(self.stream)
        object.__setattr__(self, "after_s", _whole_ms("after_s", self.after_s, zero=True))


@dataclass(frozen=True, slots=True)
class ResetPeer:
    """
    Reset connections after `after_s` (rounded to ms, 0: at once).

    New connections end by RST; those that were open when it was added end by a clean FIN (Toxiproxy
    sets linger when a link starts).
    """

    after_s: float
    stream: Stream
    cutting: ClassVar[bool] = True
    name = _ServerName()

    def __post_init__(self) -> None:
        _check_stream(self.stream)
        object.__setattr__(self, "after_s", _whole_ms("after_s", self.after_s, zero=True))


@dataclass(frozen=True, slots=True)
class SlowClose:
    """Hold back the close of a connection by `delay_s` (rounded to ms)."""

    delay_s: float
    stream: Stream
    cutting: ClassVar[bool] = False
    name = _ServerName()

    def __post_init__(self) -> None:
        _check_stream(self.stream)
        object.__setattr__(self, "delay_s", _whole_ms("delay_s", self.delay_s, zero=False))


@dataclass(frozen=True, slots=True)
class LimitData:
    """Close a connection after `size_bytes` bytes of it have passed."""

    size_bytes: int
    stream: Stream
    cutting: ClassVar[bool] = False
    name = _ServerName()

    def __post_init__(self) -> None:
        _check_stream(self.stream)
        if not 1 <= self.size_bytes <= 2**62:
            raise ValueError(f"size_bytes is 1 or more, not {self.size_bytes!r}")


Toxic = Latency | Bandwidth | Timeout | ResetPeer | SlowClose | LimitData


def _on_wire(toxic: Toxic) -> tuple[str, str, int]:
    """The server's word for a toxic, for its amount, and the amount (ms, kB/s or bytes)."""
    match toxic:
        case Latency():
            return "latency", "latency", round(toxic.delay_s * 1000)
        case Bandwidth():
            return "bandwidth", "rate", toxic.rate_kb_per_s
        case Timeout():
            return "timeout", "timeout", round(toxic.after_s * 1000)
        case ResetPeer():
            return "reset_peer", "timeout", round(toxic.after_s * 1000)
        case SlowClose():
            return "slow_close", "delay", round(toxic.delay_s * 1000)
        case LimitData():
            return "limit_data", "bytes", toxic.size_bytes


def to_document(toxic: Toxic) -> dict[str, Any]:
    """What POST /proxies/{proxy}/toxics takes."""
    kind, attribute, amount = _on_wire(toxic)
    return {
        "name": toxic.name,
        "type": kind,
        "stream": toxic.stream,
        "toxicity": 1.0,
        "attributes": {attribute: amount},
    }


def from_document(document: Mapping[str, Any]) -> Toxic:
    """
    The toxic that a server's document shows; raises ValueError when chaoskit cannot have put it
    there.
    """
    stream: Stream = document["stream"]
    match document["type"], document["attributes"]:
        case "latency", {"latency": int(amount), "jitter": 0}:
            toxic: Toxic = Latency(amount / 1000, stream)
        case "bandwidth", {"rate": int(amount)}:
            toxic = Bandwidth(amount, stream)
        case "timeout", {"timeout": int(amount)}:
            toxic = Timeout(amount / 1000, stream)
        case "reset_peer", {"timeout": int(amount)}:
            toxic = ResetPeer(amount / 1000, stream)
        case "slow_close", {"delay": int(amount)}:
            toxic = SlowClose(amount / 1000, stream)
        case "limit_data", {"bytes": int(amount)}:
            toxic = LimitData(amount, stream)
        case _:
            raise ValueError(f"a toxic that chaoskit never adds: {document}")
    if document["toxicity"] != 1 or document["name"] != toxic.name:
        raise ValueError(f"a toxic that chaoskit never adds: {document}")
    return toxic
