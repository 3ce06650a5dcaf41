"""A network and its disk: slow, full, broken; the others of the process and its end."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from nodes.beacon import calls, layout
from nodes.beacon import network as module
from nodes.beacon import store as store_module
from nodes.beacon.calls import CallFailed, CallRefused
from nodes.beacon.clocking import SystemClock
from nodes.beacon.diskwork import DiskWork
from nodes.beacon.errors import FileRefused
from nodes.beacon.messages import Beacon, Partial
from nodes.beacon.network import Network
from nodes.beacon.process import Daemon
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.store import FILE_NAME, NoRoom, StoreFailed
from nodes.beacon.wire import Channel
from tests.beacon_nodes import (
    HOST,
    PATIENCE_S,
    Lines,
    Members,
    MovedClock,
    deal_members,
    free_addresses,
    options_for,
    running,
    until,
)

NOW_S = 1_800_000_000.0


class Disk:
    """Stands between a network and its store: lets appends through, hangs, or fails."""

    def __init__(self, network: Network) -> None:
        self.fails: StoreFailed | None = None
        self.let = threading.Event()
        self.let.set()
        self._append = network.rounds.append
        network.rounds.append = self.append  # type: ignore[method-assign]

    def append(self, beacon: Beacon) -> None:
        self.let.wait()
        if self.fails is not None:
            raise self.fails
        self._append(beacon)


class Alone:
    """One member that makes rounds by itself, of two networks, by a clock that is moved."""

    def __init__(self, members: Members, clock: MovedClock, daemon: Daemon, lines: Lines) -> None:
        self.schedule = members.dealt.group.schedule
        self.clock, self.daemon, self.lines = clock, daemon, lines

    def network(self, beacon_id: str) -> Network:
        found = next(one for one in self.daemon.networks() if one.beacon_id == beacon_id)
        assert isinstance(found, Network)
        return found

    def to_round(self, number: int) -> None:
        self.clock.move_to(self.schedule.time_of(number))


@asynccontextmanager
async def alone(root: Path) -> AsyncIterator[Alone]:
    addresses = free_addresses(1)
    for beacon_id in ("one", "two"):
        members = deal_members(
            root, 1, 1, beacon_id=beacon_id, addresses=addresses, genesis_in_s=1, now_s=NOW_S
        )
    clock = MovedClock(NOW_S)
    async with running(options_for(members.folders[0]), clock) as (daemon, lines):
        yield Alone(members, clock, daemon, lines)


def test_a_network_with_a_slow_disk_is_slow_alone(tmp_path: Path) -> None:
    async def run() -> None:
        async with alone(tmp_path) as node:
            one, two = node.network("one"), node.network("two")
            disk = Disk(one)
            disk.let.clear()
            for number in range(1, 4):
                node.to_round(number)
                assert await two.wait_for(number, PATIENCE_S)
            # Its round is made and not yet on the disk: it does not exist for anybody.
            assert one.last().round == 0
            channel = Channel(node.daemon.private_address, tls=False, trusted=None)
            asked = drand.PublicRandRequest(round=1, metadata=drand.Metadata(beaconID="one"))
            with pytest.raises(CallFailed, match="waited too long"):
                await channel.call(calls.PUBLIC_RAND, asked, timeout_s=PATIENCE_S)
            disk.let.set()
            assert await one.wait_for(3, PATIENCE_S)
            await channel.close()

    asyncio.run(run())


def test_a_member_whose_clock_is_set_back_signs_at_the_next_rounds_time(tmp_path: Path) -> None:
    async def run() -> None:
        members = deal_members(tmp_path, 2, 2, genesis_in_s=1, now_s=NOW_S)
        schedule, clock = members.dealt.group.schedule, MovedClock(NOW_S)
        options = options_for(members.folders[0], verbose=True)
        async with running(options, clock) as (_, lines):
            rounds = itertools.count(3)

            def sent() -> int:
                return len(lines.records(broadcast_partial=1))

            def sent_at_a_next_round(before: int) -> bool:
                clock.move_to(schedule.time_of(next(rounds)))
                return sent() > before

            clock.move_to(schedule.time_of(100_000))
            await until("the first partial, by a clock that is ahead", lambda: sent() > 0)
            before = sent()
            await until("one by a clock that is right", lambda: sent_at_a_next_round(before))

    asyncio.run(run())


def test_a_disk_without_room_makes_a_network_mute_until_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROOM_LOOK_S", 0.05)

    async def run() -> None:
        async with alone(tmp_path) as node:
            one, two = node.network("one"), node.network("two")
            disk = Disk(one)
            disk.fails = NoRoom("full")
            node.to_round(1)
            assert await two.wait_for(1, PATIENCE_S)
            full = "no room for rounds; waiting for some"
            await until("it is said", lambda: node.lines.records(msg=full) != [])
            assert one.last().round == 0
            disk.fails = None
            assert await one.wait_for(1, PATIENCE_S)
            node.to_round(2)
            assert await one.wait_for(2, PATIENCE_S)
            (said,) = node.lines.records(msg=full)
            assert said["err"] == "full"

    asyncio.run(run())


def test_a_network_whose_disk_fails_ends_alone_and_the_last_one_with_the_process(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with alone(tmp_path) as node:
            disk = Disk(node.network("one"))
            node.to_round(1)
            assert await node.network("one").wait_for(1, PATIENCE_S)
            disk.fails = StoreFailed("input/output error")
            node.to_round(2)
            await until("one network is left", lambda: len(node.daemon.networks()) == 1)
            two = node.network("two")
            for number in (2, 3):
                node.to_round(number)
                assert await two.wait_for(number, PATIENCE_S)
            channel = Channel(node.daemon.private_address, tls=False, trusted=None)
            asked = drand.PublicRandRequest(metadata=drand.Metadata(beaconID="one"))
            with pytest.raises(CallFailed, match=r"beacon id \[one\] is not running"):
                await channel.call(calls.PUBLIC_RAND, asked, timeout_s=PATIENCE_S)

            # Loaded again it begins from what is on the disk, and is in step with the next round.
            control = Channel(f"{HOST}:{node.daemon.control_port}", tls=False, trusted=None)
            load = drand.LoadBeaconRequest(metadata=drand.Metadata(beaconID="one"))
            await control.call(calls.LOAD_BEACON, load, timeout_s=PATIENCE_S)
            assert node.network("one").last().round == 1
            node.to_round(4)
            assert await node.network("one").wait_for(4, PATIENCE_S)

            for beacon_id in ("one", "two"):
                Disk(node.network(beacon_id)).fails = StoreFailed("input/output error")
            node.to_round(5)
            async with asyncio.timeout(PATIENCE_S):
                assert await node.daemon.ended() == 1
            assert node.daemon.networks() == ()
            await channel.close()
            await control.close()

    asyncio.run(run())


def test_a_connection_has_so_many_partials_waiting_and_no_more(tmp_path: Path) -> None:
    async def run() -> None:
        async with alone(tmp_path) as node:
            one = node.network("one")
            old = Partial(0, b"", b"")
            waiting = [asyncio.ensure_future(one.take(old, "flood")) for _ in range(200)]
            other = asyncio.ensure_future(one.take(old, "other"))
            await asyncio.sleep(0)
            refused = [one for one in waiting if one.done()]
            assert len(refused) == 200 - module.WAITING_AT_MOST
            for one_of in refused:
                with pytest.raises(CallRefused, match="64 of yours are waiting"):
                    await one_of
            # Who did not flood is second in turn, not behind all of it.
            await other
            assert sum(not one.done() for one in waiting) > module.WAITING_AT_MOST - 5
            await asyncio.gather(*(one for one in waiting if one not in refused))

    asyncio.run(run())


def test_a_network_that_is_refused_leaves_the_others_and_can_be_loaded_when_repaired(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with alone(tmp_path) as node:
            options = node.daemon.options
        share = layout.Network(options.folder, "one").share
        genuine = share.read_text()
        share.write_text("Index = 7\n")
        foreign = layout.Network(options.folder, "two").database / FILE_NAME
        content = foreign.read_bytes()

        async with running(options, node.clock) as (daemon, lines):
            assert [network.beacon_id for network in daemon.networks()] == ["two"]
            (said,) = lines.records(level="ERROR", msg="beacon id [one]: left out")
            assert str(share) in str(said["err"])
            node.to_round(1)
            assert await daemon.networks()[0].wait_for(1, PATIENCE_S)
            control = Channel(f"{HOST}:{daemon.control_port}", tls=False, trusted=None)
            load = drand.LoadBeaconRequest(metadata=drand.Metadata(beaconID="one"))
            with pytest.raises(CallFailed, match=r"dist_key\.private"):
                await control.call(calls.LOAD_BEACON, load, timeout_s=PATIENCE_S)
            share.write_text(genuine)
            await control.call(calls.LOAD_BEACON, load, timeout_s=PATIENCE_S)
            await control.close()
            node.to_round(2)
            for network in daemon.networks():
                assert await network.wait_for(2, PATIENCE_S)

        # A store that is refused counts the same; where nothing is left the start fails.
        foreign.write_bytes(b"something else" * 100)
        async with running(options, node.clock) as (daemon, lines):
            assert [network.beacon_id for network in daemon.networks()] == ["one"]
        share.write_text("Index = 7\n")
        with pytest.raises(FileRefused, match=r"dist_key\.private"):
            async with running(options, node.clock):
                pass
        assert foreign.read_bytes() != content

    asyncio.run(run())


def test_old_rounds_are_waited_for_off_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a disk does not answer whoever asks for a round not in memory, all else goes on."""
    monkeypatch.setattr(store_module, "RECENT_ROUNDS", 2)
    monkeypatch.setattr(module, "READS_AT_MOST", 3)

    async def run() -> None:
        async with alone(tmp_path) as node:
            one = node.network("one")
            for number in range(1, 7):
                node.to_round(number)
                assert await one.wait_for(number, PATIENCE_S)
            oldest = one.rounds.read(1, 1)[0]
            assert await one.get(1) == oldest
            assert await one.get(0) is None
            assert await one.get(7) is None
            entered, let, read = threading.Event(), threading.Event(), one.rounds.read

            def slow(first: int, count: int) -> Sequence[Beacon]:
                assert threading.current_thread() is not threading.main_thread(), "on the loop"
                entered.set()
                let.wait()
                return read(first, count)

            one.rounds.read = slow  # type: ignore[method-assign]
            channel = Channel(node.daemon.private_address, tls=False, trusted=None)
            metadata = drand.Metadata(beaconID="one")
            asked = drand.PublicRandRequest(round=1, metadata=metadata)
            # One is being read, three wait: another is told so, whoever has given up.
            waiting = []
            for count in range(4):
                waiting.append(
                    asyncio.ensure_future(
                        channel.call(calls.PUBLIC_RAND, asked, timeout_s=PATIENCE_S)
                    )
                )
                # None waits before the first is read, too: that one has entered the disk by then.
                await until(
                    "it is taken up, or has ended",
                    lambda: (
                        (entered.is_set() and one._reading.waiting == count)  # noqa: B023
                        or waiting[-1].done()
                    ),
                )
            with pytest.raises(CallFailed, match="the store cannot be read"):
                await channel.call(calls.PUBLIC_RAND, asked, timeout_s=PATIENCE_S)
            for number in (7, 8):
                node.to_round(number)
                assert await one.wait_for(number, PATIENCE_S)
            latest = drand.PublicRandRequest(metadata=metadata)
            assert (await channel.call(calls.PUBLIC_RAND, latest, timeout_s=PATIENCE_S)).round == 8
            assert not any(task.done() for task in waiting)
            let.set()
            found = await asyncio.gather(*waiting)
            assert {packet.signature for packet in found} == {oldest.signature}
            await channel.close()

    asyncio.run(run())


def test_a_last_round_that_does_not_verify_is_refused_and_left_alone(tmp_path: Path) -> None:
    async def run() -> None:
        async with alone(tmp_path) as node:
            node.to_round(1)
            for beacon_id in ("one", "two"):
                assert await node.network(beacon_id).wait_for(1, PATIENCE_S)
            options = node.daemon.options
        path = layout.Network(options.folder, "one").database / FILE_NAME
        with closing(sqlite3.connect(path)) as database:
            database.execute("UPDATE rounds SET signature = ?", (b"\x80" + bytes(95),))
            database.commit()
        content = path.read_bytes()
        async with running(options, node.clock) as (daemon, lines):
            assert [network.beacon_id for network in daemon.networks()] == ["two"]
            (said,) = lines.records(level="ERROR", msg="beacon id [one]: left out")
            assert "round 1 does not verify under the group's key" in str(said["err"])
        assert path.read_bytes() == content

    asyncio.run(run())


def test_a_disk_that_hangs_does_not_hold_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DISK_S", 0.2)

    async def run() -> None:
        async with alone(tmp_path) as node:
            one = node.network("one")
            disk = Disk(one)
            disk.let.clear()
            node.to_round(1)
            assert await node.network("two").wait_for(1, PATIENCE_S)
            await asyncio.wait_for(node.daemon.stop(), 60)  # the disk hangs for ever
            assert any("does not answer" in line for line in node.lines.lines)
            disk.let.set()
            await until("the thread ends", lambda: not one._writing._thread.is_alive())
            one.rounds.close()

    asyncio.run(run())


def test_work_on_the_disk_is_done_in_order_and_raises_where_it_was_asked() -> None:
    async def run() -> None:
        work, done = DiskWork("test"), list[int]()
        assert await work.close(timeout_s=PATIENCE_S)
        work = DiskWork("test")
        await asyncio.gather(*(work.do(done.append, number) for number in range(20)))
        assert done == list(range(20))
        with pytest.raises(ZeroDivisionError):
            await work.do(divmod, 1, 0)
        let = threading.Event()
        given_up = asyncio.ensure_future(work.do(let.wait))
        await asyncio.sleep(0)
        given_up.cancel()
        let.set()
        assert await work.do(len, "abc") == 3
        assert await work.close(timeout_s=PATIENCE_S)
        with pytest.raises(RuntimeError, match="closed"):
            await work.do(len, "abc")

    asyncio.run(run())


def test_a_wait_ends_at_its_time_and_not_before() -> None:
    async def run() -> None:
        clock, event = SystemClock(), asyncio.Event()
        began_s = clock.now_s()
        await clock.wait(event, began_s + 0.05)
        assert 0.045 <= clock.now_s() - began_s < 30.0
        # A time far away is looked at again every second: the clock may have been set.
        event.clear()
        began_s = time.monotonic()
        await clock.wait(event, clock.now_s() + 1e9)
        assert 0.9 <= time.monotonic() - began_s < 30.0

    asyncio.run(run())
