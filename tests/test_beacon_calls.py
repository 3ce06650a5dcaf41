"""What a node answers over gRPC: to members, to everyone, to its operator; and in which words."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from nodes import bls
from nodes.beacon import calls, layout, peers
from nodes.beacon.calls import CallFailed, Code, Method, Stream
from nodes.beacon.options import Certificate
from nodes.beacon.packets import Packets
from nodes.beacon.process import Daemon
from nodes.beacon.profiles import PROFILES
from nodes.beacon.proto import drand_pb2 as drand
from nodes.beacon.proto import health_pb2 as health
from nodes.beacon.store import FILE_NAME
from nodes.beacon.surface_view import ConnectionState
from nodes.beacon.transport import Dialling
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
MADE = 4


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partial is sent once, and a member probed once: on any machine there is time for it."""
    monkeypatch.setattr(peers, "CALL_S", PATIENCE_S)
    monkeypatch.setattr(peers, "PROBE_S", PATIENCE_S)


@dataclass
class World:
    """Three members with four rounds, and channels to the first."""

    members: Members
    clock: MovedClock
    daemons: list[Daemon]
    logs: list[Lines]
    private: Channel
    control: Channel

    async def private_call(self, method: Method[Any, Any], message: Any) -> Any:
        return await self.private.call(method, message, timeout_s=PATIENCE_S)

    async def control_call(self, method: Method[Any, Any], message: Any) -> Any:
        return await self.control.call(method, message, timeout_s=PATIENCE_S)

    async def refused(self, method: Method[Any, Any], message: Any) -> tuple[Code, str]:
        channel = self.control if method.service == "drand.Control" else self.private
        with pytest.raises(CallFailed) as caught:
            await channel.call(method, message, timeout_s=PATIENCE_S)
        return caught.value.code, caught.value.text

    async def make(self, number: int) -> None:
        self.clock.move_to(self.members.dealt.group.schedule.time_of(number))
        for daemon in self.daemons:
            assert await daemon.networks()[0].wait_for(number, PATIENCE_S)


@asynccontextmanager
async def world(root: Path, **changed: Any) -> AsyncIterator[World]:
    # The next round is waited for a period and a second of real time, by whatever clock. An alarm,
    # which long periods bring on, would speak between what is looked for in a log.
    members = deal_members(root, 3, 2, genesis_in_s=1, period_s=30, now_s=NOW_S)
    clock, changed = MovedClock(NOW_S), {"alarm_s": 3600.0, **changed}
    async with AsyncExitStack() as stack:
        pairs = [
            await stack.enter_async_context(running(options_for(folder, **changed), clock))
            for folder in members.folders
        ]
        daemon = pairs[0][0]
        private = Channel(daemon.private_address, tls=False, trusted=None)
        control = Channel(f"{HOST}:{daemon.control_port}", tls=False, trusted=None)
        stack.push_async_callback(private.close)
        stack.push_async_callback(control.close)
        made = World(
            members, clock, [d for d, _ in pairs], [lines for _, lines in pairs], private, control
        )
        for number in range(1, MADE + 1):
            await made.make(number)
        yield made


def with_world(root: Path, use: Callable[[World], Awaitable[None]], **changed: Any) -> None:
    async def run() -> None:
        async with world(root, **changed) as made:
            await use(made)

    asyncio.run(run())


def metadata(beacon_id: str = "", chain_hash: bytes = b"") -> drand.Metadata:
    return drand.Metadata(beaconID=beacon_id, chain_hash=chain_hash)


# ---- members and everyone ------------------------------------------------------------------------


def test_rounds_and_chain_for_everyone(tmp_path: Path) -> None:
    async def use(made: World) -> None:
        group = made.members.dealt.group
        chain = group.chain()
        info = await made.private_call(calls.PUBLIC_CHAIN_INFO, drand.ChainInfoRequest())
        assert info.public_key == chain.public_key
        assert (info.period, info.genesis_time) == (group.period_s, group.genesis_s)
        assert (info.hash, info.groupHash) == (chain.hash(), group.genesis_seed)
        assert info.schemeID == "pedersen-bls-chained"
        assert info.metadata.beaconID == "default"
        assert info.metadata.node_version.major == 2

        previous = group.genesis_seed
        for number in range(1, MADE + 1):
            found = await made.private_call(
                calls.PUBLIC_RAND, drand.PublicRandRequest(round=number)
            )
            assert (found.round, found.previous_signature) == (number, previous)
            assert found.randomness == b"", "v2.0.2 and later leave it out"
            assert bls.verify(
                group.scheme,
                chain.public_key,
                group.scheme.digest(number, previous),
                found.signature,
            )
            previous = found.signature
        last = await made.private_call(calls.PUBLIC_RAND, drand.PublicRandRequest())
        assert last.round == MADE

        # The next round is waited for.
        asked = asyncio.create_task(
            made.private_call(calls.PUBLIC_RAND, drand.PublicRandRequest(round=MADE + 1))
        )
        await made.make(MADE + 1)
        assert (await asked).round == MADE + 1
        code, text = await made.refused(calls.PUBLIC_RAND, drand.PublicRandRequest(round=99))
        assert (code, text) == (
            Code.UNKNOWN,
            "can't retrieve beacon 99: beacon not found in database",
        )
        ids = await made.private_call(calls.LIST_BEACON_IDS, drand.ListBeaconIDsRequest())
        assert list(ids.ids) == ["default"]

    with_world(tmp_path, use)


@pytest.mark.parametrize(
    "stream", [calls.SYNC_CHAIN, calls.PUBLIC_RAND_STREAM], ids=lambda s: s.name
)
def test_streams_send_what_is_stored_and_then_each_new_round(
    tmp_path: Path, stream: Stream[Any, Any]
) -> None:
    def asked(number: int) -> Any:
        if stream is calls.SYNC_CHAIN:
            return drand.SyncRequest(from_round=number)
        return drand.PublicRandRequest(round=number)

    async def use(made: World) -> None:
        from_two = made.private.stream(stream, asked(2))
        assert [(await anext(from_two)).round for _ in range(3)] == [2, 3, 4]
        elsewhere = Channel(made.daemons[0].private_address, tls=False, trusted=None)
        only_new = elsewhere.stream(stream, asked(0))
        first = asyncio.ensure_future(anext(only_new))
        network = made.daemons[0].networks()[0]
        await until("two streams", lambda: network.streams == 2)
        await made.make(5)
        assert (await first).round == 5
        assert (await anext(from_two)).round == 5

        # Another request over the same connection replaces the first.
        again = made.private.stream(stream, asked(5))
        assert (await anext(again)).round == 5
        with pytest.raises(CallFailed) as caught:
            await anext(from_two)
        assert (caught.value.code, caught.value.text) == (Code.UNKNOWN, "callback replaced")

        beyond = elsewhere.stream(stream, asked(9))
        with pytest.raises(CallFailed, match="no beacon stored above: 5 < 9"):
            await anext(beyond)
        await elsewhere.close()
        await until("the closed streams are gone", lambda: network.streams == 1)

    with_world(tmp_path, use)


def test_partials_are_answered_as_the_core_says(tmp_path: Path) -> None:
    async def use(made: World) -> None:
        _, share = made.members.dealt.members[1]
        scheme = made.members.dealt.group.scheme
        before = (await made.private_call(calls.PUBLIC_RAND, drand.PublicRandRequest())).signature
        message = scheme.digest(MADE + 1, before)
        genuine = bls.sign_partial(scheme, share.secret, share.index, message)

        def packet(partial: bytes, number: int = MADE + 1) -> drand.PartialBeaconPacket:
            return drand.PartialBeaconPacket(
                round=number, previous_signature=before, partial_sig=partial
            )

        for number in (1, MADE + 1):
            answer = await made.private_call(calls.PARTIAL_BEACON, packet(genuine, number))
            assert answer.metadata.beaconID == "default"
        refusals = {
            "invalid round: 99 instead of 4": packet(genuine, 99),
            "attempted to process beacon from node of index 77, "
            "but it was not in the group file": packet(b"\x00\x4d" + genuine[2:]),
            "invalid own index 0 in partial for round 5": packet(bytes(2) + genuine[2:]),
            "invalid partial signature of index 1 for round 5": packet(genuine[:-1] + b"\x00"),
            "a partial has 98 bytes here, not 3": packet(b"abc"),
        }
        for text, refused in refusals.items():
            assert await made.refused(calls.PARTIAL_BEACON, refused) == (Code.UNKNOWN, text)
        counted = made.daemons[0].meters.calls_answered

        def refused_so_far() -> int:
            return sum(
                number
                for (call, code), number in counted.items()
                if (call.method, code) == ("PartialBeacon", "Unknown")
            )

        # A call is counted when it is over, a little after its answer has left.
        await until("the refusals are counted", lambda: refused_so_far() == len(refusals))

    with_world(tmp_path, use)


def test_the_gate_by_version(tmp_path: Path) -> None:
    old = drand.NodeVersion(major=1, minor=5, patch=8)

    async def refuses(made: World) -> None:
        packet = drand.PartialBeaconPacket(round=1, metadata=drand.Metadata(node_version=old))
        assert await made.refused(calls.PARTIAL_BEACON, packet) == (
            Code.PERMISSION_DENIED,
            "Incompatible node version. Current: 2.1.3, received: 1.5.8",
        )
        (said,) = made.logs[0].records(level="WARN")
        assert said["msg"] == "node version rcv is no compatible --> rejecting message"
        assert (said["received"], said["our node"]) == ("1.5.8", "2.1.3")
        # Who names no version is not asked: an incompatible node can sync.
        packet.metadata.ClearField("node_version")
        await made.private_call(calls.PARTIAL_BEACON, packet)

    async def takes(made: World) -> None:
        packet = drand.PartialBeaconPacket(round=1, metadata=drand.Metadata(node_version=old))
        await made.private_call(calls.PARTIAL_BEACON, packet)

    with_world(tmp_path / "checked", refuses)
    with_world(tmp_path / "unchecked", takes, check_versions=False)


def test_networks_are_found_by_name_and_by_hash(tmp_path: Path) -> None:
    async def use(made: World) -> None:
        chain_hash = made.members.dealt.group.chain().hash()
        for named in (metadata(), metadata("default"), metadata("", chain_hash)):
            found = await made.private_call(
                calls.PUBLIC_CHAIN_INFO, drand.ChainInfoRequest(metadata=named)
            )
            assert found.hash == chain_hash
        for named, text in (
            (metadata("other"), "beacon id [other] is not running"),
            (metadata("../../etc"), "beacon id [../../etc] is not running"),
            (metadata("", b"\x01\x02"), "unknown chainhash: 0102"),
            (metadata("other", chain_hash), 'invalid chain hash: "other" != "default"'),
        ):
            for method, message in (
                (calls.PUBLIC_CHAIN_INFO, drand.ChainInfoRequest(metadata=named)),
                (calls.PARTIAL_BEACON, drand.PartialBeaconPacket(round=1, metadata=named)),
                (calls.GET_IDENTITY, drand.IdentityRequest(metadata=named)),
            ):
                assert await made.refused(method, message) == (Code.UNKNOWN, text)
            with pytest.raises(CallFailed) as caught:
                await anext(
                    made.private.stream(calls.SYNC_CHAIN, drand.SyncRequest(metadata=named))
                )
            assert caught.value.text == text

    with_world(tmp_path, use)


def test_identity_health_and_status(tmp_path: Path) -> None:
    async def use(made: World) -> None:
        pair, _ = made.members.dealt.members[0]
        identity = await made.private_call(calls.GET_IDENTITY, drand.IdentityRequest())
        assert (identity.address, identity.key) == (pair.identity.address, pair.identity.key)
        assert identity.signature == pair.identity.signature
        assert identity.schemeName == "pedersen-bls-chained"
        healthy = await made.private_call(calls.HEALTH_CHECK, health.HealthCheckRequest())
        assert healthy.status == health.HealthCheckResponse.SERVING
        asked = health.HealthCheckRequest(service="x")
        assert await made.refused(calls.HEALTH_CHECK, asked) == (Code.NOT_FOUND, "unknown service")

        (stranger,) = free_addresses(1)
        own, *others = made.members.addresses
        addresses = [drand.Address(address=one) for one in (own, *others, stranger, "", "x")]
        status = await made.private_call(
            calls.MEMBER_STATUS, drand.StatusRequest(check_conn=addresses)
        )
        assert dict(status.connections) == {
            others[0]: True,
            others[1]: True,
            stranger: False,
            "x": False,
        }
        assert stranger not in made.daemons[0].connections(), "nobody is dialled for a caller"
        assert (status.beacon.is_running, status.beacon.is_serving) == (True, True)
        assert not status.beacon.is_started
        assert (status.chain_store.last_stored, status.chain_store.expected_last) == (MADE, MADE)
        await made.daemons[2].stop()
        remote = await made.control_call(calls.REMOTE_STATUS, drand.RemoteStatusRequest())
        assert list(remote.statuses) == [others[0]]
        assert dict(remote.statuses[others[0]].connections) == {others[1]: False}
        states = made.daemons[0].connections()
        assert states[others[0]] is ConnectionState.READY

    with_world(tmp_path, use)


def test_a_v1_status_holds_what_v1_s_command_line_asks_for(tmp_path: Path) -> None:
    async def use(made: World) -> None:
        status = await made.private_call(calls.MEMBER_STATUS, drand.StatusRequest())
        assert b"\x12\x00" in status.SerializeToString()
        assert status.beacon.is_started
        remote = await made.control_call(calls.REMOTE_STATUS, drand.RemoteStatusRequest())
        assert len(remote.statuses) == 2
        for found in remote.statuses.values():
            assert b"\x12\x00" in found.SerializeToString()

    with_world(tmp_path, use, profile=PROFILES["v1.5.8"])


def test_what_is_not_answered(tmp_path: Path) -> None:
    def named(service: str, name: str) -> Method[Any, Any]:
        return Method(service, name, drand.Empty, drand.Empty)

    async def use(made: World) -> None:
        for service, name, text in (
            ("dkg.DKGControl", "Packet", "unknown service dkg.DKGControl"),
            ("drand.Protocol", "Nope", "unknown method Nope for service drand.Protocol"),
            ("drand.Control", "Shutdown", "unknown service drand.Control"),
        ):
            with pytest.raises(CallFailed) as caught:
                await made.private_call(named(service, name), drand.Empty())
            assert (caught.value.code, caught.value.text) == (Code.UNIMPLEMENTED, text)

    with_world(tmp_path, use)


def test_a_verbose_log_counts_who_signed(tmp_path: Path) -> None:
    """What operators count contributions by: facts of the real logs."""

    async def use(made: World) -> None:
        own, *others = made.members.addresses
        lines = made.logs[0]
        kept = [one for one in lines.records(level="DEBUG") if "store_partial" in one]
        for number in range(1, MADE + 1):
            of_round = [one for one in kept if one["round"] == number]
            assert [one["len_partials"] for one in of_round][:2] == ["1/2", "2/2"]
            assert own in {one["store_partial"] for one in of_round}
        taken = lines.records(level="DEBUG", status="OK")
        assert {one["process_partial"] for one in taken} == set(range(1, MADE + 1))
        assert {one["from_node"] for one in taken} <= set(others)

    with_world(tmp_path, use, verbose=True)


def test_a_bug_in_an_answer_is_said_and_costs_one_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(made: World) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        with monkeypatch.context() as patched:
            patched.setattr(Packets, "chain", broken)
            code, _ = await made.refused(calls.PUBLIC_CHAIN_INFO, drand.ChainInfoRequest())
        assert code is Code.UNKNOWN
        said = [one for one in made.logs[0].records(level="ERROR") if "library" in one]
        assert (said[0]["logger"], said[0]["caller"]) == (
            made.members.addresses[0],
            "beacon/library.py",
        )
        assert any("ZeroDivisionError: a bug" in str(one["msg"]) for one in said)
        await made.make(MADE + 1)
        await made.private_call(calls.PUBLIC_CHAIN_INFO, drand.ChainInfoRequest())

    with_world(tmp_path, use)


# ---- the operator --------------------------------------------------------------------------------


def test_the_operators_questions(tmp_path: Path) -> None:
    async def use(made: World) -> None:
        pong = await made.control_call(calls.PING_PONG, drand.Ping())
        assert pong.metadata.node_version.minor == 1
        schemes = await made.control_call(calls.LIST_SCHEMES, drand.ListSchemesRequest())
        assert list(schemes.ids) == list(bls.SCHEMES)
        pair, _ = made.members.dealt.members[0]
        key = await made.control_call(calls.PUBLIC_KEY, drand.PublicKeyRequest())
        assert (key.pubKey, key.addr) == (pair.identity.key, pair.identity.address)
        group = made.members.dealt.group
        packet = await made.control_call(calls.GROUP_FILE, drand.GroupRequest())
        assert [node.public.address for node in packet.nodes] == made.members.addresses
        assert [node.index for node in packet.nodes] == [0, 1, 2]
        assert tuple(packet.dist_key) == group.coefficients
        assert (packet.threshold, packet.period) == (2, group.period_s)
        assert packet.genesis_seed == group.genesis_seed
        info = await made.control_call(calls.CHAIN_INFO, drand.ChainInfoRequest())
        assert info.hash == group.chain().hash()
        status = await made.control_call(calls.STATUS, drand.StatusRequest())
        assert status.chain_store.last_stored == MADE
        missing = drand.StatusRequest(metadata=metadata("other"))
        assert await made.refused(calls.STATUS, missing) == (
            Code.UNKNOWN,
            "beacon id [other] is not running",
        )

    with_world(tmp_path, use)


def test_the_chain_is_checked_and_copied(tmp_path: Path) -> None:
    async def use(made: World) -> None:
        progress = [
            (one.current, one.target)
            async for one in made.control.stream(
                calls.START_CHECK_CHAIN, drand.StartSyncRequest(up_to=3)
            )
        ]
        assert progress == [(3, 3)]
        (tmp_path / "copy").mkdir()
        target = tmp_path / "copy" / FILE_NAME
        await made.control_call(
            calls.BACKUP_DATABASE, drand.BackupDBRequest(output_file=str(target))
        )
        assert target.stat().st_size > 0
        for path, code in (
            ("relative", Code.INVALID_ARGUMENT),
            (f"{tmp_path}/a\0b", Code.INVALID_ARGUMENT),
            (str(target), Code.UNKNOWN),
        ):
            asked = drand.BackupDBRequest(output_file=path)
            assert (await made.refused(calls.BACKUP_DATABASE, asked))[0] is code

        # A round that was changed behind the node's back is found.
        network = made.daemons[0].networks()[0]
        changed = network.rounds._writer  # type: ignore[union-attr]
        changed.execute("UPDATE rounds SET signature = zeroblob(96) WHERE round = 2")
        with pytest.raises(CallFailed) as caught:
            await anext(made.control.stream(calls.START_CHECK_CHAIN, drand.StartSyncRequest()))
        assert (caught.value.code, caught.value.text) == (
            Code.DATA_LOSS,
            "round 2 does not verify",
        )

    with_world(tmp_path, use)


def test_a_network_is_ended_loaded_and_ended_with_the_node(tmp_path: Path) -> None:
    async def use(made: World) -> None:
        named = metadata("default")
        running_already = drand.LoadBeaconRequest(metadata=named)
        assert await made.refused(calls.LOAD_BEACON, running_already) == (
            Code.UNKNOWN,
            "beacon id [default] is already running",
        )
        nobody = drand.LoadBeaconRequest(metadata=metadata("other"))
        code, text = await made.refused(calls.LOAD_BEACON, nobody)
        assert code is Code.UNKNOWN
        assert text.endswith("drand_id.private is not there")
        source = layout.Network(made.members.folders[0], "default")
        waiting = layout.Network(made.members.folders[0], "other")
        shutil.copytree(source.private_key.parent, waiting.private_key.parent)
        await made.control_call(calls.LOAD_BEACON, nobody)

        # It waits for its ceremony: it says who it is, and that there is no chain.
        asked = drand.IdentityRequest(metadata=metadata("other"))
        assert (await made.private_call(calls.GET_IDENTITY, asked)).metadata.beaconID == "other"
        for method, message, text in (
            (
                calls.PARTIAL_BEACON,
                drand.PartialBeaconPacket(metadata=metadata("other")),
                "DKG not finished yet",
            ),
            (
                calls.PUBLIC_RAND,
                drand.PublicRandRequest(metadata=metadata("other")),
                "drand: beacon generation not started yet",
            ),
            (
                calls.PUBLIC_CHAIN_INFO,
                drand.ChainInfoRequest(metadata=metadata("other")),
                "drand: no dkg group setup yet",
            ),
        ):
            assert await made.refused(method, message) == (Code.UNKNOWN, text)
        status = drand.StatusRequest(metadata=metadata("other"))
        assert (await made.private_call(calls.MEMBER_STATUS, status)).chain_store.is_empty

        await made.control_call(calls.SHUTDOWN, drand.ShutdownRequest(metadata=named))
        assert (await made.refused(calls.PUBLIC_RAND, drand.PublicRandRequest()))[1] == (
            "beacon id [default] is not running"
        )
        await made.control_call(calls.LOAD_BEACON, running_already)
        found = await made.private_call(calls.PUBLIC_RAND, drand.PublicRandRequest())
        assert found.round == MADE
        await made.control_call(calls.SHUTDOWN, drand.ShutdownRequest())
        async with asyncio.timeout(PATIENCE_S):
            assert await made.daemons[0].ended() == 0

    with_world(tmp_path, use)


# ---- TLS -----------------------------------------------------------------------------------------


def test_members_with_certificates_make_rounds(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def run() -> None:
        members = deal_members(tmp_path, 3, 3, genesis_in_s=1, now_s=NOW_S)
        clock = MovedClock(NOW_S)
        host = members.addresses[0].rpartition(":")[0]
        issued = authority.issue_cert(host)
        issued.private_key_pem.write_to_path(tmp_path / "key.pem")
        issued.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
        changed = {
            "certificate": Certificate(tmp_path / "chain.pem", tmp_path / "key.pem"),
            "trusted": tmp_path / "ca.pem",
            "dialling": Dialling.TLS,
        }
        async with AsyncExitStack() as stack:
            pairs = [
                await stack.enter_async_context(running(options_for(folder, **changed), clock))
                for folder in members.folders
            ]
            clock.move_to(members.dealt.group.genesis_s)
            assert await pairs[0][0].networks()[0].wait_for(1, PATIENCE_S)

            # Plaintext comes to nothing there, and says which code.
            plain = Channel(members.addresses[0], tls=False, trusted=None)
            with pytest.raises(CallFailed) as caught:
                await plain.call(calls.PUBLIC_RAND, drand.PublicRandRequest(), timeout_s=3)
            await plain.close()
            assert caught.value.code in {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}

    asyncio.run(run())


def test_a_member_that_lost_tls_says_so_and_the_others_go_on(tmp_path: Path) -> None:
    """A plaintext dialler among members, as v1 with its identities' TLS flag."""

    async def run() -> None:
        members = deal_members(tmp_path, 3, 2, genesis_in_s=1, now_s=NOW_S)
        clock = MovedClock(NOW_S)
        async with AsyncExitStack() as stack:
            dialling = (Dialling.TLS, Dialling.PLAINTEXT, Dialling.AS_IDENTITIES_SAY)
            pairs = [
                await stack.enter_async_context(
                    running(options_for(folder, dialling=one, profile=PROFILES["v1.5.8"]), clock)
                )
                for folder, one in zip(members.folders, dialling, strict=True)
            ]
            clock.move_to(members.dealt.group.genesis_s)
            for daemon, _ in pairs:
                assert await daemon.networks()[0].wait_for(1, PATIENCE_S)
            daemon, lines = pairs[0]
            meters = daemon.meters
            await until("both partials failed", lambda: len(meters.partial_failed) == 2)
            assert all(meters.partial_failed.values())
            said = lines.records(msg="error sending partial")
            assert {one["to"] for one in said} == set(members.addresses[1:])
            assert {one["code"] for one in said} <= {"Unavailable", "DeadlineExceeded"}

    asyncio.run(run())
