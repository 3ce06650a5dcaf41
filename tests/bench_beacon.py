"""
What a beacon node costs: processor time and time to a round, beside its signatures' arithmetic.

Owns: members in this process, on loopback, whose clock jumps from round to round; a count of the
operations on signatures that they did; the same operations alone, in the same run; what one
operation takes. Run as `python -m tests.bench_beacon`; printed, never asserted.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodes.beacon.signing import GroupSigning
from tests.beacon_nodes import Members, MovedClock, deal_members, options_for, running

OPERATIONS = ("sign", "verify_partial", "recover", "verify")
NOW_S = 1_800_000_000.0
FIRST = 6
AT_A_TIME = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """
    Of one member and one round: processor seconds, and those of its signatures' arithmetic alone.

    `made_s` is the median time from a round's beginning until every member has it on its disk;
    `operations` counts what was done to signatures by all members in all rounds.
    """

    node_s: float
    alone_s: float
    made_s: float
    operations: Counter[str]


@contextmanager
def _noted() -> Iterator[list[str]]:
    done: list[str] = []
    originals = {name: getattr(GroupSigning, name) for name in OPERATIONS}

    def counting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            done.append(name)
            return original(*arguments)

        return call

    for name, original in originals.items():
        setattr(GroupSigning, name, counting(name, original))
    try:
        yield done
    finally:
        for name, original in originals.items():
            setattr(GroupSigning, name, original)


def _alone_s(members: Members, operations: Sequence[str]) -> float:
    """The processor seconds of the same operations in the same order, one after the other."""
    group = members.dealt.group
    signings = [GroupSigning(group, share) for _, share in members.dealt.members]
    partials = [signing.sign(1, group.genesis_seed) for signing in signings]
    one = signings[0]
    signature = one.recover(partials[: one.threshold])
    acts: dict[str, Callable[[], object]] = {
        "sign": lambda: one.sign(1, group.genesis_seed),
        "verify_partial": lambda: one.verify_partial(1, group.genesis_seed, partials[1]),
        "recover": lambda: one.recover(partials[: one.threshold]),
        "verify": lambda: one.verify(1, group.genesis_seed, signature),
    }
    for act in acts.values():
        act()
    began_s = time.process_time()
    for name in operations:
        acts[name]()
    return time.process_time() - began_s


@dataclass(frozen=True, slots=True)
class _Made:
    """Rounds that were made: processor seconds of all members, and of their arithmetic alone."""

    spent_s: float
    alone_s: float
    took_s: tuple[float, ...]
    operations: Counter[str]


async def _made(members: Members, rounds: int) -> _Made:
    """The arithmetic is measured after every few rounds: a processor's speed drifts."""
    clock = MovedClock(NOW_S)
    schedule = members.dealt.group.schedule
    async with AsyncExitStack() as stack:
        networks = []
        for folder in members.folders:
            daemon, _ = await stack.enter_async_context(running(options_for(folder), clock))
            networks.append(daemon.networks()[0])

        async def make(numbers: Sequence[int]) -> list[float]:
            took_s = []
            for number in numbers:
                began_s = time.monotonic()
                clock.move_to(schedule.time_of(number))
                for network in networks:
                    await network.wait_for(number, 30.0)
                took_s.append(time.monotonic() - began_s)
            await asyncio.sleep(0.05)  # every answer has come
            return took_s

        await make(range(1, FIRST))  # they open connections
        spent_s = alone_s = 0.0
        took_s: list[float] = []
        operations: Counter[str] = Counter()
        for first in range(FIRST, FIRST + rounds, AT_A_TIME):
            with _noted() as done:
                began_s = time.process_time()
                took_s += await make(range(first, min(first + AT_A_TIME, FIRST + rounds)))
                spent_s += time.process_time() - began_s
            alone_s += _alone_s(members, done)
            operations.update(done)
    return _Made(spent_s, alone_s, tuple(took_s), operations)


def cost_of_a_round(members: int, threshold: int, scheme: str, rounds: int) -> Cost:
    """Make rounds, and answer what one costs a member."""
    with tempfile.TemporaryDirectory() as root:
        dealt = deal_members(
            Path(root), members, threshold, scheme=scheme, genesis_in_s=1, now_s=NOW_S
        )
        made = asyncio.run(_made(dealt, rounds))
    each = members * rounds
    return Cost(
        made.spent_s / each,
        made.alone_s / each,
        statistics.median(made.took_s),
        made.operations,
    )


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Rounds that a member fetched in `took_s`; processor seconds of it and its peer, and alone."""

    rounds: int
    took_s: float
    spent_s: float
    alone_s: float


async def _fetched(members: Members, rounds: int) -> tuple[float, float, list[str]]:
    """A threshold of members makes rounds; one more starts without any and fetches them."""
    clock = MovedClock(NOW_S)
    group = members.dealt.group
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        networks = [
            (await enter(running(options_for(folder), clock)))[0].networks()[0]
            for folder in members.folders[: group.threshold]
        ]
        for number in range(1, rounds + 1):
            clock.move_to(group.schedule.time_of(number))
            await asyncio.gather(*(network.wait_for(number, 30.0) for network in networks))
        await asyncio.sleep(0.2)
        with _noted() as done:
            began_s, spent_s = time.monotonic(), time.process_time()
            late, _ = await enter(running(options_for(members.folders[-1]), clock))
            await late.networks()[0].wait_for(rounds, 120.0)
            took_s, spent_s = time.monotonic() - began_s, time.process_time() - spent_s
        assert late.networks()[0].last().round == rounds
    return took_s, spent_s, done


def catching_up(rounds: int) -> CaughtUp:
    """Let a member of five that has no round fetch so many from the three that made them."""
    with tempfile.TemporaryDirectory() as root:
        dealt = deal_members(Path(root), 5, 3, genesis_in_s=1, now_s=NOW_S)
        took_s, spent_s, operations = asyncio.run(_fetched(dealt, rounds))
    return CaughtUp(rounds, took_s, spent_s, _alone_s(dealt, operations))


def one_operation_s(members: int, threshold: int, scheme: str, times: int) -> dict[str, float]:
    """Median processor seconds of one `verify`, and of one `recover`."""
    with tempfile.TemporaryDirectory() as root:
        dealt = deal_members(Path(root), members, threshold, scheme=scheme, now_s=NOW_S).dealt
    group = dealt.group
    signings = [GroupSigning(group, share) for _, share in dealt.members]
    partials = [signing.sign(1, group.genesis_seed) for signing in signings]
    # not the first ones: some of the weights of neighbours are small numbers, which is cheaper
    chosen = partials[-threshold:]
    signature = signings[0].recover(chosen)
    acts: dict[str, Callable[[], object]] = {
        "recover": lambda: signings[0].recover(chosen),
        "verify": lambda: signings[0].verify(1, group.genesis_seed, signature),
    }
    spent: dict[str, list[float]] = {
        name: [_spent_s(act) for _ in range(times)] for name, act in acts.items()
    }
    return {name: statistics.median(one) for name, one in spent.items()}


def _spent_s(act: Callable[[], object]) -> float:
    began_s = time.process_time()
    act()
    return time.process_time() - began_s


def main() -> None:
    """Print it for a scheme of each kind."""
    for members, threshold, scheme in (
        (5, 3, "pedersen-bls-chained"),
        (5, 3, "bls-unchained-g1-rfc9380"),
        (12, 7, "pedersen-bls-chained"),
    ):
        cost = cost_of_a_round(members, threshold, scheme, 50)
        sys.stdout.write(
            f"{members} members, {scheme}: "
            f"{cost.node_s * 1000:.1f} ms of processor a member and round, "
            f"{cost.alone_s * 1000:.1f} ms for its signatures alone, "
            f"ratio {cost.node_s / cost.alone_s:.2f}; all have a round after "
            f"{cost.made_s * 1000:.0f} ms; load {os.getloadavg()[0]:.1f}; "
            f"{dict(cost.operations)}\n"
        )
    found = catching_up(200)
    sys.stdout.write(
        f"catching up: {found.rounds / found.took_s:.0f} rounds/s, {found.spent_s:.2f} s of "
        f"processor for {found.rounds}, {found.alone_s:.2f} s for their signatures alone\n"
    )


if __name__ == "__main__":
    main()
