"""A beacon's chain with real signatures, and hand-written histories of five members who show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from chaoskit.history import History
from nodes import bls
from tests.tape import Tape

NODES = ("n1", "n2", "n3", "n4", "n5")
STARTED_UTC = "2026-11-21T12:00:00.000+00:00"
GENESIS_S = int(datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC).timestamp())
SCHEME = bls.SCHEMES[bls.DEFAULT_SCHEME]
SECRET = 7
SEED = "5e" * 32


def due_s(number: int) -> float:
    """When a round is due, in the run's time: round 1 with its beginning, then one a second."""
    return float(number - 1)


@cache
def signature(number: int, *, secret: int = SECRET) -> str:
    """The signature of a round in the chain of `secret`, in hex; of round 0 the seed."""
    if number == 0:
        return SEED
    previous = bytes.fromhex(signature(number - 1, secret=secret))
    return bls.sign(SCHEME, secret, SCHEME.digest(number, previous)).hex()


def beacon(number: int, **other: str) -> dict[str, Any]:
    """What a member answers for a round; `other` replaces parts of it."""
    found = {
        "signature": signature(number),
        "previous_signature": signature(number - 1),
        "randomness": bls.randomness(bytes.fromhex(signature(number))).hex(),
    } | other
    return {"round": number, **found}


class BeaconTape(Tape):
    """Five members that run, three of which are a threshold."""

    def __init__(self) -> None:
        super().__init__(NODES, quorum=3, driven=False, progress_bound_s=16.0)

    def info(self, time_s: float, node: str = "n1", **other: Any) -> int:
        said = {
            "public_key": bls.public_key(SCHEME, SECRET).hex(),
            "schemeID": SCHEME.name,
            "groupHash": SEED,
            "period": 1,
            "genesis_time": GENESIS_S,
        }
        return self.operation(time_s, "info", node=node, result=said | other)

    def get(self, time_s: float, node: str, number: int, **other: str) -> int:
        return self.operation(
            time_s, "get", node=node, round="latest", result=beacon(number, **other)
        )

    def ahead(self, time_s: float, node: str, number: int | None = None, cause: str = "") -> int:
        if number is None:
            refused = {"cause": cause}
            return self.operation(time_s, "ahead", "fail", node=node, by=9, result=refused)
        return self.operation(time_s, "ahead", node=node, by=9, result=beacon(number))

    def sample(
        self,
        time_s: float,
        node: str,
        number: int,
        *,
        failing: Sequence[str] = (),
        rounds: Mapping[str, int] | None = None,
        shown: str | None = None,
    ) -> int:
        return self.add(
            time_s,
            node,
            "observe",
            "ok",
            ready=True,
            version="2.1.3",
            role="",
            term=None,
            progress=number,
            digest=shown if shown is not None else signature(number),
            detail={
                "failing": list(failing),
                "size": 5,
                "threshold": 3,
                "rounds": dict(rounds if rounds is not None else {"default": number}),
                "behind": 0,
            },
            took_s=0.01,
        )

    def snapshot(
        self,
        time_s: float,
        node: str,
        signatures: Sequence[str | None],
        *,
        first: int = 1,
        unanswered: Sequence[int] = (),
    ) -> int:
        result = {
            "first": first,
            "signatures": list(signatures),
            "unanswered": list(unanswered),
        }
        return self.operation(time_s, "snapshot", node=node, client=9, result=result)

    def snapshots(self, time_s: float, newest: int, **odd: Sequence[str | None]) -> None:
        """A snapshot of every member, whole but for those named."""
        whole = [signature(number) for number in range(1, newest + 1)]
        for node in NODES:
            self.snapshot(time_s, node, odd.get(node, whole))

    def level(self, from_round: int, to_round: int, nodes: Sequence[str] = NODES) -> None:
        """Every member shows these rounds, each 0.3 s after it is due."""
        for number in range(from_round, to_round + 1):
            for node in nodes:
                self.sample(due_s(number) + 0.3, node, number)

    def history(self, *, without: Sequence[int] = ()) -> History:
        return History(super().history(without=without), started_utc=STARTED_UTC)
