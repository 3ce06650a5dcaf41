"""The gate in front of every call on a faulty mount: delays, refusals, counters."""

from __future__ import annotations

import errno
import threading

import pytest

from chaoskit.clock import monotonic, wait_until
from chaoskit.storage_control import Operation, OperationCount, StorageRules
from chaoskit.storage_gate import Gate

NODE = 10001


def _sleeping(gate: Gate) -> int:
    return gate.snapshot()[1].sleeping


def test_a_healthy_gate_only_counts() -> None:
    gate = Gate()
    gate.enter(NODE, Operation.READ)
    gate.enter(NODE, Operation.READ)
    gate.enter(0, Operation.READ)
    rules, counters = gate.snapshot()
    assert rules == StorageRules()
    assert counters.count(NODE, Operation.READ) == OperationCount(calls=2)
    assert counters.count(0, Operation.READ) == OperationCount(calls=1)


def test_a_delay_is_never_shorter_and_touches_no_other_operation() -> None:
    gate = Gate()
    gate.set_rules(StorageRules({Operation.FSYNC: 0.05}))
    began = monotonic()
    gate.enter(NODE, Operation.FSYNC)
    assert monotonic() - began >= 0.05
    gate.enter(NODE, Operation.WRITE)
    counters = gate.snapshot()[1]
    assert counters.count(NODE, Operation.FSYNC) == OperationCount(calls=1, delayed=1)
    assert counters.count(NODE, Operation.WRITE) == OperationCount(calls=1)


def test_a_heal_lets_sleepers_go_and_another_rule_does_not() -> None:
    gate = Gate()
    gate.set_rules(StorageRules({Operation.FSYNC: 60.0}))
    threads = [
        threading.Thread(target=gate.enter, args=(NODE, Operation.FSYNC), daemon=True)
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: _sleeping(gate) == 3, what="three sleepers", timeout_s=30)
    gate.set_rules(StorageRules({Operation.FSYNC: 50.0}, full=True))
    assert _sleeping(gate) == 3
    gate.set_rules(StorageRules({Operation.WRITE: 60.0}))
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()
    counters = gate.snapshot()[1]
    assert counters.count(NODE, Operation.FSYNC) == OperationCount(calls=3, delayed=3)


def test_a_refusal_is_enospc_and_counted() -> None:
    gate = Gate()
    gate.enter(NODE, Operation.WRITE)
    with pytest.raises(OSError, match="space") as refused:
        gate.refuse(NODE, Operation.WRITE)
    assert refused.value.errno == errno.ENOSPC
    counted = gate.snapshot()[1].count(NODE, Operation.WRITE)
    assert counted == OperationCount(calls=1, refused=1)


def test_full_follows_the_rules() -> None:
    gate = Gate()
    assert not gate.full
    gate.set_rules(StorageRules(full=True))
    assert gate.full
    gate.set_rules(StorageRules())
    assert not gate.full
