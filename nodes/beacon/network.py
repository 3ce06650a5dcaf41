"""
One network of a node as it runs: a core, its store, its streams, its clock.

Owns: the queue of events, the order in which effects are carried out, and what others read of the
network. Refuses: partials of a connection beyond WAITING_AT_MOST; protocol is the core's.

Rules:

* One event at a time, its effects in their order, each before the next; a round is on the disk
  before anything that follows from it is sent. Between two events every other network has its turn,
  and no turn takes longer than one aggregation (a few milliseconds).
* Time comes first, then each connection and we ourselves in turn: of a flood one partial at most
  lies before another's.
* The disk is waited for on threads: a network whose disk is slow is slow alone.
* A disk without room makes the network mute, not dead: the round is tried again until there is
  room. Any other failure of the disk ends `run`, and with it this network alone: whatever core it
  had is thrown away, so that a later start begins from what is on the disk.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from random import Random
from time import monotonic
from typing import Any

from nodes.beacon.alarm import Alarm
from nodes.beacon.calls import CallFailed, CallRefused, Code
from nodes.beacon.clocking import Clock
from nodes.beacon.core import Core
from nodes.beacon.diskwork import DiskWork
from nodes.beacon.errors import PartialRefused, SyncRefused
from nodes.beacon.eventlog import Log
from nodes.beacon.group import Group
from nodes.beacon.loading import Loaded, Membership
from nodes.beacon.messages import (
    Answer,
    Beacon,
    Broadcast,
    Effect,
    Event,
    Kept,
    Partial,
    PartialArrived,
    Started,
    Store,
    StreamClose,
    StreamNew,
    StreamStored,
    SyncArrived,
    SyncAsked,
    SyncEnded,
    SyncFailed,
    SyncFrom,
    SyncLeft,
    SyncStop,
    Tick,
)
from nodes.beacon.meters import Meters, Stored
from nodes.beacon.outgoing import Outgoing
from nodes.beacon.packets import Packets
from nodes.beacon.peers import Peers
from nodes.beacon.signing import GroupSigning
from nodes.beacon.store import NoRoom, StoreFailed
from nodes.beacon.store import Store as Rounds
from nodes.beacon.turns import Turns

WAITING_AT_MOST = 64
"""Partials of one connection that wait for their turn."""
READS_AT_MOST = 256
"""Single rounds that are read from the disk, or wait for it; more are refused."""
ROOM_LOOK_S = 1.0
DISK_S = 3.0
"""How long the end of a network waits for its disk."""

_OURS = "ours"


class Network:
    """A network that has its group; `run` runs it until it is cancelled or its disk fails."""

    def __init__(
        self,
        loaded: Loaded,
        membership: Membership,
        rounds: Rounds,
        *,
        peers: Peers,
        packets: Packets,
        clock: Clock,
        meters: Meters,
        alarm: Alarm | None,
        log: Log,
    ) -> None:
        self.loaded = loaded
        self.rounds = rounds
        self._membership = membership
        self._peers = peers
        self.packets = packets
        self._clock = clock
        self._meters = meters
        self._alarm = alarm
        self._log = log.of("network")
        self._signing = GroupSigning(membership.group, membership.share)
        self._core = Core(
            membership.place,
            self._signing,
            last=rounds.last(),
            random=Random(),
        )
        self._events: Turns[tuple[Event, asyncio.Future[None] | None]] = Turns()
        self._arrived = asyncio.Event()
        self._news = asyncio.Event()
        self._numbers = itertools.count(1)
        self._outgoing: dict[int, Outgoing] = {}
        self._syncs: dict[int, asyncio.Task[None]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._writing = DiskWork(f"{self.beacon_id}-write")
        self._reading = DiskWork(f"{self.beacon_id}-read")

    # ---- what others read ----------------------------------------------------------------------

    @property
    def beacon_id(self) -> str:
        """Its canonical name."""
        return self.loaded.files.beacon_id

    @property
    def group(self) -> Group:
        """The group that rounds are made with."""
        return self._membership.group

    @property
    def streams(self) -> int:
        """How many are being sent new rounds."""
        return len(self._outgoing)

    def last(self) -> Beacon:
        """The last round on the disk; round 0, whose signature is the seed, where none is."""
        return self.rounds.last()

    async def get(self, round_number: int) -> Beacon | None:
        """A stored round from 1 on; None where it is not here; raises StoreFailed."""
        if not 0 < round_number <= self.last().round:
            return None
        near = self.rounds.recent(round_number)
        if near is not None:
            return near
        if self._reading.waiting >= READS_AT_MOST:
            raise StoreFailed(f"{READS_AT_MOST} readers are waiting for the disk")
        read = await self.read(round_number, 1)
        return read[0] if read else None

    async def wait_for(self, round_number: int, timeout_s: float) -> Beacon | None:
        """The round as soon as it is stored, None when it is not within this time."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.last().round < round_number:
                    await self._news.wait()
        except TimeoutError:
            return None
        return await self.get(round_number)

    def expected_round(self) -> int:
        """The round whose time it is."""
        return self.group.schedule.current_round(self._clock.now_s())

    def verifies(self, beacon: Beacon) -> bool:
        """Whether the round's signature is the group's."""
        return self._signing.verify(beacon.round, beacon.previous_signature, beacon.signature)

    # ---- what others ask -----------------------------------------------------------------------

    async def take(self, partial: Partial, source: str) -> None:
        """Hand a connection's partial to the core; raises PartialRefused, CallRefused."""
        if self._events.waiting(source) >= WAITING_AT_MOST:
            raise CallRefused(Code.RESOURCE_EXHAUSTED, f"{WAITING_AT_MOST} of yours are waiting")
        await self._put(PartialArrived(partial), source)

    async def stream(self, source: str, from_round: int) -> AsyncGenerator[Beacon, None]:
        """Stored rounds from this one on and then each new one; raises SyncRefused."""
        number = next(self._numbers)
        outgoing = self._outgoing[number] = Outgoing()
        self._deliver(SyncAsked(number, source, from_round))
        try:
            async with aclosing(outgoing.rounds(self.read)) as rounds:
                async for beacon in rounds:
                    yield beacon
        finally:
            del self._outgoing[number]
            self._deliver(SyncLeft(number))

    async def read(self, first: int, count: int) -> Sequence[Beacon]:
        """Stored rounds, a bounded number of them, off the loop; raises StoreFailed."""
        return await self._reading.do(self.rounds.read, first, count)

    # ---- running -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled; raises StoreFailed. Nothing is left under way."""
        core, clock = self._core, self._clock
        event: Event
        done: asyncio.Future[None] | None
        self._deliver(Started())
        try:
            while True:
                now_s = clock.now_s()
                if self._alarm is not None:
                    self._alarm.look(now_s)
                if core.is_due(now_s):
                    event, done = Tick(), None
                elif self._events:
                    event, done = self._events.take()
                else:
                    self._arrived.clear()
                    await clock.wait(self._arrived, core.wake_s)
                    continue
                for effect in core.handle(event, now_s):
                    await self._carry_out(effect, event, done)
                if done is not None and not done.done():
                    done.set_result(None)
                if self._events or core.is_due(now_s):  # else what follows is a wait
                    await asyncio.sleep(0)
        finally:
            await self._end()

    def _deliver(self, event: Event) -> None:
        self._events.put(_OURS, (event, None))
        self._arrived.set()

    async def _put(self, event: Event, source: str) -> None:
        """Return when the event was handled; raises what a partial's Answer refuses."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._events.put(source, (event, done))
        self._arrived.set()
        await done

    async def _carry_out(  # noqa: PLR0912 - one case each
        self, effect: Effect, event: Event, done: asyncio.Future[None] | None
    ) -> None:
        match effect:
            case Store(beacon):
                await self._store(beacon)
            case Answer(refusal):
                self._answer(refusal, event, done)
            case Broadcast(partial, targets):
                packet = self.packets.partial(partial)
                self._log.debug("", broadcast_partial=partial.round, targets=len(targets))
                for address in targets:
                    self._start(self._send(address, packet))
            case Kept(number, index, count, threshold):
                address = self._membership.place.addresses[index]
                if index != self._membership.place.own_index:
                    self._log.debug("", process_partial=number, from_node=address, status="OK")
                kept = f"{count}/{threshold}"
                self._log.debug("", store_partial=address, round=number, len_partials=kept)
            case SyncFrom(attempt):
                self._syncs[attempt] = asyncio.create_task(self._follow(effect))
            case SyncStop(attempt):
                task = self._syncs.get(attempt)
                if task is not None:
                    task.cancel()
            case SyncFailed(up_to):
                self._log.error("sync failed: tried all nodes", up_to=up_to)
            case StreamStored(stream, first, last):
                if stream in self._outgoing:
                    self._outgoing[stream].owe(first, last)
            case StreamNew(streams, beacon):
                for stream in streams:
                    if stream in self._outgoing:
                        self._outgoing[stream].owe_new(beacon)
            case StreamClose(stream, refusal):
                if stream in self._outgoing:
                    self._outgoing[stream].close(refusal)

    def _answer(
        self, refusal: PartialRefused | None, event: Event, done: asyncio.Future[None] | None
    ) -> None:
        if done is None or done.done():
            return
        if refusal is None:
            done.set_result(None)
            return
        number = event.partial.round if isinstance(event, PartialArrived) else 0
        self._log.error("", process_partial=number, err=str(refusal), status="refused")
        done.set_exception(refusal)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    # ---- rounds --------------------------------------------------------------------------------

    async def _store(self, beacon: Beacon) -> None:
        began_s = monotonic()
        said = False
        while True:
            try:
                await self._writing.do(self.rounds.append, beacon)
                break
            except NoRoom as error:
                if not said:
                    self._log.error("no room for rounds; waiting for some", err=str(error))
                said = True
                await asyncio.sleep(ROOM_LOOK_S)
        before = self.rounds.last().signature
        self.rounds.appended(beacon)
        news, self._news = self._news, asyncio.Event()
        news.set()
        group = self.group
        late_s = self._clock.now_s() - group.schedule.time_of(beacon.round)
        self._meters.beacon_stored(
            self.beacon_id, Stored(beacon.round, late_s, len(group.members), group.threshold)
        )
        head, shown = beacon.signature.hex()[:6], before.hex()[:6] if group.scheme.chained else ""
        self._log.info(
            "",
            NEW_BEACON_STORED=f"{{ round: {beacon.round}, sig: {head}, prevSig: {shown} }}",
            time_discrepancy_ms=round(late_s * 1000, 6),
            storage_time_ms=int((monotonic() - began_s) * 1000),
        )

    # ---- talking to members --------------------------------------------------------------------

    async def _send(self, address: str, packet: Any) -> None:
        try:
            await self._peers.send_partial(address, packet)
        except CallFailed as error:
            self._meters.partial_sent(self.beacon_id, address, delivered=False)
            if self._alarm is not None:
                self._alarm.failed(address)
            self._log.error(
                "error sending partial",
                round=packet.round,
                err=str(error),
                code=error.code.spelt,
                to=address,
            )
        else:
            self._meters.partial_sent(self.beacon_id, address, delivered=True)

    async def _follow(self, effect: SyncFrom) -> None:
        attempt, peer = effect.attempt, effect.peer
        self._log.debug("", sync_from=peer, from_round=effect.from_round)
        try:
            request = self.packets.sync(effect.from_round)
            async with aclosing(self._peers.sync(peer, request)) as packets:
                async for packet in packets:
                    beacon_id, beacon = self.packets.beacon_in(packet)
                    # The next one is read when this one was handled, so none piles up here.
                    await self._put(SyncArrived(attempt, beacon_id, beacon), _OURS)
        except CallFailed as error:
            self._log.warn("sync ended", peer=peer, err=str(error), code=error.code.spelt)
        finally:
            del self._syncs[attempt]
            self._deliver(SyncEnded(attempt))

    # ---- the end -------------------------------------------------------------------------------

    async def _end(self) -> None:
        tasks = [*self._sending, *self._syncs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stopped = SyncRefused(f"beacon id [{self.beacon_id}] is not running")
        for outgoing in self._outgoing.values():
            outgoing.close(stopped)
        refusal = PartialRefused(str(stopped))
        while self._events:
            _, done = self._events.take()
            if done is not None and not done.done():
                done.set_exception(refusal)

    async def close(self) -> None:
        """After `run`: wait for what the disk still does, but not for ever, and leave the file."""
        ended = [await pool.close(timeout_s=DISK_S) for pool in (self._writing, self._reading)]
        if all(ended):
            self.rounds.close()
        else:
            self._log.error(f"the disk does not answer within {DISK_S:g} s; left without it")
