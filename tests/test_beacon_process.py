"""Real nodes on loopback: processes that are killed and come back, and the recorded real groups."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from nodes import bls
from nodes.beacon import layout, process
from nodes.beacon.calls import (
    MEMBER_STATUS,
    PUBLIC_RAND,
    PUBLIC_RAND_STREAM,
    SHUTDOWN,
    CallFailed,
)
from nodes.beacon.clocking import SystemClock
from nodes.beacon.messages import Beacon
from nodes.beacon.meters import Meters
from nodes.beacon.process import Daemon
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.store import StoreRefused
from nodes.beacon.wire import Channel
from tests.beacon_nodes import (
    HOST,
    QUIET,
    Child,
    Members,
    MovedClock,
    chains_of,
    deal_members,
    free_addresses,
    options_for,
    running,
)
from tests.beacon_vectors import FOLDERS, MEMBERS, Folder

SPENT_S = 30.0
TICKS_AT_MOST = 4
# A killed member has signed the next round, and the one after that where it was ahead of others.
UNDER_WAY_AT_MOST = 2
TURNS = 100


async def rounds_of(channel: Channel, up_to: int) -> list[bytes]:
    """The signatures of rounds 1 to `up_to`, once the last is there, as clients have them."""
    if (await last_of(channel))[0] < up_to:
        async with asyncio.timeout(SPENT_S):
            async for new in channel.stream(PUBLIC_RAND_STREAM, drand.PublicRandRequest()):
                if new.round >= up_to:
                    break
    found: list[bytes] = []
    async for answer in channel.stream(PUBLIC_RAND_STREAM, drand.PublicRandRequest(round=1)):
        assert answer.round == len(found) + 1
        found.append(answer.signature)
        if answer.round == up_to:
            return found
    raise AssertionError(f"the stream ended at {len(found)}")


async def last_of(channel: Channel) -> tuple[int, int]:
    """The last stored and the expected round."""
    status = await channel.call(MEMBER_STATUS, drand.StatusRequest(), timeout_s=SPENT_S)
    return status.chain_store.last_stored, status.chain_store.expected_last


async def stands(channel: Channel) -> bool:
    """Whether no next round comes within a period and a second, which a node waits for one."""
    last, _ = await last_of(channel)
    asked = drand.PublicRandRequest(round=last + 1)
    try:
        await channel.call(PUBLIC_RAND, asked, timeout_s=SPENT_S)
    except CallFailed as error:
        if "waited too long" not in error.text:
            raise
        return (await last_of(channel))[0] == last
    return False


def verify(members: Members, signatures: Sequence[bytes]) -> None:
    group = members.dealt.group
    assert group.coefficients is not None
    previous = group.genesis_seed
    for number, signature in enumerate(signatures, 1):
        message = group.scheme.digest(number, previous)
        assert bls.verify(group.scheme, group.coefficients[0], message, signature), number
        previous = signature


def test_processes_make_one_chain_whoever_is_killed(tmp_path: Path) -> None:
    async def run() -> None:
        members = deal_members(tmp_path, 3, 2, genesis_in_s=2.0)
        nodes = [
            Child(folder, address, tmp_path / f"{number}.log")
            for number, (folder, address) in enumerate(
                zip(members.folders, members.addresses, strict=True)
            )
        ]
        channels = [Channel(address, tls=False, trusted=None) for address in members.addresses]
        try:
            await asyncio.gather(*(node.start() for node in nodes))
            chains = await asyncio.gather(*(rounds_of(channel, 3) for channel in channels))
            assert chains[0] == chains[1] == chains[2]
            verify(members, chains[0])

            # One is killed: two go on; back again, it is synced at once.
            await nodes[2].end(signal.SIGKILL)
            await rounds_of(channels[0], 6)
            await nodes[2].start()
            assert (await rounds_of(channels[2], 6))[:3] == chains[0]

            # Two are killed: no round, but for those of which a partial of theirs had come.
            await asyncio.gather(*(node.end(signal.SIGKILL) for node in nodes[1:]))
            for _ in range(UNDER_WAY_AT_MOST + 1):
                if await stands(channels[0]):
                    break
            else:
                raise AssertionError("one of three makes rounds")

            # One is back: with a catch-up period of 0 s what is missing is made at once.
            await nodes[1].start()
            _, expected = await last_of(channels[0])
            await nodes[2].start()
            chains = await asyncio.gather(*(rounds_of(channel, expected) for channel in channels))
            assert chains[0] == chains[1] == chains[2]
            verify(members, chains[0])
            _, expected = await last_of(channels[0])
            async with asyncio.timeout(SPENT_S):
                while (await last_of(channels[0]))[0] < expected:
                    await asyncio.sleep(0.05)
        finally:
            codes = [await node.end(signal.SIGTERM) for node in nodes]
            for channel in channels:
                await channel.close()
        assert codes == [0, 0, 0]
        for number in range(3):
            said = [
                json.loads(one) for one in (tmp_path / f"{number}.log").read_text().splitlines()
            ]
            assert all({"level", "ts", "caller", "msg"} <= one.keys() for one in said)
            stored = [one for one in said if "NEW_BEACON_STORED" in one]
            assert stored[0]["logger"] == f"{members.addresses[number]}.default"
        failed = [one for one in said if one["msg"] == "error sending partial"]
        assert {one["code"] for one in failed} <= {"Unavailable", "DeadlineExceeded"}

    asyncio.run(run())


# ---- the recorded groups -------------------------------------------------------------------------


def _copied(folder: Folder, root: Path) -> list[Path]:
    """Copies of four members' folders, at addresses of this run, which nothing signed covers."""
    group = (folder.path / "node1" / "drand_group.toml").read_text()
    named = [line.split('"')[1] for line in group.splitlines() if "Address = " in line]
    addresses = dict(zip(named, free_addresses(4), strict=True))
    copies = []
    for name in MEMBERS:
        network = layout.Network(root / name, "default")
        for path in (network.private_key, network.public_key, network.group, network.share):
            path.parent.mkdir(parents=True, exist_ok=True)
            text = (folder.path / name / path.name).read_text()
            for old, new in addresses.items():
                text = text.replace(f'"{old}"', f'"{new}"')
            path.write_text(text)
        copies.append(root / name)
    return copies


async def _made(daemons: Sequence[Daemon], clock: MovedClock, number: int) -> list[Beacon]:
    """
    The round as each of them has it, by a clock that stands when it is due, or a little later.

    A partial is sent once at each round's time, and a sync is asked for then: on a machine that has
    no time for it either may come to nothing, and the next round's time is the next chance.
    """
    group = daemons[0].networks()[0].group
    assert group is not None
    due_s = group.schedule.time_of(number)
    for late in range(TICKS_AT_MOST):
        clock.move_to(max(clock.now_s(), due_s + late))
        waiting = [one.networks()[0].wait_for(number, SPENT_S / TICKS_AT_MOST) for one in daemons]
        found = [beacon for beacon in await asyncio.gather(*waiting) if beacon is not None]
        if len(found) == len(daemons):
            return found
    raise AssertionError(f"round {number} was not made by all of {len(daemons)}")


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_a_recorded_group_makes_the_rounds_that_it_published(
    folder: Folder, tmp_path: Path
) -> None:
    async def run() -> None:
        published = folder.published
        clock = MovedClock(published["info"]["genesis_time"] - 1)
        async with AsyncExitStack() as stack:
            daemons = [
                (await stack.enter_async_context(running(options_for(path), clock)))[0]
                for path in _copied(folder, tmp_path)
            ]
            for beacon in published["beacons"]:
                for found in await _made(daemons, clock, beacon["round"]):
                    assert found.signature.hex() == beacon["signature"]
                    assert found.previous_signature.hex() == beacon.get("previous_signature", "")
            channel = Channel(daemons[0].private_address, tls=False, trusted=None)
            served = await rounds_of(channel, 8)
            await channel.close()
            assert [one.hex() for one in served] == [b["signature"] for b in published["beacons"]]

    assert len(folder.published["beacons"]) == 8
    asyncio.run(run())


def test_a_synced_member_holds_what_was_published(tmp_path: Path) -> None:
    """Three make the rounds; the fourth comes late and has them all, from the others' stores."""
    folder = next(one for one in FOLDERS if str(one) == "v2.1.4-chained")

    async def run() -> None:
        published = folder.published
        clock = MovedClock(published["info"]["genesis_time"] - 1)
        paths = _copied(folder, tmp_path)
        async with AsyncExitStack() as stack:
            daemons = [
                (await stack.enter_async_context(running(options_for(path), clock)))[0]
                for path in paths[:3]
            ]
            for beacon in published["beacons"]:
                await _made(daemons, clock, beacon["round"])
            late, _ = await stack.enter_async_context(running(options_for(paths[3]), clock))
            await _made([late], clock, 8)
            (chain,) = chains_of([late])
            held = [one.hex() for one in chain[:8]]
            assert held == [b["signature"] for b in published["beacons"]]

    asyncio.run(run())


# ---- several networks ----------------------------------------------------------------------------


def test_networks_of_one_process_are_each_others_business_in_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        addresses = free_addresses(3)
        ids = {"default": "pedersen-bls-chained", "quick": "bls-unchained-g1-rfc9380"}
        for beacon_id, scheme in ids.items():
            members = deal_members(
                tmp_path, 3, 2, scheme=scheme, beacon_id=beacon_id, addresses=addresses
            )
        async with AsyncExitStack() as stack:
            daemons = [
                (await stack.enter_async_context(running(options_for(folder))))[0]
                for folder in sorted(members.folders)
            ]
            for beacon_id in ids:
                for daemon in daemons:
                    network = next(n for n in daemon.networks() if n.beacon_id == beacon_id)
                    assert await network.wait_for(2, SPENT_S)
            hashes = {network.packets.chain_hash for network in daemons[0].networks()}
            assert len(hashes) == 2

            # One network of one node ends; the other makes its next round with all three.
            control = Channel(f"{HOST}:{daemons[0].control_port}", tls=False, trusted=None)
            asked = drand.ShutdownRequest(metadata=drand.Metadata(beaconID="quick"))
            await control.call(SHUTDOWN, asked, timeout_s=SPENT_S)
            await control.close()
            assert [network.beacon_id for network in daemons[0].networks()] == ["default"]
            (left,) = daemons[0].networks()
            assert await left.wait_for(left.last().round + 2, SPENT_S)

    asyncio.run(run())


def test_two_processes_never_share_a_store(tmp_path: Path) -> None:
    async def run() -> None:
        members = deal_members(tmp_path, 3, 2)
        elsewhere = options_for(members.folders[0], private_listen=f"{HOST}:0")
        async with running(options_for(members.folders[0])):
            with pytest.raises(StoreRefused, match="in use by another process"):
                await Daemon(elsewhere, Meters(()), SystemClock(), QUIET).start()
        async with running(elsewhere) as (daemon, _):
            assert daemon.private_address != members.addresses[0]

    asyncio.run(run())


def test_a_network_that_is_ending_is_loaded_once_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []

    async def run() -> None:
        daemon = Daemon(options_for(tmp_path), Meters(()), SystemClock(), QUIET)
        closing = asyncio.Event()

        async def ends() -> None:
            await closing.wait()
            happened.append("its store is closed")

        async def add(_: object) -> None:
            happened.append("it is loaded")

        monkeypatch.setattr(daemon, "_add", add)
        daemon._running["default"] = asyncio.create_task(ends())
        loading = asyncio.create_task(daemon.load("default"))
        for _ in range(TURNS):  # as often as it would need to go on without waiting
            await asyncio.sleep(0)
        closing.set()
        await loading

    monkeypatch.setattr(process, "load", lambda *_: None)
    asyncio.run(run())
    assert happened == ["its store is closed", "it is loaded"]
