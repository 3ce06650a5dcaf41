"""
The contract between the harness and the daemon of a faulty mount: rules, counters, and the
messages that carry them.

Owns: the kinds of storage operation, the rules a mount can be under, the counters it keeps per
caller, and their form on the control socket. Refuses: a message of another schema, with an unknown
key, or with a value that cannot be meant; the rules in force stay then. Rules: one request and one
answer a connection, both one JSON document in one packet (SOCK_SEQPACKET); every answer carries
the whole state, so that setting a rule and reading it back are one exchange.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from chaoskit.errors import ChaosError, UsageError

SCHEMA = 1
MESSAGE_LIMIT_BYTES = 131_072
DELAY_LIMIT_S = 60.0
SOCKET_NAME = "control.sock"
FILE_SYSTEM = "chaoskit"
"""The FUSE subtype: the kernel lists our mounts, and no others, as `fuse.chaoskit`."""
PROBE_NAME = ".chaoskit-probe"
"""
The harness's scratch file: never listed, never stored under a name, and counted apart from whoever
shares its uid.
"""
PROBE_CALLER = -1


class StorageFailed(ChaosError):
    """The daemon of a faulty mount is gone, refused a message, or did not do what it was asked."""


class Operation(StrEnum):
    """
    What can be slowed and is counted.

    FSYNC includes fdatasync, directories, and the second half of a synchronous write. OPEN
    includes creating. READ meets only what the kernel has not cached since the file was opened,
    and METADATA, which is every call that is none of the others, what it has not cached for a
    second.
    """

    FSYNC = "fsync"
    WRITE = "write"
    READ = "read"
    OPEN = "open"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class StorageRules:
    """
    What a mount does to its callers; `StorageRules()` is a healthy one.

    `delays` are seconds that each call of a kind waits before it is carried out: above 0, at most
    DELAY_LIMIT_S, because a caller in a delay cannot be killed. `full` refuses with ENOSPC what
    would take a new block or inode. Raises UsageError for anything else.
    """

    delays: Mapping[Operation, float] = field(default_factory=lambda: MappingProxyType({}))
    full: bool = False

    def __post_init__(self) -> None:
        checked: dict[Operation, float] = {}
        for operation, delay_s in self.delays.items():
            if not isinstance(operation, Operation):
                raise UsageError(
                    f"a delay for {operation!r}: expected one of {', '.join(Operation)}"
                )
            number = isinstance(delay_s, (int, float)) and not isinstance(delay_s, bool)
            if not number or not math.isfinite(delay_s) or not 0 < delay_s <= DELAY_LIMIT_S:
                raise UsageError(
                    f"delay of {operation}: {delay_s!r} s is not in (0, {DELAY_LIMIT_S:g}]"
                )
            checked[operation] = float(delay_s)
        if not isinstance(self.full, bool):
            raise UsageError(f"full: {self.full!r} is neither true nor false")
        object.__setattr__(self, "delays", MappingProxyType(checked))

    def document(self) -> dict[str, Any]:
        """As JSON carries it: `{"delays": {"fsync": 0.2}, "full": false}`."""
        return {
            "delays": {operation.value: delay_s for operation, delay_s in self.delays.items()},
            "full": self.full,
        }


@dataclass(frozen=True, slots=True)
class OperationCount:
    """
    Calls since the mount began: all of them, those that waited, those answered ENOSPC, and those
    that wait now.
    """

    calls: int = 0
    delayed: int = 0
    refused: int = 0
    sleeping: int = 0

    def __post_init__(self) -> None:
        values = (self.calls, self.delayed, self.refused, self.sleeping)
        if any(type(value) is not int or value < 0 for value in values):
            raise UsageError(f"counts {values} are not whole numbers from 0 up")

    def __add__(self, other: OperationCount) -> OperationCount:
        return OperationCount(
            self.calls + other.calls,
            self.delayed + other.delayed,
            self.refused + other.refused,
            self.sleeping + other.sleeping,
        )


@dataclass(frozen=True, slots=True)
class StorageCounters:
    """
    Counts by caller and operation. A caller is the uid of the calling process (0 is also the
    kernel's own write-back and the engine); PROBE_CALLER is the harness's probe, whatever its uid.
    """

    by_caller: Mapping[int, Mapping[Operation, OperationCount]]

    def count(self, caller: int, operation: Operation) -> OperationCount:
        """Counts of one caller and operation; zeros when it never called."""
        return self.by_caller.get(caller, {}).get(operation, OperationCount())

    def total(self, caller: int) -> OperationCount:
        """Counts of one caller over all operations."""
        return sum(self.by_caller.get(caller, {}).values(), OperationCount())

    @property
    def sleeping(self) -> int:
        """Calls of anybody that wait in a delay right now."""
        return sum(self.total(caller).sleeping for caller in self.by_caller)


@dataclass(frozen=True, slots=True)
class MountState:
    """What the daemon answers: its process, the rules in force, the counters."""

    pid: int
    rules: StorageRules
    counters: StorageCounters


def encode_request(rules: StorageRules | None) -> bytes:
    """A request to put `rules` in force, or with None only to tell the state."""
    return _encode({"set": None if rules is None else rules.document()})


def decode_request(packet: bytes) -> StorageRules | None:
    """
    The rules that a request asks for, None if it only asks. Raises StorageFailed or UsageError,
    saying what is wrong.
    """
    return _rules_or_none(_decode(packet, {"set"})["set"])


def encode_state(state: MountState) -> bytes:
    """
    The answer to a request that was carried out. Raises StorageFailed when it would not fit
    MESSAGE_LIMIT_BYTES (some 400 callers).
    """
    counters = {
        str(caller): {
            operation.value: [count.calls, count.delayed, count.refused, count.sleeping]
            for operation, count in counts.items()
        }
        for caller, counts in state.counters.by_caller.items()
    }
    return _encode(
        {"refused": None, "pid": state.pid, "rules": state.rules.document(), "counters": counters}
    )


def encode_refusal(reason: str) -> bytes:
    """The answer to a request that was not carried out, and why."""
    return _encode({"refused": reason[:1000], "pid": 0, "rules": None, "counters": {}})


def decode_state(packet: bytes) -> MountState:
    """
    The state that an answer carries. Raises StorageFailed when the daemon refused the request,
    with its reason, or when the answer is malformed.
    """
    document = _decode(packet, {"refused", "pid", "rules", "counters"})
    if document["refused"] is not None:
        raise StorageFailed(
            f"the faulty mount's daemon refused: {document['refused']}; the old rules stay in force"
        )
    rules = _rules_or_none(document["rules"])
    if rules is None:
        raise StorageFailed("the faulty mount's daemon answered without its rules")
    try:
        counters = StorageCounters(
            {
                int(caller): {
                    Operation(name): OperationCount(*count) for name, count in counts.items()
                }
                for caller, counts in document["counters"].items()
            }
        )
        return MountState(int(document["pid"]), rules, counters)
    except (AttributeError, TypeError, ValueError, UsageError) as error:
        raise StorageFailed(
            f"the faulty mount's daemon answered with malformed counters: {error}"
        ) from error


def _encode(body: dict[str, Any]) -> bytes:
    packet = json.dumps({"schema": SCHEMA, **body}, separators=(",", ":")).encode()
    if len(packet) > MESSAGE_LIMIT_BYTES:
        raise StorageFailed(
            f"a control message of {len(packet)} bytes is over the limit of {MESSAGE_LIMIT_BYTES}"
        )
    return packet


def _decode(packet: bytes, keys: set[str]) -> dict[str, Any]:
    try:
        document = json.loads(packet)
    except (ValueError, RecursionError) as error:
        raise StorageFailed(
            f"control message of {len(packet)} bytes is not JSON: {error}"
        ) from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise StorageFailed(f"control message is not of schema {SCHEMA}: {packet[:100]!r}")
    if document.keys() != keys | {"schema"}:
        raise StorageFailed(
            f"control message has keys {sorted(document)}, expected {sorted(keys | {'schema'})}"
        )
    return document


def _rules_or_none(document: Any) -> StorageRules | None:
    if document is None:
        return None
    if (
        not isinstance(document, dict)
        or document.keys() != {"delays", "full"}
        or not isinstance(document["delays"], dict)
    ):
        raise StorageFailed(f"rules are not an object of 'delays' and 'full': {document!r}")
    unknown = document["delays"].keys() - set(Operation)
    if unknown:
        raise StorageFailed(
            f"a delay for {', '.join(sorted(unknown))}: expected {', '.join(Operation)}"
        )
    return StorageRules(
        {Operation(name): delay_s for name, delay_s in document["delays"].items()},
        full=document["full"],
    )
