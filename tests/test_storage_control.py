"""The contract with a faulty mount's daemon: what can be meant, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chaoskit.errors import UsageError
from chaoskit.storage_control import (
    MESSAGE_LIMIT_BYTES,
    PROBE_CALLER,
    SCHEMA,
    MountState,
    Operation,
    OperationCount,
    StorageCounters,
    StorageFailed,
    StorageRules,
    decode_request,
    decode_state,
    encode_refusal,
    encode_request,
    encode_state,
)

SLOW = StorageRules({Operation.FSYNC: 0.2, Operation.OPEN: 1}, full=True)


def test_rules_cross_the_wire_unchanged() -> None:
    assert decode_request(encode_request(SLOW)) == SLOW
    assert decode_request(encode_request(StorageRules())) == StorageRules()
    assert decode_request(encode_request(None)) is None


def test_rules_of_different_delays_differ() -> None:
    assert StorageRules({Operation.FSYNC: 0.2}) != StorageRules({Operation.FSYNC: 0.3})
    assert StorageRules({Operation.FSYNC: 0.2}) != StorageRules({Operation.WRITE: 0.2})
    assert StorageRules(full=True) != StorageRules()


def test_rules_cannot_be_changed_behind_their_back() -> None:
    given = {Operation.FSYNC: 0.2}
    rules = StorageRules(given)
    given[Operation.WRITE] = 1.0
    assert dict(rules.delays) == {Operation.FSYNC: 0.2}


@pytest.mark.parametrize("delay_s", [0, -1, 60.1, float("nan"), float("inf"), True, "0.2", None])
def test_a_delay_that_cannot_be_meant_is_refused(delay_s: Any) -> None:
    with pytest.raises(UsageError, match="delay of fsync"):
        StorageRules({Operation.FSYNC: delay_s})


def test_unknown_operations_and_odd_truths_are_refused() -> None:
    with pytest.raises(UsageError, match="'sync'"):
        StorageRules({"sync": 0.1})  # type: ignore[dict-item]
    with pytest.raises(UsageError, match="full"):
        StorageRules(full=1)  # type: ignore[arg-type]


def test_a_state_crosses_the_wire_unchanged() -> None:
    counters = StorageCounters(
        {
            10001: {Operation.FSYNC: OperationCount(7, 5, 0, 2)},
            PROBE_CALLER: {Operation.WRITE: OperationCount(3, 0, 3, 0)},
        }
    )
    state = MountState(42, SLOW, counters)
    assert decode_state(encode_state(state)) == state


def test_counters_are_told_apart_and_add_up() -> None:
    counters = StorageCounters(
        {
            0: {Operation.READ: OperationCount(calls=4, sleeping=1)},
            7: {
                Operation.FSYNC: OperationCount(7, 5, 0, 2),
                Operation.WRITE: OperationCount(3, 0, 1, 0),
            },
        }
    )
    assert counters.total(7) == OperationCount(10, 5, 1, 2)
    assert counters.total(8) == OperationCount()
    assert counters.count(7, Operation.WRITE).refused == 1
    assert counters.count(7, Operation.READ) == OperationCount()
    assert counters.sleeping == 3


@pytest.mark.parametrize("value", [-1, 1.0, True, "1"])
def test_counts_are_whole_numbers(value: Any) -> None:
    with pytest.raises(UsageError):
        OperationCount(value)


def _message(**changes: Any) -> bytes:
    return json.dumps({"schema": SCHEMA, "set": None, **changes}).encode()


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100_000,
        _message()[:-1],
        _message(schema=SCHEMA + 1),
        _message(extra=1),
        json.dumps({"schema": SCHEMA}).encode(),
        _message(set=[]),
        _message(set={}),
        _message(set={"delays": [], "full": False}),
        _message(set={"delays": {}, "full": False, "lie": True}),
        _message(set={"delays": {"sync": 0.1}, "full": False}),
        _message(set={"delays": {"fsync": "0.1"}, "full": False}),
        _message(set={"delays": {"fsync": 1e9}, "full": False}),
        _message(set={"delays": {}, "full": 0}),
    ],
)
def test_a_corrupt_request_is_refused(packet: bytes) -> None:
    with pytest.raises((StorageFailed, UsageError)):
        decode_request(packet)


def test_a_refusal_arrives_with_its_reason() -> None:
    with pytest.raises(StorageFailed, match=r"because I say so.*old rules stay"):
        decode_state(encode_refusal("because I say so"))


@pytest.mark.parametrize(
    "change",
    [
        {"rules": None},
        {"counters": []},
        {"counters": {"x": {}}},
        {"counters": {"1": {"fsync": [1, 2]}, "2": {"sync": [0, 0, 0, 0]}}},
        {"counters": {"1": {"fsync": [1, 2, 3, -4]}}},
        {"pid": "me"},
    ],
)
def test_a_malformed_answer_is_refused(change: dict[str, Any]) -> None:
    answer = json.loads(encode_state(MountState(1, StorageRules(), StorageCounters({}))))
    with pytest.raises(StorageFailed):
        decode_state(json.dumps(answer | change).encode())


def test_an_answer_over_the_limit_is_not_sent() -> None:
    count = {operation: OperationCount(10**9, 10**9, 10**9, 10**9) for operation in Operation}
    callers = StorageCounters(dict.fromkeys(range(MESSAGE_LIMIT_BYTES // 100), count))
    with pytest.raises(StorageFailed, match="over the limit"):
        encode_state(MountState(1, StorageRules(), callers))
