"""A stream's debt: in order, complete, and two numbers however slow its reader is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.beacon.errors import StreamReplaced
from nodes.beacon.messages import Beacon
from nodes.beacon.outgoing import Outgoing


def beacon(number: int) -> Beacon:
    return Beacon(number, b"", bytes([number % 256]))


class Shelf:
    """Rounds 1 to `last`, read at most three at a time; counts what is read."""

    def __init__(self) -> None:
        self.last = 0
        self.reads = 0

    async def read(self, first: int, count: int) -> Sequence[Beacon]:
        self.reads += 1
        await asyncio.sleep(0)
        assert first <= self.last
        return [beacon(n) for n in range(first, min(first + min(count, 3), self.last + 1))]


async def take(rounds: AsyncIterator[Beacon], count: int) -> list[int]:
    return [(await anext(rounds)).round for _ in range(count)]


@settings(max_examples=100)
@given(st.data())
def test_every_round_once_and_in_order(data: st.DataObject) -> None:
    """Rounds are made and read in any interleaving; from any first round, or only new ones."""

    async def run() -> None:
        shelf, outgoing = Shelf(), Outgoing()
        shelf.last = data.draw(st.integers(0, 9))
        first = data.draw(st.integers(1, shelf.last)) if shelf.last else None
        if first is not None:
            outgoing.owe(first, shelf.last)
        rounds = outgoing.rounds(shelf.read)
        taken: list[int] = []
        start = first if first is not None else shelf.last + 1
        for made in data.draw(st.lists(st.booleans(), max_size=20)):
            if made:
                shelf.last += 1
                outgoing.owe_new(beacon(shelf.last))
            elif start + len(taken) <= shelf.last:
                taken += await take(rounds, 1)
        taken += await take(rounds, shelf.last - start - len(taken) + 1)
        assert taken == list(range(start, shelf.last + 1))

    asyncio.run(run())


def test_a_reader_in_step_reads_nothing_from_the_disk() -> None:
    async def run() -> None:
        shelf, outgoing = Shelf(), Outgoing()
        rounds = outgoing.rounds(shelf.read)
        for number in range(1, 6):
            shelf.last = number
            outgoing.owe_new(beacon(number))
            assert await take(rounds, 1) == [number]
        assert shelf.reads == 0

    asyncio.run(run())


def test_a_closed_stream_ends_with_its_refusal() -> None:
    async def run() -> None:
        shelf, outgoing = Shelf(), Outgoing()
        shelf.last = 5
        outgoing.owe(1, 5)
        rounds = outgoing.rounds(shelf.read)
        assert await take(rounds, 1) == [1]
        outgoing.close(StreamReplaced("callback replaced"))
        with pytest.raises(StreamReplaced):
            await take(rounds, 1)
        waiting = Outgoing()
        waits = asyncio.ensure_future(anext(waiting.rounds(shelf.read)))
        await asyncio.sleep(0)
        waiting.close(StreamReplaced("callback replaced"))
        with pytest.raises(StreamReplaced):
            await waits

    asyncio.run(run())
