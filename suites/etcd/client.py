"""
A client of etcd, over its JSON gateway (etcd 3.4 and newer: paths below /v3).

Owns: puts, linearizable and serializable gets, compare-and-swap transactions, a snapshot of all
keys of one member, and telling a refusal from an unknown outcome. Values are base64 on the wire.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from chaoskit.http import HttpClient, NoAnswer
from chaoskit.system import Endpoint, Operation, OutcomeUnknown, Rejected

KEYS = 8
_EVERYTHING = {"key": "AA==", "range_end": "AA=="}  # from \0 to the end (etcd API, RangeRequest)


def encode(text: str) -> str:
    """Text as the gateway wants bytes."""
    return base64.b64encode(text.encode()).decode()


def decode(text: str) -> str:
    """Bytes as the gateway gives them, as text."""
    return base64.b64decode(text).decode(errors="replace")


class EtcdClient:
    """
    A client of one member.

    `reads` says how gets are sent, whatever the operation claims: "linearizable", "serializable";
    as they claim unless given.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float, *, reads: str = "") -> None:
        self._endpoint = endpoint
        self._reads = reads
        self._http = HttpClient(timeout_s)

    def invoke(self, operation: Operation) -> Mapping[str, Any]:
        """Carry out `put`, `get`, `txn` or `snapshot`; raises Rejected or OutcomeUnknown."""
        value = operation.value
        match operation.f:
            case "put":
                answer = self._call("put", _pair(value), writes=True)
                return {"revision": _revision(answer)}
            case "get":
                local = (self._reads or value["consistency"]) == "serializable"
                request = {"key": encode(value["key"]), "serializable": local}
                answer = self._call("range", request, writes=False)
                pairs = answer.get("kvs", [])
                return {
                    "value": decode(pairs[0]["value"]) if pairs else None,
                    "mod_revision": int(pairs[0]["mod_revision"]) if pairs else 0,
                    "revision": _revision(answer),
                }
            case "txn":
                answer = self._call("txn", _swap(value), writes=True)
                return {
                    "succeeded": bool(answer.get("succeeded", False)),
                    "revision": _revision(answer),
                }
            case "snapshot":
                answer = self._call("range", _EVERYTHING | {"serializable": True}, writes=False)
                return {
                    "revision": _revision(answer),
                    "pairs": {
                        decode(pair["key"]): [
                            decode(pair.get("value", "")),
                            int(pair["mod_revision"]),
                            int(pair["version"]),
                        ]
                        for pair in answer.get("kvs", [])
                    },
                }
            case other:
                raise AssertionError(f"no operation {other}")

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def _call(self, verb: str, document: Mapping[str, Any], *, writes: bool) -> dict[str, Any]:
        path = f"/v3/kv/{verb}"
        try:
            status, answer = self._http.post(self._endpoint.url("client", path), document)
        except NoAnswer as error:
            if writes and error.cause != "refused":
                raise OutcomeUnknown(error.cause) from error
            raise Rejected(error.cause) from error
        if status == 200:
            return answer
        # a member that answers an error may have proposed the write before it lost its leader; and
        # the put that takes the database over its quota is answered 429 although it was applied
        if writes:
            raise OutcomeUnknown(f"status {status}")
        raise Rejected(f"status {status}")


def _pair(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"key": encode(value["key"]), "value": encode(value["value"])}


def _swap(value: Mapping[str, Any]) -> dict[str, Any]:
    """Compare a key's value, and put another one when it is equal."""
    compare = {
        "key": encode(value["key"]),
        "target": "VALUE",
        "result": "EQUAL",
        "value": encode(value["expected"]),
    }
    put = {"key": encode(value["key"]), "value": encode(value["value"])}
    return {"compare": [compare], "success": [{"requestPut": put}]}


def _revision(answer: Mapping[str, Any]) -> int:
    return int(answer["header"]["revision"])


def operations(random: Random) -> Iterator[Operation]:
    """
    An endless mix over a few keys: half puts, four in ten linearizable gets, one in ten a
    compare-and-swap. Every value is written once, so that a read tells which write it saw.
    """
    written: dict[str, str] = {}
    number = 0
    while True:
        key = f"k{random.randrange(KEYS)}"
        number += 1
        value = f"v{number}-{random.getrandbits(32):08x}"
        draw = random.random()
        if draw < 0.5 or key not in written:
            written[key] = value
            yield Operation("put", {"key": key, "value": value})
        elif draw < 0.9:
            yield Operation("get", {"key": key, "consistency": "linearizable"})
        else:
            expected, written[key] = written[key], value
            yield Operation("txn", {"key": key, "expected": expected, "value": value})
