"""
What goes into the core and comes out of it, and what toys say to each other.

Owns: operations, the messages between nodes and their form on the wire, the core's events and
effects. Refuses: logic. A frame is a JSON list, the message's name first and its fields after it
in their order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

SIZE_LIMIT_BYTES = 65536


class Outcome(StrEnum):
    """How an operation ended; `elsewhere` is said between nodes only: ask the leader."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Operation:
    """One put, get or cas of a key; a cas writes `value` if the key holds `expect` (null: none)."""

    f: str
    key: str
    value: str | None = None
    expect: str | None = None

    def __post_init__(self) -> None:
        if self.f not in {"put", "get", "cas"}:
            raise ValueError(f"operation {self.f!r} is none of put, get, cas")
        if not isinstance(self.key, str) or not self.key:
            raise ValueError("an operation needs a key, a text that is not empty")
        for text in (self.key, self.value, self.expect):
            if text is not None and (not isinstance(text, str) or len(text) > SIZE_LIMIT_BYTES):
                raise ValueError(f"keys and values are texts of at most {SIZE_LIMIT_BYTES} letters")
        if self.f != "get" and self.value is None:
            raise ValueError(f"a {self.f} needs a value")

    def row(self) -> list[str | None]:
        """The operation as a JSON list."""
        return [self.f, self.key, self.value, self.expect]


@dataclass(frozen=True, slots=True)
class Ballot:
    """
    A candidate asks for a vote in `term`; a trial asks how a vote would go and changes nothing.

    `lost` are the leaders that the candidate could not reach since it last heard from one.
    """

    number: int
    term: int
    last_index: int
    last_term: int
    trial: bool
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BallotReply:
    """The vote, the voter's own term, and the leader it knows ("" for none)."""

    number: int
    term: int
    granted: bool
    leader: str


@dataclass(frozen=True, slots=True)
class Append:
    """The leader's entries after `previous_index`, and the height up to which all is agreed."""

    number: int
    term: int
    previous_index: int
    previous_term: int
    entries: tuple[tuple[int, Operation], ...]
    agreed: int


class Fit(StrEnum):
    """How an Append met the follower's log: `diverged` would cut off what was agreed."""

    MATCHED = "matched"
    BEHIND = "behind"
    DIVERGED = "diverged"


@dataclass(frozen=True, slots=True)
class AppendReply:
    """How it fitted; `have` is the highest index that the leader should go on from."""

    number: int
    term: int
    fit: Fit
    have: int


@dataclass(frozen=True, slots=True)
class Forward:
    """A client's operation, handed to the leader."""

    number: int
    operation: Operation


@dataclass(frozen=True, slots=True)
class ForwardReply:
    """How the operation ended; with `elsewhere` the leader known there ("" for none)."""

    number: int
    term: int
    outcome: Outcome
    result: Mapping[str, Any]
    leader: str


Question = Ballot | Append | Forward
Reply = BallotReply | AppendReply | ForwardReply
Message = Question | Reply
QUESTIONS = (Ballot, Append, Forward)
REPLIES = (BallotReply, AppendReply, ForwardReply)


@dataclass(frozen=True, slots=True)
class Asked:
    """Event: a client asks this node; `number` is unique among everything this process sends."""

    number: int
    operation: Operation


@dataclass(frozen=True, slots=True)
class Received:
    """Event: a peer's message arrived."""

    source: str
    message: Message


@dataclass(frozen=True, slots=True)
class Failed:
    """Event: no reply to a question will come; `sent`: the peer may have received it."""

    target: str
    number: int
    sent: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Event: the time that the core asked for has come."""


Event = Asked | Received | Failed | Tick


@dataclass(frozen=True, slots=True)
class Keep:
    """Effect: a record for the journal, there before any later effect is carried out."""

    record: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Effect: a message to a peer; a reply goes back the way its question came."""

    target: str
    message: Message


@dataclass(frozen=True, slots=True)
class Answer:
    """Effect: what the client that asked is told."""

    number: int
    outcome: Outcome
    result: Mapping[str, Any]


Effect = Keep | Send | Answer


def encode(message: Message) -> bytes:
    """The message as bytes, without a frame around it."""
    row: list[Any] = [type(message).__name__]
    for field in fields(message):
        value = getattr(message, field.name)
        if isinstance(value, Operation):
            value = value.row()
        elif field.name == "entries":
            value = [[term, *operation.row()] for term, operation in value]
        row.append(value)
    return json.dumps(row, separators=(",", ":")).encode()


def decode(data: bytes) -> Message:
    """The message in `data`; raises ValueError when there is none."""
    try:
        name, *row = json.loads(data)
        kinds = {kind.__name__: kind for kind in (*QUESTIONS, *REPLIES)}
        match name:
            case "Append":
                row[4] = tuple((term, Operation(*operation)) for term, *operation in row[4])
            case "AppendReply":
                row[2] = Fit(row[2])
            case "Ballot":
                row[5] = tuple(row[5])
            case "Forward":
                row[1] = Operation(*row[1])
            case "ForwardReply":
                row[2] = Outcome(row[2])
        message: Message = kinds[name](*row)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"not a message of a toy: {data[:80]!r}") from error
    return message
